// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
)

// TestHugeWeight: what weighs more than the gate can count fills the queue, and does not empty it.
func TestHugeWeight(t *testing.T) {
	hold := make(chan struct{})
	q := start(t, QueueConfig[int]{
		Process: func(context.Context, Batch[int]) (v Verdict[int]) {
			<-hold
			return v
		},
		Weigh:    func(n int) Weight { return Weight{Items: 1, Bytes: n} },
		Capacity: 10, Unit: UnitBytes, Overflow: OverflowRefuse,
	})
	if err := q.Push(bg, math.MaxInt); err != nil {
		t.Fatal(err)
	}
	if err := q.Push(bg, 1); !errors.Is(err, ErrFull) {
		t.Errorf("full, but a push got %v", err)
	}
	close(hold)
	q.Shutdown(bg)
}

func TestGate(t *testing.T) {
	var g gate
	g.init(10)
	if err := g.enter(1, g.capacity-1, false); !errors.Is(err, ErrClosed) || !g.closed() {
		t.Fatalf("before open: %v", err)
	}
	g.open()
	if closedNow(g.empty) {
		t.Fatal("an open gate is never at its end")
	}
	for _, size := range []int64{4, 5, 100} { // 9 are inside when the last comes: whatever its own weight
		if err := g.enter(size, g.capacity-1, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.enter(1, g.capacity-1, true); !errors.Is(err, errNoCapacity) || g.used() != 109 {
		t.Fatalf("full: %v, used %d", err, g.used())
	}
	if g.leave(100) {
		t.Fatal("nobody is in line")
	}
	g.set(gateWaiting | gateWhole)
	if err := g.enter(1, g.capacity-1, false); !errors.Is(err, errNoCapacity) {
		t.Fatalf("passing by a line: %v", err)
	}
	if err := g.enter(1, g.capacity-1, true); err != nil || g.used() != 10 {
		t.Fatalf("the head of the line: %v, used %d", err, g.used())
	}
	if !g.leave(-2) || g.used() != 12 {
		t.Fatalf("grown: used %d", g.used())
	}
	g.close()
	g.setIf(gateWaiting|gateWhole, false)
	if closedNow(g.empty) || g.used() != 12 {
		t.Fatalf("closed, not empty: used %d", g.used())
	}
	if err := g.enter(1, g.capacity-1, true); !errors.Is(err, ErrClosed) {
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
				if g.enter(3, g.capacity-1, false) != nil {
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
