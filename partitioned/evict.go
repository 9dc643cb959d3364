// SPDX-License-Identifier: Apache-2.0

package partitioned

import "errors"

// evictAndPush drops the oldest items until there is capacity for a push: those of a stream whose share refuses it, else of the
// streams that it goes to, else of the stream that holds most. It drops none if to drop all of them would not be enough.
//
// It holds the locks of all partitions, so nobody else enters: what it finds out stays true until it has pushed. That is the
// price of OverflowDropOldest, and paid only without capacity.
func (q *Queue[T]) evictAndPush(parts []part[T], items []T, m *measures, c *completion) error {
	var gone []victim[T]
	for _, p := range q.partitions {
		p.mu.Lock()
	}
	full, err := q.enter(parts, nil)
	if errors.Is(err, errNoCapacity) && q.canEvictFor(parts) {
		for errors.Is(err, errNoCapacity) {
			e, ok := q.evictFor(parts, full)
			if !ok {
				break
			}
			gone = append(gone, e)
			full, err = q.enter(parts, nil)
		}
	}
	if err == nil {
		for i := range parts {
			q.write(&parts[i], items, m, c)
		}
	}
	forgetEmpty(parts)
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
	var last *completion
	for _, e := range gone {
		last = q.dropped(e.entry, ErrEvicted, last)
		q.cfg.Observer.evicted(q.cfg.Name, e.partition, int(e.weight.items))
	}
	return err
}

// dropped tells of an entry that was dropped, and returns its completion. last: that of the entry before, as the error is reported
// once for those of one push that stand side by side. No lock held (I4).
func (q *Queue[T]) dropped(e entry[T], reason error, last *completion) *completion {
	if q.cfg.Dropped != nil {
		q.cfg.Dropped(e.item, reason)
	}
	switch e.completion {
	case nil:
	case last:
		e.completion.complete(nil)
	default:
		e.completion.complete(reason)
	}
	return e.completion
}

// victim is an entry that was dropped, and the number of its partition.
type victim[T any] struct {
	entry[T]
	partition int
}

// evictFor drops one item, and reports false if all that is left is in a batch. Partitions' locks held.
func (q *Queue[T]) evictFor(parts []part[T], full *stream[T]) (e victim[T], ok bool) {
	if full != nil {
		return q.evict(full)
	}
	for i := range parts {
		if e, ok = q.evict(parts[i].stream); ok {
			return e, true
		}
	}
	if most := q.heaviest(func(s *stream[T]) bool { return s.evictable() > 0 }); most != nil {
		return q.evict(most)
	}
	return e, false
}

// evict drops the oldest item of s that no consumer has. Partition's lock held.
func (q *Queue[T]) evict(s *stream[T]) (e victim[T], ok bool) {
	e.partition = s.partition.number
	if e.entry, ok = s.evict(); ok {
		s.partition.mu.evict(int64(e.weight.items))
		q.remove(s, e.entry)
	}
	return e, ok
}

// remove gives back the units of an entry that was evicted or deleted. Partition's lock held.
func (q *Queue[T]) remove(s *stream[T], e entry[T]) {
	units := q.units(e.weight.unpack())
	e.completion.forgo(e.weight.unpack(), units)
	s.reserve(-units)
	q.gate.leave(s.uncount(units))
	s.tidy()
}

// canEvictFor reports whether parts would be admitted if all were dropped that may be. Partitions' locks held.
func (q *Queue[T]) canEvictFor(parts []part[T]) bool {
	var kept, push int64
	for _, p := range q.partitions {
		p.all(func(s *stream[T]) { kept += s.reserved - s.evictable() })
	}
	if kept >= q.gate.capacity {
		return false
	}
	for i := range parts {
		push += parts[i].units
	}
	for i := range parts {
		s := parts[i].stream
		if held := s.reserved - s.evictable(); held >= q.cfg.KeyCapacity || held > 0 && q.shares && held+parts[i].units > q.gate.capacity-kept-push {
			return false
		}
	}
	return true
}

// heaviest returns the stream that holds most, of equal ones that with the oldest item, of those that ok reports true for; nil: there
// is none. Partitions' locks held.
func (q *Queue[T]) heaviest(ok func(*stream[T]) bool) (most *stream[T]) {
	for _, p := range q.partitions {
		p.all(func(s *stream[T]) {
			if ok(s) && (most == nil || s.reserved > most.reserved || s.reserved == most.reserved && s.oldest().Before(most.oldest())) {
				most = s
			}
		})
	}
	return most
}

// urgeHeaviest makes the stream due that holds most, of those that only wait for their time: callers need what it holds.
func (q *Queue[T]) urgeHeaviest() {
	for _, p := range q.partitions {
		p.mu.Lock()
	}
	if s := q.heaviest(func(s *stream[T]) bool { return s.state == timed }); s != nil {
		s.need()
	}
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
}
