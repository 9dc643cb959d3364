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
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

const ms = time.Millisecond

// step is a push, so long after the one before.
type step struct {
	wait  time.Duration
	items int
}

// The sizes and times of batches that one producer sees. Everything still pending goes at Shutdown, a second after the
// last push.
func TestBatchesByTriggers(t *testing.T) {
	for name, test := range map[string]struct {
		set   func(*Config)
		steps []step
		sizes []int
		times []time.Duration
	}{
		"size reached by several": {
			func(c *Config) { c.SendBatchSize = 10 },
			[]step{{0, 4}, {0, 4}, {0, 4}, {0, 4}},
			[]int{12, 4},
			[]time.Duration{0, 200 * ms},
		},
		"size passed by one": {
			func(c *Config) { c.SendBatchSize = 10 },
			[]step{{0, 35}},
			[]int{35},
			[]time.Duration{0},
		},
		"size reached exactly": {
			func(c *Config) { c.SendBatchSize = 10 },
			[]step{{0, 5}, {0, 5}, {0, 10}},
			[]int{10, 10},
			[]time.Duration{0, 0},
		},
		"timeout from the oldest item": {
			// Neither a ticker nor the newest item counts: 150 ms after the first push nothing is sent anew.
			func(*Config) {},
			[]step{{70 * ms, 1}, {150 * ms, 1}, {100 * ms, 1}, {150 * ms, 1}},
			[]int{2, 2},
			[]time.Duration{270 * ms, 520 * ms},
		},
		"timeout anew after a batch of size": {
			func(c *Config) { c.SendBatchSize = 2 },
			[]step{{0, 1}, {150 * ms, 1}, {10 * ms, 1}},
			[]int{2, 1},
			[]time.Duration{150 * ms, 360 * ms},
		},
		"cap splits": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 10, 12 },
			[]step{{0, 4}, {0, 4}, {0, 8}},
			[]int{12, 4},
			[]time.Duration{0, 200 * ms},
		},
		"cap splits what is much larger": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 10, 10 },
			[]step{{0, 53}},
			[]int{10, 10, 10, 10, 10, 3},
			[]time.Duration{0, 0, 0, 0, 0, 200 * ms},
		},
		"cap above the trigger": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 10, 20 },
			[]step{{0, 9}, {0, 34}},
			[]int{20, 20, 3},
			[]time.Duration{0, 0, 200 * ms},
		},
		"no timeout: each at once": {
			func(c *Config) { c.Timeout, c.SendBatchSize = 0, 100 },
			[]step{{0, 3}, {5 * ms, 4}, {5 * ms, 900}},
			[]int{3, 4, 900},
			[]time.Duration{0, 5 * ms, 10 * ms},
		},
		"no timeout, cap": {
			func(c *Config) { c.Timeout, c.SendBatchSize, c.SendBatchMaxSize = 0, 4, 5 },
			[]step{{0, 12}, {5 * ms, 5}, {0, 1}},
			[]int{5, 5, 2, 5, 1},
			[]time.Duration{0, 0, 0, 5 * ms, 5 * ms},
		},
		"no size: each at once": {
			func(c *Config) { c.SendBatchSize = 0 },
			[]step{{0, 3}, {5 * ms, 4}},
			[]int{3, 4},
			[]time.Duration{0, 5 * ms},
		},
		"no size, cap": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 0, 2 },
			[]step{{0, 3}, {5 * ms, 2}},
			[]int{2, 1, 2},
			[]time.Duration{0, 0, 5 * ms},
		},
		"the rest at shutdown": {
			func(c *Config) { c.Timeout = time.Hour },
			[]step{{0, 3}, {5 * ms, 4}},
			[]int{7},
			[]time.Duration{1005 * ms},
		},
		"the rest at shutdown, cap": {
			func(c *Config) { c.Timeout, c.SendBatchSize, c.SendBatchMaxSize = time.Hour, 20, 20 },
			[]step{{0, 15}, {5 * ms, 10}, {0, 15}, {0, 3}},
			[]int{20, 20, 3},
			[]time.Duration{5 * ms, 5 * ms, 1005 * ms},
		},
	} {
		for _, k := range kinds {
			t.Run(name+"/"+k.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := k.start(t, test.set, nil)
					var want []string
					for _, step := range test.steps {
						time.Sleep(step.wait)
						require.NoError(t, p.push(context.Background(), len(want), step.items))
						synctest.Wait()
						want = append(want, k.list(len(want), step.items)...)
					}
					time.Sleep(time.Second)
					require.NoError(t, p.Shutdown(context.Background()))
					require.Equal(t, test.sizes, p.sizes())
					require.Equal(t, test.times, p.times())
					require.Equal(t, want, p.items(), "each item once, in order, under its own resource and scope")
					p.requireConserved(t)
				})
			})
		}
	}
}

func TestEmptyPayloadsReachNobody(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, func(c *Config) { c.Timeout = 0 }, nil)
				require.NoError(t, p.push(context.Background(), 0, 0))
				require.NoError(t, p.Shutdown(context.Background()))
				require.Empty(t, p.batches())
				require.Zero(t, p.metric(t, "items_accepted", ""))
				require.NoError(t, p.push(context.Background(), 0, 0), "there is nothing to refuse either")
			})
		})
	}
}

func TestBatchesFillWhileOneIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) { c.SendBatchSize, c.ShutdownTimeout = 2, time.Minute }, func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		})
		for i := range 7 { // nobody waits, though the first call lasts
			require.NoError(t, p.push(context.Background(), i, 1))
		}
		require.Zero(t, time.Since(p.begin))
		require.NoError(t, p.Shutdown(context.Background()))
		require.Equal(t, []int{2, 2, 2, 1}, p.sizes())
		require.Equal(t, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}, p.times())
	})
}

// I2, with a consumer that is slower or faster from call to call, and producers that take turns.
func TestOneConsumerKeepsTheOrder(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				p := k.start(t, func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 7, 7 }, func(context.Context, int) error {
					calls++
					time.Sleep(time.Duration(calls%4) * ms)
					return nil
				})
				var want []string
				for range 200 {
					n := len(want)%5 + 1
					require.NoError(t, p.push(context.Background(), len(want), n))
					want = append(want, k.list(len(want), n)...)
					if n == 3 {
						time.Sleep(3 * ms)
					}
				}
				require.NoError(t, p.Shutdown(context.Background()))
				require.Equal(t, want, p.items())
			})
		})
	}
}

func TestConsumersWorkInParallel(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"without keys": func(c *Config) { c.NumConsumers, c.SendBatchSize = 3, 1 },
		"with keys":    func(c *Config) { c.NumConsumers, c.SendBatchSize, c.MetadataKeys = 3, 1, []string{"tenant"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.start(t, set, func(context.Context, int) error {
					time.Sleep(time.Second)
					return nil
				})
				for i := range 6 {
					require.NoError(t, p.push(from("tenant", fmt.Sprint(i)), i, 1))
				}
				require.NoError(t, p.Shutdown(context.Background()))
				require.Equal(t, 2*time.Second, time.Since(p.begin))
				require.Len(t, p.batches(), 6)
			})
		})
	}
}

func TestCardinalityLimitCountsWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) {
			c.MetadataKeys = []string{"tenant"}
			c.MetadataCardinalityLimit = 2
		}, nil)
		require.NoError(t, p.push(from("tenant", "a"), 0, 1))
		require.NoError(t, p.push(from("tenant", "b"), 1, 1))
		err := p.push(from("tenant", "c"), 2, 5)
		require.ErrorContains(t, err, "metadata_cardinality_limit is 2")
		require.False(t, consumererror.IsPermanent(err))
		require.NoError(t, p.push(from("tenant", "a"), 3, 1), "a key that is pending")
		require.EqualValues(t, 2, p.metric(t, "metadata_cardinality", ""))
		require.EqualValues(t, 5, p.metric(t, "items_refused", ""))

		time.Sleep(200 * ms)
		synctest.Wait()
		require.Zero(t, p.metric(t, "metadata_cardinality", ""))
		require.NoError(t, p.push(from("tenant", "c"), 4, 1), "the others are gone")
		require.NoError(t, p.push(from("tenant", "d"), 5, 1))
		require.Error(t, p.push(from("tenant", "a"), 6, 1), "no key has a right for life")
		require.NoError(t, p.Shutdown(context.Background()))
		require.ElementsMatch(t, slices.Concat(anyLogs.list(0, 1), anyLogs.list(1, 1), anyLogs.list(3, 1), anyLogs.list(4, 1), anyLogs.list(5, 1)), p.items())
		p.requireConserved(t)
	})
}

// Both find the key unknown; only one may count it. batch refuses hundreds in as many rounds.
func TestTwoProducersOfOneNewKeyAreNeverRefused(t *testing.T) {
	p := anyLogs.make(t, func(c *Config) {
		c.MetadataKeys = []string{"tenant"}
		c.MetadataCardinalityLimit = 1500
		c.Timeout = time.Hour // all keys stay, up to the limit exactly
	}, nil)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	var failures [2]error
	for round := range 1500 {
		ctx := from("tenant", fmt.Sprint(round))
		begin := make(chan struct{})
		var both sync.WaitGroup
		for i := range 2 {
			both.Go(func() {
				<-begin
				failures[i] = p.push(ctx, 2*round+i, 1)
			})
		}
		close(begin)
		both.Wait()
		require.NoError(t, failures[0])
		require.NoError(t, failures[1])
	}
	require.Error(t, p.push(from("tenant", "one more"), 0, 1))
	require.NoError(t, p.Shutdown(context.Background()))
	require.Len(t, p.batches(), 1500)
	require.Len(t, p.items(), 3000)
}
