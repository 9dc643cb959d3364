// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"time"
)

// Shutdown stops accepting, delivers what is pending, and returns when that is done. Everything is due: streams whose last call
// succeeded go first, and parked and paused ones are tried at once. What comes back as a Rest is tried again after at most a quarter of the
// time that is left, so attempts go on until the end; without a deadline, after at most a second.
//
// At nine tenths of the time until the deadline of ctx, or when ctx is done, no further call begins, and the contexts of those
// in flight are cancelled. What they answer until the deadline still counts. At the deadline, or before it when all calls have
// ended, what is left is counted as dropped, what is in flight too, whatever becomes of it. Then the error says how much that
// is; it wraps ErrDropped, and the cause of ctx or context.DeadlineExceeded. No call begins after Shutdown returned, but for one that
// is on its last step into Process, whose context is done. A second call waits for the first, and returns the same, or the cause
// of its own ctx. With the context of Process it does nothing and returns ErrInProcess.
//
// A goroutine inside a call of Process that ignores its context is the only thing that may remain.
func (q *Queue[T]) Shutdown(ctx context.Context) error {
	if q.gate == nil {
		return nil // nothing was ever accepted
	}
	if q.inProcess(ctx) {
		return ErrInProcess
	}
	if q.closeLife() {
		return q.awaitEnd(ctx)
	}
	q.drain(ctx)
	if n := q.drop(); n > 0 {
		cause := context.Cause(ctx)
		if cause == nil {
			cause = context.DeadlineExceeded // of the calls
		}
		q.result = fmt.Errorf("%w: %d items: %w", ErrDropped, n, cause)
	}
	close(q.ended)
	return q.result
}

// closeLife reports whether Shutdown was called before.
func (q *Queue[T]) closeLife() (again bool) {
	q.life.Lock()
	defer q.life.Unlock()
	again = q.life.closed
	if q.life.closed = true; !again && !q.life.started {
		close(q.stopped) // there never was a consumer
	}
	return again
}

// awaitEnd returns the result of the first Shutdown.
func (q *Queue[T]) awaitEnd(ctx context.Context) error {
	select {
	case <-q.ended:
	case <-ctx.Done():
		select {
		case <-q.ended: // of two things that are there, the result comes first
		default:
			return context.Cause(ctx)
		}
	}
	return q.result
}

// drain closes the gate, and returns when nothing is pending, when all calls have ended after they were cancelled, or when ctx is
// done.
func (q *Queue[T]) drain(ctx context.Context) {
	working := ctx // while calls may begin
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		q.lastCall = time.Now().Add(left - left/10) // nine times a time that is long overflows
		var cancel context.CancelFunc
		working, cancel = context.WithDeadline(ctx, q.lastCall)
		defer cancel()
	}
	q.closing.Store(true)
	q.gate.close()
	q.refuseAll()
	q.scheduler.close()
	q.endPauses()
	select {
	case <-q.gate.empty:
	case <-working.Done():
	}
	q.scheduler.stop()
	q.memories.stop()
	q.cancel()
	select {
	case <-q.stopped:
	case <-ctx.Done():
	}
}

// endlessPause is the longest pause before the next attempt while a Shutdown without a deadline drains.
const endlessPause = time.Second

// pause returns how long requeued items wait for their next attempt: while Shutdown drains, at most a quarter of the time that is
// left for calls (I7), or endlessPause.
func (q *Queue[T]) pause(after time.Duration) time.Duration {
	switch {
	case after <= 0 || !q.closing.Load():
		return after
	case q.lastCall.IsZero():
		return min(after, endlessPause)
	default:
		return min(after, max(time.Until(q.lastCall)/4, time.Millisecond))
	}
}

// drop counts what is left as lost, tells who waits for it, and returns its number of items.
func (q *Queue[T]) drop() (items int64) {
	var unsettled []*completion
	var lost []int64 // by partition
	q.over.Store(true)
	for _, p := range q.partitions {
		p.mu.Lock()
		p.mu.dead = true
		n := p.mu.lose()
		lost = append(lost, n)
		items += n
		p.all(func(s *stream[T]) { unsettled = append(unsettled, s.abandon()...) })
		p.forgetAll()
		p.mu.Unlock()
	}
	completeAll(unsettled, ErrDropped)
	if q.started() {
		for i, n := range lost {
			q.cfg.Observer.stopped(q.cfg.Name, i, n)
		}
	}
	return items
}
