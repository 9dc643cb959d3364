// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"time"
)

// call is one batch, from its cut until it is settled. Each worker has one, which it uses again.
type call[T any] struct {
	batch   Batch[T]
	waiting []waiting     // of its entries, those that somebody waits for
	flushes []*origin     // that passed by
	room    int64         // that it holds
	tuning                // what it was cut by
	watched bool          // the Observer heard of it
	took    time.Duration // that Process took; for an Observer only
}

// waiting is who waits for an entry.
type waiting struct {
	origin *origin
	items  int64
}

// reset makes c ready for the next batch; it keeps no reference to the last one.
func (c *call[T]) reset(whole bool) {
	items, waiting := c.batch.Items, c.waiting
	if whole {
		items = nil // the callee's
	}
	clear(items)
	clear(waiting)
	if cap(items) > maxSpare {
		items, waiting = nil, nil
	}
	*c = call[T]{batch: Batch[T]{Items: items[:0]}, waiting: waiting[:0]}
}

// tell says what became of the batch to all who wait for it. The entries of a push stand side by side: one of them brings
// the error. That a Flush passed by is none.
func (c *call[T]) tell(err error) {
	var last *origin
	for _, w := range c.waiting {
		if w.origin == last {
			w.origin.settle(nil)
		} else {
			w.origin.settle(err)
		}
		last = w.origin
	}
	for _, f := range c.flushes {
		f.settle(nil)
	}
}

// work is one consumer: it takes the next stream, cuts a batch, hands it on, settles it, and puts the stream back.
func (q *Queue[T]) work() {
	c := &call[T]{}
	var in *stream[T] // while Process runs
	defer func() {
		if in != nil { // it called runtime.Goexit: the batch failed, and another goroutine is the consumer from now on
			q.settle(in, c, Verdict[T]{Err: errGoexit})
			go q.work()
			return
		}
		if q.working.Add(-1) == 0 {
			close(q.gone)
		}
	}()
	for {
		s, why := q.sched.next()
		if s == nil {
			return
		}
		if q.take(s, why, c) {
			if q.flushed != nil {
				q.flushed(s, c.batch.Items)
			}
			in = s
			v := q.process(s, c)
			in = nil
			q.settle(s, c, v)
		}
		c.reset(q.cfg.Whole)
	}
}

var errGoexit = errors.New("partitioned: Process called runtime.Goexit")

// take cuts the next batch of s into c, and books it as in flight. It returns false when Shutdown has given up.
func (q *Queue[T]) take(s *stream[T], why cause, c *call[T]) bool {
	l := s.lane
	l.mu.Lock()
	if q.reason(s, why) == Waiting {
		// Those whom the last batch let go are about to push again, and do so before this goroutine goes on: one batch
		// then stands for many, and nobody has waited for a clock.
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	if l.mu.dead {
		l.mu.Unlock()
		return false
	}
	c.batch.Key = s.key
	c.batch.Oldest = s.oldest()
	c.batch.Reason = q.reason(s, why)
	c.batch.Closing = q.closing.Load()
	c.tuning = *q.tuned.Load()
	// What one flush of Whole sends is what one swap gave: so a batch of a Map has no key twice.
	if q.cfg.Whole && len(s.draining) == 0 || !q.cfg.Whole && !s.left.reaches(c.size) {
		s.swap()
	}
	s.place = cutting
	l.mu.Unlock()

	g := q.cut(s, c)

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.dead { // all of it has been counted with the stream; who waits for it is to be told yet
		settleAll(s.drainOrigins(), ErrDropped)
		c.tell(ErrDropped)
		return false
	}
	items := int64(c.batch.Weight.Items)
	l.mu.accepted += int64(g.weight.Items)
	l.mu.queued += int64(g.weight.Items) - items
	l.mu.inFlight += items
	l.mu.calls++
	if c.batch.Reason == Waiting && len(c.flushes) > 0 && len(c.waiting) == 0 {
		c.batch.Reason = Flush
	}
	if len(c.batch.Items) > 0 {
		l.mu.batches[c.batch.Reason]++
	}
	if g.oversized {
		l.mu.oversized += items
	}
	s.queued = s.queued.plus(g.weight).minus(c.batch.Weight)
	s.left = s.left.plus(g.weight).minus(c.batch.Weight)
	s.waited -= g.waited
	s.held += g.room
	q.gate.leave(-g.room)
	if cap(g.used) > cap(s.spare) && cap(g.used) <= maxSpare {
		s.spare = g.used
	}
	for _, before := range s.calls { // a Flush also waits for what was in flight before it
		for _, f := range c.flushes {
			f.add(1)
			before.flushes = append(before.flushes, f)
		}
	}
	s.calls = append(s.calls, c)
	if s.place = busy; !q.keepsOrder(s) {
		q.place(s) // before the call: others may take the next batch at once
	}
	return true
}

func (q *Queue[T]) keepsOrder(s *stream[T]) bool { return q.ordered || s.apart }

func (q *Queue[T]) reason(s *stream[T], why cause) Reason {
	switch {
	case s.queued.reaches(q.tuned.Load().size), q.cfg.Whole && len(s.draining) > 0:
		return Size
	case q.closing.Load():
		return Shutdown
	case s.waited > 0 || s.blocked || why == oldest:
		return Waiting
	default:
		return Timeout
	}
}

// process calls Process. A panic is the batch's error (I8).
func (q *Queue[T]) process(s *stream[T], c *call[T]) (v Verdict[T]) {
	if len(c.batch.Items) == 0 {
		return v // a Flush passed by, nothing else
	}
	ctx := q.ctx
	if ctx.Err() != nil {
		return Verdict[T]{Err: ErrDropped} // I7: Shutdown has counted it, and may have returned
	}
	if c.processTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.processTimeout)
		defer cancel()
	}
	if q.cfg.Observer != nil {
		defer q.watch(s, c)()
	}
	defer func() {
		if r := recover(); r != nil {
			v = Verdict[T]{Err: &PanicError{Value: r, Stack: debug.Stack()}}
		}
	}()
	return q.cfg.Process(ctx, c.batch)
}
