// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestWithoutAKeyItemsSpread: by single items, no partition has more than twice what another has, nor more than a run more. By pushes of
// several, the last one of a run may make that three times as long.
func TestWithoutAKeyItemsSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(2, 9).Draw(t, "partitions")
		largest := rapid.SampledFrom([]int{1, 1, 10, 128, 1000}).Draw(t, "largest")
		q, err := NewUnstarted(QueueConfig[int]{
			Process: Plain(func(context.Context, []int) error { return nil }), Partitions: partitions, Interval: time.Hour,
			BatchSize: Weight{Items: rapid.SampledFrom([]int{NoTrigger, 1 << 20}).Draw(t, "size")},
		})
		if err = errors.Join(err, q.Start()); err != nil {
			t.Fatal(err)
		}
		defer q.Shutdown(bg)
		sizes := rapid.SliceOfN(rapid.IntRange(1, largest), 1, 500).Draw(t, "pushes")
		for pushed, n := range sizes {
			if err := q.Push(bg, make([]int, n)...); err != nil {
				t.Fatal(err)
			}
			var held []int64
			for _, p := range q.partitions {
				p.mu.Lock()
				held = append(held, p.mu.accepted)
				p.mu.Unlock()
			}
			least, most := slices.Min(held), slices.Max(held)
			even := most <= 2*least+1 && most-least <= longRun
			if largest > 1 {
				undivided := int64(min(largest, 2*leastPart)) // each run may be so much longer
				even = most <= 3*least+int64(bits.Len(longRun))*undivided+longRun
			}
			if !even {
				t.Fatalf("after %d pushes the partitions hold %v", pushed+1, held)
			}
		}
	})
}

// TestRunsOfItemsWithoutAKey are long where they come one after another, and single where there are few.
func TestRunsOfItemsWithoutAKey(t *testing.T) {
	q := start(t, QueueConfig[int]{
		Process: Plain(func(context.Context, []int) error { return nil }), Partitions: 4, Interval: time.Hour, BatchSize: Weight{Items: 1 << 20},
	})
	var turns []int32
	for range 20_000 {
		if turn := q.turns.of.Load(); len(turns) == 0 || turns[len(turns)-1] != turn {
			turns = append(turns, turn)
		}
		if err := q.Push(bg, 1); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(turns[:6], []int32{0, 1, 2, 3, 0, 1}) {
		t.Errorf("the first turns are %v", turns[:6])
	}
	if len(turns) > 20_000/300 {
		t.Errorf("%d items had %d turns", 20_000, len(turns))
	}
	held := make([]int64, len(q.partitions))
	for i, p := range q.partitions {
		p.mu.Lock()
		held[i] = p.mu.accepted
		p.mu.Unlock()
	}
	if slices.Max(held)-slices.Min(held) > longRun {
		t.Errorf("the partitions hold %v", held)
	}
}

// TestRunIsNoLongerThanABatch, as its items weigh, but for one item; and short where nobody knows what its bytes will be.
func TestRunIsNoLongerThanABatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := Weight{Items: rapid.SampledFrom([]int{0, 5, 100, 3000, NoTrigger}).Draw(t, "size"), Bytes: rapid.SampledFrom([]int{0, 1 << 20, NoTrigger}).Draw(t, "bytes")}
		heaviest := rapid.SampledFrom([]int{1, 20, 200}).Draw(t, "heaviest")
		q, err := NewUnstarted(QueueConfig[int]{
			Process: Plain(func(context.Context, []int) error { return nil }), Partitions: 3, Interval: time.Hour, BatchSize: size,
			Weigh: func(items int) Weight { return Weight{Items: items} },
		})
		if err = errors.Join(err, q.Start()); err != nil {
			t.Fatal(err)
		}
		defer q.Shutdown(bg)
		most := longRun
		if size.Bytes == 1<<20 {
			most = leastPart
		}
		if size.Items > 0 {
			most = min(most, size.Items)
		}
		var turn int32
		run := 0
		for range rapid.IntRange(1, 3000).Draw(t, "pushes") {
			if now := q.turns.of.Load(); now != turn {
				turn, run = now, 0
			}
			if run >= most {
				t.Fatalf("a partition got %d items in its turn, of %d", run, most)
			}
			n := 1 + rapid.IntRange(0, heaviest-1).Draw(t, "weight")
			if err := q.Push(bg, n); err != nil {
				t.Fatal(err)
			}
			run += n
		}
	})
}

// TestFullPartitionHoldsUpNoOthers: of items without a key, one in a round finds the partition full whose Process hangs.
func TestFullPartitionHoldsUpNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const partitions = 4
		hold := make(chan struct{})
		var hung atomic.Bool
		q := start(t, QueueConfig[int]{
			Process: Plain(func(context.Context, []int) error {
				if !hung.Swap(true) {
					<-hold
				}
				return nil
			}),
			Partitions: partitions, Consumers: partitions, Capacity: 40, Overflow: OverflowRefuse,
		})
		refused, pushes := 0, 400
		for range pushes {
			if err := q.Push(bg, 1); errors.Is(err, ErrFull) {
				refused++
			}
			synctest.Wait()
		}
		if refused == 0 || refused > pushes/partitions {
			t.Errorf("%d of %d pushes were refused", refused, pushes)
		}
		close(hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestCallersWithoutAKeyAreServedAtOnce: each of them by a consumer of its own, as long as there are enough.
func TestCallersWithoutAKeyAreServedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := start(t, QueueConfig[int]{
			Process: Plain(func(context.Context, []int) error { time.Sleep(time.Second); return nil }), Partitions: 8, Consumers: 8,
			Interval: time.Hour, BatchSize: Weight{Items: 1000},
		})
		began := time.Now()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := q.PushWait(bg, 1); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("eight calls took %v", took)
		}
		q.Shutdown(bg)
	})
}

// TestPartitionOfAKeyNeverChanges, whatever happens in it.
func TestPartitionOfAKeyNeverChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		of := map[string]int{}
		used := map[int]bool{}
		calls := 0
		var q *Queue[parcel]
		q = start(t, QueueConfig[parcel]{
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				mu.Lock()
				calls++
				n := calls
				mu.Unlock()
				switch n % 4 {
				case 1:
					panic("oh")
				case 2:
					runtime.Goexit()
				case 3:
					v.Err = errTest
				}
				return v
			},
			Key: parcelKey, Partitions: 5, Interval: time.Second, BatchSize: Weight{Items: 100},
			Observer: &Observer{BatchStart: func(b BatchInfo) {
				mu.Lock()
				defer mu.Unlock()
				if p, ok := of[b.Key]; ok && p != b.Partition || q.Partition(b.Key) != b.Partition {
					t.Errorf("%s was in partition %d, and is in %d", b.Key, p, b.Partition)
				}
				of[b.Key] = b.Partition
				used[b.Partition] = true
			}},
		})
		for round := range 20 {
			for k := range 30 {
				key := fmt.Sprint("key", k)
				if err := errors.Join(q.Push(bg, parcel{key: key}), q.PushKey(bg, key, parcel{key: "another"}, parcel{})); err != nil {
					t.Fatal(err)
				}
			}
			q.Flush(bg)
			if round%3 == 0 {
				interval := time.Duration(1+round) * time.Second
				if err := q.Update(Change{Interval: &interval}); err != nil {
					t.Error(err)
				}
			}
		}
		q.Shutdown(bg)
		if len(of) != 30 || len(used) < 3 { // by chance, 30 keys may leave one of 5 partitions out
			t.Errorf("%d keys in %d partitions", len(of), len(used))
		}
		nothingLeft(t, q)
	})
}

// TestKeyOfAMapRoutesByItself: whatever wrote it, Get and Delete find it, and it is held once.
func TestKeyOfAMapRoutesByItself(t *testing.T) {
	for _, byKey := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := &mapRecorder{}
			cfg := one(r)
			cfg.Partitions, cfg.Consumers = 7, 1
			cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
			if byKey {
				cfg.Key = func(e kv) string { return e.Key[:4] }
			}
			m := startMap(t, cfg)
			for i := range 100 {
				key := fmt.Sprint("key", i)
				err := errors.Join(m.Put(bg, key, 1), m.PutAll(bg, kv{Key: key, Value: 2}, kv{Key: "other", Value: 1}),
					m.PutNewer(bg, key, 3, 1), m.PutAllNewer(bg, kv{Key: "other", Value: 2, Version: 1}, kv{Key: key, Value: 4, Version: 2}),
					m.Merge(bg, key, 10), m.MergeAll(bg, kv{Key: key, Value: 10}, kv{Key: "other", Value: 1}))
				if err != nil {
					t.Fatal(err)
				}
				if v, ok := m.Get(key); v != 24 || !ok {
					t.Errorf("%s is %d, %v", key, v, ok)
				}
				if i%2 == 0 && !m.Delete(key) {
					t.Errorf("%s is not there", key)
				}
			}
			if n, _ := m.Len(); n != 51 {
				t.Errorf("%d are held", n)
			}
			m.Shutdown(bg)
			if n := len(slices.Concat(r.batches...)); n != 51 {
				t.Errorf("%d were sent", n)
			}
		})
	}
}
