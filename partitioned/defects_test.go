// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// TestCallersOfTwoFullKeysAreServed: callers who want the same two keys, in either order, stand in both lines; both keys get
// room while the queue has none. One who was called forward from one line goes to the other's end, whose first comes
// forward and goes to the end of the first: for ever, if a turn in one line says nothing in the other.
func TestCallersOfTwoFullKeysAreServed(t *testing.T) {
	hold := map[string]chan struct{}{}
	for _, k := range []string{"A", "B", "C", "D", "E", "F", "G"} {
		hold[k] = make(chan struct{}, 100)
	}
	q := start(t, QueueConfig[parcel]{
		Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
			<-hold[b.Key]
			return v
		},
		Key: parcelKey, Partitions: 1, Consumers: 10, Capacity: 4, KeyCapacity: 1,
	})
	for _, k := range []string{"A", "B", "C", "D"} {
		if err := q.Push(bg, parcel{key: k}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	stand := func(keys ...string) {
		before := q.Stats().Callers
		wg.Go(func() {
			var us []parcel
			for _, k := range keys {
				us = append(us, parcel{key: k})
			}
			if err := q.Push(bg, us...); err != nil {
				t.Error(err)
			}
		})
		for q.Stats().Callers == before {
			runtime.Gosched()
		}
	}
	stand("A", "B")
	stand("A", "B")
	stand("B", "A")
	stand("E")
	stand("F")
	stand("G")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, k := range []string{"A", "B", "C"} {
			n := q.Stats().Forwarded
			hold[k] <- struct{}{}
			for q.Stats().Forwarded == n {
				runtime.Gosched()
			}
			q.Stats() // takes the line's lock: the worker has served
		}
		for _, h := range hold {
			for range 50 {
				h <- struct{}{}
			}
		}
		wg.Wait()
		q.Shutdown(bg)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the line's lock is never given back")
	}
	nothingLeft(t, q)
}

// TestRestHoldsRoomForEachOfItsItems: the queue is not empty while the second item of a Rest is pending, however room is
// counted.
func TestRestHoldsRoomForEachOfItsItems(t *testing.T) {
	for _, unit := range []Unit{Items, Requests} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
				switch l.calls() {
				case 1: // halve it
					v.Rest = []parcel{{id: 1, n: 1}, {id: 2, n: 1}}
				case 3: // the second half, once more
					time.Sleep(time.Second)
					v.Rest = b.Items
				}
				return v
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Weigh: weighParcel, Unit: unit, Interval: time.Hour, BatchSize: Weight{Items: 1}})
			if err := q.Push(bg, parcel{id: 1, n: 2}); err != nil {
				t.Fatal(err)
			}
			if err := q.Shutdown(bg); err != nil {
				t.Errorf("unit %d: Shutdown: %v", unit, err)
			}
			if got := l.all(); len(got) != 4 {
				t.Errorf("unit %d: %v", unit, got)
			}
			if st := q.Stats(); st.Lost != 0 {
				t.Errorf("unit %d: %+v", unit, st)
			}
		})
	}
}

// TestHeadHoldsRoom: the same for the head of a split item, whose tail was settled before it.
func TestHeadHoldsRoom(t *testing.T) {
	for _, unit := range []Unit{Items, Requests} {
		synctest.Test(t, func(t *testing.T) {
			first := true
			var mu sync.Mutex
			q := start(t, QueueConfig[parcel]{
				Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
					mu.Lock()
					f := first
					first = false
					mu.Unlock()
					if f {
						time.Sleep(time.Minute)
						v.Rest = slices.Clone(b.Items)
					}
					return v
				},
				Weigh: weighParcel, Split: splitParcel, Unit: unit, Consumers: 2,
				Interval: time.Second, BatchSize: Weight{Items: 5}, MaxBatchSize: Weight{Items: 5},
			})
			if err := q.Push(bg, parcel{n: 9}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second) // the tail is gone
			if st := q.Stats(); st.Used == 0 {
				t.Errorf("unit %d: in flight, but no room is taken: %+v", unit, st)
			}
			if err := q.Shutdown(bg); err != nil {
				t.Errorf("unit %d: Shutdown: %v", unit, err)
			}
		})
	}
}

// TestRestWithoutAfterComesAtOnce: After 0 is no longer than After 1ns.
func TestRestWithoutAfterComesAtOnce(t *testing.T) {
	for _, consumers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
				if l.calls() == 1 {
					v.Rest = b.Items[1:]
				}
				return v
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Consumers: consumers, Interval: time.Hour, BatchSize: Weight{Items: 2}})
			if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := l.calls(); got != 2 {
				t.Errorf("consumers=%d: %d calls after a second: the Rest waits for Interval", consumers, got)
			}
			q.Shutdown(bg)
		})
	}
}

// TestNoCallBeginsAfterShutdownByHand steps a worker by hand: it has cut its batch, Shutdown gives up and returns, then it goes on.
func TestNoCallBeginsAfterShutdownByHand(t *testing.T) {
	l := &recorder{}
	q, err := NewQueue(QueueConfig[parcel]{Process: l.process})
	if err != nil {
		t.Fatal(err)
	}
	q.life.started = true
	q.working.Store(1)
	q.gate.open()
	if err := q.Push(bg, parcel{}); err != nil {
		t.Fatal(err)
	}
	s, why := q.scheduler.next()
	c := &call[parcel]{}
	if !q.take(s, why, c) {
		t.Fatal("not taken")
	}
	if err := q.Shutdown(cancelled()); !errors.Is(err, ErrDropped) {
		t.Fatal(err)
	}
	q.process(s, c)
	if l.calls() != 0 {
		t.Error("I7: a call began after Shutdown returned")
	}
}

// TestGoexitCostsItsBatchOnly: a Process that ends its goroutine (t.FailNow does) costs its batch, not the consumer.
func TestGoexitCostsItsBatchOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(Batch[parcel]) (v Verdict[parcel]) {
			if l.calls() == 1 {
				runtime.Goexit()
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process})
		if err := q.PushWait(within(time.Second), parcel{id: 1}); err == nil || errors.Is(err, ErrAbandoned) {
			t.Errorf("the first: %v", err)
		}
		if err := q.PushWait(within(time.Second), parcel{id: 2}); err != nil {
			t.Errorf("the second: %v", err)
		}
		if err := q.Shutdown(within(time.Second)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// TestRestOfManyWaiters: what a Rest costs grows with its items and with its waiters, not with their product; and not with
// how often it came back.
func TestRestOfManyWaiters(t *testing.T) {
	const n = 100
	q, err := NewQueue(QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	c := &call[int]{}
	for range n {
		c.waiting = append(c.waiting, waiting{newCompletion(1), 1})
	}
	callers := slices.Clone(c.waiting)
	for range 3 {
		r := q.requeue(c, Verdict[int]{Rest: make([]int, n)})
		if got := len(r.completion.mu.behind); got != n {
			t.Fatalf("%d to tell behind a Rest of %d callers", got, n)
		}
		c.complete(nil)
		for _, w := range callers {
			if w.completion.mu.open != 1 {
				t.Fatalf("a caller waits for %d, one Rest is open", w.completion.mu.open)
			}
		}
		c.waiting = nil
		for _, e := range r.entries {
			c.waiting = append(c.waiting, waiting{e.completion, 1})
		}
	}
	c.complete(errors.New("no more"))
	for _, w := range callers {
		if !closedNow(w.completion.done) || w.completion.result() == nil {
			t.Fatal("not told")
		}
	}
}

// TestNothingDeliveredIsKept: neither an idle consumer nor a buffer keeps what was delivered from the collector.
func TestNothingDeliveredIsKept(t *testing.T) {
	for _, rest := range []bool{false, true} {
		var calls int
		q := start(t, QueueConfig[*[64]int]{
			Process: func(_ context.Context, b Batch[*[64]int]) (v Verdict[*[64]int]) {
				if calls++; calls == 1 && rest {
					v.Rest = slices.Clone(b.Items)
				}
				return v
			},
			Interval: time.Hour, BatchSize: Weight{Items: 10},
		})
		var kept []weak.Pointer[[64]int]
		func() {
			var items []*[64]int
			for range 35 {
				items = append(items, new([64]int))
				kept = append(kept, weak.Make(items[len(items)-1]))
			}
			if err := q.Push(bg, items...); err != nil {
				t.Fatal(err)
			}
		}()
		for q.Stats().Forwarded < 30 {
			runtime.Gosched()
		}
		q.Flush(bg)
		for range 3 {
			runtime.GC()
		}
		left := 0
		for _, w := range kept {
			if w.Value() != nil {
				left++
			}
		}
		if left > 0 {
			t.Errorf("rest=%v: %d of %d delivered items are kept", rest, left, len(kept))
		}
		q.Shutdown(bg)
	}
}

// TestFlushSeesARestThatIsBeingWeighed: between the end of the call and the Rest's return it is pending too.
func TestFlushSeesARestThatIsBeingWeighed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		weighing, goOn := make(chan struct{}), make(chan struct{})
		calls := 0
		slow := false
		q := start(t, QueueConfig[int]{
			Process: func(_ context.Context, b Batch[int]) (v Verdict[int]) {
				if calls++; calls == 1 {
					v.Rest = []int{7}
					slow = true
				}
				return v
			},
			Weigh: func(i int) (w Weight) {
				if i == 7 && slow {
					slow = false
					close(weighing)
					<-goOn
				}
				return w
			},
			Consumers: 2,
		})
		if err := q.Push(bg, 7); err != nil {
			t.Fatal(err)
		}
		<-weighing
		flushed := false
		go func() {
			q.Flush(bg)
			flushed = true
		}()
		synctest.Wait()
		if flushed {
			t.Error("Flush has returned")
		}
		close(goOn)
		q.Shutdown(bg)
	})
}

type oddError struct{ v any }

func (oddError) Error() string { return "odd" }

// TestErrorsOfAnyTypeAreJoined: an error that cannot be compared is no reason to panic.
func TestErrorsOfAnyTypeAreJoined(t *testing.T) {
	defer func() {
		if r := recover(); r != nil {
			t.Error(r)
		}
	}()
	o := newCompletion(2)
	o.complete(oddError{[]int{1}})
	o.complete(oddError{[]int{1}})
}

// TestSecondShutdownTellsTheResult: of two things that are there, the result comes first.
func TestSecondShutdownTellsTheResult(t *testing.T) {
	q := start(t, QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err := q.Shutdown(bg); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := q.Shutdown(cancelled()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMaxKeysNeedsStreamsByKey: where batches mix keys, a limit by key has no meaning, and is not ignored.
func TestMaxKeysNeedsStreamsByKey(t *testing.T) {
	for _, cfg := range []QueueConfig[parcel]{
		{Key: parcelKey, OrderOnlyByPartition: true, MaxKeys: 1},
		{Key: parcelKey, OrderOnlyByPartition: true, KeyCapacity: 1},
	} {
		cfg.Process = func(context.Context, Batch[parcel]) (v Verdict[parcel]) { return v }
		if _, err := NewQueue(cfg); err == nil {
			t.Errorf("OrderOnlyByPartition with MaxKeys %d, KeyCapacity %d: silently something else", cfg.MaxKeys, cfg.KeyCapacity)
		}
	}
}

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

// TestHugeWeight: what weighs more than the gate can count fills the queue, and does not empty it.
func TestHugeWeight(t *testing.T) {
	hold := make(chan struct{})
	q := start(t, QueueConfig[int]{
		Process: func(context.Context, Batch[int]) (v Verdict[int]) {
			<-hold
			return v
		},
		Weigh:    func(n int) Weight { return Weight{Items: 1, Bytes: n} },
		Capacity: 10, Unit: Bytes, Overflow: Refuse,
	})
	if err := q.Push(bg, 1<<61); err != nil {
		t.Fatal(err)
	}
	if err := q.Push(bg, 1); !errors.Is(err, ErrFull) {
		t.Errorf("full, but a push got %v", err)
	}
	close(hold)
	q.Shutdown(bg)
}

// TestKeysAreNotMiscountedAtShutdown: a push that comes too late opens a stream and closes it again while Shutdown counts.
func TestKeysAreNotMiscountedAtShutdown(t *testing.T) {
	for range 3000 {
		q := start(t, QueueConfig[parcel]{
			Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) { return v },
			Key:     parcelKey, Partitions: 2,
		})
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range 2 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					q.Push(bg, parcel{key: string(rune('a' + (n+i)%20))})
				}
			})
		}
		q.Shutdown(cancelled())
		close(stop)
		wg.Wait()
		if n := q.Stats().Keys; n != 0 {
			t.Fatalf("%d keys", n)
		}
	}
}
