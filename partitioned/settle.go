// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"slices"
	"time"
)

// settle does what the verdict says: the accounts, the Rest, the stream, the room, and those who wait.
func (q *Queue[T]) settle(s *stream[T], c *call[T], v Verdict[T]) {
	returned := c.heard(v.Err)
	rest := q.weighRest(c, v)
	l := s.lane
	l.mu.Lock()
	if l.mu.dead { // Shutdown has counted it as dropped, and told
		l.mu.Unlock()
		for range rest.entries {
			rest.origin.settle(ErrDropped)
		}
		q.settled(s, c, Outcome{Err: v.Err, Lost: int64(c.batch.Weight.Items)})
		return
	}
	out := l.settle(c.batch.Weight, rest.weight, returned, v.Taken, v.Err != nil)
	s.calls = slices.DeleteFunc(s.calls, func(o *call[T]) bool { return o == c })
	s.held -= c.room
	switch {
	case len(rest.entries) > 0:
		for _, f := range c.flushes {
			rest.origin.pass(f)
		}
		q.putBack(s, rest, c.batch.Oldest, v.After)
	case s.place == busy:
		q.place(s)
	}
	blocked := s.blocked
	l.mu.Unlock()

	line := q.gate.leave(c.room - rest.room) // before who waits is told: he may push again at once
	out.Err = v.Err
	q.settled(s, c, out)
	c.tell(v.Err)
	switch {
	case blocked:
		q.roomOf(s)
	case line:
		q.line.mu.Lock()
		q.serve()
		q.line.mu.Unlock()
	}
}

// settle books a batch that is no longer in flight. returned and taken are of a failed one. lane.mu held.
func (l *lane[T]) settle(batch, rest Weight, returned int64, taken int, failed bool) (o Outcome) {
	c := l.mu.counts
	settled := int64(batch.Items - rest.Items)
	if settled < 0 { // a Rest with more items than there were
		l.mu.accepted -= settled
		settled = 0
	}
	c.calls--
	c.inFlight -= int64(batch.Items)
	l.mu.queued += int64(rest.Items)
	c.retried += int64(rest.Items)
	o.Rest, o.Forwarded = int64(rest.Items), settled
	if failed {
		o.Forwarded = min(max(int64(taken), 0), settled)
		o.Returned = min(returned, settled-o.Forwarded)
		o.Failed = settled - o.Forwarded - o.Returned
	}
	c.forwarded += o.Forwarded
	c.returned += o.Returned
	c.failed += o.Failed
	return o
}

// putBack puts a Rest before all else of s, or where there is no order to keep, in a stream of its own, so that it can
// wait without the others. lane.mu held.
func (q *Queue[T]) putBack(s *stream[T], r rest[T], oldest time.Time, after time.Duration) {
	if !q.keepsOrder(s) {
		s = newStream(s.lane)
		s.apart = true
		s.lane.apart[s] = struct{}{}
	}
	s.prepend(chunk[T]{r.entries, oldest})
	s.queued = s.queued.plus(r.weight)
	s.left = s.left.plus(r.weight)
	s.held += r.room
	if r.origin.urgent() {
		s.waited += int32(len(r.entries))
	}
	if after > 0 {
		s.place = parked
		q.sched.putParked(s, time.Now().Add(after))
	} else {
		s.place = ready
		q.sched.putReady(s)
	}
}

// heard is how many items of a failed batch have somebody who hears of the error.
func (c *call[T]) heard(err error) (items int64) {
	if err == nil {
		return 0
	}
	var last *origin
	waits := false
	for _, w := range c.waiting {
		if w.origin != last {
			last, waits = w.origin, w.origin.waits()
		}
		if waits {
			items += w.items
		}
	}
	return items
}

// rest is a verdict's Rest, as entries.
type rest[T any] struct {
	entries []entry[T]
	origin  *origin // of all of them
	weight  Weight
	room    int64
}

// weighRest makes entries of what comes back. All who waited for the batch wait for each of them.
func (q *Queue[T]) weighRest(c *call[T], v Verdict[T]) (r rest[T]) {
	if len(v.Rest) == 0 {
		return r
	}
	r.origin = &origin{rest: true, alone: v.Alone}
	r.origin.add(len(v.Rest))
	seen := map[*origin]bool{}
	for _, w := range c.waiting {
		if seen[w.origin] {
			continue
		}
		seen[w.origin] = true
		for _, o := range w.origin.leaves() {
			if o == w.origin || !seen[o] {
				seen[o] = true
				r.origin.pass(o)
			}
		}
	}
	for _, item := range v.Rest {
		w := q.weigh(item)
		r.entries = append(r.entries, entry[T]{item, r.origin})
		r.weight = r.weight.plus(w)
		r.room += q.room(w)
	}
	return r
}

func settleAll(origins []*origin, err error) {
	for _, o := range origins {
		o.settle(err)
	}
}
