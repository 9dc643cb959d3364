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
	hash     func(item T) uint64           // of its key; chooses the lane too, where no Key does
	flushed  func(s *stream[T], items []T) // remembers the versions of a batch; nil: not asked for. Called under no lock
}

// index finds the entries of a Map in active, by their key. It is guarded by lane.mu, but for clear.
type index[T any] interface {
	// position is where in active the entry with the key of item stands, whose hash is given; -1: nowhere.
	position(active []entry[T], item T, hash uint64) int

	// fetch brings what position will look at first, for several hashes, into the cache.
	fetch(hashes []uint64)

	// fold makes of item, and of held, at its position, what how says; false: item is superseded itself.
	fold(held *T, item T, how write) bool

	// first is fold where there is no such entry. What it returns has to be appended, at at.
	first(item T, hash uint64, how write, at int) (T, bool)

	// moved says that item, which stood at from in active, stands at to now; -1: nowhere, it was deleted or evicted.
	moved(item T, from, to int)

	// gone says that an entry of an earlier active is pending no more: it is in its batch, or was evicted.
	gone(active []entry[T], item T, now time.Time)

	// swap begins a new active, in O(1). What stood in the old one is cleared by the worker, under no lock, before it
	// swaps again.
	swap()
	clear()
}

// ahead is for how many items fetch is called at a time.
const ahead = 64

// insert puts an item of weight w, whose room is taken, into the stream of a Map. It tells whether that gave room back that
// somebody may wait for. Who calls it forgets s if that is still empty, after all items for it. lane.mu held.
func (q *Queue[T]) insert(s *stream[T], item T, hash uint64, w Weight, room int64, how write, o *origin) (freed bool) {
	if at := s.index.position(s.active, item, hash); at >= 0 {
		return q.replace(s, at, item, w, room, how, o)
	}
	item, ok := s.index.first(item, hash, how, len(s.active))
	if !ok {
		return q.stale(s, w, room, o)
	}
	s.append(item, o)
	q.accept(s, w, room)
	return false
}

// replace writes item, for which room is taken, to what is held at at. lane.mu held.
func (q *Queue[T]) replace(s *stream[T], at int, item T, w Weight, room int64, how write, o *origin) (freed bool) {
	held := &s.active[at]
	before := q.weigh(held.item)
	if !s.index.fold(&held.item, item, how) {
		return q.stale(s, w, room, o)
	}
	if o != nil {
		if held.origin == nil {
			s.waited++
		}
		held.origin = join(held.origin, o)
	}
	now := q.weigh(held.item)
	grown := now.minus(before)
	l := s.lane
	l.mu.accepted += int64(max(w.Items, grown.Items))
	l.mu.superseded += int64(max(w.Items-grown.Items, 0))
	if grown != (Weight{}) { // mostly nothing grows: then s is only read
		l.mu.queued += int64(grown.Items)
		s.queued = s.queued.plus(grown)
		more := q.room(now) - q.room(before)
		s.held += more
		room -= more
	}
	if o != nil || grown != (Weight{}) {
		q.moveOn(s)
	}
	return q.giveBack(s, room)
}

// stale books an item that is superseded by what came before it (I3). lane.mu held.
func (q *Queue[T]) stale(s *stream[T], w Weight, room int64, o *origin) (freed bool) {
	s.lane.mu.accepted += int64(w.Items)
	s.lane.mu.superseded += int64(w.Items)
	if o != nil {
		o.settle(nil)
	}
	return q.giveBack(s, room)
}

// giveBack gives back room at once, and tells whether somebody may wait for it. lane.mu held.
func (q *Queue[T]) giveBack(s *stream[T], room int64) (freed bool) {
	if room == 0 {
		return false
	}
	return q.gate.leave(room) || s.blocked
}
