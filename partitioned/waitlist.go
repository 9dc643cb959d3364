// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// waitList is where callers wait for capacity. There is one common list, first come first served, and for each key that is
// full a list of its own, so that the callers of a stuck key hold up nobody else.
//
// Whoever gives units back admits those at the head of the common list on their behalf (serve). So a caller that wakes up has
// been accepted, and nobody overtakes it between the two. While the common list is not empty, the gate lets nobody pass
// (gateWaiting). While a key has a list, its stream is blocked: new callers of that key go to its end. One caller of such a
// list at a time is promoted to the common one, when its key has capacity again.
type waitList[T any] struct {
	mu struct { // before the partitions' locks
		sync.Mutex
		common  waiters[T]
		callers int64         // in all lists
		waited  time.Duration // that callers spent here
	}
}

// waits is the wait list of a stream.
type waits[T any] struct {
	list     waiters[T]
	promoted bool // one of its callers has its turn in the common list
}

// waiter is a caller in a wait list, with a copy of what it pushes. The wait list's lock guards its fields.
type waiter[T any] struct {
	parts      []part[T]
	items      []T
	measures   measures
	completion *completion

	from  *stream[T] // in whose list it stands, or from which it was promoted; nil: neither
	begin time.Time  // of its wait

	in         *waiters[T] // nil once it is served
	prev, next *waiter[T]

	served chan struct{} // capacity 1, gets one value when err is final
	err    error

	// Room for one part of one item: many callers with one item each may wait at once, and that allocates nothing.
	one    [1]part[T]
	item   [1]T
	weight [1]packedWeight
	hash   [1]uint64
}

// newWaiter makes a waiter with copies of parts, items and m.
func (q *Queue[T]) newWaiter(parts []part[T], items []T, m *measures, c *completion) *waiter[T] {
	w, _ := q.waiters.Get().(*waiter[T])
	if w == nil {
		w = &waiter[T]{served: make(chan struct{}, 1)}
	}
	w.completion, w.measures.how = c, m.how
	w.parts = append(w.one[:0], parts...)
	w.items = append(w.item[:0], items...)
	if m.weights != nil {
		w.measures.weights = append(w.weight[:0], m.weights...)
	}
	if m.hashes != nil {
		w.measures.hashes = append(w.hash[:0], m.hashes...)
	}
	return w
}

// done takes back a waiter that is in no list.
func (q *Queue[T]) done(w *waiter[T]) {
	*w = waiter[T]{served: w.served}
	q.waiters.Put(w)
}

// wait returns when w is accepted or refused, or ctx is done.
func (q *Queue[T]) wait(ctx context.Context, w *waiter[T]) error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	w.begin = time.Now()
	defer func() {
		q.waitList.mu.Lock()
		q.waitList.mu.callers--
		q.waitList.mu.waited += time.Since(w.begin)
		q.waitList.mu.Unlock()
	}()
	q.waitList.mu.Lock()
	q.waitList.mu.callers++
	q.waitList.mu.common.pushBack(w)
	// First the flag, then one more look at the capacity. Whoever gives units back after that look sees the flag, and serves.
	q.gate.setWaiting(true)
	q.serve()
	q.waitList.mu.Unlock()
	select {
	case <-w.served:
		return w.err
	case <-ctx.Done():
	}
	err := gaveUp(ctx)
	q.waitList.mu.Lock()
	defer q.waitList.mu.Unlock()
	if w.in == nil {
		<-w.served
		return w.err // it was served just before, and that stands
	}
	promoted := w.in == &q.waitList.mu.common
	w.in.remove(w)
	if s := w.from; s != nil && (promoted || s.waits.list.first == nil && !s.waits.promoted) {
		q.promote(s)
	}
	q.serve()
	return err
}

func gaveUp(ctx context.Context) error {
	return fmt.Errorf("partitioned: nothing accepted, gave up waiting for room: %w", context.Cause(ctx))
}

// LongestWait returns the age of the oldest caller that is waiting for capacity; 0: nobody waits.
func (q *Queue[T]) LongestWait() time.Duration {
	var first time.Time
	q.waitList.mu.Lock()
	defer q.waitList.mu.Unlock()
	look := func(l *waiters[T]) {
		for w := l.first; w != nil; w = w.next {
			if first.IsZero() || w.begin.Before(first) {
				first = w.begin
			}
		}
	}
	look(&q.waitList.mu.common)
	for _, p := range q.partitions {
		p.mu.Lock()
		p.all(func(s *stream[T]) { look(&s.waits.list) })
		p.mu.Unlock()
	}
	if first.IsZero() {
		return 0
	}
	return time.Since(first)
}

// serve admits those at the head of the common list while there is capacity. Wait list's lock held.
func (q *Queue[T]) serve() {
	common := &q.waitList.mu.common
	for w := common.first; w != nil; w = common.first {
		full, err := q.admit(w.parts, w.items, &w.measures, w.completion, w)
		if errors.Is(err, errNoCapacity) && full == nil {
			break // the whole queue has none, so w keeps its place
		}
		common.remove(w)
		from := w.from
		if !errors.Is(err, errNoCapacity) {
			w.err = err
			w.served <- struct{}{}
		} else if w.from = full; full == from {
			full.waits.list.pushFront(w) // full again meanwhile: promoted again when there is capacity
			full.waits.promoted = false
			continue
		} else {
			full.waits.list.pushBack(w)
		}
		if from != nil {
			q.promote(from)
		}
	}
	q.gate.setWaiting(common.first != nil)
	q.scheduler.setCallers(common.len)
}

// roomOf goes on with the wait lists after units of s were given back. No lock held. s may have been forgotten, and may be
// the stream of another key by now: then its list is looked at in vain.
func (q *Queue[T]) roomOf(s *stream[T]) {
	q.waitList.mu.Lock()
	defer q.waitList.mu.Unlock()
	if !s.waits.promoted {
		q.gate.setWaiting(true)
		q.promote(s)
	}
	q.serve()
}

// promote gives the first in the list of s its turn, or unblocks s if there is none. Wait list's lock held.
func (q *Queue[T]) promote(s *stream[T]) {
	w := s.waits.list.first
	if s.waits.promoted = w != nil; s.waits.promoted {
		s.waits.list.remove(w)
		q.waitList.mu.common.pushBack(w)
		return
	}
	s.partition.mu.Lock()
	defer s.partition.mu.Unlock()
	s.blocked = false
	s.partition.forget(s)
}

// block makes callers of s wait, and makes s due. From here on whoever gives units of s back goes on with its list, which the
// caller joins in a moment. Wait list's and partition's locks held.
func (s *stream[T]) block() {
	s.blocked = true
	if s.state != idle {
		s.moveOn()
	}
}

// refuseAll refuses all who wait, after the gate was closed.
func (q *Queue[T]) refuseAll() {
	q.waitList.mu.Lock()
	defer q.waitList.mu.Unlock()
	var blocked []*stream[T]
	for _, p := range q.partitions {
		p.mu.Lock()
		p.all(func(s *stream[T]) {
			if s.blocked {
				blocked = append(blocked, s)
			}
		})
		p.mu.Unlock()
	}
	for _, s := range blocked {
		if !s.waits.promoted {
			q.promote(s)
		}
	}
	q.serve() // each gets ErrClosed, and promotes the next of its list
}

// waiters is a list of callers, linked through them.
type waiters[T any] struct {
	first, last *waiter[T]
	len         int
}

func (l *waiters[T]) pushBack(w *waiter[T])  { l.insert(w, l.last, nil) }
func (l *waiters[T]) pushFront(w *waiter[T]) { l.insert(w, nil, l.first) }

func (l *waiters[T]) insert(w, prev, next *waiter[T]) {
	w.in, w.prev, w.next = l, prev, next
	*l.after(prev), *l.before(next) = w, w
	l.len++
}

func (l *waiters[T]) remove(w *waiter[T]) {
	*l.after(w.prev), *l.before(w.next) = w.next, w.prev
	w.in, w.prev, w.next = nil, nil, nil
	l.len--
}

// after and before are the links beside w; beside nobody, the ends of the list.
func (l *waiters[T]) after(w *waiter[T]) **waiter[T] {
	if w == nil {
		return &l.first
	}
	return &w.next
}

func (l *waiters[T]) before(w *waiter[T]) **waiter[T] {
	if w == nil {
		return &l.last
	}
	return &w.prev
}
