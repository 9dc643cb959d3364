// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestNobodyWaitsForATimerWhileAConsumerIsFree: neither for room, nor for room of a key, nor for a result.
func TestNobodyWaitsForATimerWhileAConsumerIsFree(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    QueueConfig[parcel]
		reason Reason
		push   func(q *Queue[parcel]) error
	}{
		"room":          {QueueConfig[parcel]{Capacity: 10}, ReasonWaiting, func(q *Queue[parcel]) error { return q.Push(bg, parcel{}) }},
		"room of a key": {QueueConfig[parcel]{Key: parcelKey, KeyCapacity: 10}, ReasonWaiting, func(q *Queue[parcel]) error { return q.Push(bg, parcel{}) }},
		"result":        {QueueConfig[parcel]{}, ReasonWaiting, func(q *Queue[parcel]) error { return q.PushWait(bg, parcel{}) }},
		"flush":         {QueueConfig[parcel]{}, ReasonFlush, func(q *Queue[parcel]) error { return q.Flush(bg) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{}
				cfg := c.cfg
				cfg.Process, cfg.Interval, cfg.BatchSize = l.process, time.Hour, Weight{Items: 1000}
				q := start(t, cfg)
				for id := range 10 {
					if err := q.Push(bg, parcel{id: id}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				if l.calls() != 0 {
					t.Fatal("nobody waits yet")
				}
				begin := time.Now()
				if err := c.push(q); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("waited for %v", took)
				}
				synctest.Wait()
				if l.calls() == 0 || len(l.batches[0].Items) < 10 || l.batches[0].Reason != c.reason {
					t.Errorf("%d calls, %v", l.calls(), l.batches)
				}
				q.Shutdown(bg)
				nothingLeft(t, q)
			})
		})
	}
}

// TestStuckKeyHoldsUpNobodyElse: neither a stuck key's call nor its callers in line.
func TestStuckKeyHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		q := start(t, QueueConfig[parcel]{
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				if b.Key == "stuck" {
					<-stuck
				}
				return v
			},
			Key: parcelKey, Consumers: 2, Capacity: 100, KeyCapacity: 5,
		})
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				if err := q.Push(bg, parcel{key: "stuck"}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if st := q.Stats(); st.Used != 5 || st.Callers != 25 {
			t.Errorf("%+v", st)
		}
		begin := time.Now()
		for i := range 200 {
			if err := q.PushWait(bg, parcel{key: fmt.Sprint(i)}, parcel{key: fmt.Sprint(i + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("others waited for %v", took)
		}
		time.Sleep(time.Minute)
		close(stuck)
		wg.Wait()
		q.Shutdown(bg)
		nothingLeft(t, q)
		if st := q.Stats(); st.Waited < 25*time.Minute || st.Forwarded != 430 {
			t.Errorf("%+v", st)
		}
	})
}

// TestWaitersAreServedInOrder: first come, first served, in the common line and in that of a key.
func TestWaitersAreServedInOrder(t *testing.T) {
	for name, cfg := range map[string]QueueConfig[parcel]{
		"whole": {Capacity: 2000},
		"key":   {Key: parcelKey, KeyCapacity: 1},
		"both":  {Key: parcelKey, KeyCapacity: 10, Capacity: 8000},
		"three": {Capacity: 2000, BatchSize: Weight{Items: 30}, Interval: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 350 // a hundred and more of them wait
				l := &recorder{hold: make(chan struct{})}
				cfg.Process, cfg.Weigh = l.process, weighParcel
				q := start(t, cfg)
				for id := range n {
					go func() {
						if err := q.Push(bg, parcel{id: id, n: 10}); err != nil {
							t.Error(err)
						}
					}()
					synctest.Wait()
				}
				if st := q.Stats(); st.Callers < 100 {
					t.Errorf("%+v", st)
				}
				close(l.hold)
				synctest.Wait()
				q.Shutdown(bg)
				got := slices.Concat(l.all()...)
				if len(got) != n || !slices.IsSorted(got) {
					t.Errorf("%d, in order: %v", len(got), slices.IsSorted(got))
				}
				nothingLeft(t, q)
			})
		})
	}
}

// TestWaitedIsTheSumOfAllWaits: of those who are served at once too, and of one who gives up.
func TestWaitedIsTheSumOfAllWaits(t *testing.T) {
	for name, cfg := range map[string]QueueConfig[parcel]{"whole": {}, "keys": {Key: parcelKey}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{hold: make(chan struct{})}
				cfg.Process, cfg.Capacity, cfg.Consumers = l.process, 4, 1
				q := start(t, cfg)
				for _, key := range []string{"a", "b", "c", "d"} { // of which one is in flight
					q.Push(bg, parcel{key: key})
					synctest.Wait()
				}
				for _, key := range []string{"e", "f", "g"} {
					go q.Push(bg, parcel{key: key})
					time.Sleep(time.Second)
				}
				impatient, cancel := context.WithTimeout(bg, 500*time.Millisecond)
				defer cancel()
				q.Push(impatient, parcel{})
				l.hold <- struct{}{} // one of them is served, after 3.5 s
				time.Sleep(time.Second)
				close(l.hold) // and the others, after 3.5 s and 2.5 s
				synctest.Wait()
				if st := q.Stats(); st.Waited != 10*time.Second || st.Forwarded != 7 || st.Refused != 1 {
					t.Errorf("%v, want 10s: %+v", st.Waited, st)
				}
				q.Shutdown(bg)
				nothingLeft(t, q)
			})
		})
	}
}

// TestCancelledWaiterLeavesNothing: wherever a caller stands, when it gives up those behind it go on as if it had never come.
func TestCancelledWaiterLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Consumers: 4, Weigh: weighParcel, Capacity: 20, KeyCapacity: 10})
		weights := []int{0, 10, 10, 1} // the first two fill the queue
		next := 0
		var mu sync.Mutex
		errs := map[int]error{}
		ended := map[int]bool{}
		stand := func(keys ...string) (id int, giveUp func()) {
			next++
			id = next
			ctx, cancel := context.WithCancel(bg)
			var us []parcel
			for _, k := range keys {
				us = append(us, parcel{key: k, id: id, n: weights[min(id, 3)]})
			}
			go func() {
				err := q.Push(ctx, us...)
				mu.Lock()
				errs[id], ended[id] = err, true
				mu.Unlock()
			}()
			synctest.Wait()
			return id, func() { cancel(); synctest.Wait() }
		}
		_, a := stand("a") // in flight
		_, b := stand("b") // in flight: the queue is full
		third, giveUp3 := stand("a")
		fourth, giveUp4 := stand("a")
		fifth, _ := stand("a")
		head, giveUpHead := stand("x")
		middle, giveUpMiddle := stand("y")
		last, _ := stand("z")
		if st := q.Stats(); st.Callers != 6 || st.Keys != 2 {
			t.Errorf("%+v", st)
		}
		giveUp4() // in the middle of a key's line
		giveUpMiddle()
		l.hold <- struct{}{} // one of a and b ends: head is served, or the other
		synctest.Wait()
		giveUp3() // the head of its key's line, or called forward
		giveUpHead()
		for range 8 {
			select {
			case l.hold <- struct{}{}:
			default:
			}
			synctest.Wait()
		}
		a()
		b()
		for _, id := range []int{fourth, middle} {
			if !ended[id] || !errors.Is(errs[id], context.Canceled) {
				t.Errorf("%d gave up: %v, %v", id, ended[id], errs[id])
			}
		}
		for _, id := range []int{fifth, last} {
			if !ended[id] || errs[id] != nil {
				t.Errorf("%d was behind: %v, %v", id, ended[id], errs[id])
			}
		}
		delivered := slices.Concat(l.all()...)
		for _, id := range []int{third, head, fourth, middle} {
			if slices.Contains(delivered, id) != (errs[id] == nil) {
				t.Errorf("%d: %v, delivered: %v", id, errs[id], delivered)
			}
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
		for _, partition := range q.partitions {
			if len(partition.streams) > 0 {
				t.Errorf("I5: %d streams", len(partition.streams))
			}
		}
	})
}

// TestCancelledAfterItWasCalledForward: its turn goes to the next of its key; the last one's turn unblocks the key.
func TestCancelledAfterItWasCalledForward(t *testing.T) {
	for _, others := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			hold := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{}), "c": make(chan struct{})}
			q := start(t, QueueConfig[parcel]{
				Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
					<-hold[b.Key]
					return v
				},
				Key: parcelKey, Weigh: weighParcel, Capacity: 100, KeyCapacity: 10,
			})
			weight := 50 // the first two fill the queue
			push := func(ctx context.Context, key string) chan error {
				res := make(chan error, 1)
				go func() { res <- q.Push(ctx, parcel{key: key, n: weight}) }()
				synctest.Wait()
				return res
			}
			push(bg, "a")
			push(bg, "b")
			weight = 10
			ctx, cancel := context.WithCancel(bg)
			first := push(ctx, "a") // in the line of a
			var behind []chan error
			for range others {
				behind = append(behind, push(bg, "a"))
			}
			weight = 50
			c := push(bg, "c")      // in the list of the whole
			hold["a"] <- struct{}{} // c takes the room; first is promoted, and has to wait
			synctest.Wait()
			if err := <-c; err != nil {
				t.Error(err)
			}
			cancel()
			if err := <-first; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			synctest.Wait()
			close(hold["b"])
			close(hold["c"])
			for _, res := range behind {
				if err := <-res; err != nil {
					t.Error(err)
				}
			}
			close(hold["a"])
			if err := <-push(bg, "a"); err != nil { // not blocked any more
				t.Error(err)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestDoneContextIsRefusedOnlyWithoutRoom, and a caller that is served in the moment in which it gives up is served.
func TestDoneContextIsRefusedOnlyWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, Capacity: 1})
		if err := q.Push(cancelled(), parcel{}); err != nil {
			t.Errorf("there was room: %v", err)
		}
		if err := q.Push(cancelled(), parcel{}); !errors.Is(err, context.Canceled) {
			t.Errorf("there was none: %v", err)
		}
		if st := q.Stats(); st.Refused != 1 || st.Callers != 0 {
			t.Errorf("%+v", st)
		}
		close(l.hold)
		q.Shutdown(bg)
	})
}

// TestRequestLargerThanCapacity: it is admitted while there is any room, cut as all are, and the next waits for it.
func TestRequestLargerThanCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Weigh: weighParcel, Split: splitParcel, Capacity: 10,
			Interval: time.Hour, BatchSize: Weight{Items: 8}, MaxBatchSize: Weight{Items: 8},
		})
		if err := q.Push(bg, parcel{n: 50}); err != nil {
			t.Fatal(err)
		}
		admitted := false
		go func() {
			if err := q.Push(bg, parcel{n: 1}); err != nil {
				t.Error(err)
			}
			admitted = true
		}()
		for left := 50; left > 10; left -= 8 {
			synctest.Wait()
			if st := q.Stats(); admitted || st.Used != int64(left) {
				t.Fatalf("admitted %v, %d left: %+v", admitted, left, st)
			}
			l.hold <- struct{}{}
		}
		l.hold <- struct{}{}
		synctest.Wait()
		if !admitted {
			t.Error("it waits, though there is room")
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

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
		Key: parcelKey, Partitions: 1, Consumers: 10, Weigh: weighParcel, Capacity: 40, KeyCapacity: 10,
	})
	for _, k := range []string{"A", "B", "C", "D"} {
		if err := q.Push(bg, parcel{key: k, n: 10}); err != nil {
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

func TestWaitersKeepTheirOrder(t *testing.T) {
	var l waiters[int]
	var model []*waiter[int]
	check := func() {
		t.Helper()
		var forth, back []*waiter[int]
		for w := l.first; w != nil; w = w.next {
			forth = append(forth, w)
			if w.in != &l {
				t.Fatal("in is wrong")
			}
		}
		for w := l.last; w != nil; w = w.prev {
			back = append(back, w)
		}
		slices.Reverse(back)
		if !slices.Equal(forth, model) || !slices.Equal(back, model) || l.len != len(model) {
			t.Fatalf("%v, %v, %d; want %v", forth, back, l.len, model)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		w := &waiter[int]{}
		switch n := rng.IntN(4); {
		case n == 0:
			l.pushFront(w)
			model = slices.Insert(model, 0, w)
		case n == 1 || len(model) == 0:
			l.pushBack(w)
			model = append(model, w)
		default:
			i := rng.IntN(len(model))
			w = model[i]
			l.remove(w)
			model = slices.Delete(model, i, i+1)
			if w.in != nil || w.prev != nil || w.next != nil {
				t.Fatalf("removed: %+v", w)
			}
		}
		check()
	}
}
