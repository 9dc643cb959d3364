// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// testTimeout bounds one test, far above what it takes: at its end the context is cancelled and the collector killed.
const testTimeout = 3 * time.Minute

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func binary(t *testing.T, env, path string) string {
	t.Helper()
	b, err := otelcol.Binary(env, path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func plainBinary(t *testing.T) string {
	t.Helper()
	return binary(t, "OTELCOL", "../build/otelcol-partitionedbuffer")
}

func raceBinary(t *testing.T) string {
	t.Helper()
	return binary(t, "OTELCOL_RACE", "../build/otelcol-partitionedbuffer-race")
}

// start runs a collector for the time of the test.
func start(ctx context.Context, t *testing.T, o otelcol.Options) *otelcol.Collector {
	t.Helper()
	c, err := otelcol.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// pipelines is a collector whose pipelines go from OTLP through the processor into a file for each signal.
type pipelines struct {
	settings string // the processor's, in YAML, in braces
	signals  []otlpio.Signal
	binary   string
	gates    string
	level    string // of the collector's own metrics; detailed if empty

	*otelcol.Collector        // set by start
	dir                string // set by start
}

func (p *pipelines) start(ctx context.Context, t *testing.T) *pipelines {
	t.Helper()
	p.dir = t.TempDir()
	if p.binary == "" {
		p.binary = plainBinary(t)
	}
	var exporters, services strings.Builder
	for _, s := range p.signals {
		fmt.Fprintf(&exporters, "  file/%s: {path: %s, flush_interval: %s}\n", s, p.file(s), otelcol.NeverFlush)
		fmt.Fprintf(&services, "    %[1]s: {receivers: [otlp], processors: [partitionedbuffer], exporters: [file/%[1]s]}\n", s)
	}
	config := fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0, include_metadata: true}}}
processors:
  partitionedbuffer: %s
exporters:
%sservice:
  pipelines:
%s`, p.settings, &exporters, &services)
	p.Collector = start(ctx, t, otelcol.Options{
		Binary:       p.binary,
		Configs:      []string{writeFile(t, p.dir, "config.yaml", config)},
		FeatureGates: p.gates,
		Dir:          p.dir,
		MetricsLevel: cmp.Or(p.level, "detailed"),
	})
	return p
}

// file is what the exporter of a signal writes to.
func (p *pipelines) file(s otlpio.Signal) string {
	return filepath.Join(p.dir, string(s)+".jsonl")
}

// stop stops the collector and gives what its exporter of that signal received.
func (p *pipelines) stop(t *testing.T, s otlpio.Signal) []otlpio.Payload {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	batches, err := otlpio.ReadFile(p.file(s))
	if err != nil {
		t.Fatal(err)
	}
	return batches
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func dial(t *testing.T, c *otelcol.Collector) *otlpio.Client {
	t.Helper()
	client, err := otlpio.Dial(c.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// startBackend runs an OTLP receiver for the time of the test. As long as hold is open it answers no call; nil answers each at once.
func startBackend(t *testing.T, hold chan struct{}) *otlpio.Backend {
	t.Helper()
	backend, err := otlpio.NewBackend(hold)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Close)
	return backend
}

// eachSignal runs a test in parallel for each of the signals.
func eachSignal(t *testing.T, signals []otlpio.Signal, f func(t *testing.T, s otlpio.Signal)) {
	t.Helper()
	for _, s := range signals {
		t.Run(string(s), func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

// poll calls f until it says that it is content. It is called at once, then at short intervals.
func poll(ctx context.Context, t *testing.T, what string, f func() bool) {
	t.Helper()
	pollFor(ctx, t, 30*time.Second, what, f)
}

// pollFor is poll with a limit of its own.
func pollFor(ctx context.Context, t *testing.T, limit time.Duration, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("still waiting for this: %s", what)
		case <-tick.C:
		}
	}
}
