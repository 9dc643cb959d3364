// SPDX-License-Identifier: Apache-2.0

// Package telemetrygen runs the collector's load generator.
package telemetrygen

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// Load is what one run sends.
type Load struct {
	// Binary is the telemetrygen to run.
	Binary string
	// Endpoint is the address of an OTLP gRPC receiver.
	Endpoint string
	// Signal is one of traces, metrics and logs.
	Signal otlpio.Signal
	// Workers send side by side; each sends PerWorker traces of two spans, data points or log records.
	Workers, PerWorker int
}

// Items is the number of items that the load consists of.
func (l Load) Items() int {
	n := l.Workers * l.PerWorker
	if l.Signal == otlpio.Traces {
		n *= 2 // a span and its one child
	}
	return n
}

// Run sends the load, unthrottled, and returns when all of it was answered.
func (l Load) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, l.Binary, string(l.Signal),
		"--otlp-insecure", "--otlp-endpoint="+l.Endpoint, "--rate=0",
		"--workers="+strconv.Itoa(l.Workers), "--"+string(l.Signal)+"="+strconv.Itoa(l.PerWorker))
	// Its span processor drops what its queue has no room for, 2048 spans by default, and tells nobody.
	cmd.Env = append(os.Environ(), "OTEL_BSP_MAX_QUEUE_SIZE="+strconv.Itoa(l.Items()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("telemetrygen %s: %w:\n%s", l.Signal, err, out)
	}
	return nil
}
