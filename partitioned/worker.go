// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"runtime/debug"
	"slices"
	"time"
)

// call is one batch, from its cut until it is settled. Each worker has one, which it uses again.
type call[T any] struct {
	batch   Batch[T]
	waiting []waiting // of its entries, those that somebody waits for
	flushes []*origin // that passed by
	room    int64     // that it holds
}

// waiting is who waits for an entry.
type waiting struct {
	origin *origin
	items  int64
}

// reset makes c ready for the next batch; it keeps no reference to the last one.
func (c *call[T]) reset() {
	items, waiting := c.batch.Items, c.waiting
	clear(items)
	clear(waiting)
	if cap(items) > maxSpare {
		items, waiting = nil, nil
	}
	*c = call[T]{batch: Batch[T]{Items: items[:0]}, waiting: waiting[:0]}
}

// tell says what became of the batch to all who wait for it. That a Flush passed by is no error.
func (c *call[T]) tell(err error) {
	for _, w := range c.waiting {
		w.origin.settle(err)
	}
	for _, f := range c.flushes {
		f.settle(nil)
	}
}

// work is one consumer: it takes the next stream, cuts a batch, hands it on, settles it, and puts the stream back.
func (q *Queue[T]) work() {
	defer q.leaveWork()
	c := &call[T]{}
	for {
		s, why := q.sched.next()
		if s == nil {
			return
		}
		c.reset()
		if q.take(s, why, c) {
			q.settle(s, c, q.process(c))
		}
	}
}

func (q *Queue[T]) leaveWork() {
	if q.working.Add(-1) == 0 {
		close(q.gone)
	}
}

// take cuts the next batch of s into c. It returns false when Shutdown has given up.
func (q *Queue[T]) take(s *stream[T], why cause, c *call[T]) bool {
	l := s.lane
	l.mu.Lock()
	if l.mu.dead {
		l.mu.Unlock()
		return false
	}
	c.batch.Key = s.key
	c.batch.Oldest = s.oldest()
	c.batch.Reason = q.reason(s, why)
	c.batch.Closing = q.closing.Load()
	if !s.left.reaches(q.cfg.BatchSize) {
		s.swap()
	}
	s.place = cutting
	l.mu.Unlock()

	grown, spare := q.cut(s, c)

	l.mu.Lock()
	if l.mu.dead { // all of it has been counted with the stream; who waits for it is to be told yet
		left := s.drainOrigins()
		l.mu.Unlock()
		c.tell(ErrDropped)
		settleAll(left, ErrDropped)
		return false
	}
	defer l.mu.Unlock()
	if cap(spare) > cap(s.spare) && cap(spare) <= maxSpare {
		s.spare = spare
	}
	items := int64(c.batch.Weight.Items)
	l.mu.accepted += int64(grown.weight.Items)
	l.mu.queued += int64(grown.weight.Items) - items
	l.mu.inFlight += items
	l.mu.calls++
	if c.batch.Reason == Waiting && len(c.flushes) > 0 && len(c.waiting) == 0 {
		c.batch.Reason = Flush
	}
	if len(c.batch.Items) > 0 {
		l.mu.batches[c.batch.Reason]++
	}
	s.queued = s.queued.plus(grown.weight).minus(c.batch.Weight)
	s.left = s.left.minus(c.batch.Weight)
	s.held += grown.room
	s.waited -= grown.waited
	if grown.oversized {
		l.mu.oversized++
	}
	if grown.room != 0 {
		q.gate.leave(-grown.room)
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
	case s.queued.reaches(q.cfg.BatchSize):
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
func (q *Queue[T]) process(c *call[T]) (v Verdict[T]) {
	if len(c.batch.Items) == 0 {
		return v // a Flush passed by, nothing else
	}
	ctx := q.ctx
	if q.cfg.ProcessTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.cfg.ProcessTimeout)
		defer cancel()
	}
	defer func() {
		if r := recover(); r != nil {
			v = Verdict[T]{Err: &PanicError{Value: r, Stack: debug.Stack()}}
		}
	}()
	return q.cfg.Process(ctx, c.batch)
}

// settle does what the verdict says: accounts, room, the stream, and those who wait.
func (q *Queue[T]) settle(s *stream[T], c *call[T], v Verdict[T]) {
	returned := c.heard(v.Err)
	l := s.lane
	l.mu.Lock()
	if l.mu.dead {
		l.mu.Unlock()
		return // Shutdown has counted it as dropped, and told
	}
	s.calls = slices.DeleteFunc(s.calls, func(o *call[T]) bool { return o == c })
	var rest rest[T]
	if len(v.Rest) > 0 {
		l.mu.Unlock()
		rest = q.weighRest(c, v.Rest) // I4: Weigh is not ours
		l.mu.Lock()
		if l.mu.dead {
			l.mu.Unlock()
			c.tell(ErrDropped)
			settleAll(rest.origins, ErrDropped)
			return
		}
	}
	items := int64(c.batch.Weight.Items)
	settled := items - int64(rest.weight.Items)
	if settled < 0 { // a Rest with more items than there were
		l.mu.accepted -= settled
		settled = 0
	}
	l.mu.calls--
	l.mu.inFlight -= items
	l.mu.queued += int64(rest.weight.Items)
	l.mu.retried += int64(rest.weight.Items)
	if v.Err == nil {
		l.mu.forwarded += settled
	} else {
		returned = min(returned, settled)
		l.mu.returned += returned
		l.mu.failed += settled - returned
	}
	room := c.room - rest.room
	s.held -= room
	target := s
	if len(rest.entries) > 0 {
		if !q.keepsOrder(s) {
			target = newStream(l)
			target.apart = true
			target.held = rest.room
			s.held -= rest.room
			l.apart[target] = struct{}{}
		}
		target.putBack(chunk[T]{rest.entries, c.batch.Oldest})
		target.queued = target.queued.plus(rest.weight)
		target.left = target.left.plus(rest.weight)
		for _, e := range rest.entries {
			if e.origin.urgent() {
				target.waited++
			}
		}
	}
	if target.place == busy || target != s {
		if len(rest.entries) > 0 && v.After > 0 {
			target.place = parked
			q.sched.putParked(target, time.Now().Add(v.After))
		} else {
			q.place(target)
		}
	}
	blocked := s.blocked
	l.mu.Unlock()

	c.tell(v.Err)
	if q.gate.leave(room) {
		q.line.mu.Lock()
		q.serve()
		q.line.mu.Unlock()
	}
	if blocked {
		q.roomOf(s)
	}
}

// heard is how many items of a failed batch have somebody who hears of the error.
func (c *call[T]) heard(err error) (items int64) {
	if err == nil {
		return 0
	}
	for _, w := range c.waiting {
		if w.origin.waits() {
			items += w.items
		}
	}
	return items
}

// rest is a verdict's Rest, as entries.
type rest[T any] struct {
	entries []entry[T]
	origins []*origin // of entries
	weight  Weight
	room    int64
}

// weighRest makes entries of what comes back. All who waited for the batch wait for each of them.
func (q *Queue[T]) weighRest(c *call[T], items []T) (r rest[T]) {
	var behind []*origin
	add := func(origins ...*origin) {
		for _, o := range origins {
			if !slices.Contains(behind, o) {
				behind = append(behind, o)
			}
		}
	}
	for _, w := range c.waiting {
		add(w.origin.leaves()...)
	}
	add(c.flushes...)
	for i, item := range items {
		o := &origin{rest: true, behind: behind}
		if i == 0 {
			o.room = c.room // where room is counted in requests, the first holds that of all
		}
		o.add(1)
		w := q.weigh(item)
		r.entries = append(r.entries, entry[T]{item, o})
		r.origins = append(r.origins, o)
		r.weight = r.weight.plus(w)
		r.room += q.entryRoom(w, o)
	}
	return r
}

func settleAll(origins []*origin, err error) {
	for _, o := range origins {
		o.settle(err)
	}
}
