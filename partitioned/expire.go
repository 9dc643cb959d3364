// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// expired is an entry that a cut dropped, and why.
type expired[T any] struct {
	entry[T]
	reason error // ErrExpired, or a PanicError
}

// expires asks Expired about an entry whose turn has come, and takes it into c if it is to be dropped. The entry was claimed, so its
// caller cannot take it back any more. It runs in a cut, under no lock (I4).
func (q *Queue[T]) expires(c *call[T], e entry[T], r *cutResult) bool {
	reason := q.expiry(e.item, r.now)
	if reason == nil {
		return false
	}
	c.expired = append(c.expired, expired[T]{e, reason})
	r.expired = r.expired.plus(e.weight.unpack())
	if e.completion.urgent() {
		r.urgent++
	}
	return true
}

// expiry returns why an item is to be dropped; nil: it is not. A panic costs the item (I8).
func (q *Queue[T]) expiry(item T, now time.Time) (reason error) {
	defer func() {
		if v := recover(); v != nil {
			reason = panicError("Expired", v)
		}
	}()
	if q.cfg.Expired(item, now) {
		return ErrExpired
	}
	return nil
}

// expire books the entries of s that a cut dropped, and reports whether somebody waits for their units. Partition's lock held.
func (q *Queue[T]) expire(s *stream[T], c *call[T], r *cutResult) (waiting bool) {
	var units int64
	for i := range c.expired {
		e := &c.expired[i]
		units += q.units(e.weight)
		s.backlog.fell(e.entry)
	}
	s.partition.mu.expire(int64(r.expired.Items))
	s.reserve(-units)
	return q.gate.leave(s.uncount(units))
}

// reportExpired tells of the entries that a cut dropped. No lock held (I4).
func (q *Queue[T]) reportExpired(s *stream[T], c *call[T], r *cutResult) {
	var last *completion
	for i := range c.expired {
		last = q.dropped(c.expired[i].entry, c.expired[i].reason, last)
	}
	q.cfg.Observer.expired(q.cfg.Name, s.partition.number, r.expired.Items)
}

// loseExpired tells those who wait for entries that a cut dropped, after Shutdown has counted them.
func (c *call[T]) loseExpired() {
	for i := range c.expired {
		if e := &c.expired[i]; e.completion != nil {
			e.completion.complete(ErrDropped)
		}
	}
}
