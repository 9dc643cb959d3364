// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

const prefix = "otelcol_processor_partitionedbuffer_"

// documentedMetrics gives the names in documentation.md.
func documentedMetrics(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../documentation.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^### (otelcol_\S+)$`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		t.Fatal("documentation.md names no metric")
	}
	return names
}

func scrape(ctx context.Context, t *testing.T, c *otelcol.Collector) otelcol.Metrics {
	t.Helper()
	m, err := c.Scrape(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// conservation is I1 of the design, in the metrics at rest: what was accepted is where the other counts say.
func conservation(t *testing.T, m otelcol.Metrics) {
	t.Helper()
	var sum float64
	for _, fate := range []string{"forwarded", "returned", "superseded", "dropped", "pending"} {
		sum += m.Sum(prefix + "items_" + fate)
	}
	if accepted := m.Sum(prefix + "items_accepted"); accepted != sum {
		t.Errorf("%v items were accepted, the counts of what became of them add up to %v", accepted, sum)
	}
}

func wantMetric(t *testing.T, m otelcol.Metrics, name string, want int) {
	t.Helper()
	if got := m.Sum(prefix + name); got != float64(want) {
		t.Errorf("%s is %v, want %d", name, got, want)
	}
}

// After a load all that is documented is on the metrics endpoint, nothing else is, and the values are those of the load.
func TestMetrics(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	p := (&pipelines{settings: "{send_batch_size: 300}", signals: otlpio.Stable}).start(ctx, t)
	client := dial(t, p.Collector)
	ledgers := map[otlpio.Signal]*otlpio.Ledger{}
	sent := 0
	for _, s := range otlpio.Stable {
		ledgers[s] = &otlpio.Ledger{}
		if err := sendVaried(ctx, client, s, ledgers[s]); err != nil {
			t.Fatal(err)
		}
		// By itself, so that there is a batch that only the timeout sends.
		poll(ctx, t, "nothing is pending", func() bool {
			return scrape(ctx, t, p.Collector).Sum(prefix+"items_pending") == 0
		})
		ids := ledgers[s].Next(1)
		if err := client.Send(ctx, otlpio.Build(s, ids)); err != nil {
			t.Fatal(err)
		}
		sent += ledgers[s].Ack(ids)
	}
	var m otelcol.Metrics
	poll(ctx, t, "all was forwarded", func() bool {
		m = scrape(ctx, t, p.Collector)
		return m.Sum(prefix+"items_forwarded") == float64(sent)
	})

	documented := map[string]bool{}
	for _, name := range documentedMetrics(t) {
		documented[name] = true
		if name == prefix+"key_expression_errors" {
			continue // it is there for each of key_expressions, which this collector does not have
		}
		if !m.Has(name) {
			t.Errorf("%s is documented, but not there", name)
		}
	}
	for name := range m {
		if strings.HasPrefix(name, prefix) && !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}

	conservation(t, m)
	wantMetric(t, m, "items_accepted", sent)
	wantMetric(t, m, "items_forwarded", sent)
	for _, none := range []string{
		"items_pending", "items_refused", "items_dropped", "queue_size", "callers_waiting", "batches_in_flight",
		"metadata_cardinality",
	} {
		wantMetric(t, m, none, 0)
	}
	if got := m.HistogramSum(prefix + "batch_send_size"); got != float64(sent) {
		t.Errorf("batch_send_size adds up to %v items, want %d", got, sent)
	}

	batches := 0
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, s := range otlpio.Stable {
		of, err := otlpio.ReadFile(p.file(s))
		if err != nil {
			t.Fatal(err)
		}
		if err := ledgers[s].Audit(of); err != nil {
			t.Error(err)
		}
		batches += len(of)
	}
	for _, each := range []string{"batch_send_size", "batch_send_size_bytes", "batch_age", "send_duration"} {
		wantMetric(t, m, each, batches)
	}
	triggers := m.Sum(prefix+"batch_size_trigger_send") + m.Sum(prefix+"timeout_trigger_send")
	if triggers != float64(batches) {
		t.Errorf("the triggers add up to %v, there were %d batches", triggers, batches)
	}
}

// The size in bytes costs something, so it is there on the detailed level only.
func TestMetricsOnNormalLevel(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	p := (&pipelines{settings: "{}", signals: otlpio.Stable, level: "normal"}).start(ctx, t)
	client := dial(t, p.Collector)
	for _, s := range otlpio.Stable {
		if err := client.Send(ctx, otlpio.Build(s, []int64{0, 1, 2})); err != nil {
			t.Fatal(err)
		}
	}
	var m otelcol.Metrics
	poll(ctx, t, "all was forwarded", func() bool {
		m = scrape(ctx, t, p.Collector)
		return m.Sum(prefix+"items_forwarded") == 9
	})
	if m.Has(prefix + "batch_send_size_bytes") {
		t.Error("batch_send_size_bytes is there")
	}
	if got := m.HistogramSum(prefix + "batch_send_size"); got != 9 {
		t.Errorf("batch_send_size adds up to %v items, want 9", got)
	}
}

// While the backend does not answer, what is accepted is pending, and what no longer fits is refused and counted. When it
// answers again, all that was acknowledged gets there. Three pipelines with a processor of the same name share their metrics,
// which then have to count all three.
func TestMetricsWhenFull(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	const capacity = 1000
	hold := make(chan struct{})
	p, backend := toBackend(ctx, t, hold, "{send_batch_size: 100, queue_size: 1000, block_on_overflow: false}")
	client := dial(t, p)
	var ledger otlpio.Ledger
	refused := 0
	for i, s := range otlpio.Stable {
		for range 100 {
			ids := ledger.Next(50)
			err := client.Send(ctx, otlpio.Build(s, ids))
			if err == nil {
				ledger.Ack(ids)
				continue
			}
			if status.Code(err) != codes.Unavailable {
				t.Fatalf("refused with %v, want a code that says to try again", err)
			}
			refused += len(ids)
		}
		if got, want := ledger.Acked(), (i+1)*capacity; got != want {
			t.Errorf("%d items were accepted by now, want %d", got, want)
		}
	}
	m := scrape(ctx, t, p)
	conservation(t, m)
	wantMetric(t, m, "items_accepted", ledger.Acked())
	wantMetric(t, m, "items_pending", ledger.Acked())
	wantMetric(t, m, "queue_size", ledger.Acked())
	wantMetric(t, m, "queue_capacity", len(otlpio.Stable)*capacity)
	wantMetric(t, m, "items_refused", refused)
	wantMetric(t, m, "batches_in_flight", len(otlpio.Stable))

	close(hold)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Audit(backend.Batches()); err != nil {
		t.Error(err)
	}
}

// What the next component gives back is dropped, since nobody waits for it, and counted.
func TestMetricsWhenExportFails(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	p, backend := toBackend(ctx, t, nil, "{send_batch_size: 100}")
	backend.Close()
	client := dial(t, p)
	const sent = 1000
	for range sent / 50 {
		if err := client.Send(ctx, otlpio.Build(otlpio.Traces, make([]int64, 50))); err != nil {
			t.Fatal(err)
		}
	}
	var m otelcol.Metrics
	poll(ctx, t, "nothing is pending", func() bool {
		m = scrape(ctx, t, p)
		return m.Sum(prefix+"items_pending") == 0
	})
	conservation(t, m)
	wantMetric(t, m, "items_accepted", sent)
	wantMetric(t, m, "items_dropped", sent)
	wantMetric(t, m, "items_forwarded", 0)
	wantMetric(t, m, "batch_send_size", 0) // as with batch: successful calls only
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
}

// toBackend runs a pipeline for each signal, whose exporter answers when the backend has.
func toBackend(
	ctx context.Context, t *testing.T, hold chan struct{}, settings string,
) (*otelcol.Collector, *otlpio.Backend) {
	t.Helper()
	backend := startBackend(t, hold)
	dir := t.TempDir()
	config := `
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}, http: {endpoint: 127.0.0.1:0}}}
processors:
  partitionedbuffer: ` + settings + `
exporters:
  otlp_grpc:
    endpoint: ` + backend.Addr + `
    tls: {insecure: true}
    sending_queue: {enabled: false}
    retry_on_failure: {enabled: false}
    timeout: 1m
service:
  pipelines:
    traces: {receivers: [otlp], processors: [partitionedbuffer], exporters: [otlp_grpc]}
    metrics: {receivers: [otlp], processors: [partitionedbuffer], exporters: [otlp_grpc]}
    logs: {receivers: [otlp], processors: [partitionedbuffer], exporters: [otlp_grpc]}
`
	return start(ctx, t, otelcol.Options{
		Binary:       plainBinary(t),
		Configs:      []string{writeFile(t, dir, "config.yaml", config)},
		Dir:          dir,
		MetricsLevel: "detailed",
	}), backend
}
