// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
)

// I8: a tenant whose call hangs holds one consumer and its own room. Its callers wait in a line of their own; nobody else's
// call takes any time, and each of the others' batches goes out when its timeout is over, as if there were no such tenant.
func TestStuckTenantHoldsUpNobodyElse(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"metadata": func(c *Config) { c.MetadataKeys = []string{"tenant"} },
		"resource": byService,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const tenants, rounds = 100, 5
				release := make(chan struct{})
				p := anyLogs.start(t, func(c *Config) {
					set(c)
					c.NumConsumers, c.SendBatchSize, c.QueueSizePerKey, c.Timeout = 2, 10, 10, 200*ms
				}, func(ctx context.Context, _ int) error {
					metadata := everything(ctx)
					if slices.Equal(metadata["tenant"], []string{"0"}) || slices.Equal(metadata["service.name"], []string{"service 0"}) {
						<-release
					}
					return nil
				})
				push := func(tenant, n int) error { return p.push(from("tenant", fmt.Sprint(tenant)), 1000*tenant, n) }
				require.NoError(t, push(0, 10))
				waiting := make(chan error)
				for range 20 {
					go func() { waiting <- push(0, 10) }()
				}
				synctest.Wait()
				require.EqualValues(t, 20, p.metric(t, "callers_waiting", ""))
				for range rounds {
					begin := time.Now()
					for tenant := 1; tenant < tenants; tenant++ {
						require.NoError(t, push(tenant, 1))
					}
					require.Equal(t, begin, time.Now(), "nobody waits")
					time.Sleep(200 * ms)
					synctest.Wait()
				}
				require.Len(t, p.batches(), rounds*(tenants-1), "sent when their timeout was over")
				require.EqualValues(t, 20, p.metric(t, "callers_waiting", ""))
				require.EqualValues(t, 1, p.metric(t, "batches_in_flight", ""))
				require.EqualValues(t, 10, p.metric(t, "queue_size", ""))
				for i, b := range p.batches() {
					require.LessOrEqual(t, b.after, time.Duration(i/(tenants-1)+1)*200*ms)
					require.NotEqual(t, client.Info{}, b.info)
				}
				close(release)
				for range 20 {
					require.NoError(t, <-waiting)
				}
			})
		})
	}
}
