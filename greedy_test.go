// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// crowded is a load of 20 small tenants on a backend that takes as many calls at a time as there are consumers, in fake time. Without
// the greedy tenant they need a quarter of it.
type crowded struct {
	consumers int
	keys      string // that tell tenants apart: "metadata", "resource"
	set       func(*Config)

	p       *pipeline
	mu      sync.Mutex // guards latency
	latency []time.Duration
}

const (
	smallTenants = 20
	greedyItems  = 100 // of a request, and of a full batch
	smallItems   = 10
)

// crowdedCall is how long the backend takes for a batch.
func crowdedCall(items int) time.Duration {
	return 10*ms + time.Duration(items)*ms/5
}

// run returns the latency of the small tenants' requests, sorted. greedy is how many times what the backend takes one more tenant offers.
func (c *crowded) run(t *testing.T, greedy int) []time.Duration {
	c.latency = nil
	c.p = newPipelineTo(t, logs, func(cfg *Config) {
		cfg.NumConsumers, cfg.Timeout = int64(c.consumers), 50*ms
		cfg.SendBatchSize, cfg.SendBatchMaxSize, cfg.QueueSize = greedyItems, greedyItems, 200*greedyItems
		if c.keys == "metadata" {
			cfg.MetadataKeys = []string{"tenant"}
		} else {
			cfg.ResourceKeys = []string{"tenant"}
		}
		if c.set != nil {
			c.set(cfg)
		}
	}, func(_ *pipeline, _ context.Context, ld plog.Logs) error { return c.call(ld) }).begun(t)
	until := time.Now().Add(20 * time.Second)
	var small, all sync.WaitGroup
	for tenant := range smallTenants {
		small.Go(func() {
			time.Sleep(time.Duration(tenant*47) * ms)
			c.sendEvery(context.Background(), &small, until, time.Second/time.Duration(c.consumers), fmt.Sprint(tenant), smallItems)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	if greedy > 0 {
		c.sendEvery(ctx, &all, until, crowdedCall(greedyItems)/time.Duration(c.consumers*greedy), "greedy", greedyItems)
	}
	small.Wait()
	cancel()
	all.Wait()
	require.NoError(t, c.p.Shutdown(context.Background()))
	slices.Sort(c.latency)
	return c.latency
}

// sendEvery sends a request of the tenant in each interval, also while earlier ones have not returned.
func (c *crowded) sendEvery(ctx context.Context, callers *sync.WaitGroup, until time.Time, interval time.Duration, tenant string, items int) {
	for ; time.Now().Before(until); time.Sleep(interval) {
		ld := plog.NewLogs()
		r := ld.ResourceLogs().AppendEmpty()
		r.Resource().Attributes().PutStr("tenant", tenant)
		records := r.ScopeLogs().AppendEmpty().LogRecords()
		for range items {
			records.AppendEmpty().SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		}
		caller := client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {tenant}})})
		callers.Go(func() { _ = send(caller, c.p, ld) }) // one that is refused does not arrive
	}
}

// call is a call of the next consumer.
func (c *crowded) call(ld plog.Logs) error {
	time.Sleep(crowdedCall(ld.LogRecordCount()))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range ld.ResourceLogs().All() {
		if tenant, _ := r.Resource().Attributes().Get("tenant"); tenant.Str() == "greedy" {
			continue
		}
		for _, s := range r.ScopeLogs().All() {
			for _, record := range s.LogRecords().All() {
				c.latency = append(c.latency, time.Since(record.Timestamp().AsTime()))
			}
		}
	}
	return nil
}

// TestAGreedyTenantCostsTheOthersLittle: beside one that offers four times what the backend takes, the requests of 20 small tenants need
// at most twice the time that they need alone: in the mean, in 99 of 100 cases, and in the worst. All of them arrive.
func TestAGreedyTenantCostsTheOthersLittle(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"waiting":         nil,
		"refusing":        func(c *Config) { c.BlockOnOverflow = false },
		"dropping":        func(c *Config) { c.DropOldestOnOverflow = true },
		"wait_for_result": func(c *Config) { c.WaitForResult = true },
		"map":             byResource,
	} {
		for _, keys := range []string{"metadata", "resource"} {
			for _, consumers := range []int{1, 4} {
				if consumers == 1 && name == "wait_for_result" {
					continue // nothing but a call takes time there, and the greedy tenant's call that has begun is longer than one of theirs
				}
				t.Run(fmt.Sprint(name, ", ", keys, ", consumers ", consumers), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						c := &crowded{consumers: consumers, keys: keys, set: set}
						alone := c.run(t, 0)
						beside := c.run(t, 4)
						if len(alone) == 0 || len(beside) != len(alone) {
							t.Fatalf("%d items of small tenants arrived alone, and %d beside the greedy one", len(alone), len(beside))
						}
						for what, of := range map[string]func([]time.Duration) time.Duration{
							"mean": meanOf, "p99": func(l []time.Duration) time.Duration { return l[len(l)*99/100] }, "most": slices.Max[[]time.Duration],
						} {
							t.Logf("%s: %v alone, %v beside the greedy one", what, of(alone), of(beside))
							require.LessOrEqual(t, of(beside), 2*of(alone), what)
						}
					})
				})
			}
		}
	}
}

func meanOf(l []time.Duration) (mean time.Duration) {
	for _, d := range l {
		mean += d
	}
	return mean / time.Duration(len(l))
}
