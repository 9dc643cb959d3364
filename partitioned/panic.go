// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"fmt"
	"runtime/debug"
)

// PanicError is what a function of the queue's user panicked with. A panic costs its item at most, or its batch, and never leaves a
// lock held. Key, and Weigh of what is pushed, run in the push, so their panics are the caller's. The others have nobody who could
// take it:
//
//	Process   it is the error of its batch
//	Merge     it is the error of its item, which is dropped; what is held stays
//	Supersede it is the error of the added entry, which is dropped; what is held stays
//	Void      what was merged is held
//	Expired   it is the error of its item, which is dropped
//	Split     the item cannot be split
//	Weigh     of what Merge or Split made of an item: it weighs what the item did. Of an item of a Rest: it weighs one item
//	Sort      its batch stays in the order of acceptance
//	Dropped   the call
//	Limiter   the call
//	Observer  the call
//
// Panicked of the [Observer] hears of those of Merge, Supersede, Void, Split, Sort, Dropped, the Limiter and the Observer.
type PanicError struct {
	Func  string // that panicked: a name above, or that of a field of the Observer, as in "Observer.BatchStart"
	Value any    // what was given to panic
	Stack []byte // of the goroutine that panicked
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("partitioned: panic in %s: %v", e.Func, e.Value)
}

// panicError is called by the function that recovered (I8).
func panicError(in string, value any) *PanicError {
	return &PanicError{Func: in, Value: value, Stack: debug.Stack()}
}

// fold is index.fold. Partition's lock held.
func (q *Queue[T]) fold(b *backlog[T], at int, item T, how write) (used bool, failed *PanicError) {
	switch {
	case how == merge:
		return q.safeFold("Merge", b, at, item, how)
	case how == newer && q.mapping.supersedes:
		return q.safeFold("Supersede", b, at, item, how)
	}
	return b.index.fold(&b.active.items[at], item, how), nil
}

// safeFold is fold that calls a function of the user.
func (q *Queue[T]) safeFold(name string, b *backlog[T], at int, item T, how write) (used bool, failed *PanicError) {
	defer func() {
		if r := recover(); r != nil {
			failed = panicError(name, r)
		}
	}()
	return b.index.fold(&b.active.items[at], item, how), nil
}

// isVoid reports whether what a merge made of item is taken out. After a panic it is not. Partition's lock held.
func (q *Queue[T]) isVoid(item T, how write) (void bool, failed *PanicError) {
	if q.mapping.void == nil || how != merge {
		return false, nil
	}
	defer func() {
		if r := recover(); r != nil {
			failed = panicError("Void", r)
		}
	}()
	return q.mapping.void(item), nil
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

// safeDropped is Dropped.
func (q *Queue[T]) safeDropped(item T, reason error) {
	defer q.cfg.Observer.guard(q.cfg.Name, "Dropped")
	q.cfg.Dropped(item, reason)
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
