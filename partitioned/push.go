// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
)

// Push accepts all items or none. Accepted items are delivered, or counted as dropped by Stats. Without capacity it does what
// Overflow says: by default it waits until there is some or ctx is done. With the context of Process it does not wait, as that may
// be what has the capacity, and returns ErrFull. While there is capacity, ctx is not looked at.
//
// Items with one key keep their order; those of one caller are accepted in the order of its calls. From here on the items
// belong to the queue; the slice stays the caller's.
//
// Errors, all of which say that nothing was accepted: ErrFull, ErrTooManyKeys, ErrClosed, ErrNotStarted, and the cause of ctx.
func (q *Queue[T]) Push(ctx context.Context, items ...T) error {
	return q.push(ctx, nil, items, add, nil)
}

// TryPush is Push that never waits: where Overflow says to wait, it returns ErrFull.
func (q *Queue[T]) TryPush(items ...T) error { return q.push(noWait, nil, items, add, nil) }

// noWait is the context of a push that does not wait.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// PushKey is Push with a key of the call's own, in place of that of Key. Where streams are not made by key, it says which
// partition the items go to.
func (q *Queue[T]) PushKey(ctx context.Context, key string, items ...T) error {
	return q.push(ctx, &key, items, add, nil)
}

// PushWait is Push that returns when each of the items is settled, with the joined errors of the batches they were in. It
// makes their streams due at once: nobody waits for a timer while a consumer is free. When ctx is done it takes back what is in
// no batch yet, as [Result.Wait] does, and returns the cause of ctx: joined with ErrWithdrawn if that was all of it, with
// ErrAbandoned if something was in a batch, and with neither if nothing was accepted. With a ctx that is done nothing is accepted,
// and with that of Process nothing either: ErrInProcess.
func (q *Queue[T]) PushWait(ctx context.Context, items ...T) error {
	return q.pushWait(ctx, items, add)
}

// PushResult is PushWait in two steps: it returns when the items are accepted, or with an error of Push, and its Result
// waits for what becomes of them. So the one error is told from the other.
func (q *Queue[T]) PushResult(ctx context.Context, items ...T) (Result, error) {
	return q.pushResult(ctx, items, add)
}

func (q *Queue[T]) pushResult(ctx context.Context, items []T, how write) (Result, error) {
	if len(items) == 0 {
		return Result{}, nil
	}
	c := newCompletion(len(items))
	if err := q.push(ctx, nil, items, how, c); err != nil {
		return Result{}, err
	}
	return Result{c, q}, nil
}

func (q *Queue[T]) pushWait(ctx context.Context, items []T, how write) error {
	switch {
	case len(items) == 0:
		return nil
	case q.gate == nil:
		return errZero
	case q.inProcess(ctx):
		return ErrInProcess
	case ctx.Err() != nil:
		return q.refuse(q.count(items), false, gaveUp(ctx))
	}
	c := q.results.get(len(items))
	if err := q.push(ctx, nil, items, how, c); err != nil {
		return err
	}
	err := Result{c, q}.wait(ctx)
	if err == nil {
		q.results.put(c)
	}
	return err
}

// count returns how many items a push of items is. It runs Weigh, under no lock.
func (q *Queue[T]) count(items []T) (n int64) {
	if q.cfg.Weigh == nil {
		return int64(len(items))
	}
	for _, w := range q.weighAll(nil, items) {
		n += int64(w.items)
	}
	return n
}

// push is every push. key: of all items; nil: Key tells. While there is capacity it allocates nothing for a single stream, and
// items stays on the caller's stack: it is copied only to wait.
//
// Here is the way of a single item of a Queue, which is what most pushes are.
func (q *Queue[T]) push(ctx context.Context, key *string, items []T, how write, c *completion) error {
	switch {
	case len(items) == 0:
		return nil
	case q.gate == nil:
		return errZero
	case len(items) > 1 || q.mapping.hash != nil:
		return q.pushAll(ctx, key, items, how, c)
	}
	p, name := q.locate(key, items[0], 0)
	w := packedWeight{items: 1}
	if q.cfg.Weigh != nil {
		w = pack(q.cfg.Weigh(items[0]))
	}
	err := q.admitItem(p, name, items[0], w, c)
	if err == nil {
		return nil
	}
	one := [1]part[T]{{partition: p, key: name, to: 1, weight: w.unpack(), units: q.units(w)}}
	weights := [1]packedWeight{w}
	m := &measures{how: how, weights: weights[:]}
	if errors.Is(err, errUndecided) {
		return q.pushParts(ctx, one[:], items, m, c)
	}
	return q.notYet(ctx, one[:], items, m, c, nil, err)
}

// few is the number of items whose measures a push keeps on its stack.
const few = 4

// pushAll is push of several items, or to a Map.
func (q *Queue[T]) pushAll(ctx context.Context, key *string, items []T, how write, c *completion) error {
	var weights [few]packedWeight
	var hashes [few]uint64
	m := measures{how: how}
	if q.cfg.Weigh != nil {
		m.weights = q.weighAll(weights[:0], items)
	}
	if q.mapping.hash != nil {
		m.hashes = q.hashAll(hashes[:0], items)
	}
	if len(items) > 1 && !q.oneStream(key, len(items)) {
		parts, items := q.divide(items, &m)
		return q.pushParts(ctx, parts, items, &m, c)
	}
	one := [1]part[T]{{to: len(items)}}
	one[0].partition, one[0].key = q.locate(key, items[0], m.hash(0))
	q.total(&one[0], &m)
	return q.pushParts(ctx, one[:], items, &m, c)
}

// pushParts is push of what was measured and divided.
func (q *Queue[T]) pushParts(ctx context.Context, parts []part[T], items []T, m *measures, c *completion) error {
	full, err := q.admit(parts, items, m, c, nil)
	if err != nil {
		return q.notYet(ctx, parts, items, m, c, full, err)
	}
	q.reportStalled(parts, items, c)
	if m.hashes != nil {
		q.served(parts)
	}
	return nil
}

// notYet goes on with a push that was not admitted at once. full is the stream that is full, or nil if the whole queue is.
func (q *Queue[T]) notYet(ctx context.Context, parts []part[T], items []T, m *measures, c *completion, full *stream[T], err error) error {
	if errors.Is(err, errNoCapacity) {
		waits := q.cfg.Overflow == OverflowWait && ctx != noWait && !q.inProcess(ctx)
		if full == nil && !waits {
			q.scheduler.press()
		}
		switch {
		case q.cfg.Overflow == OverflowDropOldest:
			if err = q.evictAndPush(parts, items, m, c); err == nil {
				q.reportStalled(parts, items, c)
				q.served(parts)
			}
		case waits:
			w := q.newWaiter(parts, items, m, c)
			if err = q.wait(ctx, w); err == nil {
				q.reportStalled(w.parts, w.items, c)
				q.served(w.parts)
			}
			q.done(w)
			if full == nil && err != nil {
				q.scheduler.press()
			}
		}
	}
	if err == nil {
		return nil
	}
	var n int64
	for i := range parts {
		n += int64(parts[i].weight.Items)
	}
	return q.refuse(n, full != nil, err)
}

// served goes on after a push, under no lock: with the wait lists if it superseded something, and with a panic of Merge.
func (q *Queue[T]) served(parts []part[T]) {
	for i := range parts {
		if parts[i].freed {
			q.roomOf(parts[i].stream)
		}
		if failed := parts[i].failed; failed != nil {
			q.cfg.Observer.panicked(q.cfg.Name, failed)
		}
	}
}
