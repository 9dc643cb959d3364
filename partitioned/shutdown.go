// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
)

// Shutdown stops accepting, delivers what is pending, parked streams at once, and returns when that is done. When ctx is
// done first, the calls' contexts are cancelled, what is left is counted as dropped (what is in flight too, whatever
// becomes of it), and the error says how much, wrapping ErrDropped and the cause of ctx. Either way no call begins after
// it returned, but for one that is on its last step into Process, whose context is done. A second call waits for the
// first, and returns the same, or the cause of its own ctx.
//
// A goroutine inside a call of Process that ignores its context is the only thing that may remain.
func (q *Queue[T]) Shutdown(ctx context.Context) error {
	q.life.Lock()
	again := q.life.closed
	if q.life.closed = true; !again && !q.life.started {
		close(q.stopped) // there never was a consumer
	}
	q.life.Unlock()
	if again {
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
	q.closing.Store(true)
	q.gate.close()
	q.refuseAll()
	q.scheduler.close()
	select {
	case <-q.gate.empty:
	case <-ctx.Done():
	}
	q.scheduler.stop()
	q.memories.stop()
	select {
	case <-q.stopped:
	case <-ctx.Done():
	}
	n := q.drop()
	q.cancel() // after the count: what now fails for it is not counted once more
	if n > 0 {
		q.result = fmt.Errorf("%w: %d items: %w", ErrDropped, n, context.Cause(ctx))
	}
	close(q.ended)
	return q.result
}

// drop counts what is left as lost, tells who waits for it, and returns its number of items.
func (q *Queue[T]) drop() (items int64) {
	var told []*completion
	var lost []int64 // by partition
	for _, p := range q.partitions {
		p.mu.Lock()
		p.mu.dead = true
		n := p.mu.lose()
		lost = append(lost, n)
		items += n
		p.all(func(s *stream[T]) { told = append(told, s.abandon()...) })
		p.forgetAll()
		p.mu.Unlock()
	}
	completeAll(told, ErrDropped)
	if q.started() {
		for i, n := range lost {
			q.cfg.Observer.stopped(q.cfg.Name, i, n)
		}
	}
	return items
}
