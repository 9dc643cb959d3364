// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// packedWeight is a [Weight] of half the size, as every note has one.
type packedWeight struct{ items, bytes uint32 }

const maxWeight = min(math.MaxUint32, math.MaxInt) // an int may have 32 bits

func pack(w Weight) packedWeight {
	return packedWeight{uint32(min(max(w.Items, 1), maxWeight)), uint32(min(max(w.Bytes, 0), maxWeight))}
}

func (p packedWeight) unpack() Weight { return Weight{int(p.items), int(p.bytes)} }

// segment is a buffer that writers no longer append to.
type segment[T any] struct {
	buffer[T]
	at int // position of the first entry
}

// backlog is the data of one stream, in order. Writers append to active; a full active is put aside in filled. A swap moves
// both into the drain, from which batches are cut. What comes back from a batch goes to the front of the drain.
//
//	append ──► active ──full──► filled ──swap──► drain ──cut──► batch
//	                                              ▲              │
//	                                              └───putBack────┘
//
// It has no lock. Its owner is whoever holds the lock of the stream's partition, with one exception: while a consumer cuts
// (state cutting), the drain belongs to that consumer, without the lock, and nobody else looks at it.
type backlog[T any] struct {
	// What every append touches, in two cache lines with the head of the stream.
	active   buffer[T]
	weight   Weight // of all entries, those of the drain included
	complete Weight // of what makes full batches, in front of what begins the next one
	tuned    *atomic.Pointer[tuning]
	urgent   int32 // entries whose completion makes the stream due
	markers  int32 // of Flush, which are urgent too

	tombstones int32        // in active, of what was deleted or evicted
	front      int32        // tombstones at the beginning of the oldest written buffer: filled[0], else active
	at         int          // position of the first entry of active
	filled     []segment[T] // full buffers since the last swap; always empty if contiguous
	index      index[T]     // finds the entries of active by key; does nothing in a Queue

	// contiguous: all that was written since the last swap stands in active, as an index leads into it. It is set in a Map,
	// and is the one place where the data of a Map differs from that of a Queue.
	contiguous bool

	marks  marks
	splits bool // items can be split

	swaps     uint32 // so far
	withdrawn int    // entries in filled and active that were withdrawn. They weigh nothing any more, and are skipped

	drain drain[T]
}

// drain is the swapped-out part of a backlog.
type drain[T any] struct {
	segments []segment[T]
	cursor   int       // entries of segments[0] that have been consumed
	entries  int       // that are left, dead ones included
	spare    buffer[T] // an empty buffer for the next swap, unless buffers are pooled
	buffers  *buffers[T]

	// The partition's lock guards these in all states.
	weight    Weight // of what is left
	withdrawn int    // entries left that were withdrawn
}

// append adds an item behind all others. quiet: it does not begin what is pending, and makes nothing due, so the stream need not move on.
func (b *backlog[T]) append(item T, c *completion, w packedWeight) (quiet bool) {
	if b.active.len() == cap(b.active.items) {
		b.extend()
	}
	// With a batch that is complete, to be calm says nothing of all that is pending.
	if quiet = b.calm(w); quiet {
		quiet = b.complete.Items == 0
	} else {
		var begins bool
		if b.complete, begins = b.expect(w.unpack()); begins || b.tuned.Load().unsure { // I6
			b.marks.add(b.at+b.active.len(), time.Now()) // the only clock of a push
		}
	}
	if c != nil {
		b.urgent++
		quiet = false
	}
	b.active.append(item, note{c, w})
	b.weight = b.weight.plus(w.unpack())
	return quiet
}

// appendFlush adds a marker that makes the stream due, and whose completion learns when all before it is settled.
func (b *backlog[T]) appendFlush(c *completion) {
	var none T
	b.append(none, c, packedWeight{})
	b.markers++
}

// extend makes room in a full active: it is put aside if it is large enough, and else it grows.
func (b *backlog[T]) extend() {
	if cap(b.active.items) == 0 {
		b.active.items = make([]T, 0, firstSize)
	}
	if b.active.len() < bufferSize || b.contiguous {
		return
	}
	b.filled = append(b.filled, segment[T]{b.active, b.at})
	b.at += b.active.len()
	b.active, b.tombstones = b.drain.buffers.get(), 0
}

// replaced books that the entry at position at of active was changed: its weight is w, and c waits for it too.
func (b *backlog[T]) replaced(at int, w packedWeight, c *completion) {
	n := b.active.note(at)
	if c != nil {
		if n.completion == nil {
			b.urgent++
		}
		n.completion = join(n.completion, c)
	}
	b.weight = b.weight.plus(w.unpack()).minus(n.weight.unpack())
	n.weight = w
	b.active.setNote(at, n)
}

// swap moves what was written into the drain, in O(1).
func (b *backlog[T]) swap() {
	if b.active.len() == 0 {
		return
	}
	d := &b.drain
	for i := range b.filled {
		d.entries += b.filled[i].len()
	}
	d.entries += b.active.len()
	d.segments = append(append(d.segments, b.filled...), segment[T]{b.active, b.at})
	b.at += b.active.len()
	d.weight = b.weight
	d.withdrawn += b.withdrawn
	b.withdrawn = 0
	b.swaps++
	if clear(b.filled); cap(b.filled) > maxEmpty {
		b.filled = nil
	}
	b.filled = b.filled[:0]
	if cap(b.active.items) == bufferSize && !b.contiguous {
		b.active = d.buffers.get() // there will be as much again
	} else {
		b.active, d.spare = d.spare, buffer[T]{}
	}
	b.tombstones, b.front = 0, 0
	b.index.swap()
}

// settleCut books what a cut took out of the drain: weight, urgent entries, and those that it skipped as they were withdrawn.
func (b *backlog[T]) settleCut(taken Weight, urgent int32, skipped int) {
	b.weight = b.weight.minus(taken)
	b.urgent -= urgent
	b.drain.weight = b.drain.weight.minus(taken)
	b.drain.withdrawn -= skipped
	b.complete = b.complete.minus(taken)
	b.recount()
}

// putBack puts entries before all others, as old as oldest.
func (b *backlog[T]) putBack(entries buffer[T], oldest time.Time, w Weight, urgent int32) {
	d := &b.drain
	d.skipConsumed()
	at := b.writtenStart() // in front of tombstones too: a sweep moves what was written to there
	if len(d.segments) > 0 {
		at = d.segments[0].at
	}
	b.marks.putBack(at, entries.len(), oldest)
	d.segments = slices.Insert(d.segments, 0, segment[T]{entries, at - entries.len()})
	d.entries += entries.len()
	d.weight = d.weight.plus(w)
	b.weight = b.weight.plus(w)
	b.urgent += urgent
}

// empty reports whether nothing is pending: neither an item, each of which weighs at least one, nor a marker of Flush. What was
// deleted, evicted or withdrawn may still stand in the buffers.
func (b *backlog[T]) empty() bool { return b.weight.Items == 0 && b.urgent == 0 }

// oldest returns when the first entry came, or earlier if it was not to be the first of a batch (marks).
func (b *backlog[T]) oldest() time.Time { return b.marks.pass(b.frontAt()) }

// frontAt returns the position of the first entry, or of the next one if there is none.
func (b *backlog[T]) frontAt() int {
	if d := &b.drain; len(d.segments) > 0 {
		return d.segments[0].at + d.cursor
	}
	return b.writtenAt()
}

// writtenAt is frontAt without the drain.
func (b *backlog[T]) writtenAt() int { return b.writtenStart() + int(b.front) }

// writtenStart returns the position where what was written begins, and the drain ends.
func (b *backlog[T]) writtenStart() int {
	if len(b.filled) > 0 {
		return b.filled[0].at
	}
	return b.at
}

// reset clears the buffers of an empty backlog.
func (b *backlog[T]) reset() {
	d := &b.drain
	d.abandon()
	for i := range b.filled {
		b.filled[i].truncate(0)
		d.buffers.put(b.filled[i].buffer)
	}
	clear(b.filled)
	b.filled = b.filled[:0]
	b.active.truncate(0)
	b.marks.reset()
	b.complete = Weight{}
	b.tombstones, b.front, b.withdrawn, d.withdrawn = 0, 0, 0, 0
}

// room is the number of entries that the buffers of an empty backlog have room for.
func (b *backlog[T]) room() int { return cap(b.active.items) + cap(b.drain.spare.items) }

// abandon empties what was written, and returns the completions of its entries.
func (b *backlog[T]) abandon() (all []*completion) {
	for i := range b.filled {
		all = b.filled[i].appendCompletions(all, 0)
	}
	all = b.active.appendCompletions(all, 0)
	b.filled, b.active = nil, buffer[T]{}
	return all
}

// run returns a buffer whose entries are the first of what is left, from the cursor on; nil: nothing is.
func (d *drain[T]) run() *buffer[T] {
	if len(d.segments) == 0 {
		return nil
	}
	return &d.segments[0].buffer
}

// comesAgain reports whether the first entry is of a batch that comes again as it was.
func (d *drain[T]) comesAgain() bool {
	run := d.run()
	if run == nil {
		return false
	}
	c := run.note(d.cursor).completion
	return c != nil && c.group != nil
}

// skipConsumed makes the first entry that is left the first of its segment.
func (d *drain[T]) skipConsumed() {
	if d.cursor > 0 {
		d.segments[0].skip(d.cursor)
		d.segments[0].at += d.cursor
		d.cursor = 0
	}
}

// consume removes the first n entries of a run, which have been cleared.
func (d *drain[T]) consume(n int) {
	d.cursor += n
	d.entries -= n
	b := d.segments[0].buffer
	if d.cursor < b.len() {
		return
	}
	d.segments = slices.Delete(d.segments, 0, 1)
	d.cursor = 0
	if !d.buffers.put(b) && cap(b.items) > cap(d.spare.items) && cap(b.items) <= maxSpare {
		d.spare = buffer[T]{b.items[:0], b.notes[:0]}
	}
}

// abandon empties the drain, and returns the completions of its entries.
func (d *drain[T]) abandon() (all []*completion) {
	for run := d.run(); run != nil; run = d.run() {
		all = run.appendCompletions(all, d.cursor)
		run.clear(d.cursor, run.len())
		d.consume(run.len() - d.cursor)
	}
	return all
}
