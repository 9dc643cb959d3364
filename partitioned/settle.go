// SPDX-License-Identifier: Apache-2.0

package partitioned

// settle does what the verdict says: the accounts, what comes back, the stream, the capacity, and those who wait. From the
// unlock on s may be forgotten and be the stream of another key, so it is used only to look at its wait list (roomOf).
func (q *Queue[T]) settle(s *stream[T], c *call[T], v Verdict[T]) {
	awaited := c.awaited(v.Err)
	back := q.requeue(c, v)
	p := s.partition
	p.mu.Lock()
	if p.mu.dead { // Shutdown has counted it as dropped, and told who waits
		p.mu.Unlock()
		for range back.entries {
			back.completion.complete(ErrDropped)
		}
		q.reportEnd(p, c, Outcome{Err: v.Err, Lost: int64(c.batch.Weight.Items)})
		return
	}
	out := p.mu.settle(c.batch.Weight, back.weight, v.Returned, awaited, v.Taken, v.Err != nil)
	c.flushes = append(c.flushes, s.arrive(c)...)
	switch {
	case len(back.entries) > 0:
		for _, f := range c.flushes {
			back.completion.forwardTo(f)
		}
		s.putBack(back, c.batch.Oldest, v.After)
	case s.state == busy:
		s.schedule()
	}
	blocked := s.blocked
	p.mu.Unlock()

	waits := q.gate.leave(c.units - back.units) // before those who wait are told: they may push again at once
	out.Err = v.Err
	q.reportEnd(p, c, out)
	c.complete(v.Err)
	switch {
	case blocked:
		q.roomOf(s)
	case waits:
		q.waitList.mu.Lock()
		q.serve()
		q.waitList.mu.Unlock()
	}
}

// awaited returns how many items of a failed batch have somebody who learns of the error.
func (c *call[T]) awaited(err error) (items int64) {
	if err == nil {
		return 0
	}
	var last *completion
	awaited := false
	for _, w := range c.waiting {
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
	entries    []entry[T]
	completion *completion // of all of them
	weight     Weight
	units      int64
}

// requeue makes entries of a Rest. All who waited for the batch wait for each of them.
func (q *Queue[T]) requeue(c *call[T], v Verdict[T]) (r requeued[T]) {
	if len(v.Rest) == 0 {
		return r
	}
	r.completion = newForwarding(len(v.Rest))
	r.completion.alone = v.Alone
	seen := map[*completion]bool{}
	for _, w := range c.waiting {
		if seen[w.completion] {
			continue
		}
		seen[w.completion] = true
		for _, behind := range w.completion.recipients() {
			if behind == w.completion || !seen[behind] {
				seen[behind] = true
				r.completion.forwardTo(behind)
			}
		}
	}
	for _, item := range v.Rest {
		w := pack(q.weigh(item))
		r.entries = append(r.entries, entry[T]{item, r.completion, w})
		r.weight = r.weight.plus(w.unpack())
		r.units += q.units(w.unpack())
	}
	return r
}
