// SPDX-License-Identifier: Apache-2.0

package partitioned

import "errors"

// displace is a push without room that drops the oldest items until it has some.
func (q *Queue[T]) displace(w *waiter[T]) error {
	for {
		_, err := q.admit(w.parts, w.origin, nil)
		if err == nil {
			q.served(w.parts)
			return nil
		}
		if !errors.Is(err, errNoRoom) {
			return err
		}
		if !q.evictFor(w.parts) {
			return ErrFull
		}
	}
}

// evictFor drops one item to make room for parts: of a stream that is full for itself, else of any that they go to, else,
// where items have no key, of any other. False: there is none that is in no batch yet.
func (q *Queue[T]) evictFor(parts []part[T]) bool {
	for _, full := range []bool{true, false} {
		for i := range parts {
			l := parts[i].lane
			if q.evictIn(l, func() *stream[T] {
				s := l.sole
				if s == nil {
					s = l.streams[parts[i].key]
				}
				if s == nil || full && s.held < q.cfg.KeyCapacity {
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
	for _, l := range q.lanes {
		if q.evictIn(l, func() *stream[T] { return l.sole }) {
			return true
		}
	}
	return false
}

func (q *Queue[T]) evictIn(l *lane[T], choose func() *stream[T]) bool {
	l.mu.Lock()
	s := choose()
	if s == nil || l.mu.dead {
		l.mu.Unlock()
		return false
	}
	e, ok := q.evict(s)
	l.mu.Unlock()
	if !ok {
		return false
	}
	if e.origin != nil {
		e.origin.settle(ErrEvicted)
	}
	q.cfg.Observer.evicted(q.cfg.Name, l.number, q.weigh(e.item).Items)
	return true
}

// evict drops the oldest item of s that no worker holds. lane.mu held.
func (q *Queue[T]) evict(s *stream[T]) (e entry[T], ok bool) {
	if s.place != cutting && len(s.draining) > 0 {
		if e, ok = oldestOf(s.draining[0].entries[s.cursor:]); ok {
			s.cursor++
			s.left = s.left.minus(q.weigh(e.item))
		}
		var g growth[T]
		s.dropEmpty(&g)
	}
	if !ok {
		if e, ok = oldestOf(s.active[s.front:]); ok {
			s.front++
			s.holes++
			if s.index != nil {
				s.index.moved(e.item, -1)
			}
			defer s.compact()
		}
	}
	if !ok {
		return e, false
	}
	s.lane.mu.evicted += int64(q.weigh(e.item).Items)
	q.remove(s, e)
	return e, true
}

// oldestOf takes the first item out of entries, whose first becomes a hole. What is no item and stands before it moves up
// by one place: a Flush stays in front of what came after it.
func oldestOf[T any](entries []entry[T]) (e entry[T], ok bool) {
	for i := range entries {
		if o := entries[i].origin; o == gone || o != nil && o.flush {
			continue
		}
		e = entries[i]
		copy(entries[1:i+1], entries[:i])
		entries[0] = entry[T]{origin: gone}
		return e, true
	}
	return e, false
}

// remove books that e is pending no more. lane.mu held.
func (q *Queue[T]) remove(s *stream[T], e entry[T]) {
	w := q.weigh(e.item)
	s.queued = s.queued.minus(w)
	s.lane.mu.queued -= int64(w.Items)
	s.held -= q.room(w)
	if e.origin != nil {
		s.waited--
	}
	q.gate.leave(q.room(w))
}

// compact closes the holes in active when they are the greater part of it, so that they cost O(1) each. lane.mu held.
func (s *stream[T]) compact() {
	const few = 64
	if s.holes < few || int(s.holes) < len(s.active)/2 {
		return
	}
	kept := s.active[:0]
	for _, e := range s.active {
		if e.origin == gone {
			continue
		}
		if s.index != nil && (e.origin == nil || !e.origin.flush) {
			s.index.moved(e.item, len(kept))
		}
		kept = append(kept, e)
	}
	clear(s.active[len(kept):])
	s.active = kept
	s.holes, s.front = 0, 0
}
