// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestManyBuffers is pushes, evictions and flushes while several buffers are full: what is delivered is all that was not
// evicted, in order, and a Flush ends when all before it is settled, and not before.
func TestManyBuffers(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			var got []int
			slow := r.IntN(2) == 0
			q := start(t, QueueConfig[int]{
				Process: func(_ context.Context, b Batch[int]) (v Verdict[int]) {
					if slow {
						time.Sleep(time.Second)
					}
					mu.Lock()
					defer mu.Unlock()
					got = append(got, b.Items...)
					return v
				},
				Interval: time.Minute, BatchSize: Weight{Items: 1 + r.IntN(3*bufferSize)},
				Capacity: int64(1 + r.IntN(8*bufferSize)), Overflow: OverflowDropOldest,
			})
			pushed := 0
			var flushes sync.WaitGroup
			for range 100 {
				switch r.IntN(10) {
				case 0:
					last := pushed - 1
					flushes.Go(func() {
						if err := q.Flush(bg); err != nil {
							t.Error(err)
						}
						mu.Lock()
						defer mu.Unlock()
						if st := q.Stats(); last >= 0 && st.Evicted == 0 && got[len(got)-1] < last {
							t.Errorf("seed %d: flushed up to %d, and %d is delivered", seed, last, got[len(got)-1])
						}
					})
				case 1:
					time.Sleep(time.Duration(r.IntN(3)) * time.Second)
				default:
					items := make([]int, 1+r.IntN(1000))
					for i := range items {
						items[i] = pushed + i
					}
					if err := q.Push(bg, items...); err == nil {
						pushed += len(items)
					} else if !errors.Is(err, ErrFull) {
						t.Error(err)
					}
				}
			}
			if err := q.Shutdown(bg); err != nil {
				t.Error(err)
			}
			flushes.Wait()
			st := q.Stats()
			if st.Accepted != int64(pushed) || st.Forwarded != int64(len(got)) {
				t.Errorf("seed %d: %d pushed, %d delivered, and the queue says %+v", seed, pushed, len(got), st)
			}
			if !slices.IsSorted(got) || len(slices.Compact(got)) != int(st.Forwarded) {
				t.Errorf("seed %d: not in order, or twice", seed)
			}
			nothingLeft(t, q)
		})
	}
}

// TestFullBuffersAtTheDeadlineOfShutdown: who waits for what is in them is told, and all is counted.
func TestFullBuffersAtTheDeadlineOfShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 10}})
		const n = 3*bufferSize + 10
		if err := q.Push(bg, make([]parcel, 10)...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight
		r, err := q.PushResult(bg, make([]parcel, n)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Shutdown(within(time.Second)); !errors.Is(err, ErrDropped) {
			t.Error(err)
		}
		if err := r.Wait(bg); !errors.Is(err, ErrDropped) {
			t.Error(err)
		}
		if st := q.Stats(); st.Lost != n || st.Failed != 10 { // the call answered when its context was cancelled
			t.Errorf("%+v", st)
		}
		nothingLeft(t, q)
	})
}

// TestHolesOfAFullBuffer are forgotten with it: as many entries behind it are not taken for them.
func TestHolesOfAFullBuffer(t *testing.T) {
	const held = bufferSize
	busy, hold := make(chan struct{}, 10), make(chan struct{})
	q := start(t, QueueConfig[int]{
		Process: Plain(func(context.Context, []int) error {
			busy <- struct{}{}
			<-hold
			return nil
		}),
		Interval: time.Hour, BatchSize: Weight{Items: 1 << 30}, Capacity: held + 1, Overflow: OverflowDropOldest,
	})
	if _, err := q.PushResult(bg, 0); err != nil {
		t.Fatal(err)
	}
	<-busy // with that one the only consumer
	for i := range 10 * held {
		if err := q.Push(bg, i); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	if err := q.Shutdown(bg); err != nil {
		t.Error(err)
	}
	if st := q.Stats(); st.Forwarded != held+1 || st.Evicted != 9*held {
		t.Errorf("%+v", st)
	}
	nothingLeft(t, q)
}

// TestMapOfManyKeys holds each once, in the order of their first writes, where a Queue would have several buffers.
func TestMapOfManyKeys(t *testing.T) {
	const keys = 3 * bufferSize
	var got []Entry[int, int]
	m, err := NewUnstartedMap(MapQueueConfig[int, int]{QueueConfig: QueueConfig[Entry[int, int]]{
		Process: func(_ context.Context, b MapBatch[int, int]) (v MapVerdict[int, int]) {
			got = append(got, b.Items...)
			return v
		},
		Partitions: 1, Interval: time.Hour, BatchSize: Weight{Items: 1 << 30},
	}})
	if err := errors.Join(err, m.Start()); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * keys {
		if err := m.Put(bg, i%keys, i); err != nil {
			t.Fatal(err)
		}
	}
	for key := range keys {
		if v, ok := m.Get(key); !ok || v != keys+key {
			t.Fatalf("key %d: %d, %v", key, v, ok)
		}
	}
	if err := m.Shutdown(bg); err != nil {
		t.Error(err)
	}
	if len(got) != keys {
		t.Fatalf("%d entries", len(got))
	}
	for key, e := range got {
		if e.Key != key || e.Value != keys+key || e.Updates != 0 {
			t.Fatalf("at %d: %+v", key, e)
		}
	}
}

// TestBuffersAreUsedAgain: what is pending takes no new memory once there was as much before.
func TestBuffersAreUsedAgain(t *testing.T) {
	q := start(t, QueueConfig[int]{
		Process:  Plain(func(context.Context, []int) error { return nil }),
		Interval: time.Hour, BatchSize: Weight{Items: 1 << 30},
	})
	fill := func() {
		for i := range 10 * bufferSize {
			if err := q.Push(bg, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Flush(bg); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	// A collection may empty the pool, and the race detector makes it forget a quarter: one run without allocations does.
	const most = 9 // buffers would be 10 more
	least := 1e9
	for i := 0; i < 200 && least > most; i++ {
		least = min(least, testing.AllocsPerRun(1, fill))
	}
	if least > most {
		t.Errorf("%v allocations", least)
	}
	q.Shutdown(bg)
}
