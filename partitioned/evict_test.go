// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestDropOldestDropsTheOldest of the key whose share is full, and where the whole is full, of the key that holds most.
func TestDropOldestDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		evicted := map[string]int{}
		q := start(t, QueueConfig[parcel]{
			Name: "q", Process: l.process, Key: parcelKey, Partitions: 1, Consumers: 1, Capacity: 9, Overflow: OverflowDropOldest,
			BatchSize: Weight{Items: 1},
			Observer:  &Observer{Evicted: func(queue string, partition, items int) { evicted[fmt.Sprint(queue, partition)] += items }},
		})
		push := func(us ...parcel) {
			t.Helper()
			if err := q.Push(bg, us...); err != nil {
				t.Error(err)
			}
		}
		push(parcel{key: "z"})
		synctest.Wait() // z is in flight, and keeps the only consumer
		for id := range 4 {
			push(parcel{key: "a", id: id})
		}
		push(parcel{key: "b", id: 10})
		push(parcel{key: "b", id: 11})
		push(parcel{key: "c", id: 20})
		push(parcel{key: "d", id: 30})
		if st := q.Stats(); st.Evicted != 0 || st.Used != 9 {
			t.Errorf("full: %+v", st)
		}
		push(parcel{key: "e", id: 40}) // for it, 0 of a
		if st := q.Stats(); st.Evicted != 1 || st.Used != 9 {
			t.Errorf("one more key: %+v", st)
		}
		push(parcel{key: "a", id: 4}, parcel{key: "a", id: 5}) // for them, 1, 2 and 3
		if st := q.Stats(); st.Evicted != 4 || st.Used != 8 || st.Refused != 0 || st.Keys != 6 {
			t.Errorf("%+v", st)
		}
		close(l.hold)
		q.Shutdown(bg)
		got := l.all()
		slices.SortFunc(got, slices.Compare)
		if want := "[[0] [4] [5] [10] [11] [20] [30] [40]]"; fmt.Sprint(got) != want {
			t.Errorf("%v, want %v", got, want)
		}
		if evicted["q0"] != 4 || len(evicted) != 1 {
			t.Errorf("the Observer heard of %v", evicted)
		}
		nothingLeft(t, q)
	})
}

// TestEvictedCallerIsTold, and only he.
func TestEvictedCallerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, BatchSize: Weight{Items: 1}, Capacity: 3, Overflow: OverflowDropOldest})
		if err := q.Push(bg, parcel{id: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight
		var told [2]error
		for i := range told {
			go func() { told[i] = q.PushWait(bg, parcel{id: 2 + i}) }()
			synctest.Wait()
		}
		if err := q.Push(bg, parcel{id: 4}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !errors.Is(told[0], ErrEvicted) {
			t.Errorf("told %v", told[0])
		}
		close(l.hold)
		q.Shutdown(bg)
		synctest.Wait()
		if told[1] != nil {
			t.Error(told[1])
		}
		if got := fmt.Sprint(l.all()); got != "[[1] [3] [4]]" {
			t.Error(got)
		}
		nothingLeft(t, q)
	})
}

// TestEvictedRestWakesNobody: a Rest that nobody waits for does not count as one that somebody waits for. Were it taken off
// the account nevertheless, the next caller would wait for the timer.
func TestEvictedRestWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		q := start(t, QueueConfig[parcel]{
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				if first {
					first = false
					v.Rest, v.After = slices.Clone(b.Items), time.Minute
				}
				return v
			},
			Interval: time.Hour, BatchSize: Weight{Items: 2}, Capacity: 3, Overflow: OverflowDropOldest,
		})
		if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // parked
		if err := q.Push(bg, parcel{id: 3}, parcel{id: 4}); err != nil {
			t.Fatal(err)
		}
		if err := q.Push(bg, parcel{id: 5}, parcel{id: 6}, parcel{id: 7}); err != nil {
			t.Fatal(err)
		}
		if st := q.Stats(); st.Evicted != 2 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Minute) // what is left has gone, or waits for a whole batch
		q.Flush(bg)
		begin := time.Now()
		if err := q.PushWait(bg, parcel{id: 8}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("waited for %v, while the consumer was free", took)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestEvictTakesWhatWasSwappedOutFirst, which is older than what is in active, and what a Flush stands in front of.
func TestEvictTakesWhatWasSwappedOutFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 2}, Capacity: 7, Overflow: OverflowDropOldest,
		})
		push := func(ids ...int) {
			t.Helper()
			for _, id := range ids {
				if err := q.Push(bg, parcel{id: id}); err != nil {
					t.Fatal(err)
				}
			}
		}
		push(1, 2)
		synctest.Wait() // in flight
		push(3)
		go q.Flush(bg)
		synctest.Wait()
		push(4, 5, 6)        // behind the mark
		l.hold <- struct{}{} // 1 and 2 are taken, 3 and 4 are in flight
		synctest.Wait()      // 5 and 6 were swapped out with them
		push(7, 8, 9)        // full
		push(10)             // for 5
		push(11)             // for 6
		push(12)             // for 7
		close(l.hold)
		q.Shutdown(bg)
		if got := fmt.Sprint(l.all()); got != "[[1 2] [3 4] [8 9] [10 11] [12]]" {
			t.Error(got)
		}
		nothingLeft(t, q)
	})
}

// TestRefusedDropsNothing: if all that is not in a batch would not be room enough, it stays, and the push is refused.
func TestRefusedDropsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Partitions: 1, Weigh: weighParcel, Interval: time.Hour, BatchSize: Weight{Items: 4},
			Capacity: 100, KeyCapacity: 5, Overflow: OverflowDropOldest,
		})
		for _, u := range []parcel{{key: "a", n: 4}, {key: "b", n: 1}} {
			if err := q.Push(bg, u); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // the first is in flight
		if err := q.Push(bg, parcel{key: "a", n: 1}); err != nil {
			t.Fatal(err)
		}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) { return v }
		if err := q.Push(bg, parcel{key: "a", n: 2}, parcel{key: "b", n: 2}); err != nil { // for the one of a
			t.Error(err)
		}
		if st := q.Stats(); st.Evicted != 1 {
			t.Errorf("%+v", st)
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Partitions: 1, Weigh: weighParcel, Interval: time.Hour, BatchSize: Weight{Items: 4},
			Capacity: 100, KeyCapacity: 5, Overflow: OverflowDropOldest,
		})
		for _, u := range []parcel{{key: "a", n: 5}, {key: "b", n: 1}} {
			if err := q.Push(bg, u); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // a is full, and all of it is in flight
		if err := q.Push(bg, parcel{key: "a", n: 1}, parcel{key: "b", n: 1}); !errors.Is(err, ErrFull) {
			t.Error(err)
		}
		if st := q.Stats(); st.Evicted != 0 || st.Queued != 1 {
			t.Errorf("refused, and dropped: %+v", st)
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestRestWithoutOrderMakesRoomToo: it is in no batch while it waits for its next attempt.
func TestRestWithoutOrderMakesRoomToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if b.Items[0].id < 3 && !b.Closing {
				v.Rest, v.After = b.Items, time.Hour
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Consumers: 2, Capacity: 2, Overflow: OverflowDropOldest})
		for id := range 6 {
			if err := q.Push(bg, parcel{id: id}); err != nil {
				t.Errorf("%d: %v", id, err)
			}
			time.Sleep(time.Second)
		}
		if st := q.Stats(); st.Evicted != 2 || st.Forwarded != 3 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
		if got := fmt.Sprint(l.all()); got != "[[0] [1] [2] [3] [4] [5] [2]]" { // 0, then 1 were the oldest
			t.Error(got)
		}
	})
}

// TestEmptiedKeyIsNoKey: a key whose items were all dropped or deleted has nothing pending, and takes no slot of MaxKeys.
func TestEmptiedKeyIsNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Key = func(e kv) string { return e.Key[:1] }
		cfg.MaxKeys = 1
		m := startMap(t, cfg)
		for range 3 {
			for _, key := range []string{"a1", "b1", "c1"} {
				if err := m.Put(bg, key, 1); err != nil {
					t.Fatal(err)
				}
				if !m.Delete(key) {
					t.Error("nothing to delete")
				}
				if st := m.Stats(); st.Keys != 0 || st.Used != 0 {
					t.Errorf("%+v", st)
				}
			}
		}
		m.Put(bg, "d1", 1)
		m.Put(bg, "d2", 2)
		m.Delete("d1")
		m.Shutdown(bg)
		if want := [][]kv{{{"d2", 2, 0, 0}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

// TestDropOldestForEver holds no more than what is there, and nothing of what is not.
func TestDropOldestForEver(t *testing.T) {
	const held = 100
	busy, hold := make(chan struct{}), make(chan struct{})
	q := start(t, QueueConfig[*int]{
		Process: Plain(func(context.Context, []*int) error {
			select {
			case <-hold:
			case busy <- struct{}{}:
				<-hold
			}
			return nil
		}),
		Interval: time.Hour, BatchSize: Weight{Items: 1 << 20}, Capacity: held + 1, Overflow: OverflowDropOldest,
	})
	if _, err := q.PushResult(bg, new(int)); err != nil {
		t.Fatal(err)
	}
	<-busy // with that one the only consumer
	for i := range 10_000 {
		if err := q.Push(bg, &i); err != nil {
			t.Fatal(err)
		}
		s := q.partitions[0].sole
		b := &s.backlog.active
		if b.len() > 3*held+100 {
			t.Fatalf("%d entries", b.len())
		}
		if i%1000 == 0 {
			for _, item := range b.items[b.len():cap(b.items)] {
				if item != nil {
					t.Fatal("something is kept behind the end of the buffer")
				}
			}
		}
	}
	close(hold)
	q.Shutdown(bg)
	if st := q.Stats(); st.Evicted != 10_000-held || st.Forwarded != held+1 {
		t.Errorf("%+v", st)
	}
}

// TestEvictedIsTakenFromTheKeyThatIsFull, and from no other of the push.
func TestEvictedIsTakenFromTheKeyThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Partitions: 1, Consumers: 1, Interval: time.Hour, BatchSize: Weight{Items: 100},
			KeyCapacity: 2, Overflow: OverflowDropOldest,
		})
		if err := q.Push(bg, parcel{key: "c", id: 6}); err != nil {
			t.Fatal(err)
		}
		go q.Flush(bg)
		synctest.Wait() // the one consumer is in a call: what is refused makes a batch due
		if err := errors.Join(q.Push(bg, parcel{key: "a", id: 1}), q.Push(bg, parcel{key: "b", id: 2}), q.Push(bg, parcel{key: "b", id: 3}),
			q.Push(bg, parcel{key: "a", id: 4}, parcel{key: "b", id: 5})); err != nil {
			t.Fatal(err)
		}
		close(l.hold)
		q.Shutdown(bg)
		got := l.all()
		slices.SortFunc(got, slices.Compare)
		if want := "[[1 4] [3 5] [6]]"; fmt.Sprint(got) != want {
			t.Errorf("%v, want %v", got, want)
		}
		nothingLeft(t, q)
	})
}

// TestRefusedByCapacityDropsNothing: what is in flight fills the queue.
func TestRefusedByCapacityDropsNothing(t *testing.T) {
	for _, keys := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{hold: make(chan struct{})}
			cfg := QueueConfig[parcel]{
				Process: l.process, Weigh: weighParcel, Interval: time.Hour, BatchSize: Weight{Items: 8}, Capacity: 10, Overflow: OverflowDropOldest,
			}
			if keys {
				cfg.Key, cfg.Partitions, cfg.Consumers = parcelKey, 1, 1
			}
			q := start(t, cfg)
			push := func(us ...parcel) error { return q.Push(bg, us...) }
			other := "" // with keys, that of what may be dropped
			if keys {
				other = "o"
			}
			if err := push(parcel{n: 9}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // 9 in flight
			if err := push(parcel{key: other, n: 6}); err != nil {
				t.Fatal(err)
			}
			if err := push(parcel{key: other, n: 7}); err != nil { // for the 6
				t.Error(err)
			}
			if keys { // what may be dropped is counted once, however often its key comes
				if err := push(parcel{key: "k"}, parcel{key: other, n: 1}, parcel{key: "k"}, parcel{key: other, n: 1}); err != nil {
					t.Error(err)
				}
				if st := q.Stats(); st.Evicted != 13 {
					t.Errorf("%+v", st)
				}
			}
			close(l.hold)
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
		if keys {
			continue // then a share refuses first
		}
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{hold: make(chan struct{})}
			cfg := QueueConfig[parcel]{
				Process: l.process, Weigh: weighParcel, Interval: time.Hour, BatchSize: Weight{Items: 12}, Capacity: 10, Overflow: OverflowDropOldest,
			}
			if keys {
				cfg.Key, cfg.Partitions, cfg.Consumers = parcelKey, 1, 1
			}
			q := start(t, cfg)
			if err := q.Push(bg, parcel{n: 9}); err != nil {
				t.Fatal(err)
			}
			if err := q.Push(bg, parcel{n: 3}, parcel{n: 4}); err != nil { // 12 are in flight, 4 are not
				t.Fatal(err)
			}
			synctest.Wait()
			if err := q.Push(bg, parcel{n: 1}, parcel{key: "k"}, parcel{n: 1}); !errors.Is(err, ErrFull) {
				t.Error(err)
			}
			if st := q.Stats(); st.Evicted != 0 || st.Queued != 4 || st.InFlight != 12 {
				t.Errorf("refused, and dropped: %+v", st)
			}
			close(l.hold)
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestEvictedCallerHurriesNobody: once he was told, the others wait for their size or their time again.
func TestEvictedCallerHurriesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 3}, Capacity: 4, Overflow: OverflowDropOldest,
		})
		if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}, parcel{id: 3}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight
		told := make(chan error, 1)
		go func() { told <- q.PushWait(bg, parcel{id: 4}) }()
		synctest.Wait()
		if err := q.Push(bg, parcel{id: 5}); err != nil {
			t.Fatal(err)
		}
		if err := <-told; !errors.Is(err, ErrEvicted) {
			t.Error(err)
		}
		close(l.hold)
		synctest.Wait()
		if got := fmt.Sprint(l.all()); got != "[[1 2 3]]" {
			t.Errorf("%v: nobody waits", got)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestHeavierValueNeedsRoom: only what is no heavier than what it replaces is taken by a Map that is full.
func TestHeavierValueNeedsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := one(&mapRecorder{})
		cfg.Weigh = func(e kv) Weight { return Weight{Items: e.Value} }
		cfg.Capacity, cfg.Overflow = 5, OverflowRefuse
		m := startMap(t, cfg)
		if err := m.Put(bg, "k", 5); err != nil {
			t.Fatal(err)
		}
		if err := m.Put(bg, "k", 6); !errors.Is(err, ErrFull) {
			t.Errorf("heavier: %v", err)
		}
		if err := m.Put(bg, "k", 4); err != nil {
			t.Errorf("lighter: %v", err)
		}
		if st := m.Stats(); st.Used != 4 {
			t.Errorf("%+v", st)
		}
		m.Shutdown(bg)
	})
}

// TestWholeSendsAllThatIsHeld at once: in one batch, or with a cap in as few as it allows.
func TestWholeSendsAllThatIsHeld(t *testing.T) {
	for limit, want := range map[int]string{0: "[[0 1 2 3 4 5 6]]", 4: "[[0 1 2 3] [4 5 6]]"} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			q := start(t, QueueConfig[parcel]{
				Process: l.process, Adaptive: true, Interval: time.Hour, BatchSize: Weight{Items: 4}, MaxBatchSize: Weight{Items: limit},
			})
			var all []parcel
			for id := range 7 {
				all = append(all, parcel{id: id})
			}
			if err := q.Push(bg, all...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := fmt.Sprint(l.all()); got != want {
				t.Errorf("%v, want %v", got, want)
			}
			for _, b := range l.batches {
				if b.Reason != ReasonSize {
					t.Errorf("sent for %v", b.Reason)
				}
			}
			q.Shutdown(bg)
		})
	}
}

// TestEmptiedForItsOwnPushKeepsItsKeySlot, though more keys than MaxKeys are pending: it was open when the push came.
func TestEmptiedForItsOwnPushKeepsItsKeySlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Consumers: 1, Interval: time.Hour, BatchSize: Weight{Items: 9}, MaxKeys: 1,
			Capacity: 6, Overflow: OverflowDropOldest,
		})
		if err := q.Push(bg, slices.Repeat([]parcel{{key: "z"}}, 9)...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight, and keeps the only consumer
		if err := q.Restore(parcel{key: "a"}, parcel{key: "a"}, parcel{key: "b"}); err != nil {
			t.Fatal(err)
		}
		if err := q.Push(bg, parcel{key: "a"}); !errors.Is(err, ErrFull) || q.Stats().Evicted != 0 {
			t.Errorf("z alone is the capacity: %v, %+v", err, q.Stats())
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Consumers: 1, Interval: time.Hour, BatchSize: Weight{Items: 1}, MaxKeys: 1,
			Capacity: 6, Overflow: OverflowDropOldest,
		})
		if err := q.Push(bg, parcel{key: "z"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight, and keeps the only consumer
		if err := q.Restore(parcel{key: "a"}, parcel{key: "a"}, parcel{key: "b"}, parcel{key: "b"}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := q.Push(bg, parcel{key: "a"}); err != nil {
				t.Errorf("%v, and dropped %d", err, q.Stats().Evicted)
			}
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}
