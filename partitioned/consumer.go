// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"
)

// call is one batch, from its cut until it is settled. Each consumer has one, which it uses again. It is the consumer's,
// without a lock; at the deadline of Shutdown, waiting and flushes are also read under the partition's lock, while the call is
// in flight and they do not change.
type call[T any] struct {
	batch   Batch[T]
	waiting []waiting     // for its entries, in their order
	group   *group        // that its entries are
	flushes []*completion // whose markers the cut passed
	weights []uint32      // of the batch's items, in items; nil, for good, without Weigh: 1 each
	errs    []error       // as Verdict.Errs; nil: one error is that of all
	units   int64         // that it holds of the capacity
	*tuning               // that it was cut by
	expired []expired[T]  // that the cut dropped
	watched bool          // the Observer heard of it
	length  int           // of the batch before
	told    int           // entries with callers: the most that a batch lately had, less the batches since
	took    time.Duration // by Process; for an Observer only
	began   time.Time     // when it was booked; with StallTimeout only
	alone   bool          // not long before, something of another key was forwarded
	entered time.Time     // Process; with a Limiter only

	arrive func(v Verdict[T]) // of a Map's mapping; nil: nobody is told
	stands stander            // set by arrive: what its Rest stands for; nil: for itself
}

// waiting is who waits for an entry.
type waiting struct {
	completion *completion
	at         int // where the entry stands in the batch
	items      int64
}

// reset makes c ready for the next batch. It keeps no reference to the last one. reuse: the slice of its items is not the callee's.
func (c *call[T]) reset(reuse bool) {
	items, waiting := c.batch.Items, c.waiting
	length, told := len(items), max(len(waiting), c.told-1)
	if !reuse {
		items = nil
	}
	clear(items)
	clear(waiting)
	weights := c.weights[:0]
	if max(length, cap(waiting)) > maxSpare {
		items, waiting = nil, nil
		if weights != nil {
			weights = []uint32{}
		}
	}
	*c = call[T]{batch: Batch[T]{Items: items[:0]}, waiting: waiting[:0], weights: weights, length: length, told: told}
}

// grow makes room for a batch cut from so many entries, of which each is one item at least. Where bytes bound the batch, it is
// expected to be as long as the one before: to make room for all that is there, each time, would cost its square.
func (c *call[T]) grow(entries int) {
	n := entries
	for _, limit := range []Weight{c.until, c.limit} {
		if limit.Items > 0 {
			n = min(n, limit.Items)
		}
		if limit.Bytes > 0 && limit.Bytes != NoTrigger {
			n = min(n, c.length)
		}
	}
	c.batch.Items = slices.Grow(c.batch.Items, n)
}

// complete settles all that waits for the batch. The entries of one push stand side by side, and the error is reported once a
// push, unless each item has its own. It does not concern those that came back. A Flush always succeeds.
func (c *call[T]) complete(err error, back []bool) {
	var last *completion
	for _, w := range c.waiting {
		if w.completion == last && c.errs == nil || len(back) > 0 && back[w.at] {
			w.completion.complete(nil)
			continue
		}
		w.completion.complete(c.errorOf(w.at, err))
		last = w.completion
	}
	completeAll(c.flushes, nil)
}

// work is one consumer. It takes the next stream, cuts a batch, calls Process, and settles.
func (q *Queue[T]) work() {
	c := &call[T]{}
	if q.cfg.Weigh != nil {
		c.weights = []uint32{}
	}
	var in *stream[T] // while Process runs
	defer func() {
		if in != nil { // Process called runtime.Goexit: the batch failed, and another goroutine is the consumer from now on
			v := Verdict[T]{Err: errGoexit}
			q.callEnded(c, &v)
			q.settle(in, c, &v)
			q.scheduler.resign()
			go q.work()
			return
		}
		if q.working.Add(-1) == 0 {
			close(q.stopped)
		}
	}()
	worked := false
	for {
		s, ok := q.scheduler.next(worked)
		if !ok {
			return
		}
		worked = s != nil
		if s == nil {
			q.urgeHeaviest()
			continue
		}
		q.callBegins()
		if !q.take(s, c) {
			q.callEnded(c, &Verdict[T]{})
		} else {
			if q.mapping.depart != nil {
				c.arrive = q.mapping.depart(s, c)
			}
			in = s
			v := q.process(s, c)
			in = nil
			q.callEnded(c, &v)
			q.settle(s, c, &v)
		}
		c.reset(q.cfg.Reuse)
	}
}

var errGoexit = errors.New("partitioned: Process called runtime.Goexit")

// take cuts the next batch of s into c, and books it as in flight. It reports false if Shutdown has given up.
func (q *Queue[T]) take(s *stream[T], c *call[T]) bool {
	if !q.claim(s, c) {
		return false
	}
	s.backlog.index.clear()
	r := q.cut(&s.backlog.drain, c) // the consumer's while the state is cutting, without the lock
	q.sort(c)
	ok, waits := q.book(s, c, &r)
	if ok && len(c.expired) > 0 {
		q.reportExpired(s, c, &r)
		if waits {
			q.roomOf(s)
		}
	}
	if r.late.entries > 0 {
		r.of.complete(ErrWithdrawn)
		q.roomOf(s)
	}
	return ok
}

// claim takes s over from the scheduler.
func (q *Queue[T]) claim(s *stream[T], c *call[T]) bool {
	p := s.partition
	p.mu.Lock()
	if int(s.backlog.urgent) < c.told && q.reason(s) == ReasonWaiting {
		// Of the callers whom the last batches released some are not back yet. To let them run first is worth a little: one batch then
		// stands for many. It is no more than a hint to the scheduler of Go, and nothing depends on it. A caller that is alone would pay
		// for it, with a quarter of its time.
		p.mu.Unlock()
		runtime.Gosched()
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	if p.mu.dead {
		return false
	}
	if s.heldByPause() {
		q.scheduler.release(s, false, false)
		s.schedule()
		return false
	}
	if s.paced() && !q.closing.Load() {
		q.scheduler.release(s, false, false)
		s.park()
		return false
	}
	if !q.closing.Load() && s.early() { // I6
		q.scheduler.release(s, false, false)
		s.schedule()
		return false
	}
	c.tuning = q.tuned.Load()
	c.batch.Key = s.key
	c.batch.Oldest = s.backlog.oldest()
	c.batch.Reason = q.reason(s)
	c.batch.Closing = q.closing.Load()
	s.claim(c.tuning)
	if c.batch.Closing {
		s.pace().notBefore = time.Time{}
	}
	return true
}

// reason returns why a batch of s is cut. Partition's lock held.
func (q *Queue[T]) reason(s *stream[T]) Reason {
	t := q.tuned.Load()
	switch {
	case s.backlog.weight.reaches(t.size) || s.inFlush(t):
		return ReasonSize
	case q.closing.Load():
		return ReasonShutdown
	case s.backlog.urgent > 0 || s.blocked || s.needed:
		return ReasonWaiting
	default:
		return ReasonTimeout
	}
}

// book makes the batch that was cut one in flight. It reports false if Shutdown has given up, and whether somebody waits for the units
// of entries that expired.
func (q *Queue[T]) book(s *stream[T], c *call[T], r *cutResult) (ok, waits bool) {
	p := s.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.dead { // all of it was counted with the stream. Who waits for it has not been told yet
		completeAll(s.backlog.drain.abandon(), ErrDropped)
		c.complete(ErrDropped, nil)
		c.loseExpired()
		return false, false
	}
	if c.batch.Reason == ReasonWaiting && len(c.flushes) > 0 && len(c.waiting) == 0 {
		c.batch.Reason = ReasonFlush
	}
	if q.cfg.StallTimeout > 0 {
		c.began = time.Now()
		c.alone = c.began.Sub(q.progress.other(s.key)) <= q.cfg.StallTimeout/2
	}
	p.mu.cut(int64(c.batch.Weight.Items), int64(r.grown.Items), c.batch.Reason, r.oversized)
	q.inFlight.Add(int64(c.batch.Weight.Items))
	q.gate.leave(-r.units)
	if r.late.entries > 0 {
		q.takeBack(s, r.of, r.late)
	}
	if len(c.expired) > 0 {
		waits = q.expire(s, c, r)
	}
	s.depart(c, r)
	return true, waits
}

// process calls Process. A panic is the error of the batch (I8).
func (q *Queue[T]) process(s *stream[T], c *call[T]) (v Verdict[T]) {
	if len(c.batch.Items) == 0 {
		return v // the cut passed markers of Flush, and nothing else
	}
	ctx := q.ctx
	if ctx.Err() != nil {
		return Verdict[T]{Rest: c.batch.Items} // I7: no call begins any more. Shutdown counts it, or has
	}
	if c.processTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.processTimeout)
		defer cancel()
	}
	if q.cfg.Observer != nil {
		defer q.watch(s.partition, c)()
	}
	defer func() {
		if r := recover(); r != nil {
			v = Verdict[T]{Err: panicError("Process", r)}
		}
	}()
	if q.cfg.Limiter != nil {
		c.entered = time.Now()
	}
	return q.cfg.Process(ctx, c.batch)
}
