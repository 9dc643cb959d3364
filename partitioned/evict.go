// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"slices"
	"time"
)

// evictAndPush drops the oldest items until there is capacity for a push. It drops none if all of them would not do.
func (q *Queue[T]) evictAndPush(parts []part[T], items []T, m *measures, c *completion) error {
	if !q.canEvictFor(parts) {
		return ErrFull
	}
	for {
		_, err := q.admit(parts, items, m, c, nil)
		if err == nil {
			q.served(parts)
			return nil
		}
		if !errors.Is(err, errNoCapacity) {
			return err
		}
		if !q.evictFor(parts) {
			return ErrFull
		}
	}
}

// evictFor drops one item for parts: of a stream that is full itself, else of any that they go to, else, where items have no
// key, of any other. It reports false if all that is left is in a batch.
func (q *Queue[T]) evictFor(parts []part[T]) bool {
	for _, full := range []bool{true, false} {
		for i := range parts {
			p := parts[i].partition
			if q.evictIn(p, func() *stream[T] {
				s := p.existing(parts[i].key)
				if s == nil || full && s.reserved < q.cfg.KeyCapacity {
					return nil
				}
				return s
			}) {
				return true
			}
		}
	}
	if q.cfg.Key != nil {
		return false
	}
	for _, p := range q.partitions {
		if q.evictIn(p, p.oldestStream) {
			return true
		}
	}
	return false
}

// canEvictFor reports whether parts would be admitted if all that may be dropped for them were. The answer may be stale: other
// goroutines push and settle meanwhile.
func (q *Queue[T]) canEvictFor(parts []part[T]) bool {
	var dropped int64
	var seen []*stream[T]
	look := func(s *stream[T]) (fits bool) {
		if s == nil || slices.Contains(seen, s) {
			return true
		}
		seen = append(seen, s)
		var inFlight int64
		for _, f := range s.flights {
			inFlight += f.call.units
		}
		dropped += s.reserved - inFlight
		return inFlight < q.cfg.KeyCapacity
	}
	for i := range parts {
		p := parts[i].partition
		p.mu.Lock()
		fits := look(p.existing(parts[i].key))
		p.mu.Unlock()
		if !fits {
			return false
		}
	}
	if q.cfg.Key == nil {
		for _, p := range q.partitions {
			p.mu.Lock()
			p.all(func(s *stream[T]) { look(s) })
			p.mu.Unlock()
		}
	}
	return q.gate.used()-dropped < q.gate.capacity
}

// oldestStream returns the stream with the oldest item that can be evicted. Lock held.
func (p *partition[T]) oldestStream() (oldest *stream[T]) {
	var since time.Time
	p.all(func(s *stream[T]) {
		b := &s.backlog
		items, born := b.weight.Items, b.oldest()
		if s.state == cutting {
			items, born = items-b.drain.weight.Items, b.oldestWritten()
		}
		if items == 0 {
			return
		}
		if oldest == nil || born.Before(since) {
			oldest, since = s, born
		}
	})
	return oldest
}

// evictIn drops the oldest item of the stream that choose returns, under the partition's lock.
func (q *Queue[T]) evictIn(p *partition[T], choose func() *stream[T]) bool {
	p.mu.Lock()
	s := choose()
	if s == nil || p.mu.dead {
		p.mu.Unlock()
		return false
	}
	e, ok := s.evict()
	if ok {
		p.mu.evict(int64(e.weight.items))
		q.remove(s, e)
	}
	p.mu.Unlock()
	if !ok {
		return false
	}
	if e.completion != nil {
		e.completion.complete(ErrEvicted)
	}
	q.cfg.Observer.evicted(q.cfg.Name, p.number, int(e.weight.items))
	return true
}

// remove gives back the units of an entry that was evicted or deleted. Partition's lock held.
func (q *Queue[T]) remove(s *stream[T], e entry[T]) {
	units := q.units(e.weight.unpack())
	e.completion.forgo(e.weight.unpack(), units)
	s.reserve(-units)
	q.gate.leave(units)
	s.tidy()
}
