// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// What each example is for happens. Those that are not here have tests of their own: the agent with its gateway, bytes, tenants,
// resource-tenants, scale-out and quickstart (TestExamples).

// examples/coming-from-batch.yaml: batches of one tenant each, of at most send_batch_max_size, most of them as large as
// send_batch_size says.
func TestExampleComingFromBatch(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	backend := startBackend(t, nil)
	c := startExample(ctx, t, "coming-from-batch.yaml", otelcol.AnyPort, exporterTo(backend.Addr))
	client := dial(t, c)
	var ledger otlpio.Ledger
	tenantOf := map[int64]int{}
	for i := range 80 {
		ids := ledger.Next(100)
		for _, id := range ids {
			tenantOf[id] = i % 2
		}
		tenant := metadata.AppendToOutgoingContext(ctx, "x-tenant", fmt.Sprint(i%2))
		if err := client.Send(tenant, otlpio.Build(otlpio.Traces, ids)); err != nil {
			t.Fatal(err)
		}
		ledger.Ack(ids)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	batches := backend.Batches()
	if err := ledger.Audit(batches); err != nil {
		t.Error(err)
	}
	full := 0
	for _, b := range batches {
		if b.Len() > 1500 {
			t.Errorf("a batch of %d items", b.Len())
		}
		if b.Len() >= 1000 {
			full++
		}
		tenants := map[int]bool{}
		b.Visit(func(id int64, _ error) { tenants[tenantOf[id]] = true })
		if len(tenants) != 1 {
			t.Errorf("a batch holds %d tenants", len(tenants))
		}
	}
	if full < 4 {
		t.Errorf("%d batches reached send_batch_size; 8000 items of two tenants fill more", full)
	}
}

// examples/delivery.yaml: the backend refuses for a while, the exporter tries again, and everything arrives once.
func TestExampleDelivery(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	backend := startBackend(t, nil)
	refused := make(chan struct{}, 100)
	backend.SetAnswer(func(context.Context, otlpio.Payload) error {
		refused <- struct{}{}
		return status.Error(codes.Unavailable, "not now")
	})
	c := startExample(ctx, t, "delivery.yaml", otelcol.AnyPort, exporterTo(backend.Addr), "yaml:{exporters: {otlp_grpc: {retry_on_failure: {initial_interval: 50ms}}}}")
	client := dial(t, c)
	var ledger otlpio.Ledger
	for _, s := range otlpio.Stable {
		ids := ledger.Next(100)
		if err := client.Send(ctx, otlpio.Build(s, ids)); err != nil {
			t.Fatal(err)
		}
		ledger.Ack(ids)
	}
	for range 6 { // more than one attempt of a batch at least
		<-refused
	}
	wantMetric(t, scrape(ctx, t, c), "items_forwarded", 0) // nothing counts as forwarded that was not delivered
	backend.SetAnswer(nil)
	flushed(ctx, t, c)
	m := scrape(ctx, t, c)
	wantMetric(t, m, "items_forwarded", 300)
	wantMetric(t, m, "items_dropped", 0)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Audit(backend.Batches()); err != nil {
		t.Error(err)
	}
}

// examples/kubernetes-state.yaml, with the transform processor of its comment in front: objects as the k8sobjects receiver brings
// them, in both of its modes.
func TestKubernetesStateOfObjects(t *testing.T) {
	t.Parallel()
	for mode, wrap := range map[string]func(plog.LogRecord) map[string]any{
		"pull": func(r plog.LogRecord) map[string]any { return r.Body().Map().AsRaw() },
		"watch": func(r plog.LogRecord) map[string]any {
			return map[string]any{"type": "MODIFIED", "object": r.Body().Map().AsRaw()}
		},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			backend := startBackend(t, nil)
			example, err := filepath.Abs("../examples/kubernetes-state.yaml")
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			c := start(ctx, t, otelcol.Options{Binary: proofBinary(t), Dir: dir, Configs: []string{
				example, writeFile(t, dir, "transform.yaml", transformOf(t, example)), otelcol.AnyPort, exporterTo(backend.Addr),
				"yaml:{processors: {partitionedbuffer/state: {timeout: 1s}}, service: {pipelines: {logs: {processors: [transform, partitionedbuffer/state]}}}}",
			}})
			client := dial(t, c)
			for _, o := range []struct {
				uid     string
				version int
			}{{"a", 9}, {"b", 7}, {"a", 10}, {"a", 8}, {"", 1}} {
				ld := plog.NewLogs()
				r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				object := map[string]any{"kind": "Pod"}
				if o.uid != "" {
					object["metadata"] = map[string]any{"uid": o.uid, "resourceVersion": fmt.Sprint(o.version)}
				}
				if err := r.Body().FromRaw(object); err != nil {
					t.Fatal(err)
				}
				if err := r.Body().FromRaw(wrap(r)); err != nil {
					t.Fatal(err)
				}
				if err := client.Send(ctx, otlpio.Payload{Signal: otlpio.Logs, Logs: ld}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Stop(); err != nil {
				t.Fatal(err)
			}
			newest := map[string]string{}
			for _, b := range backend.Batches() {
				for _, rl := range b.Logs.ResourceLogs().All() {
					for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
						attributes := r.Attributes().AsRaw()
						uid, _ := attributes["k8s.object.uid"].(string)
						newest[uid], _ = attributes["k8s.object.resource_version"].(string) // in the order in which they were sent
					}
				}
			}
			if want := map[string]string{"a": "10", "b": "7", "": ""}; !maps.Equal(newest, want) {
				t.Errorf("the last states are %q, want %q", newest, want)
			}
		})
	}
}

// transformOf is the configuration in the comment of an example: its lines begin with "#   ".
func transformOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config := "processors:\n"
	for line := range strings.Lines(string(text)) {
		if yaml, ok := strings.CutPrefix(line, "#   "); ok {
			config += "  " + yaml
		}
	}
	if !strings.Contains(config, "transform:") {
		t.Fatalf("%s has no transform processor in its comment", path)
	}
	return config
}

// The commands of docs/building.md that ask a collector about itself run as they stand there.
func TestCommandsOfTheBuildingPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/building.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```bash\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/building.md has no commands")
	}
	script := strings.ReplaceAll(string(block[1]), "./otelcol-partitionedbuffer", plainBinary(t))
	cmd := exec.CommandContext(testContext(t), "bash", "-eu", "-o", "pipefail", "-c", script)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s\n%s", err, script, out)
	}
}
