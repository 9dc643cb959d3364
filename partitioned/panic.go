// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"fmt"
	"runtime/debug"
)

// PanicError is the error of a batch whose Process panicked, or of an item whose Merge or Expired did.
type PanicError struct {
	Func  string // that panicked: Process, Merge, Split, Weigh or Expired
	Value any    // what was given to panic
	Stack []byte // of the goroutine that panicked
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("partitioned: panic in %s: %v", e.Func, e.Value)
}

// A panic of a user's function costs its item, and never leaves a lock held (I8). Key, and Weigh of what is pushed, run in the
// push and before any lock, so their panics are the caller's. The others have nobody who could take it:
//
//	Process   the error of its batch
//	Merge     the error of its item, which is dropped; what is held stays
//	Expired   the error of its item, which is dropped
//	Split     the item cannot be split
//	Weigh     of what Merge, Split or a Rest made of an item: it weighs what the item did
func panicError(in string, value any) *PanicError {
	return &PanicError{Func: in, Value: value, Stack: debug.Stack()}
}

// fold is index.fold. Partition's lock held.
func (q *Queue[T]) fold(b *backlog[T], at int, item T, how write) (used bool, failed *PanicError) {
	if how == merge {
		return q.safeMerge(b, at, item)
	}
	return b.index.fold(&b.active[at].item, item, how), nil
}

// safeMerge is fold with Merge.
func (q *Queue[T]) safeMerge(b *backlog[T], at int, item T) (used bool, failed *PanicError) {
	defer func() {
		if r := recover(); r != nil {
			failed = panicError("Merge", r)
		}
	}()
	return b.index.fold(&b.active[at].item, item, merge), nil
}

// safeSplit is Split.
func (q *Queue[T]) safeSplit(item T, room Weight) (head, tail T, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			var none T
			head, tail, ok = none, none, false
			q.cfg.Observer.panicked(q.cfg.Name, panicError("Split", r))
		}
	}()
	return q.cfg.Split(item, room)
}

// reweigh is Weigh of what was made of an item of weight before. It may run under a partition's lock.
func (q *Queue[T]) reweigh(item T, before packedWeight) (w packedWeight) {
	if q.cfg.Weigh == nil {
		return packedWeight{items: 1}
	}
	defer func() {
		if recover() != nil {
			w = before
		}
	}()
	return pack(q.cfg.Weigh(item))
}
