// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// The Collector stops its receivers first, and they wait for their callers. So with callers that set no deadline and a backend that
// never answers, only wait_timeout lets the process end. That it ends is seen by Stop, which waits far longer than the sum of
// wait_timeout and shutdown_timeout × pipelines.
func TestTerminateLetsCallersWithoutDeadlineGo(t *testing.T) {
	t.Parallel()
	const callers, items = 5, 10 // callers per pipeline, items per request; together less than queue_size, so that all may wait
	signals := []otlpio.Signal{otlpio.Traces, otlpio.Logs}
	for name, test := range map[string]struct {
		settings string
		fill     int // so many items of each signal are accepted first
		metric   string
		waiting  int // the metric's value when all callers wait
	}{
		"for capacity": {
			settings: "{send_batch_size: 100, queue_size: 100, wait_timeout: 5s, shutdown_timeout: 1s}",
			fill:     100, metric: "callers_waiting", waiting: len(signals) * callers,
		},
		"for a result": {
			settings: "{send_batch_size: 10, wait_for_result: true, wait_timeout: 5s, shutdown_timeout: 1s}",
			metric:   "items_accepted", waiting: len(signals) * callers * items,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			c := startHanging(ctx, t, test.settings)
			client := dial(t, c)
			var ledger otlpio.Ledger
			noDeadline := context.WithoutCancel(ctx)
			answers := make(chan error, len(signals)*callers)
			for _, s := range signals {
				if test.fill > 0 {
					if err := client.Send(ctx, otlpio.Build(s, ledger.Next(test.fill))); err != nil {
						t.Fatal(err)
					}
				}
				for range callers {
					request := otlpio.Build(s, ledger.Next(items))
					go func() { answers <- client.Send(noDeadline, request) }()
				}
			}
			poll(ctx, t, "all callers wait", func() bool {
				return scrape(ctx, t, c).Sum(prefix+test.metric) == float64(test.waiting)
			})
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
			for range cap(answers) {
				err := <-answers // the process is gone, and with it every connection
				if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "wait_timeout") {
					t.Errorf("a caller got %v, want UNAVAILABLE because of wait_timeout", err)
				}
			}
		})
	}
}

// startHanging runs two pipelines, each with a processor and an exporter whose calls never end by themselves.
func startHanging(ctx context.Context, t *testing.T, settings string) *otelcol.Collector {
	t.Helper()
	backend := startBackend(t, make(chan struct{})) // held for ever
	dir := t.TempDir()
	config := `
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}
processors:
  partitionedbuffer/traces: ` + settings + `
  partitionedbuffer/logs: ` + settings + `
exporters:
  otlp_grpc:
    endpoint: ` + backend.Addr + `
    tls: {insecure: true}
    sending_queue: {enabled: false}
    retry_on_failure: {enabled: false}
    timeout: 0s # none
service:
  pipelines:
    traces: {receivers: [otlp], processors: [partitionedbuffer/traces], exporters: [otlp_grpc]}
    logs: {receivers: [otlp], processors: [partitionedbuffer/logs], exporters: [otlp_grpc]}
`
	return start(ctx, t, otelcol.Options{
		Binary:  plainBinary(t),
		Configs: []string{writeFile(t, dir, "config.yaml", config)},
		Dir:     dir,
	})
}
