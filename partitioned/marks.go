// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"slices"
	"sort"
	"time"
)

// marks are positions of a backlog whose entry came at a known time. An entry is as old as the last mark at or before it, so
// one that is unmarked counts as older than it is: it would go early, and never late (I6). So append reads the clock for each entry that
// will be the first of a batch, and for no other. Where nobody knows which that will be (tuning.unsure), it does so for all.
//
// Positions count the entries of a stream from its beginning, so they stay as they are when the front moves. What comes back
// gets the positions before the front.
type marks struct {
	all   []mark // by position
	first int    // those before it are passed
}

type mark struct {
	pos int
	at  time.Time
}

// add marks the last entry.
func (m *marks) add(pos int, at time.Time) { m.all = append(m.all, mark{pos, at}) }

// pass forgets what is known of entries before front, the first that is left, and returns how old that one is.
func (m *marks) pass(front int) time.Time {
	for m.first+1 < len(m.all) && m.all[m.first+1].pos <= front {
		m.first++
	}
	if m.first > len(m.all)/2 { // so that each mark is moved once
		m.all = m.all[:copy(m.all, m.all[m.first:])]
		m.first = 0
	}
	return m.at(front)
}

// at returns when the entry at pos came, or earlier.
func (m *marks) at(pos int) time.Time {
	known := m.all[m.first:]
	i := sort.Search(len(known), func(i int) bool { return known[i].pos > pos })
	if i > 0 {
		i--
	}
	if i == len(known) {
		return time.Time{} // nothing was ever appended
	}
	return known[i].at
}

// putBack marks n entries before front.
func (m *marks) putBack(front, n int, at time.Time) {
	m.pass(front)
	if m.first < len(m.all) {
		m.all[m.first].pos = max(m.all[m.first].pos, front)
	}
	m.all = slices.Insert(m.all, m.first, mark{front - n, at})
}

func (m *marks) reset() { m.all, m.first = m.all[:0], 0 }

// remap gives marks their new positions while entries move together.
type remap struct{ marks []mark }

// from returns a remap for the marks from position pos on.
func (m *marks) from(pos int) remap {
	known := m.all[m.first:]
	return remap{known[sort.Search(len(known), func(i int) bool { return known[i].pos >= pos }):]}
}

// kept says that the entry at position from is at position to now, and that those between it and the one before are gone.
func (r *remap) kept(from, to int) {
	for len(r.marks) > 0 && r.marks[0].pos <= from {
		r.marks[0].pos = to
		r.marks = r.marks[1:]
	}
}

// calm reports whether an item of weight w neither begins a batch, nor completes one, nor makes the stream due by its size: most do not.
// It says so without a look at what expect weighs up.
func (b *backlog[T]) calm(w packedWeight) bool {
	t := b.tuned.Load()
	items, bytes := b.weight.Items-b.complete.Items, b.weight.Bytes-b.complete.Bytes
	return b.active.len() > 0 && items > 0 && items+int(w.items) < t.calm.Items && bytes+int(w.bytes) < t.calm.Bytes
}

// expect looks where the next batches will end once an item of weight w is appended. It returns the weight of the batches that are
// complete then, and whether another begins with the item and is to be marked.
//
// It does what cut does, with one difference: where bytes limit a batch, and a part repeats something of the whole, it can only
// guess where Split divides. Then each entry is marked. settleCut begins anew with what is really left.
func (b *backlog[T]) expect(w Weight) (complete Weight, begins bool) {
	t := b.tuned.Load()
	fill := b.weight.minus(b.complete)
	all := b.weight.plus(w)
	begins = fill.Items == 0
	if t.adaptive { // one swap takes all that was written
		return b.complete, b.active.len() == 0 && len(b.filled) == 0
	}
	complete = b.complete
	next := fill.plus(w)
	if next.exceeds(t.limit) {
		if begins = true; b.splits {
			next = w.minus(w.head(t.limit.minus(fill), t.limit)).tail(t.limit)
		} else if next = w; w.exceeds(t.limit) {
			return all, b.active.len() == 0
		}
		complete = all.minus(next)
	}
	if next.reaches(t.until) {
		return all, begins && b.active.len() == 0 // it is due, and whoever asks how old it is may be told of the swap before it
	}
	return complete, begins
}

// head returns the part of w that fits into room, if both units are spread evenly over it. A limit of 0 is none.
func (w Weight) head(room, limit Weight) Weight {
	part := 1.0
	if limit.Items > 0 && w.Items > room.Items {
		part = float64(room.Items) / float64(w.Items)
	}
	if limit.Bytes > 0 && w.Bytes > room.Bytes {
		part = min(part, float64(room.Bytes)/float64(w.Bytes))
	}
	part = max(part, 0)
	return Weight{int(part*float64(w.Items) + 0.5), int(part*float64(w.Bytes) + 0.5)}
}

// tail returns what is left of w after as many full batches as it has.
func (w Weight) tail(limit Weight) Weight {
	batches := 0
	if limit.Items > 0 {
		batches = max(batches, (w.Items-1)/limit.Items)
	}
	if limit.Bytes > 0 {
		batches = max(batches, (w.Bytes-1)/limit.Bytes)
	}
	if batches == 0 {
		return w
	}
	part := 1.0 // of w that makes one batch
	if limit.Items > 0 {
		part = min(part, float64(limit.Items)/float64(w.Items))
	}
	if limit.Bytes > 0 {
		part = min(part, float64(limit.Bytes)/float64(w.Bytes))
	}
	part *= float64(batches)
	return Weight{max(w.Items-int(part*float64(w.Items)+0.5), 1), max(w.Bytes-int(part*float64(w.Bytes)+0.5), 0)}
}

// recount begins anew with what is pending, of which nothing is in a batch that is being cut: less than a batch is not complete.
func (b *backlog[T]) recount() {
	t := b.tuned.Load()
	b.complete = b.complete.clamp(b.weight)
	if !t.adaptive && !b.weight.reaches(t.until) && !b.weight.exceeds(t.limit) {
		b.complete = Weight{}
	}
}

// seal says that a cut takes what is pending, if that is no more than a batch.
func (b *backlog[T]) seal() {
	if b.complete.Items == 0 {
		b.complete = b.weight
	}
}

// clamp returns w, at least 0 and at most most.
func (w Weight) clamp(most Weight) Weight {
	return Weight{max(min(w.Items, most.Items), 0), max(min(w.Bytes, most.Bytes), 0)}
}
