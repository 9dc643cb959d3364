// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurnsBeyondHalf of a uint32, which are no negative partitions where int has 32 bits (GOARCH=386).
func TestTurnsBeyondHalf(t *testing.T) {
	q := start(t, QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil }), Partitions: 3})
	q.turn.Store(1<<31 - 3)
	for range 10 {
		if err := q.Push(bg, 1); err != nil {
			t.Fatal(err)
		}
	}
	q.Shutdown(bg)
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
