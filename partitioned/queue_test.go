// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSwapLosesNoWrite: pushers, one by one and in bulk, flushers and a closer, with a ledger of each item.
func TestSwapLosesNoWrite(t *testing.T) {
	const pushers, each = 4, 15_000
	for _, c := range []struct {
		name string
		cfg  QueueConfig[parcel]
	}{
		{"ordered", QueueConfig[parcel]{}},
		{"unordered", QueueConfig[parcel]{Consumers: 3}},
		{"keys", QueueConfig[parcel]{Key: parcelKey, Consumers: 3, Capacity: 500, KeyCapacity: 100}},
		{"partitions", QueueConfig[parcel]{Partitions: 3, Consumers: 2, Capacity: 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var delivered, accepted [pushers * each]atomic.Int32
			c.cfg.Process = func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				for _, u := range b.Items {
					delivered[u.id].Add(1)
				}
				return v
			}
			c.cfg.Interval, c.cfg.BatchSize, c.cfg.MaxBatchSize = time.Millisecond, Weight{Items: 7}, Weight{Items: 10}
			q := start(t, c.cfg)
			var pushing, others sync.WaitGroup
			for p := range pushers {
				pushing.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(p), 0))
					for id := p * each; id < (p+1)*each; {
						var us []parcel
						for range min(1+rng.IntN(3)*rng.IntN(2), (p+1)*each-id) {
							us = append(us, parcel{id: id, key: string(rune('a' + id%7))})
							id++
						}
						push := q.Push
						if rng.IntN(50) == 0 {
							push = q.PushWait
						}
						if push(bg, us...) == nil {
							for _, u := range us {
								accepted[u.id].Store(1)
							}
						}
					}
				})
			}
			stop := make(chan struct{})
			others.Go(func() { // flusher
				for {
					select {
					case <-stop:
						return
					default:
						if err := q.Flush(bg); err != nil {
							t.Error(err)
						}
						conserved(t, q.Stats())
					}
				}
			})
			others.Go(func() { // closer, at the end of most
				for q.Stats().Accepted < pushers*each*9/10 {
					runtime.Gosched()
				}
				if err := q.Shutdown(bg); err != nil {
					t.Error(err)
				}
			})
			pushing.Wait()
			close(stop)
			others.Wait()
			for id := range delivered {
				if a, d := accepted[id].Load(), delivered[id].Load(); a != d {
					t.Fatalf("item %d: accepted %d, delivered %d times", id, a, d)
				}
			}
			nothingLeft(t, q)
		})
	}
}

// TestTwoProducersOpenOneKey at once: it is one stream, and one key of MaxKeys.
func TestTwoProducersOpenOneKey(t *testing.T) {
	for range 300 {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, MaxKeys: 1, Interval: time.Hour, BatchSize: Weight{Items: 8}})
		var wg sync.WaitGroup
		for p := range 4 {
			wg.Go(func() {
				if err := q.Push(bg, parcel{key: "a", id: p}); err != nil {
					t.Error(err)
				}
				if err := q.Push(bg, parcel{key: "b"}); !errors.Is(err, ErrTooManyKeys) {
					t.Errorf("a second key: %v", err)
				}
			})
		}
		wg.Wait()
		if n := q.Stats().Keys; n != 1 {
			t.Errorf("%d keys", n)
		}
		close(l.hold)
		q.Shutdown(bg)
		if l.calls() != 1 || len(l.batches[0].Items) != 4 {
			t.Errorf("%v", l.all())
		}
		nothingLeft(t, q)
	}
}

// TestIdleKeyCostsNothing: I5. What is kept for use again has a bound, whatever the number of keys was.
func TestIdleKeyCostsNothing(t *testing.T) {
	l := &recorder{}
	goroutines := runtime.NumGoroutine()
	q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Partitions: 2, Consumers: 3, Interval: time.Hour, BatchSize: Weight{Items: 1000}})
	for round := range 3 {
		for i := range 5000 {
			if err := q.Push(bg, parcel{key: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if n := runtime.NumGoroutine() - goroutines; n > 3 {
			t.Errorf("I5: %d goroutines", n)
		}
		if n := q.Stats().Keys; n != 5000 {
			t.Errorf("round %d: %d keys", round, n)
		}
		if err := q.Flush(bg); err != nil {
			t.Fatal(err)
		}
		nothingLeft(t, q)
		for _, l := range q.partitions {
			l.mu.Lock()
			if len(l.streams) != 0 || len(l.unused) > maxUnused || len(l.apart) != 0 {
				t.Errorf("I5: %d streams, %d unused", len(l.streams), len(l.unused))
			}
			for _, s := range l.unused {
				if b := &s.backlog; b.active.len()+len(b.drain.segments) != 0 || b.weight != (Weight{}) || b.drain.weight != (Weight{}) || s.reserved != 0 || b.urgent != 0 || len(s.flights) != 0 || s.node.heapIndex != -1 {
					t.Errorf("kept as %+v", s)
				}
			}
			l.mu.Unlock()
		}
	}
	q.Shutdown(bg)
}

// TestBulkPushIsAllOrNothing: keys over several partitions, one of which cannot be had.
func TestBulkPushIsAllOrNothing(t *testing.T) {
	bulk := func(keys ...string) (us []parcel) {
		for _, k := range keys {
			us = append(us, parcel{key: k, n: 2})
		}
		return us
	}
	for name, c := range map[string]struct {
		cfg    QueueConfig[parcel]
		before []parcel
		bulk   []parcel
		want   error
	}{
		"too many keys":           {QueueConfig[parcel]{MaxKeys: 3}, bulk("a"), bulk("b", "a", "c", "d"), ErrTooManyKeys},
		"as many keys as may":     {QueueConfig[parcel]{MaxKeys: 3}, bulk("a"), bulk("b", "a", "c", "b"), nil},
		"a key is full":           {QueueConfig[parcel]{KeyCapacity: 2}, bulk("a"), bulk("b", "c", "a"), ErrFull},
		"the queue is full":       {QueueConfig[parcel]{Capacity: 2}, bulk("a"), bulk("b", "c", "d"), ErrFull},
		"room for one is for all": {QueueConfig[parcel]{Capacity: 3}, bulk("a"), bulk("b", "c", "d"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, partitions := range []int{1, 7} {
				l := &recorder{hold: make(chan struct{})} // as a push that is refused makes its stream due
				cfg := c.cfg
				cfg.Process, cfg.Key, cfg.Weigh, cfg.Partitions = l.process, parcelKey, weighParcel, partitions
				if cfg.Capacity+cfg.KeyCapacity > 0 {
					cfg.Overflow = OverflowRefuse
				}
				cfg.Interval, cfg.BatchSize = time.Hour, Weight{Items: 1000}
				q := start(t, cfg)
				if err := q.Push(bg, c.before...); err != nil {
					t.Fatal(err)
				}
				keys := q.Stats().Keys
				if err := q.Push(bg, c.bulk...); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				st := q.Stats()
				if c.want != nil && (st.Keys != keys || st.Queued+st.InFlight != 2 || st.Used != 2 || st.Refused != int64(2*len(c.bulk))) {
					t.Errorf("something of it was accepted: %+v", st)
				}
				close(l.hold)
				if err := q.Push(bg); err != nil {
					t.Error(err)
				}
				if err := q.PushWait(bg); err != nil {
					t.Error(err)
				}
				q.Shutdown(bg)
				nothingLeft(t, q)
			}
		})
	}
}

// TestPushLeavesItsSliceAlone: the items are the queue's, the slice is the caller's.
func TestPushLeavesItsSliceAlone(t *testing.T) {
	l := &recorder{}
	q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Interval: time.Hour, BatchSize: Weight{Items: 100}})
	us := []parcel{{"b", 1, 1, 1}, {"a", 2, 1, 1}, {"b", 3, 1, 1}}
	kept := slices.Clone(us)
	if err := q.Push(bg, us...); err != nil || !slices.Equal(us, kept) {
		t.Errorf("%v: %v", err, us)
	}
	clear(us)
	q.Shutdown(bg)
	for _, b := range l.batches {
		if want := map[string][]int{"a": {2}, "b": {1, 3}}[b.Key]; !slices.Equal(ids(b.Items), want) {
			t.Errorf("%q: %v, want %v", b.Key, ids(b.Items), want)
		}
	}
}

func TestConfigErrorsNameTheField(t *testing.T) {
	process := func(context.Context, Batch[parcel]) (v Verdict[parcel]) { return v }
	for _, c := range []struct {
		field string
		cfg   QueueConfig[parcel]
	}{
		{"Process", QueueConfig[parcel]{}},
		{"MaxKeys is negative: -1", QueueConfig[parcel]{Process: process, Key: parcelKey, MaxKeys: -1}},
		{"Partitions is negative: -2", QueueConfig[parcel]{Process: process, Partitions: -2}},
		{"Consumers is negative", QueueConfig[parcel]{Process: process, Consumers: -1}},
		{"Interval is negative", QueueConfig[parcel]{Process: process, Interval: -1}},
		{"BatchSize.Items is negative", QueueConfig[parcel]{Process: process, BatchSize: Weight{Items: -1}}},
		{"BatchSize.Bytes is negative", QueueConfig[parcel]{Process: process, BatchSize: Weight{Bytes: -1}}},
		{"MaxBatchSize.Items is negative", QueueConfig[parcel]{Process: process, MaxBatchSize: Weight{Items: -1}}},
		{"MaxBatchSize.Bytes is negative", QueueConfig[parcel]{Process: process, MaxBatchSize: Weight{Bytes: -1}}},
		{"Capacity is negative", QueueConfig[parcel]{Process: process, Capacity: -1}},
		{"KeyCapacity is negative", QueueConfig[parcel]{Process: process, Key: parcelKey, KeyCapacity: -1}},
		{"ProcessTimeout is negative", QueueConfig[parcel]{Process: process, ProcessTimeout: -1}},
		{"Unit: 3", QueueConfig[parcel]{Process: process, Unit: 3}},
		{"Unit: -1", QueueConfig[parcel]{Process: process, Unit: -1}},
		{"OrderOnlyByPartition", QueueConfig[parcel]{Process: process, OrderOnlyByPartition: true}},
		{"MaxKeys", QueueConfig[parcel]{Process: process, MaxKeys: 1}},
		{"KeyCapacity", QueueConfig[parcel]{Process: process, KeyCapacity: 1}},
		{"MaxBatchSize", QueueConfig[parcel]{Process: process, Interval: 1, BatchSize: Weight{Items: 10}, MaxBatchSize: Weight{Items: 9}}},
		{"MaxBatchSize", QueueConfig[parcel]{Process: process, Interval: 1, BatchSize: Weight{1, 10}, MaxBatchSize: Weight{1, 9}}},
	} {
		if _, err := NewUnstarted(c.cfg); err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("want one about %s, got %v", c.field, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	process := func(context.Context, Batch[parcel]) (v Verdict[parcel]) { return v }
	c, err := QueueConfig[parcel]{Process: process}.withDefaults()
	if err != nil || c.Partitions != 1 || c.Consumers != 1 || c.BatchSize != (Weight{Items: 1}) || c.Capacity != maxUnits {
		t.Errorf("%v: %+v", err, c)
	}
	c, err = QueueConfig[parcel]{Process: process, Key: parcelKey}.withDefaults()
	if err != nil || c.Partitions != 4*runtime.GOMAXPROCS(0) || c.Consumers != 10 {
		t.Errorf("%v: %+v", err, c)
	}
	for _, w := range []struct{ size, limit, want Weight }{ // a cap whose unit has no trigger is a trigger
		{Weight{5, 0}, Weight{7, 70}, Weight{5, 70}},
		{Weight{0, 50}, Weight{7, 70}, Weight{7, 50}},
		{Weight{5, 50}, Weight{7, 70}, Weight{5, 50}},
		{Weight{5, 0}, Weight{}, Weight{5, 0}},
		{Weight{}, Weight{7, 70}, Weight{7, 70}},
	} {
		c, err := QueueConfig[parcel]{Process: process, Weigh: weighParcel, Interval: 1, BatchSize: w.size, MaxBatchSize: w.limit}.withDefaults()
		if err != nil || c.BatchSize != w.want {
			t.Errorf("%+v: %v, %+v", w, err, c.BatchSize)
		}
	}
	for r, want := range []string{"size", "timeout", "waiting", "flush", "shutdown"} {
		if got := Reason(r).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestFlushOfNothingSucceeds, whatever has become of its context: of two things that are there, the result comes first.
func TestFlushOfNothingSucceeds(t *testing.T) {
	q := start(t, QueueConfig[parcel]{Process: (&recorder{}).process})
	for range 100 {
		if err := q.Flush(cancelled()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFlushWaitsForWhatIsPending: in flight, in draining and in active.
func TestFlushWaitsForWhatIsPending(t *testing.T) {
	for _, consumers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(Batch[parcel]) (v Verdict[parcel]) {
				time.Sleep(time.Minute)
				return v
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Consumers: consumers, Interval: time.Hour, BatchSize: Weight{Items: 4}})
			begin := time.Now()
			if err := q.Flush(bg); err != nil || time.Since(begin) != 0 {
				t.Errorf("nothing is pending: %v after %v", err, time.Since(begin))
			}
			if err := q.Push(bg, make([]parcel, 4)...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // in flight for a minute
			if consumers == 2 {
				begin := time.Now()
				time.Sleep(time.Second)
				if err := q.Flush(bg); err != nil || time.Since(begin) != time.Minute {
					t.Errorf("one in flight: %v after %v", err, time.Since(begin))
				}
				if err := q.Push(bg, make([]parcel, 4)...); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			begin = time.Now()
			if err := q.Push(bg, parcel{id: 1}); err != nil {
				t.Fatal(err)
			}
			go func() {
				time.Sleep(30 * time.Second)
				if err := q.Push(bg, parcel{id: 2}); err != nil {
					t.Error(err)
				}
			}()
			if err := q.Flush(within(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("in a second: %v", err)
			}
			if err := q.Flush(bg); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > 2*time.Minute {
				t.Errorf("it took %v", took)
			}
			if st := q.Stats(); consumers == 2 && (st.Batches[ReasonFlush] == 0 || st.Batches[ReasonWaiting] != 0) {
				t.Errorf("%+v", st)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestTimerIsSetForTheEarliest: streams with their own times, and a shorter one that comes when the timer is set.
func TestTimerIsSetForTheEarliest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if b.Items[0].n > 0 && b.Items[0].id > 0 {
				v.Rest, v.After = []parcel{{key: b.Key, id: 0, n: 1}}, time.Duration(b.Items[0].n)*time.Second
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Consumers: 2, Interval: time.Minute, BatchSize: Weight{Items: 5}})
		begin := time.Now()
		for i, n := range []int{30, 10, 20} { // sent at once, parked
			if err := q.PushWait(within(time.Millisecond), parcel{key: fmt.Sprint(n), id: i + 1, n: n}); !errors.Is(err, ErrAbandoned) {
				t.Fatal(err)
			}
		}
		if err := q.Push(bg, parcel{key: "60"}); err != nil { // timed
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for i, want := range []int{10, 20, 30, 60} {
			if b, at := l.batches[3+i], l.at[3+i].Sub(begin).Round(time.Second); b.Key != fmt.Sprint(want) || at != time.Duration(want)*time.Second {
				t.Errorf("%q came after %v, want %d", b.Key, at, want)
			}
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestMaxKeysNeedsStreamsByKey: where batches mix keys, a limit by key has no meaning, and is not ignored.
func TestMaxKeysNeedsStreamsByKey(t *testing.T) {
	for _, cfg := range []QueueConfig[parcel]{
		{Key: parcelKey, OrderOnlyByPartition: true, MaxKeys: 1},
		{Key: parcelKey, OrderOnlyByPartition: true, KeyCapacity: 1},
	} {
		cfg.Process = func(context.Context, Batch[parcel]) (v Verdict[parcel]) { return v }
		if _, err := NewUnstarted(cfg); err == nil {
			t.Errorf("OrderOnlyByPartition with MaxKeys %d, KeyCapacity %d: silently something else", cfg.MaxKeys, cfg.KeyCapacity)
		}
	}
}
