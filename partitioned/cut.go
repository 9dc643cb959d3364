// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"math"
	"slices"
)

// growth is what a cut changed beside moving entries.
type growth[T any] struct {
	weight    Weight // a split may make an item heavier, as both parts repeat something
	room      int64
	waited    int32      // entries gone with somebody who waits
	oversized bool       // the batch is one item over a limit, that could not be split, or not smaller
	used      []entry[T] // a buffer that is used up, empty
}

// cut moves the next batch of s from draining to c: entries until one of the sizes of BatchSize is reached, or all there
// are, and never more than MaxBatchSize, for which the last item is split, if it can be. What it makes depends on the
// entries alone, not on when they came or were swapped. s is the worker's.
func (q *Queue[T]) cut(s *stream[T], c *call[T]) (g growth[T]) {
	b := &c.batch
	if s.index != nil {
		s.index.clear()
	}
	if q.cfg.Whole {
		b.Items = slices.Grow(b.Items, s.drains(c.limit.Items))
	}
	for len(s.draining) > 0 {
		entries := s.draining[0].entries
		for ; s.cursor < len(entries); s.cursor++ {
			e := &entries[s.cursor]
			if e.origin == gone {
				continue
			}
			if e.origin != nil && e.origin.flush {
				c.flushes = append(c.flushes, e.origin)
				g.waited++
				*e = entry[T]{}
				continue
			}
			alone := e.origin != nil && e.origin.alone
			if alone && len(b.Items) > 0 {
				return g
			}
			w := q.weigh(e.item)
			if b.Weight.plus(w).exceeds(c.limit) {
				if q.cutInto(c, e, w, &g) || len(b.Items) > 0 {
					return g
				}
				g.oversized = true
			}
			b.Items = append(b.Items, e.item)
			b.Weight = b.Weight.plus(w)
			c.room += q.room(w)
			if e.origin != nil {
				c.waiting = append(c.waiting, waiting{e.origin, int64(w.Items)})
				if e.origin.urgent() {
					g.waited++
				}
			}
			*e = entry[T]{} // what is delivered is not kept
			if !q.cfg.Whole && b.Weight.reaches(c.size) || g.oversized || alone {
				s.cursor++
				s.dropEmpty(&g)
				return g
			}
		}
		s.dropEmpty(&g)
	}
	return g
}

// drains is how many entries draining has, and at most so many if there is a limit.
func (s *stream[T]) drains(limit int) int {
	n := -s.cursor
	for _, c := range s.draining {
		n += len(c.entries)
	}
	if limit > 0 {
		n = min(n, limit)
	}
	return n
}

// cutInto splits the item of e, so that its head fills the batch, if it can. The tail stays where the item was.
func (q *Queue[T]) cutInto(c *call[T], e *entry[T], w Weight, g *growth[T]) bool {
	head, tail, ok := q.split(e.item, c.batch.Weight, c.limit)
	if !ok {
		return false
	}
	hw, tw := q.weigh(head), q.weigh(tail)
	c.batch.Items = append(c.batch.Items, head)
	c.batch.Weight = c.batch.Weight.plus(hw)
	c.room += q.room(hw)
	g.oversized = hw.exceeds(c.limit)
	if e.origin != nil {
		e.origin.add(1)
		c.waiting = append(c.waiting, waiting{e.origin, int64(hw.Items)})
	}
	e.item = tail
	g.weight = hw.plus(tw).minus(w)
	if g.room = q.room(hw) + q.room(tw) - q.room(w); g.room < 0 {
		c.room -= g.room // given back when the batch is settled
		g.room = 0
	}
	return true
}

// split divides item so that its head fits in a batch that weighs full already, below limit.
func (q *Queue[T]) split(item T, full, limit Weight) (head, tail T, ok bool) {
	if q.cfg.Split == nil {
		return head, tail, false
	}
	room := Weight{math.MaxInt, math.MaxInt}
	if limit.Items > 0 {
		room.Items = limit.Items - full.Items
	}
	if limit.Bytes > 0 {
		room.Bytes = limit.Bytes - full.Bytes
	}
	if room.Items < 1 || room.Bytes < 1 {
		return head, tail, false
	}
	return q.cfg.Split(item, room)
}

// dropEmpty takes the first buffer out of draining if all of its entries are gone. It is used again: the largest of those
// of no common size by s, as g says.
func (s *stream[T]) dropEmpty(g *growth[T]) {
	entries := s.draining[0].entries
	if s.cursor < len(entries) {
		return
	}
	s.draining = slices.Delete(s.draining, 0, 1)
	s.cursor = 0
	if !s.lane.buffers.put(entries) && cap(entries) > cap(g.used) {
		g.used = entries[:0]
	}
}
