// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

var (
	bg      = context.Background()
	errTest = errors.New("no")
)

// parcel is what most tests push: a name and a key, and how much it weighs.
type parcel struct {
	key  string
	id   int
	n    int // items; 0 counts as 1
	size int // bytes
}

func parcelKey(u parcel) string   { return u.key }
func weighParcel(u parcel) Weight { return Weight{Items: u.n, Bytes: u.size} }
func ids(us []parcel) (id []int) {
	for _, u := range us {
		id = append(id, u.id)
	}
	return id
}

func splitParcel(u parcel, room Weight) (head, tail parcel, ok bool) {
	if u.n <= room.Items {
		return u, u, false
	}
	head, tail = u, u
	head.n, tail.n = room.Items, u.n-room.Items
	return head, tail, true
}

// recorder keeps what a Process got, and when. Its hold, if there is one, holds up each call until something is sent to it.
type recorder struct {
	mu      sync.Mutex
	batches []Batch[parcel]
	at      []time.Time
	hold    chan struct{}
	answer  func(Batch[parcel]) Verdict[parcel]
}

func (l *recorder) process(ctx context.Context, b Batch[parcel]) (v Verdict[parcel]) {
	kept := b
	kept.Items = append([]parcel(nil), b.Items...)
	l.mu.Lock()
	l.batches = append(l.batches, kept)
	l.at = append(l.at, time.Now())
	l.mu.Unlock()
	if l.hold != nil {
		select {
		case <-l.hold:
		case <-ctx.Done():
			return Verdict[parcel]{Err: context.Cause(ctx)}
		}
	}
	if l.answer != nil {
		return l.answer(kept)
	}
	return v
}

func (l *recorder) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.batches)
}

// all is the ids of all items, batch by batch.
func (l *recorder) all() (all [][]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.batches {
		all = append(all, ids(b.Items))
	}
	return all
}

// start makes a queue and starts it. However the test ends, the queue does: else a test that fails, or returns early, would be
// reported as a deadlock of its synctest bubble.
func start[T any](t testing.TB, cfg QueueConfig[T]) *Queue[T] {
	t.Helper()
	q, err := NewUnstarted(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Shutdown(cancelled()) })
	return q
}

// keysApart returns a key for each name, no two of which lead to the same partition. Which ones those are differs from queue to
// queue, so it may not be left to chance.
func keysApart[T any](t testing.TB, q *Queue[T], names ...string) (keys []string) {
	t.Helper()
	if len(names) > len(q.partitions) {
		t.Fatalf("%d names, %d partitions", len(names), len(q.partitions))
	}
	taken := map[int]bool{}
	for _, name := range names {
		key := name
		for n := 0; taken[q.Partition(key)]; n++ {
			key = fmt.Sprint(name, n)
		}
		taken[q.Partition(key)] = true
		keys = append(keys, key)
	}
	return keys
}

// sensible takes out of a configuration that was drawn what contradicts itself, which is refused.
func sensible[T any](c *QueueConfig[T]) {
	switch {
	case c.Capacity > 0:
		c.KeyCapacity = min(c.KeyCapacity, c.Capacity)
	case c.KeyCapacity == 0:
		c.Overflow, c.StallTimeout = OverflowWait, 0
	}
	if (c.Key == nil || c.OrderOnlyByPartition) && c.Partitions > 0 && (c.Partitions > 1 || c.Key != nil) {
		c.Consumers = min(c.Consumers, c.Partitions)
	}
}

// conserved checks I1.
func conserved(t testing.TB, st Stats) {
	t.Helper()
	if st.Accepted != st.Forwarded+st.Returned+st.Superseded+st.Failed+st.Evicted+st.Expired+st.Lost+st.Stalled+st.Queued+st.InFlight {
		t.Errorf("I1: %+v", st)
	}
}

// nothingLeft checks I1, and that nothing is pending.
func nothingLeft[T any](t testing.TB, q *Queue[T]) {
	t.Helper()
	st := q.Stats()
	conserved(t, st)
	if st.Queued != 0 || st.InFlight != 0 || st.Used != 0 || st.Keys != 0 || st.Calls != 0 || st.Callers != 0 {
		t.Errorf("something is left: %+v", st)
	}
	if queued, inFlight := q.Len(); queued != 0 || inFlight != 0 {
		t.Errorf("something is left: Len is %d and %d", queued, inFlight)
	}
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(bg, d)
	_ = cancel // its timer ends it
	return ctx
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(bg)
	cancel()
	return ctx
}

func closedNow(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
