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
	_, err := q.enter(parts, nil)
	for errors.Is(err, errNoCapacity) && q.canEvictFor(parts) {
		n := len(gone)
		if gone = q.evictFor(parts, gone); len(gone) == n {
			break
		}
		_, err = q.enter(parts, nil)
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
		q.safeDropped(e.item, reason)
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

// evictFor drops items until parts may enter, or nothing is left to drop, and appends them to gone. It looks at each part and each
// partition a constant number of times, however many items that takes. Partitions' locks held.
func (q *Queue[T]) evictFor(parts []part[T], gone []victim[T]) []victim[T] {
	most := q.gate.capacity - 1 // units that may be taken when parts enter
	if q.shares {
		gone = q.evictForShares(parts, gone)
		most = q.need(parts, nil).most
	}
	for i := range parts {
		for s := parts[i].stream; q.gate.used() > most && q.evict(s, &gone); {
		}
	}
	if q.gate.used() <= most {
		return gone
	}
	for t := q.tops(); q.gate.used() > most && t.top() != nil; {
		p := t.top()
		if !q.evict(p.ranking.droppable.top(), &gone) {
			break
		}
		if p.ranking.droppable.top() == nil {
			t.remove(p)
		} else {
			t.fix(p)
		}
	}
	return gone
}

// evictForShares drops of the streams whose share refuses a part.
func (q *Queue[T]) evictForShares(parts []part[T], gone []victim[T]) []victim[T] {
	push := q.need(parts, nil).units
	for i := range parts {
		p := &parts[i]
		for q.refuses(p, push, nil) && q.evict(p.stream, &gone) {
		}
		if p.stream.reserved == 0 {
			p.stream.setFull(false)
		}
	}
	return gone
}

// evict drops the oldest item of s that no consumer has, and appends it to gone. It reports false if there is none. Partition's lock
// held.
func (q *Queue[T]) evict(s *stream[T], gone *[]victim[T]) bool {
	e, ok := s.evict()
	if ok {
		s.partition.mu.evict(int64(e.weight.items))
		q.remove(s, e)
		*gone = append(*gone, victim[T]{e, s.partition.number})
	}
	return ok
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
		kept += p.ranking.kept
	}
	if kept >= q.gate.capacity {
		return false
	}
	stuck := q.stuck.Load()
	for i := range parts {
		push += parts[i].units
		if s := parts[i].stream; s.stuck && s.reserved == s.evictable() {
			stuck-- // with nothing in it
		}
	}
	for i := range parts {
		s := parts[i].stream
		held := s.reserved - s.evictable()
		if held >= q.cfg.KeyCapacity {
			return false
		}
		divisor := 1 + stuck
		if s.stuck {
			divisor--
		}
		if held > 0 && q.shares && held+parts[i].units > (q.gate.capacity-kept-push)/divisor {
			return false
		}
	}
	return true
}

// urgeHeaviest makes the stream due that holds most, of those that only wait for their time: callers need what it holds.
func (q *Queue[T]) urgeHeaviest() {
	var most *stream[T]
	for _, p := range q.partitions {
		p.mu.Lock()
		if s := p.heaviestTimed(); s != nil && (most == nil || s.above(most)) {
			most = s
		}
	}
	if most != nil {
		most.need()
	}
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
}

// heaviestTimed returns the stream that holds most, of those that wait for their time, or nil. Lock held.
func (p *partition[T]) heaviestTimed() (most *stream[T]) {
	if p.ranking != nil {
		return p.ranking.timed.top()
	}
	p.all(func(s *stream[T]) {
		if s.rank.oldest = s.oldest(); s.state == timed && (most == nil || s.above(most)) {
			most = s
		}
	})
	return most
}
