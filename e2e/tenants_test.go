// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// With metadata_keys no batch holds items of two tenants, and still every item comes out once.
func TestOneTenantPerBatch(t *testing.T) {
	t.Parallel()
	const tenants, requests, items = 20, 10, 30
	eachSignal(t, otlpio.Stable, func(t *testing.T, s otlpio.Signal) {
		ctx := testContext(t)
		p := (&pipelines{
			settings: "{metadata_keys: [X-Tenant], send_batch_size: 100, send_batch_max_size: 100}",
			signals:  []otlpio.Signal{s},
		}).start(ctx, t)
		client := dial(t, p.Collector)
		var ledger otlpio.Ledger
		tenantOf := make([]int, tenants*requests*items) // by ID
		var g errgroup.Group
		for tenant := range tenants {
			g.Go(func() error {
				ctx := metadata.AppendToOutgoingContext(ctx, "x-tenant", fmt.Sprint(tenant))
				for range requests {
					ids := ledger.Next(items)
					for _, id := range ids {
						tenantOf[id] = tenant
					}
					if err := client.Send(ctx, otlpio.Build(s, ids)); err != nil {
						return err
					}
					ledger.Ack(ids)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		batches := p.stop(t, s)
		if err := ledger.Audit(batches); err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			seen := map[int]bool{}
			b.Visit(func(id int64, _ error) { seen[tenantOf[id]] = true })
			if len(seen) != 1 {
				t.Errorf("a batch of %d items holds %d tenants", b.Len(), len(seen))
			}
		}
	})
}

// examples/tenants.yaml: what came with a header of its tenant leaves with that header, and with nobody else's data.
func TestTenantsKeepTheirHeader(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	backend := startBackend(t, nil)
	c := startExample(ctx, t, "tenants.yaml", otelcol.AnyPort, exporterTo(backend.Addr))
	client := dial(t, c)
	var ledger otlpio.Ledger
	tenantOf := map[int64]string{}
	for range 10 {
		for _, tenant := range []string{"red", "blue", ""} {
			ids, ctx := ledger.Next(30), ctx
			for _, id := range ids {
				tenantOf[id] = tenant
			}
			if tenant != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant", tenant)
			}
			if err := client.Send(ctx, otlpio.Build(otlpio.Traces, ids)); err != nil {
				t.Fatal(err)
			}
			ledger.Ack(ids)
		}
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	batches, headers := backend.Batches(), backend.Headers()
	if err := ledger.Audit(batches); err != nil {
		t.Error(err)
	}
	for i, b := range batches {
		header := strings.Join(headers[i].Get("x-tenant"), ",")
		b.Visit(func(id int64, _ error) {
			if tenantOf[id] != header {
				t.Errorf("item %d of %q went to %q", id, tenantOf[id], header)
			}
		})
	}
}

// The tenants of one request reach the backend apart, each with its header: examples/resource-tenants.yaml.
func TestTenantsOfOneRequestAreSentApart(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	backend := startBackend(t, nil)
	example, err := filepath.Abs("../examples/resource-tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := start(ctx, t, otelcol.Options{
		Binary:  raceBinary(t),
		Configs: []string{example, otelcol.AnyPort, fmt.Sprintf("yaml:{exporters: {otlp_grpc: {endpoint: %s}}}", backend.Addr)},
		Dir:     t.TempDir(),
	})
	client := dial(t, c)
	const items = 30
	tenants := []string{"red", "blue", "green"}
	var ledger otlpio.Ledger
	request := otlpio.Payload{Signal: otlpio.Logs, Logs: plog.NewLogs()}
	tenantOf := map[int64]string{}
	for _, tenant := range tenants {
		ids := ledger.Next(items)
		addTenant(request.Logs, tenant, ids)
		for _, id := range ids {
			tenantOf[id] = tenant
		}
	}
	if err := client.Send(ctx, request); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	batches, headers := backend.Batches(), backend.Headers()
	var got []string
	for i, b := range batches {
		header := headers[i].Get("x-scope-orgid")
		if len(header) != 1 {
			t.Fatalf("x-scope-orgid is %q", header)
		}
		got = append(got, header[0])
		b.Visit(func(id int64, _ error) {
			if tenantOf[id] != header[0] {
				t.Errorf("item %d of %q went to %q", id, tenantOf[id], header[0])
			}
		})
		if b.Len() != items {
			t.Errorf("%s: %d items arrived of %d", header[0], b.Len(), items)
		}
	}
	slices.Sort(got)
	slices.Sort(tenants)
	if !slices.Equal(got, tenants) {
		t.Errorf("the backend got requests of %q, want one each of %q", got, tenants)
	}
}
