// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// ReadFile reads what a file exporter wrote: OTLP in JSON, a line for each batch that it received. The collector must have
// stopped, a line may be half written until then.
func ReadFile(path string) ([]Payload, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var batches []Payload
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return batches, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		p, err := decode(bytes.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		batches = append(batches, p)
	}
}

func decode(line []byte) (p Payload, err error) {
	if p.Signal, err = signalOf(line); err != nil {
		return p, err
	}
	switch p.Signal {
	case Traces:
		p.Traces, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
	case Metrics:
		p.Metrics, err = (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(line)
	case Logs:
		p.Logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
	case Profiles:
		p.Profiles, err = (&pprofile.JSONUnmarshaler{}).UnmarshalProfiles(line)
	}
	return p, err
}

// signalOf reads the first key of the object, which tells the signals apart.
func signalOf(line []byte) (Signal, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	if _, err := dec.Token(); err != nil {
		return "", err
	}
	key, err := dec.Token()
	if err != nil {
		return "", err
	}
	switch key {
	case "resourceSpans":
		return Traces, nil
	case "resourceMetrics":
		return Metrics, nil
	case "resourceLogs":
		return Logs, nil
	case "resourceProfiles", "dictionary":
		return Profiles, nil
	}
	return "", fmt.Errorf("not OTLP: begins with %v", key)
}

// Items is the number of items in all of the batches.
func Items(batches []Payload) int {
	n := 0
	for _, b := range batches {
		n += b.Len()
	}
	return n
}
