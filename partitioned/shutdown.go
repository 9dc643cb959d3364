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
		close(q.gone) // no worker was ever there
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
	q.closeLine()
	q.sched.close()
	select {
	case <-q.gate.empty:
	case <-ctx.Done():
	}
	q.sched.stop()
	select {
	case <-q.gone:
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
	var told []*origin
	var lost []int64 // by lane
	for _, l := range q.lanes {
		l.mu.Lock()
		l.mu.dead = true
		n := l.mu.queued + l.mu.inFlight
		l.mu.lost += n
		lost = append(lost, n)
		l.mu.queued, l.mu.inFlight, l.mu.calls = 0, 0, 0
		items += n
		l.all(func(s *stream[T]) {
			for _, c := range s.calls {
				for _, w := range c.waiting {
					told = append(told, w.origin)
				}
				told = append(told, c.flushes...)
			}
			if s.place != cutting { // else its worker tells them, as soon as it asks for the lock
				told = append(told, s.drainOrigins()...)
			}
			for _, c := range s.filled {
				told = appendOrigins(told, c.entries)
			}
			told = appendOrigins(told, s.active)
			s.filled, s.active, s.spare, s.calls = nil, nil, nil, nil
		})
		q.keys.Add(-int64(len(l.streams)))
		clear(l.streams)
		clear(l.apart)
		l.mu.Unlock()
	}
	settleAll(told, ErrDropped)
	if q.started() {
		for i, n := range lost {
			q.cfg.Observer.stopped(q.cfg.Name, i, n)
		}
	}
	return items
}

// drainOrigins empties draining and returns the origins of its entries.
func (s *stream[T]) drainOrigins() (all []*origin) {
	for _, entries := range left(s.draining, s.cursor) {
		all = appendOrigins(all, entries)
	}
	s.draining, s.cursor = nil, 0
	return all
}

func appendOrigins[T any](all []*origin, entries []entry[T]) []*origin {
	for _, e := range entries {
		if e.origin != nil && e.origin != gone {
			all = append(all, e.origin)
		}
	}
	return all
}
