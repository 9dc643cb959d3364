// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestPushAllocatesNothing: neither with room nor while it waits for some.
func TestPushAllocatesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  QueueConfig[int]
		most float64 // allocations in 1000 pushes
	}{
		"room":    {QueueConfig[int]{Interval: time.Hour, BatchSize: Weight{Items: 1 << 20}}, 20},                  // buffers that grow
		"no room": {QueueConfig[int]{Interval: time.Millisecond, BatchSize: Weight{Items: 64}, Capacity: 1}, 2000}, // callers that wait, and their batches
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Process = Plain(func(context.Context, []int) error { return nil })
			q := start(t, c.cfg)
			push := func() {
				for range 1000 {
					if err := q.Push(bg, 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			push()
			if n := testing.AllocsPerRun(20, push); n > c.most {
				t.Errorf("%v allocations in 1000 pushes, at most %v are expected", n, c.most)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestPutAllocatesNothing, neither of a key that is held nor of one that is written anew after a flush.
func TestPutAllocatesNothing(t *testing.T) {
	cfg := MapQueueConfig[int, int]{}
	cfg.Process = func(context.Context, MapBatch[int, int]) (v MapVerdict[int, int]) { return v }
	cfg.Partitions, cfg.Interval, cfg.BatchSize, cfg.Capacity, cfg.Reuse = 2, time.Hour, Weight{Items: 64}, 1<<20, true
	m := startMap(t, cfg)
	put := func() {
		for i := range 1000 {
			if err := errors.Join(m.Put(bg, i%200, i), m.PutNewer(bg, i%200, i, int64(i+1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	put()                                           // buffers grow
	if n := testing.AllocsPerRun(20, put); n > 50 { // those of some ten batches
		t.Errorf("%v allocations in 2000 writes", n)
	}
	m.Shutdown(bg)
}

// TestPushWaitAllocatesNothing, whether its caller can give up or not.
func TestPushWaitAllocatesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	for name, ctx := range map[string]context.Context{"for ever": bg, "as long as its context": ctx} {
		t.Run(name, func(t *testing.T) {
			q := start(t, QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil }), Reuse: true})
			wait := func() {
				for range 200 {
					if err := q.PushWait(ctx, 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			wait()
			if n := testing.AllocsPerRun(10, wait); n > 200 { // with -race, a pool loses a quarter of what it gets
				t.Errorf("%v allocations in 200 calls of PushWait", n)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}
