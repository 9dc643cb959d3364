// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"sync"
	"time"
)

// waitList is where callers wait for capacity: a list for each stream that is full, and one for the whole queue. All are first
// come, first served.
//
// A caller holds nothing while it waits, so callers of several keys cannot block each other. It stands in one list at a time:
// that of the first of its streams that is full and that it has not passed yet, and at last that of the whole. To pass a
// stream is to be the first of its list when its share allows the part. From then on the share does not hold the caller up, so a
// stream exceeds its share by those who passed it. So a caller waits for those ahead of it in each of its lists, and for a
// constant number of others (I9).
//
// The whole comes last. A stream whose first caller lacks nothing but capacity of the whole sends it there, one at a time, so
// that a stream with many callers does not fill that list.
//
// Whoever gives units back admits those whose turn it is, on their behalf (serve): first those of the whole, then those of the
// full streams, in the order of fullStreams. So a caller that wakes up has been accepted, and nobody overtakes it between the
// two. While a stream has a list it is blocked, and while the whole has one, gateWhole is set: new callers go to the end.
type waitList[T any] struct {
	mu struct { // before the partitions' locks
		sync.Mutex
		whole   waiters[T]
		full    fullStreams[T]
		callers int64 // in all lists
		units   int64 // that they want
		waited  time.Duration
		served  served[T] // whoever unlocks tells them
		pressed bool      // the scheduler was told that somebody waits for the whole
		looked  time.Time // for stalled keys
	}
}

// served is callers that are accepted or refused, linked through their next, and when the first of them was.
type served[T any] struct {
	first, last *waiter[T]
	at          time.Time
}

// unlockWaits gives the lock of the wait list back, and then tells those who were served under it. Told under the lock, they would come
// back and wait for it: a caller that wakes up is often about to push again.
func (q *Queue[T]) unlockWaits() {
	l := &q.waitList.mu
	w := l.served.first
	l.served = served[T]{}
	l.Unlock()
	for w != nil {
		next := w.next
		w.next = nil
		w.served <- struct{}{} // w is the caller's now
		w = next
	}
}

// waits is the wait list of a stream. The wait list's lock guards it.
type waits[T any] struct {
	list     waiters[T]
	units    int64      // that those in list want
	held     int64      // that the stream holds, when somebody looked last
	promoted *waiter[T] // passed the stream, and waits for the whole
	rank     fullRank
}

// waiter is a caller in a wait list, with a copy of what it pushes. The wait list's lock guards its fields.
type waiter[T any] struct {
	parts      []part[T]
	items      []T
	measures   measures
	completion *completion

	units int64      // of all parts
	at    *stream[T] // in whose list it stands; nil: in that of the whole, or in none
	from  *stream[T] // that promoted it
	turn  bool       // it is first in its list, and being served
	begin time.Time

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
	for i := range parts {
		w.units += parts[i].units
	}
	return w
}

// done takes back a waiter that is in no list.
func (q *Queue[T]) done(w *waiter[T]) {
	*w = waiter[T]{served: w.served}
	q.waiters.Put(w)
}

// hasTurn reports whether those who wait for the whole are no reason to hold w up.
func (w *waiter[T]) hasTurn() bool { return w != nil && w.turn }

// headOf reports whether w is the first in the list of s, and being served.
func (w *waiter[T]) headOf(s *stream[T]) bool { return w != nil && w.turn && w.at == s }

// wait returns when w is accepted or refused, or ctx is done.
func (q *Queue[T]) wait(ctx context.Context, w *waiter[T]) error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	w.begin = time.Now()
	l := &q.waitList.mu
	l.Lock()
	// First the flag, then one more look at the capacity. Whoever gives units back after that look sees the flag, and serves.
	q.gate.set(gateWaiting)
	full, err := (*stream[T])(nil), errNoCapacity
	if q.shares || l.whole.first == nil { // else who comes last has no turn
		full, err = q.admit(w.parts, w.items, &w.measures, w.completion, w)
	}
	if errors.Is(err, errNoCapacity) && q.mayWait(w, full) {
		q.join(w, full)
		l.callers++
		l.units += w.units
		q.setFlags()
		key, units := "", w.units // w is not this goroutine's any more
		if full != nil {
			key = full.key
		}
		l.Unlock()
		q.cfg.Observer.waiting(q.cfg.Name, key, units) // I4
		return q.await(ctx, w)
	}
	if full != nil {
		q.unblock(full)
	}
	q.setFlags()
	l.Unlock()
	return err // errNoCapacity: as much waits already as may be pending
}

// await is wait for a caller that stands in a list. With StallTimeout it looks at times whether a key has stalled that it waits
// for: while everybody waits, nobody else would.
func (q *Queue[T]) await(ctx context.Context, w *waiter[T]) error {
	l := &q.waitList.mu
	var look <-chan time.Time
	if timeout := q.cfg.StallTimeout; timeout > 0 && len(w.parts) > 1 {
		t := time.NewTicker(max(timeout/4, time.Millisecond))
		defer t.Stop()
		look = t.C
	}
	given := ctx.Done()
	if look == nil && given == nil { // a plain receive takes half the time
		<-w.served
		return w.err
	}
	for {
		select {
		case <-w.served:
			return w.err
		case <-look:
			l.Lock()
			q.serve()
			q.unlockWaits()
			continue
		case <-given:
		}
		break
	}
	l.Lock()
	if w.in == nil { // it was served just before, and that stands
		l.Unlock()
		<-w.served
		return w.err
	}
	q.leaveList(w)
	q.settleWait(w, time.Now())
	q.serve()
	q.unlockWaits()
	return gaveUp(ctx)
}

// mayWait reports whether w may join a list: what waits is bounded by the capacity once more, and by the same shares (I5). Wait
// list's lock held.
func (q *Queue[T]) mayWait(w *waiter[T], full *stream[T]) bool {
	free := q.gate.capacity - q.waitList.mu.units
	if free <= 0 {
		return false
	}
	if full == nil || full.waits.units == 0 {
		return true
	}
	return full.waits.units+w.units <= (free-w.units)/max(q.stuck.Load(), 1)
}

// join puts w at the end of the list of full, or of the whole if it is nil. Wait list's lock held, and full is blocked.
func (q *Queue[T]) join(w *waiter[T], full *stream[T]) {
	l := &q.waitList.mu
	if full == nil {
		l.whole.pushBack(w)
		return
	}
	w.at = full
	full.waits.list.pushBack(w)
	full.waits.units += w.units
	q.setHeld(full, w.part(full).held)
}

// setHeld notes what s holds, for which callers may wait. Wait list's lock held.
func (q *Queue[T]) setHeld(s *stream[T], units int64) {
	s.waits.held = units
	q.waitList.mu.full.update(s, q.cfg.KeyCapacity)
}

// part returns what w has for s.
func (w *waiter[T]) part(s *stream[T]) *part[T] {
	for i := range w.parts {
		if w.parts[i].stream == s {
			return &w.parts[i]
		}
	}
	return nil
}

// leaveList takes w out of its list. Wait list's lock held.
func (q *Queue[T]) leaveList(w *waiter[T]) {
	w.in.remove(w)
	if w.from != nil {
		w.from.waits.promoted = nil
		q.unblock(w.from)
		w.from = nil
	}
	if s := w.at; s != nil {
		w.at = nil
		s.waits.units -= w.units
		q.unblock(s)
	}
}

// unblock goes on after a caller of s has left, or did not come: if nobody waits for s, new callers pass again. Wait list's lock held.
func (q *Queue[T]) unblock(s *stream[T]) {
	q.waitList.mu.full.update(s, q.cfg.KeyCapacity)
	if s.waits.list.first != nil || s.waits.promoted != nil {
		return
	}
	s.partition.mu.Lock()
	defer s.partition.mu.Unlock()
	s.blocked = false
	s.partition.forget(s)
}

// finish has w told that it is accepted or refused. Wait list's lock held.
func (q *Queue[T]) finish(w *waiter[T], err error) {
	q.leaveList(w)
	w.err = err
	l := &q.waitList.mu
	if l.served.last == nil {
		l.served.first, l.served.at = w, time.Now() // one clock for all that are served at once
	} else {
		l.served.last.next = w
	}
	l.served.last = w
	q.settleWait(w, l.served.at)
}

// settleWait books that w waits no more. Wait list's lock held.
func (q *Queue[T]) settleWait(w *waiter[T], now time.Time) {
	l := &q.waitList.mu
	l.callers--
	l.units -= w.units
	l.waited += now.Sub(w.begin)
}

// refuseAll refuses all who wait, after the gate was closed.
func (q *Queue[T]) refuseAll() {
	l := &q.waitList.mu
	l.Lock()
	defer q.unlockWaits()
	for l.whole.first != nil {
		q.finish(l.whole.first, ErrClosed)
	}
	for s := l.full.first(); s != nil; s = l.full.first() {
		q.finish(s.waits.list.first, ErrClosed)
	}
	q.setFlags()
}

// LongestWait returns the age of the oldest caller that is waiting for capacity; 0: nobody waits.
func (q *Queue[T]) LongestWait() time.Duration {
	var first time.Time
	l := &q.waitList.mu
	l.Lock()
	defer l.Unlock()
	look := func(list *waiters[T]) {
		for w := list.first; w != nil; w = w.next {
			if first.IsZero() || w.begin.Before(first) {
				first = w.begin
			}
		}
	}
	look(&l.whole)
	for _, s := range l.full.heap.all {
		look(&s.waits.list)
	}
	if first.IsZero() {
		return 0
	}
	return time.Since(first)
}
