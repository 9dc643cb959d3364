// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHeapGivesTheEarliest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var h heap[int]
		in := map[*stream[int]]bool{}
		all := []*stream[int]{}
		zero := time.Unix(0, 0)
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				s := newStream[int](nil)
				s.node.deadline = zero.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "deadline")))
				h.push(s)
				in[s] = true
				all = append(all, s)
			case 2:
				if len(all) > 0 {
					if s := rapid.SampledFrom(all).Draw(rt, "any"); in[s] {
						h.remove(s)
						delete(in, s)
					}
				}
			case 3:
				if s := h.top(); s != nil {
					h.remove(s)
					delete(in, s)
				}
			}
			if len(h.all) != len(in) {
				rt.Fatalf("%d in the heap, %d were put in", len(h.all), len(in))
			}
			for i, s := range h.all {
				if s.node.heapIndex != i || !in[s] {
					rt.Fatalf("at %d: index %d, in: %v", i, s.node.heapIndex, in[s])
				}
				if top := h.top(); s.node.deadline.Before(top.node.deadline) {
					rt.Fatalf("%v is at the top, %v is in", top.node.deadline, s.node.deadline)
				}
			}
			for _, s := range all {
				if !in[s] && s.node.heapIndex != -1 {
					rt.Fatalf("outside, but index is %d", s.node.heapIndex)
				}
			}
		}
		last := zero
		for s := h.top(); s != nil; s = h.top() {
			if s.node.deadline.Before(last) {
				rt.Fatalf("%v came after %v", s.node.deadline, last)
			}
			last = s.node.deadline
			h.remove(s)
		}
	})
}

func TestFifoKeepsItsOrder(t *testing.T) {
	var f fifo[int]
	streams := []*stream[int]{{}, {}, {}}
	for range 2 { // used again, it is as new
		for _, s := range streams {
			f.push(s)
		}
		for i, want := range streams {
			if got := f.pop(); got != want || got.node.next != nil {
				t.Fatalf("%d: %p, want %p", i, got, want)
			}
			if i == 0 { // between two pops
				f.push(streams[0])
			}
		}
		if got := f.pop(); got != streams[0] || f.first != nil || f.last != nil {
			t.Fatalf("at the end: %p, %+v", got, f)
		}
	}
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

func closedNow(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestGate(t *testing.T) {
	var g gate
	g.init(10)
	if err := g.enter(1, false); !errors.Is(err, ErrClosed) || !g.closed() {
		t.Fatalf("before open: %v", err)
	}
	g.open()
	if closedNow(g.empty) {
		t.Fatal("an open gate is never at its end")
	}
	for _, size := range []int64{4, 5, 100} { // 9 are inside when the last comes: whatever its own weight
		if err := g.enter(size, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.enter(1, true); !errors.Is(err, errNoCapacity) || g.used() != 109 {
		t.Fatalf("full: %v, used %d", err, g.used())
	}
	if g.leave(100) {
		t.Fatal("nobody is in line")
	}
	g.setWaiting(true)
	if err := g.enter(1, false); !errors.Is(err, errNoCapacity) {
		t.Fatalf("passing by a line: %v", err)
	}
	if err := g.enter(1, true); err != nil || g.used() != 10 {
		t.Fatalf("the head of the line: %v, used %d", err, g.used())
	}
	if !g.leave(-2) || g.used() != 12 {
		t.Fatalf("grown: used %d", g.used())
	}
	g.close()
	g.setWaiting(false)
	if closedNow(g.empty) || g.used() != 12 {
		t.Fatalf("closed, not empty: used %d", g.used())
	}
	if err := g.enter(1, true); !errors.Is(err, ErrClosed) {
		t.Fatalf("after close: %v", err)
	}
	g.leave(12)
	g.leave(0) // the end comes once
	g.close()
	if !closedNow(g.empty) {
		t.Fatal("closed and empty")
	}
}

// TestGateIsExact: what is inside never reaches capacity plus one size, and each enter and leave counts.
func TestGateIsExact(t *testing.T) {
	var g gate
	g.init(10)
	g.open()
	var inside, entered atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20_000 {
				if g.enter(3, false) != nil {
					continue
				}
				if n := inside.Add(3); n > 12 {
					t.Errorf("I5: %d inside", n)
				}
				entered.Add(1)
				inside.Add(-3)
				g.leave(3)
			}
		})
	}
	wg.Wait()
	g.close()
	if g.used() != 0 || entered.Load() == 0 || !closedNow(g.empty) {
		t.Errorf("used %d, entered %d", g.used(), entered.Load())
	}
}

func TestCompletionTellsOnce(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	caller := newCompletion(2)
	caller.add(1) // split
	caller.complete(a)
	caller.complete(nil)
	back := newForwarding(2) // comes back as two
	back.forwardTo(caller)
	caller.complete(nil)
	back.complete(b)
	if closedNow(caller.done) || !back.awaited() || !caller.awaited() {
		t.Fatal("one is open yet")
	}
	caller.abandon()
	if back.awaited() || caller.awaited() {
		t.Error("the caller has left")
	}
	back.complete(nil)
	if !closedNow(caller.done) {
		t.Fatal("all is settled")
	}
	if err := caller.result(); err.Error() != "a\nb" {
		t.Errorf("%q", err)
	}
	if nobody := newForwarding(0); nobody.awaited() || nobody.urgent() {
		t.Error("nobody waits")
	}
}

// I5: many keys at once leave neither a map nor a heap of their number behind.
func TestManyKeysLeaveNoRoomBehind(t *testing.T) {
	const keys = 20 * maxEmpty
	q, err := NewQueue(QueueConfig[int]{
		Process:    Plain(func(context.Context, []int) error { return nil }),
		Key:        strconv.Itoa,
		Partitions: 2,
		Interval:   time.Hour,
		BatchSize:  Weight{Items: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if err := q.Push(context.Background(), i); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(q.scheduler.mu.timed.all); n < keys {
		t.Fatalf("room for %d streams, %d have their time", n, keys)
	}
	if err := q.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := q.Shutdown(context.Background()); err != nil { // the workers are gone
		t.Fatal(err)
	}
	if n := cap(q.scheduler.mu.timed.all); n > maxEmpty {
		t.Errorf("the heap has room for %d streams", n)
	}
	for _, p := range q.partitions {
		if p.most != 0 || len(p.streams) != 0 {
			t.Errorf("the map is that of %d streams, with %d in it", p.most, len(p.streams))
		}
	}
}
