// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"

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
