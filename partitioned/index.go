// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// write is how an item gets into its stream.
type write int8

const (
	add   write = iota // behind all others: what a Queue does
	put                // in place of what a Map holds of its key
	newer              // the same, if its version is greater
	merge              // folded into what the Map holds of its key
)

// keyed is what a Map adds to a Queue of its entries. All nil in a Queue.
type keyed[T any] struct {
	newIndex func(lane int) index[T]       // of a stream; called under no lock or that of the lane
	hash     func(item T) uint64           // of its key: chooses the lane where no Key does
	flushed  func(s *stream[T], items []T) // remembers the versions of a batch; nil: not asked for. Called under no lock
}

// index finds the entries of a Map in active, by their key. It is guarded by lane.mu, but for clear.
type index[T any] interface {
	// fold makes of item, and of what active holds of its key, what how says. at is where that stands, and old what
	// stood there; or -1: then item has to be appended, as it is returned, unless it is stale: superseded itself.
	fold(active []entry[T], item T, how write) (made T, at int, old T, stale bool)

	// find is where in active the entry with the key of item stands; -1: nowhere.
	find(item T) int

	// moved says that an entry stands somewhere else in active now; -1: nowhere, it was deleted or evicted.
	moved(item T, at int)

	// gone says that an entry of an earlier active is pending no more: it is in its batch, or was evicted.
	gone(item T, now time.Time)

	// swap begins a new active, in O(1). What stood in the old one is cleared by the worker, under no lock, before it
	// swaps again.
	swap()
	clear()
}

// insert puts an item of weight w into the stream of a Map, and gives back at once the room of what it supersedes; it tells
// whether somebody may wait for that. The room of item is taken. Who calls it forgets s if that is still empty, after all
// items for it. lane.mu held.
func (q *Queue[T]) insert(s *stream[T], item T, w Weight, room int64, how write, o *origin) (freed bool) {
	c := &s.lane.mu.counts
	item, at, old, stale := s.index.fold(s.active, item, how)
	switch {
	case stale: // I3
		c.accepted += int64(w.Items)
		c.superseded += int64(w.Items)
		if o != nil {
			o.settle(nil)
		}
	case at < 0:
		s.append(item, o)
		q.accept(s, w, room)
		return false
	default:
		held := &s.active[at]
		if o != nil {
			if held.origin == nil {
				s.waited++
			}
			held.origin = join(held.origin, o)
		}
		before, now := q.weigh(old), q.weigh(held.item)
		grown := now.minus(before)
		s.queued = s.queued.plus(grown)
		c.queued += int64(grown.Items)
		c.accepted += int64(max(w.Items, grown.Items))
		c.superseded += int64(max(w.Items-grown.Items, 0))
		more := q.room(now) - q.room(before)
		s.held += more
		room -= more
		q.moveOn(s)
	}
	return q.gate.leave(room) || s.blocked
}
