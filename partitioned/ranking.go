// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// ranking finds the streams of a partition that hold most, and what OverflowDropOldest may drop, without a look at each stream. It is
// kept with that only: nil elsewhere. The partition's lock guards it.
type ranking[T any] struct {
	droppable heap[stream[T]] // those of which something is in no batch
	timed     heap[stream[T]] // those that wait for their time
	kept      int64           // units of all streams that no eviction gives back, as they are in batches
	place     int             // of the partition in tops
	steps     int             // comparisons so far. The growth test counts them
}

// rank is what a ranking knows of a stream.
type rank struct {
	kept             int64
	oldest           time.Time // item, when that was last looked at
	droppable, timed int       // places
}

func newRanking[T any]() *ranking[T] {
	r := &ranking[T]{}
	above := func(a, b *stream[T]) bool {
		r.steps++
		return a.above(b)
	}
	r.droppable = heap[stream[T]]{before: above, place: func(s *stream[T]) *int { return &s.rank.droppable }}
	r.timed = heap[stream[T]]{before: above, place: func(s *stream[T]) *int { return &s.rank.timed }}
	return r
}

// update books what s is now.
func (r *ranking[T]) update(s *stream[T]) {
	free := s.evictable()
	kept := s.reserved - free
	r.kept += kept - s.rank.kept
	s.rank.kept, s.rank.oldest = kept, s.oldest()
	place(&r.droppable, s, free > 0)
	place(&r.timed, s, s.state == timed)
}

// place puts e to where it belongs in h, or takes it out.
func place[E any](h *heap[E], e *E, in bool) {
	switch at := *h.place(e); {
	case in && at < 0:
		h.push(e)
	case in:
		h.fix(e)
	case at >= 0:
		h.remove(e)
	}
}

// above reports whether s stands above o: it holds more, or as much, and an older item.
func (s *stream[T]) above(o *stream[T]) bool {
	return s.reserved > o.reserved || s.reserved == o.reserved && s.rank.oldest.Before(o.rank.oldest)
}

// tops returns a heap of the partitions in which something may be dropped: its top has the stream that holds most. All their locks are
// held, and only who called it drops something, so that nothing but the top of its top changes.
func (q *Queue[T]) tops() heap[partition[T]] {
	t := heap[partition[T]]{
		before: func(a, b *partition[T]) bool {
			return a.ranking.droppable.before(a.ranking.droppable.top(), b.ranking.droppable.top())
		},
		place: func(p *partition[T]) *int { return &p.ranking.place },
	}
	for _, p := range q.partitions {
		if p.ranking.droppable.top() != nil {
			t.push(p)
		}
	}
	return t
}
