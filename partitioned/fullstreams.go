// SPDX-License-Identifier: Apache-2.0

package partitioned

import "cmp"

// fullStreams is the streams that have a wait list, as a heap in the order in which they are served. The wait list's lock guards it.
//
// First come streams that hold nothing: whoever waits for them is admitted, or goes on to the list of the whole. Then come the others: first
// the stream that would hold least with the part of its first caller.
//
// Serving stops at the first stream that does not fit, and that holds up nobody else by much. If it would hold x with its first caller's
// part, then x exceeds free / (1 + stuck), where free is what remains after that caller's push. Those behind it would hold x or more. So
// each of them is at its share, but for one push (I8).
type fullStreams[T any] struct {
	heap   heap[stream[T]]
	joined uint64 // streams that came, in all
	steps  int    // comparisons, and streams that were looked at, so far. The growth test counts them
}

// fullRank is where a stream stands in fullStreams, and why.
type fullRank struct {
	group  fullGroup
	holds  int64  // units, with the part of its first caller
	joined uint64 // when it came, in order
	place  int    // -1: it has no wait list
}

// fullGroup is what is asked first.
type fullGroup int8

const (
	emptyStream   fullGroup = iota // it holds nothing
	emptyPromoted                  // likewise, and one of its callers waits for the whole
	holdsSome                      // its share decides
	holdsItsCap                    // KeyCapacity: it does not fit, whatever its first caller has
)

func (f *fullStreams[T]) init() {
	f.heap = heap[stream[T]]{
		before: func(a, b *stream[T]) bool {
			f.steps++
			return a.waits.rank.before(&b.waits.rank)
		},
		place: func(s *stream[T]) *int { return &s.waits.rank.place },
	}
}

func (r *fullRank) before(o *fullRank) bool {
	return cmp.Or(cmp.Compare(r.group, o.group), cmp.Compare(r.holds, o.holds), cmp.Compare(r.joined, o.joined)) < 0
}

// first returns the stream whose first caller is served next, or nil.
func (f *fullStreams[T]) first() *stream[T] {
	f.steps++
	return f.heap.top()
}

// update moves s to where it belongs, after its first caller, what it holds, or promoted has changed. keyCapacity: of the queue.
func (f *fullStreams[T]) update(s *stream[T], keyCapacity int64) {
	w, r := s.waits.list.first, &s.waits.rank
	if w == nil {
		place(&f.heap, s, false)
		return
	}
	if r.place < 0 {
		f.joined++
		r.joined = f.joined
	}
	r.holds = 0
	switch {
	case s.waits.held == 0 && s.waits.promoted == nil:
		r.group = emptyStream
	case s.waits.held == 0:
		r.group = emptyPromoted
	case s.waits.held >= keyCapacity:
		r.group = holdsItsCap
	default:
		r.group, r.holds = holdsSome, s.waits.held+w.part(s).units
	}
	place(&f.heap, s, true)
}
