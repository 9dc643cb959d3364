// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
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
