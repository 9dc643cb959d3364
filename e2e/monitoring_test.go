// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// A condition is something that goes wrong with a collector. Prometheus knows the collector by the condition's name.
type condition struct {
	name     string
	settings string        // the processor's, in YAML, in braces
	fault    otlpio.Answer // the backend's, while the condition lasts
	full     bool          // nothing can be written to its files under the fault
	stop     bool          // the collector is stopped under the fault
	alerts   []string      // what fires, and nothing else: the alert's name, and its reason if it has one
}

// conditions lists what is wrong until recovered is closed.
func conditions(recovered <-chan struct{}) []condition {
	return []condition{
		{
			name:     "full",
			settings: "{send_batch_size: 100, queue_size: 1000, block_on_overflow: false}",
			fault:    otlpio.Hold(recovered),
			alerts: []string{
				"PartitionedBufferNearlyFull", "PartitionedBufferRefusing full", "PartitionedBufferStuck", "PartitionedBufferOld",
			},
		},
		{
			name:     "discarding",
			settings: "{send_batch_size: 100, queue_size: 1000, drop_oldest_on_overflow: true}",
			fault:    otlpio.Hold(recovered),
			alerts: []string{
				"PartitionedBufferNearlyFull", "PartitionedBufferDiscarding overflow", "PartitionedBufferStuck", "PartitionedBufferOld",
			},
		},
		{
			name:     "failing",
			settings: "{send_batch_size: 100, timeout: 50ms}",
			fault: func(context.Context, otlpio.Payload) error {
				return status.Error(codes.Unavailable, "not now")
			},
			alerts: []string{"PartitionedBufferLosing error", "PartitionedBufferFailingBackend"},
		},
		{
			// The backend hangs for one of the three resources of each request.
			name:     "tenants",
			settings: "{resource_keys: [e2e.resource], send_batch_size: 20, queue_size: 1000, stalled_key_timeout: 1s}",
			fault: func(ctx context.Context, p otlpio.Payload) error {
				if resourceOf(p) == "resource-0" {
					return otlpio.Hold(recovered)(ctx, p)
				}
				return nil
			},
			alerts: []string{"PartitionedBufferNearlyFull", "PartitionedBufferStalledKey stalled", "PartitionedBufferOld"},
		},
		{
			name: "storage",
			settings: "{send_batch_size: 100, storage: file_storage, memory_size: 100000, " +
				"retry_on_failure: {enabled: true, max_elapsed_time: 0s}}",
			full:   true,
			alerts: []string{"PartitionedBufferStorageFailing", "PartitionedBufferRefusing storage"},
		},
		{
			// The Collector stops one pipeline after the other. Whichever is first, its losses are there to be scraped while the
			// other has its time.
			name:     "stopping",
			settings: "{send_batch_size: 100, shutdown_timeout: 3s}",
			fault:    otlpio.Hold(nil), // for ever
			stop:     true,
			alerts:   []string{"PartitionedBufferLosing error", "PartitionedBufferLosing shutdown"},
		},
	}
}

// Alerts fire when their condition comes, and only then, and resolve when it is over. Then each query of the dashboard finds
// data. Prometheus is real, and so are the rules, but for a minute of theirs that is a second here.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout+2*alertLimit)
	t.Cleanup(cancel)
	recovered := make(chan struct{})
	var targets []*target
	for _, c := range conditions(recovered) {
		targets = append(targets, newTarget(ctx, t, c))
	}
	server := startPrometheus(ctx, t, targets)
	begin := time.Now()

	poll(ctx, t, "each collector has been sending for a while", func() bool {
		for _, o := range targets {
			forwarded := fmt.Sprintf("%sitems_forwarded{job=%q}", prefix, o.name)
			if valueOf(ctx, t, server, fmt.Sprintf("sum(%[1]s - %[1]s offset 5s)", forwarded)) == 0 {
				return false
			}
		}
		return true
	})
	if got := firing(ctx, t, server); len(got) != 0 {
		t.Errorf("while nothing is wrong there are alerts: %q", got)
	}

	marks := []time.Time{time.Now()}
	want := map[string][]string{}
	for _, o := range targets {
		o.fail(ctx, t)
		want[o.name] = o.alerts
	}
	waitForAlerts(ctx, t, server, want)
	checkAnnotations(ctx, t, server)

	marks = append(marks, time.Now())
	close(recovered)
	for _, o := range targets {
		o.backend.SetAnswer(nil)
		if o.full {
			o.limitFiles(t, otelcol.NoLimit)
		}
	}
	waitForNoAlerts(ctx, t, server)

	span := v1.Range{Start: begin, End: time.Now(), Step: 250 * time.Millisecond}
	rows := dashboard(t)
	checkQueries(ctx, t, server, rows, span)
	if *pictures != "" {
		drawPictures(ctx, t, server, rows, span, marks)
	}
}

// A target is a collector that Prometheus scrapes, with a pipeline for traces and one for logs, a load for both, and a backend.
type target struct {
	condition
	*otelcol.Collector
	backend *otlpio.Backend
}

func newTarget(ctx context.Context, t *testing.T, c condition) *target {
	t.Helper()
	backend := startBackend(t, nil)
	dir := t.TempDir()
	processor := "partitionedbuffer/" + c.name
	config := `
extensions:
  file_storage: {directory: "` + dir + `/storage", create_directory: true}
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}
processors:
  ` + processor + `: ` + c.settings + `
exporters:
  otlp_grpc:
    endpoint: ` + backend.Addr + `
    tls: {insecure: true}
    sending_queue: {enabled: false}
    retry_on_failure: {enabled: false}
    timeout: 10m
service:
  extensions: [file_storage]
  pipelines:
    traces: {receivers: [otlp], processors: [` + processor + `], exporters: [otlp_grpc]}
    logs: {receivers: [otlp], processors: [` + processor + `], exporters: [otlp_grpc]}
`
	o := &target{condition: c, backend: backend}
	o.Collector = start(ctx, t, otelcol.Options{
		Binary:       plainBinary(t),
		Configs:      []string{writeFile(t, dir, "config.yaml", config)},
		Dir:          dir,
		MetricsLevel: "detailed",
	})
	client := dial(t, o.Collector)
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	for _, s := range []otlpio.Signal{otlpio.Traces, otlpio.Logs} {
		go load(ctx, client, s)
	}
	return o
}

// load sends until ctx ends: requests of items of three resources. That some are refused is what some conditions are about.
func load(ctx context.Context, client *otlpio.Client, s otlpio.Signal) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		_ = client.Send(ctx, otlpio.Build(s, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// fail has the condition begin.
func (o *target) fail(ctx context.Context, t *testing.T) {
	t.Helper()
	o.backend.SetAnswer(o.fault)
	if o.full {
		o.limitFiles(t, 0)
	}
	if !o.stop {
		return
	}
	poll(ctx, t, "batches are pending in both pipelines", func() bool {
		m := scrape(ctx, t, o.Collector)
		return m.Sum(prefix+"items_pending", "otel_signal", "traces") >= 500 && m.Sum(prefix+"items_pending", "otel_signal", "logs") >= 500
	})
	if err := o.Terminate(); err != nil {
		t.Error(err)
	}
}

func (o *target) limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	if err := o.LimitFiles(bytes); err != nil {
		t.Error(err)
	}
}

// resourceOf names the first resource of a payload that otlpio built.
func resourceOf(p otlpio.Payload) string {
	var r pcommon.Resource
	if p.Signal == otlpio.Traces {
		r = p.Traces.ResourceSpans().At(0).Resource()
	} else {
		r = p.Logs.ResourceLogs().At(0).Resource()
	}
	name, _ := r.Attributes().Get("e2e.resource")
	return name.AsString()
}
