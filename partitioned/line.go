// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// line is where callers wait for room: one common line, first come first served, and for each key that is full a line of
// its own, so that a stuck key's callers hold up nobody else.
//
// Whoever gives room back admits those at the head of the common line on their behalf (serve), so a caller that wakes up has
// been accepted, and nobody overtakes it between the two. While the common line is not empty the gate lets nobody pass by
// (gateLine). While a key has a line its stream is blocked: callers of that key go to its end. Of such a line one caller at
// a time is called forward into the common one, when its key has room again.
type line[T any] struct {
	mu struct { // before the lanes' locks
		sync.Mutex
		common  waiters[T]
		callers int64         // in all lines
		waited  time.Duration // the time that callers spent here
	}
}

// waiter is a caller in line. Its fields are guarded by the line's lock.
type waiter[T any] struct {
	parts  []part[T]
	origin *origin
	of     *stream[T] // whose line it stands in, or was called forward from; nil: neither
	begin  time.Time  // of its wait

	in         *waiters[T] // nil when served
	prev, next *waiter[T]

	served chan struct{} // capacity 1, gets one value when err is final
	err    error

	one  [1]part[T] // room for parts of one item, so that to wait, which many do at once, allocates nothing
	item [1]T
	hash [1]uint64
}

// newWaiter is for parts, which it keeps; withItem for one item.
func (q *Queue[T]) newWaiter(parts []part[T], o *origin) *waiter[T] {
	w, _ := q.waiters.Get().(*waiter[T])
	if w == nil {
		w = &waiter[T]{served: make(chan struct{}, 1)}
	}
	w.parts, w.origin = parts, o
	return w
}

func (w *waiter[T]) withItem(p part[T], item T, hash uint64) *waiter[T] {
	w.item[0], w.hash[0] = item, hash
	p.items, p.hashes = w.item[:], w.hash[:]
	w.one[0] = p
	w.parts = w.one[:]
	return w
}

// done takes back a waiter that is in no line.
func (q *Queue[T]) done(w *waiter[T]) {
	*w = waiter[T]{served: w.served}
	q.waiters.Put(w)
}

// standInLine waits until w is accepted or refused, or ctx is done.
func (q *Queue[T]) standInLine(ctx context.Context, w *waiter[T]) error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	w.begin = time.Now()
	defer func() {
		q.line.mu.Lock()
		q.line.mu.callers--
		q.line.mu.waited += time.Since(w.begin)
		q.line.mu.Unlock()
	}()
	q.line.mu.Lock()
	q.line.mu.callers++
	q.line.mu.common.pushBack(w)
	// The flag goes up before the look at the room: whoever gives some back after that look sees the flag, and serves.
	q.gate.setLine(true)
	q.serve()
	q.line.mu.Unlock()
	select {
	case <-w.served:
		return w.err
	case <-ctx.Done():
	}
	err := gaveUp(ctx)
	q.line.mu.Lock()
	defer q.line.mu.Unlock()
	if w.in == nil {
		<-w.served
		return w.err // served just before: that stands
	}
	forward := w.in == &q.line.mu.common
	w.in.remove(w)
	if s := w.of; s != nil && (forward || s.line.first == nil && !s.called) {
		q.callForward(s)
	}
	q.serve()
	return err
}

func gaveUp(ctx context.Context) error {
	return fmt.Errorf("partitioned: nothing accepted, gave up waiting for room: %w", context.Cause(ctx))
}

// LongestWait is how long the one has waited for room, of those who wait for it now, who has waited longest; 0: nobody waits.
func (q *Queue[T]) LongestWait() time.Duration {
	var first time.Time
	q.line.mu.Lock()
	defer q.line.mu.Unlock()
	all := func(l *waiters[T]) {
		for w := l.first; w != nil; w = w.next {
			if first.IsZero() || w.begin.Before(first) {
				first = w.begin
			}
		}
	}
	all(&q.line.mu.common)
	for _, l := range q.lanes {
		l.mu.Lock()
		l.all(func(s *stream[T]) { all(&s.line) })
		l.mu.Unlock()
	}
	if first.IsZero() {
		return 0
	}
	return time.Since(first)
}

// serve admits those at the head of the common line while there is room. line.mu held.
func (q *Queue[T]) serve() {
	common := &q.line.mu.common
	for w := common.first; w != nil; w = common.first {
		full, err := q.admit(w.parts, w.origin, w)
		if errors.Is(err, errNoRoom) && full == nil {
			break // the whole queue has none: w keeps its place
		}
		common.remove(w)
		from := w.of
		if !errors.Is(err, errNoRoom) {
			w.err = err
			w.served <- struct{}{}
		} else if w.of = full; full == from {
			full.line.pushFront(w) // filled again meanwhile: called forward again when there is room
			full.called = false
			continue
		} else {
			full.line.pushBack(w)
		}
		if from != nil {
			q.callForward(from)
		}
	}
	q.gate.setLine(common.first != nil)
	q.sched.setCallers(common.len)
}

// roomOf goes on with the lines after room of s was given back.
func (q *Queue[T]) roomOf(s *stream[T]) {
	q.line.mu.Lock()
	defer q.line.mu.Unlock()
	if !s.called {
		q.gate.setLine(true)
		q.callForward(s)
	}
	q.serve()
}

// callForward gives the next in the line of s its turn, or unblocks s if there is none. line.mu held.
func (q *Queue[T]) callForward(s *stream[T]) {
	w := s.line.first
	if s.called = w != nil; s.called {
		s.line.remove(w)
		q.line.mu.common.pushBack(w)
		return
	}
	s.lane.mu.Lock()
	defer s.lane.mu.Unlock()
	s.blocked = false
	s.lane.forget(q, s)
}

// closeLine refuses all who wait, after the gate was closed.
func (q *Queue[T]) closeLine() {
	q.line.mu.Lock()
	defer q.line.mu.Unlock()
	var blocked []*stream[T]
	for _, l := range q.lanes {
		l.mu.Lock()
		l.all(func(s *stream[T]) {
			if s.blocked {
				blocked = append(blocked, s)
			}
		})
		l.mu.Unlock()
	}
	for _, s := range blocked {
		if !s.called {
			q.callForward(s)
		}
	}
	q.serve() // each gets ErrClosed, and calls the next of its line forward
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
