// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestProcessMayKeepItsSlice: what a call got is its own, to keep and to write to, whatever made the batch and while others go
// on. With Reuse it is not, and that is all that Reuse changes.
func TestProcessMayKeepItsSlice(t *testing.T) {
	const items = 1000
	for name, cfg := range map[string]QueueConfig[int]{
		"by size":    {Interval: time.Hour, BatchSize: Weight{Items: 7}},
		"capped":     {Interval: time.Hour, BatchSize: Weight{Items: 7}, MaxBatchSize: Weight{Items: 9}},
		"adaptive":   {Interval: time.Hour, BatchSize: Weight{Items: 7}, Adaptive: true},
		"one by one": {BatchSize: Weight{Items: 1}, Interval: time.Hour},
		"unordered":  {Interval: time.Hour, BatchSize: Weight{Items: 7}, Consumers: 3},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var kept [][]int
			cfg.Process = Plain(func(_ context.Context, batch []int) error {
				mu.Lock()
				defer mu.Unlock()
				kept = append(kept, batch)
				return nil
			})
			q := start(t, cfg)
			for i := range items {
				q.Push(bg, i)
			}
			if err := q.Shutdown(bg); err != nil {
				t.Fatal(err)
			}
			seen := make([]bool, items)
			for _, batch := range kept {
				for _, i := range batch {
					if seen[i] {
						t.Fatalf("item %d twice: slices share memory", i)
					}
					seen[i] = true
				}
				clear(append(batch, -1)) // what is behind it is no other's either
			}
		})
	}
}

// TestReuseSavesTheSlices.
func TestReuseSavesTheSlices(t *testing.T) {
	allocations := func(reuse bool) float64 {
		q := start(t, QueueConfig[int]{
			Process:  Plain(func(context.Context, []int) error { return nil }),
			Interval: time.Hour, BatchSize: Weight{Items: 64}, Reuse: reuse,
		})
		defer q.Shutdown(bg)
		return testing.AllocsPerRun(20, func() {
			for range 64 * 100 {
				q.Push(bg, 1)
			}
			q.Flush(bg)
		})
	}
	// The consumer may find more or less, and cuts a hundred batches at most. The race detector makes pools forget.
	if without, with := allocations(false), allocations(true); without < with+20 {
		t.Errorf("%v allocations without Reuse, %v with it", without, with)
	}
}
