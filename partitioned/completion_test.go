// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

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

func TestCompletionTellsOnce(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	caller := newCompletion(2)
	caller.add() // split
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

// TestErrorOfManyBatches names the first few and counts the others, and is built in linear time (I10). What it wraps is found.
func TestErrorOfManyBatches(t *testing.T) {
	const batches = 5000
	last := errors.New("the last")
	build := func(n int) error {
		caller, half := newCompletion(n), newForwarding(n/2)
		caller.mu.open -= n/2 - 1
		half.mu.behind = []*completion{caller}
		other := newCompletion(1) // shares the errors of half, and must not see those of caller
		half.mu.behind = append(half.mu.behind, other)
		for i := range n / 2 {
			half.complete(fmt.Errorf("error %d", i))
		}
		for i := range n/2 - 1 {
			caller.complete(fmt.Errorf("error %d", n/2+i))
		}
		caller.complete(last)
		var all *failures
		if !errors.As(other.result(), &all) || len(all.all) != n/2 {
			t.Errorf("another has %v, want %d errors", all, n/2)
		}
		return caller.result()
	}
	err := build(batches)
	if got, want := err.Error(), "error 0\nerror 1\nerror 2\nerror 3\nerror 4\nand 4995 more"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, last) {
		t.Error("the last is not found")
	}
	once, twice := testing.AllocsPerRun(3, func() { build(batches) }), testing.AllocsPerRun(3, func() { build(2 * batches) })
	if twice > 2.2*once {
		t.Errorf("%v allocations, with twice as many %v", once, twice)
	}
}

// TestCallersOfOneEntryAreToldOnce: however many callers write to the entries of a Map, and however often each, all that wait for an entry are
// told once. Whether a caller waits for an entry already is found in one step: with a look at all who wait, 10 000 callers of one entry
// would cost 50 million steps.
func TestCallersOfOneEntryAreToldOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ callers, entries, writes int }{{1000, 5, 8}, {10_000, 1, 2}} {
		held := make([]*completion, c.entries)
		waiting := make([][]*completion, c.entries)
		var all []*completion
		for range c.callers {
			n := 1 + rng.IntN(c.writes)
			caller := newCompletion(n)
			all = append(all, caller)
			for range n { // a push, in one go
				at := rng.IntN(c.entries)
				held[at] = join(held[at], caller)
				if w := waiting[at]; len(w) == 0 || w[len(w)-1] != caller {
					waiting[at] = append(w, caller)
				}
			}
		}
		for at := range held {
			if got := held[at].recipients(); !slices.Equal(got, waiting[at]) {
				t.Fatalf("%d wait for entry %d, want %d", len(got), at, len(waiting[at]))
			}
			held[at].complete(nil)
		}
		for i, caller := range all {
			if !caller.isDone() {
				t.Fatalf("caller %d waits for %d entries more", i, caller.mu.open)
			}
		}
	}
}
