// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"slices"
	"time"
)

// displace is a push without room that drops the oldest items until it has some. It drops none if all of them would not do.
func (q *Queue[T]) displace(w *waiter[T]) error {
	if !q.canDisplace(w.parts) {
		return ErrFull
	}
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
				s := l.existing(parts[i].key)
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
		if q.evictIn(l, l.longestThere) {
			return true
		}
	}
	return false
}

// canDisplace tells whether parts would find room if all that may be dropped for them were. Others come and go meanwhile,
// so it may be wrong by what they do.
func (q *Queue[T]) canDisplace(parts []part[T]) bool {
	var dropped int64
	var seen []*stream[T]
	look := func(s *stream[T]) (fits bool) {
		if s == nil || slices.Contains(seen, s) {
			return true
		}
		seen = append(seen, s)
		var inFlight int64
		for _, c := range s.calls {
			inFlight += c.room
		}
		dropped += s.held - inFlight
		return inFlight < q.cfg.KeyCapacity
	}
	for i := range parts {
		l := parts[i].lane
		l.mu.Lock()
		fits := look(l.existing(parts[i].key))
		l.mu.Unlock()
		if !fits {
			return false
		}
	}
	if q.cfg.Key == nil {
		for _, l := range q.lanes {
			l.mu.Lock()
			l.all(func(s *stream[T]) { look(s) })
			l.mu.Unlock()
		}
	}
	return q.gate.used()-dropped < q.gate.capacity
}

// longestThere is the stream whose oldest item that no worker holds is the oldest. lane.mu held.
func (l *lane[T]) longestThere() (oldest *stream[T]) {
	var since time.Time
	l.all(func(s *stream[T]) {
		born := s.oldestWritten()
		if s.place != cutting && len(s.draining) > 0 {
			born = s.draining[0].born
		} else if len(s.active) == int(s.holes) {
			return
		}
		if oldest == nil || born.Before(since) {
			oldest, since = s, born
		}
	})
	return oldest
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
	if s.place != cutting {
		e, ok = q.evictDrained(s)
	}
	if !ok {
		e, ok = s.evictFilled()
	}
	if !ok {
		e, ok = s.evictActive()
	}
	if !ok {
		return e, false
	}
	s.lane.mu.evicted += int64(q.weigh(e.item).Items)
	q.remove(s, e)
	q.tidy(s)
	return e, true
}

// evictDrained is evict for what was swapped out.
func (q *Queue[T]) evictDrained(s *stream[T]) (e entry[T], ok bool) {
	for i, entries := range left(s.draining, s.cursor) {
		if e, _, ok = oldestOf(entries); !ok {
			continue
		}
		s.left = s.left.minus(q.weigh(e.item))
		if s.index != nil {
			s.index.gone(s.active, e.item, time.Now())
		}
		if i == 0 {
			s.cursor++
			var g growth[T]
			s.dropEmpty(&g)
		}
		return e, true
	}
	return e, false
}

// evictFilled and evictActive are evict for what was not swapped out.
func (s *stream[T]) evictFilled() (e entry[T], ok bool) {
	for i, entries := range left(s.filled, int(s.front)) {
		if e, _, ok = oldestOf(entries); !ok {
			continue
		}
		if i > 0 {
			return e, true
		}
		if s.front++; len(entries) == 1 { // and that was the last of them
			s.lane.buffers.put(s.filled[0].entries)
			s.filled = slices.Delete(s.filled, 0, 1)
			s.front = 0
		}
		return e, true
	}
	return e, false
}

func (s *stream[T]) evictActive() (e entry[T], ok bool) {
	from := int(s.front)
	if len(s.filled) > 0 { // with nothing but those who Flush
		from = 0
	}
	e, at, ok := oldestOf(s.active[from:])
	if !ok {
		return e, false
	}
	if s.index != nil {
		s.index.moved(e.item, from+at, -1)
	}
	if s.holes++; len(s.filled) == 0 {
		s.front++
	}
	return e, true
}

// oldestOf takes the first item, which stood at at, out of entries, whose first becomes a hole. What is no item and stands
// before it moves up by one place: a Flush stays in front of what came after it.
func oldestOf[T any](entries []entry[T]) (e entry[T], at int, ok bool) {
	for i := range entries {
		if o := entries[i].origin; o == gone || o != nil && o.flush {
			continue
		}
		e = entries[i]
		copy(entries[1:i+1], entries[:i])
		entries[0] = entry[T]{origin: gone}
		return e, i, true
	}
	return e, 0, false
}

// remove books that e is pending no more. lane.mu held.
func (q *Queue[T]) remove(s *stream[T], e entry[T]) {
	w := q.weigh(e.item)
	s.queued = s.queued.minus(w)
	s.lane.mu.queued -= int64(w.Items)
	s.held -= q.room(w)
	if e.origin.urgent() {
		s.waited--
	}
	q.gate.leave(q.room(w))
}

// tidy goes on after an entry was taken out of s: with nothing left but holes, s is no stream any more. lane.mu held.
func (q *Queue[T]) tidy(s *stream[T]) {
	if s.place == timed && len(s.draining) == 0 && int(s.holes) == len(s.active) && q.sched.takeOut(s) {
		clear(s.active)
		s.active = s.active[:0]
		s.holes, s.front = 0, 0
		s.place = idle
		s.lane.forget(q, s)
		return
	}
	s.compact()
}

// compact closes the holes in active when they are the greater part of it, so that they cost O(1) each. lane.mu held.
func (s *stream[T]) compact() {
	const few = 64
	if s.holes < few || int(s.holes) < len(s.active)/2 {
		return
	}
	kept := s.active[:0]
	for at, e := range s.active {
		if e.origin == gone {
			continue
		}
		if s.index != nil && len(kept) != at && (e.origin == nil || !e.origin.flush) {
			s.index.moved(e.item, at, len(kept))
		}
		kept = append(kept, e)
	}
	clear(s.active[len(kept):])
	s.active = kept
	s.holes, s.front = 0, 0
}
