// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"slices"
	"time"
)

// settle does what the verdict says: the accounts, what comes back, the stream, the capacity, and those who wait. From the
// unlock on s may be forgotten and be the stream of another key, so it is used only to look at its wait list (roomOf).
func (q *Queue[T]) settle(s *stream[T], c *call[T], v *Verdict[T]) {
	v.check(len(c.batch.Items))
	if c.arrive != nil {
		c.arrive(*v)
	}
	var back requeued[T]
	if len(v.Rest) > 0 {
		back = q.requeue(c, v)
	}
	for _, n := range back.notes {
		n.completion.stands = c.stands
	}
	callersErr := v.Err
	if c.errs = v.Errs; back.all(c) {
		callersErr, c.errs = nil, nil // of the batch, nothing failed: whoever waits, waits for the Rest
	}
	if c.errs != nil {
		v.Taken = c.batch.Weight.Items - back.weight.Items - v.Returned - c.failedItems(back.named)
	}
	awaited := c.awaited(callersErr, back.named)
	p := s.partition
	p.mu.Lock()
	if p.mu.dead {
		p.mu.Unlock()
		q.settleLate(p, c, v.Err, back.notes)
		return
	}
	out := p.mu.settle(c.batch.Weight, back.weight, v.Returned, awaited, v.Taken, v.Err != nil)
	// Where Errs names the bad ones, what was taken shows that the key works.
	q.answer(s, c, back.len() > 0 || v.Err != nil && (c.errs == nil || out.Forwarded == 0))
	if out.Forwarded > 0 {
		q.forwarded(s)
	}
	c.flushes = append(c.flushes, s.arrive(c)...)
	units := s.uncount(c.units - back.units) // before s may be forgotten
	switch {
	case back.len() > 0:
		if q.closing.Load() {
			s.pace().notBefore = time.Time{}
		}
		for _, f := range c.flushes {
			back.forwardTo(f)
		}
		s.putBack(back, c.batch.Oldest, q.pause(v.After))
	case s.state == busy:
		s.putOff(q.pause(v.After))
		s.schedule()
	}
	p.mu.Unlock()

	q.inFlight.Add(-int64(c.batch.Weight.Items))
	waits := q.gate.leave(units)
	out.Err = v.Err
	q.reportEnd(p, c, &out)
	if waits { // before those who wait are told: they may push again at once, and stand behind who waits already
		q.roomOf(s)
	}
	c.complete(callersErr, back.named)
}

// settleLate is settle after the deadline of Shutdown, which has counted the batch as dropped, and told who waits.
func (q *Queue[T]) settleLate(p *partition[T], c *call[T], err error, back []note) {
	for _, n := range back {
		n.completion.complete(ErrDropped)
	}
	q.reportEnd(p, c, &Outcome{Err: err, Lost: int64(c.batch.Weight.Items)})
}

// answer books whether the call of s failed, for the scheduler and for the memory of failures. Partition's lock held.
func (q *Queue[T]) answer(s *stream[T], c *call[T], failed bool) {
	called := len(c.batch.Items) > 0 // else the cut passed markers of Flush, and nothing else
	q.scheduler.release(s, called, failed)
	if called && q.byKey() {
		s.answered(failed, c.began, c.alone)
	}
}

// forwarded books that something of s was forwarded. Partition's lock held.
func (q *Queue[T]) forwarded(s *stream[T]) {
	var now time.Time
	if q.cfg.StallTimeout > 0 {
		now = time.Now()
		q.progress.succeeded(s.key, now)
	}
	s.setForwarded(now)
}

// awaited returns how many items of a failed batch have somebody who learns of the error. named: by index, items that came back,
// so that the error does not concern them.
func (c *call[T]) awaited(err error, named []bool) (items int64) {
	if err == nil {
		return 0
	}
	var last *completion
	awaited := false
	for _, w := range c.waiting {
		if len(named) > 0 && named[w.at] || c.errorOf(w.at, err) == nil {
			continue
		}
		if w.completion != last {
			last, awaited = w.completion, w.completion.awaited()
		}
		if awaited {
			items += w.items
		}
	}
	return items
}

// requeued is what comes back from a call: the Rest of a verdict, as entries.
type requeued[T any] struct {
	buffer[T]        // each entry has a completion that forwards
	named     []bool // by index in the batch's Items: From names it; nil: nobody can tell
	weight    Weight
	units     int64
}

// requeue makes entries of a Rest.
func (q *Queue[T]) requeue(c *call[T], v *Verdict[T]) (r requeued[T]) {
	r.items, r.notes = slices.Clone(v.Rest), make([]note, len(v.Rest))
	for i, item := range v.Rest {
		w := q.reweigh(item, packedWeight{items: 1})
		r.notes[i].weight = w
		r.weight = r.weight.plus(w.unpack())
		r.units += q.units(w)
	}
	if v.tellsFrom(len(c.batch.Items)) {
		r.attribute(c, v.From)
	}
	rest := r.notes
	for _, n := range v.Groups {
		n = min(max(n, 0), len(rest))
		r.complete(c, rest[:n], &group{})
		rest = rest[n:]
	}
	r.complete(c, rest, nil)
	return r
}

// all reports whether r is all of the batch of c.
func (r *requeued[T]) all(c *call[T]) bool {
	return r.len() > 0 && r.weight.Items >= c.batch.Weight.Items
}

// tellsFrom reports whether From is as Verdict wants it, for a batch of so many items.
func (v *Verdict[T]) tellsFrom(items int) bool {
	return len(v.From) == len(v.Rest) && !slices.ContainsFunc(v.From, func(at int) bool { return at < 0 || at >= items })
}

// attribute gives each entry a completion for those who wait for the item that it comes from.
func (r *requeued[T]) attribute(c *call[T], from []int) {
	r.named = make([]bool, len(c.batch.Items))
	waiters := make([]*completion, len(c.batch.Items))
	for _, w := range c.waiting {
		waiters[w.at] = w.completion
	}
	for i, at := range from {
		done := newForwarding(1)
		r.notes[i].completion, r.named[at] = done, true
		if waiters[at] == nil {
			continue
		}
		for _, b := range waiters[at].recipients() {
			done.forwardTo(b)
		}
	}
}

// complete makes the entries of notes a group, or none if g is nil. Without attribute they get one completion, for all who wait for the batch.
func (r *requeued[T]) complete(c *call[T], notes []note, g *group) {
	if r.named != nil {
		for i := range notes {
			notes[i].completion.group = g
		}
		return
	}
	if len(notes) == 0 {
		return
	}
	done := newForwarding(len(notes))
	done.group = g
	seen := map[*completion]bool{}
	for _, w := range c.waiting {
		if seen[w.completion] { // else it would cost recipients times entries
			continue
		}
		seen[w.completion] = true
		for _, b := range w.completion.recipients() {
			if b == w.completion || !seen[b] {
				seen[b] = true
				done.forwardTo(b)
			}
		}
	}
	for i := range notes {
		notes[i].completion = done
	}
}

// forwardTo makes f wait for all of r.
func (r *requeued[T]) forwardTo(f *completion) {
	var last *completion
	for _, n := range r.notes {
		if done := n.completion; done != last {
			done.forwardTo(f)
			last = done
		}
	}
}
