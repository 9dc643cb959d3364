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
				s.deadline = zero.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "deadline")))
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
				if s.heapIndex != i || !in[s] {
					rt.Fatalf("at %d: index %d, in: %v", i, s.heapIndex, in[s])
				}
				if top := h.top(); s.deadline.Before(top.deadline) {
					rt.Fatalf("%v is at the top, %v is in", top.deadline, s.deadline)
				}
			}
			for _, s := range all {
				if !in[s] && s.heapIndex != -1 {
					rt.Fatalf("outside, but index is %d", s.heapIndex)
				}
			}
		}
		last := zero
		for s := h.top(); s != nil; s = h.top() {
			if s.deadline.Before(last) {
				rt.Fatalf("%v came after %v", s.deadline, last)
			}
			last = s.deadline
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
			if got := f.pop(); got != want || got.next != nil {
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
	if err := g.enter(1, true); !errors.Is(err, errNoRoom) || g.used() != 109 {
		t.Fatalf("full: %v, used %d", err, g.used())
	}
	if g.leave(100) {
		t.Fatal("nobody is in line")
	}
	g.setLine(true)
	if err := g.enter(1, false); !errors.Is(err, errNoRoom) {
		t.Fatalf("passing by a line: %v", err)
	}
	if err := g.enter(1, true); err != nil || g.used() != 10 {
		t.Fatalf("the head of the line: %v, used %d", err, g.used())
	}
	if !g.leave(-2) || g.used() != 12 {
		t.Fatalf("grown: used %d", g.used())
	}
	g.close()
	g.setLine(false)
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

func TestOriginTellsOnce(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	caller := newOrigin(2)
	caller.add(1) // split
	caller.settle(a)
	caller.settle(nil)
	rest := &origin{rest: true}
	rest.add(2) // comes back as two
	rest.pass(caller)
	caller.settle(nil)
	rest.settle(b)
	if closedNow(caller.done) || !rest.waits() || !caller.waits() {
		t.Fatal("one is open yet")
	}
	caller.leave()
	if rest.waits() || caller.waits() {
		t.Error("it has left")
	}
	rest.settle(nil)
	if !closedNow(caller.done) {
		t.Fatal("all is settled")
	}
	if err := caller.result(); err.Error() != "a\nb" {
		t.Errorf("%q", err)
	}
	if nobody := (&origin{rest: true}); nobody.waits() || nobody.urgent() {
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
	if n := cap(q.sched.mu.timed.all); n < keys {
		t.Fatalf("room for %d streams, %d have their time", n, keys)
	}
	if err := q.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := q.Shutdown(context.Background()); err != nil { // the workers are gone
		t.Fatal(err)
	}
	if n := cap(q.sched.mu.timed.all); n > maxEmpty {
		t.Errorf("the heap has room for %d streams", n)
	}
	for _, l := range q.lanes {
		if l.most != 0 || len(l.streams) != 0 {
			t.Errorf("the map is that of %d streams, with %d in it", l.most, len(l.streams))
		}
	}
}
