// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// state is what a watch of Kubernetes tells of an object.
func state(uid string, version int) plog.Logs {
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.Body().SetEmptyMap().PutInt("replicas", int64(version))
	if uid != "" {
		r.Attributes().PutStr("k8s.object.uid", uid)
		r.Attributes().PutStr("k8s.object.resource_version", fmt.Sprint(version))
	}
	return ld
}

// sentStates lists the states that arrived, by object, those without a UID under "".
func sentStates(batches []otlpio.Payload) map[string]string {
	all := map[string]string{}
	for _, b := range batches {
		for _, rl := range b.Logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					uid, version := "", int64(0)
					if v, ok := r.Attributes().Get("k8s.object.uid"); ok {
						uid = v.Str()
					}
					if v, ok := r.Body().Map().Get("replicas"); ok {
						version = v.Int()
					}
					all[uid] += fmt.Sprint(version, " ")
				}
			}
		}
	}
	return all
}

// The example of the Kubernetes state log: the newest state of each object is sent, by its resourceVersion, in whatever order
// the states came, and a late one not at all.
func TestKubernetesState(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	path, err := filepath.Abs("../examples/kubernetes-state.yaml")
	if err != nil {
		t.Fatal(err)
	}
	backend := startBackend(t, nil)
	c := start(ctx, t, otelcol.Options{Binary: raceBinary(t), Dir: t.TempDir(), Configs: []string{
		path, otelcol.AnyPort, fmt.Sprintf("yaml:{exporters: {otlp_grpc: {endpoint: %s}}}", backend.Addr), "yaml:{processors: {partitionedbuffer/state: {timeout: 1s}}}",
	}})
	client := dial(t, c)
	send := func(states ...plog.Logs) {
		for _, ld := range states {
			if err := client.Send(ctx, otlpio.Payload{Signal: otlpio.Logs, Logs: ld}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// 9 and 10, so that an order of texts would be another one.
	send(state("a", 10), state("b", 7), state("", 1), state("a", 9), state("b", 8), state("", 1), state("a", 10))
	flushed(ctx, t, c)
	send(state("a", 8), state("b", 11))
	flushed(ctx, t, c)
	m := scrape(ctx, t, c)
	conservation(t, m)
	wantMetric(t, m, "remembered_versions", 2)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	got := sentStates(backend.Batches())
	// A flush may come between two states of the first lot: then the former goes out, too, but never after a newer one.
	want := map[string]string{"a": "10 ", "b": "8 11 ", "": "1 1 "}
	if got["b"] == "7 8 11 " {
		want["b"] = got["b"]
	}
	if !maps.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func flushed(ctx context.Context, t *testing.T, c *otelcol.Collector) {
	t.Helper()
	poll(ctx, t, "nothing is pending", func() bool {
		m := scrape(ctx, t, c)
		return m.Sum(prefix+"items_pending") == 0 && m.Sum(prefix+"items_accepted") > 0
	})
}

// Real OTLP from several clients, in a map: nothing is lost, and each resource and scope is there once a batch.
func TestMapOfResources(t *testing.T) {
	t.Parallel()
	eachSignal(t, otlpio.Stable, func(t *testing.T, s otlpio.Signal) {
		ctx := testContext(t)
		p := (&pipelines{settings: "{buffer: map, send_batch_size: 300, send_batch_max_size: 500}", signals: []otlpio.Signal{s}}).start(ctx, t)
		client := dial(t, p.Collector)
		var ledger otlpio.Ledger
		if err := sendVaried(ctx, client, s, &ledger); err != nil {
			t.Fatal(err)
		}
		batches := p.stop(t, s)
		if err := ledger.Audit(batches); err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			if s != otlpio.Logs {
				continue
			}
			seen := map[string]bool{}
			for _, rl := range b.Logs.ResourceLogs().All() {
				name := fmt.Sprint(rl.Resource().Attributes().AsRaw(), rl.SchemaUrl())
				if seen[name] {
					t.Errorf("resource %s is twice in a batch", name)
				}
				seen[name] = true
			}
		}
	})
}
