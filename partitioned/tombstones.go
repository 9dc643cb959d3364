// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"math"
	"slices"
)

// evict removes the oldest item, or reports that there is none. If the drain belongs to a consumer that cuts, only what was
// written is looked at.
func (b *backlog[T]) evict(cutting bool) (e entry[T], ok bool) {
	if !cutting {
		e, ok = b.evictDrained()
	}
	if !ok {
		e, ok = b.evictFilled()
	}
	if !ok {
		e, ok = b.evictActive()
	}
	if ok {
		if b.complete.Items > 0 && !cutting && !b.contiguous { // of a Map all is in one batch
			b.complete = b.complete.minus(e.weight.unpack())
		}
		b.removed(e)
	}
	return e, ok
}

// delete removes the entry at position at of active.
func (b *backlog[T]) delete(at int) entry[T] {
	e := b.active.entry(at)
	b.active.bury(at)
	b.tombstones++
	b.index.moved(e.item, at, -1)
	b.index.left(e.item, true)
	b.removed(e)
	return e
}

func (b *backlog[T]) removed(e entry[T]) {
	b.weight = b.weight.minus(e.weight.unpack())
	b.complete = b.complete.clamp(b.weight)
	if e.completion.urgent() {
		b.urgent--
	}
}

func (b *backlog[T]) evictDrained() (e entry[T], ok bool) {
	d := &b.drain
	skip := d.cursor
	for i := range d.segments {
		s, from := &d.segments[i], skip
		skip = 0
		e, r := s.evictFirst(from)
		if !r.ok {
			continue
		}
		d.weight = d.weight.minus(e.weight.unpack())
		d.withdrawn -= r.withdrawn
		b.fell(e)
		if i == 0 {
			s.clear(from, from+r.dead)
			d.consume(r.dead)
		}
		return e, true
	}
	return e, false
}

// fell tells the index of an entry that was swapped out, and dropped.
func (b *backlog[T]) fell(e entry[T]) {
	if e.completion != nil && e.completion.stands != nil {
		b.index.fell(b.active.items, e.completion.stands)
		return
	}
	b.index.settled(b.active.items, e.item, false)
}

func (b *backlog[T]) evictFilled() (e entry[T], ok bool) {
	skip := int(b.front)
	for i := range b.filled {
		s, from := &b.filled[i], skip
		skip = 0
		e, r := s.evictFirst(from)
		if !r.ok {
			continue
		}
		b.withdrawn -= r.withdrawn
		if i > 0 {
			return e, true // what stands before it is dead, or markers of Flush
		}
		if b.front += int32(r.dead); s.len() == from+r.dead {
			s.truncate(0)
			b.drain.buffers.put(s.buffer)
			b.filled = slices.Delete(b.filled, 0, 1)
			b.front = 0
		}
		return e, true
	}
	return e, false
}

func (b *backlog[T]) evictActive() (e entry[T], ok bool) {
	from := int(b.front)
	if len(b.filled) > 0 { // with nothing but markers of Flush and withdrawn entries in it; front counts there
		from = 0
	}
	e, r := b.active.evictFirst(from)
	if !r.ok {
		return e, false
	}
	b.index.moved(e.item, r.at, -1)
	b.index.left(e.item, false)
	b.withdrawn -= r.withdrawn
	b.tombstones += int32(r.withdrawn + 1)
	if len(b.filled) == 0 {
		b.front += int32(r.dead)
	}
	return e, true
}

// evicted is where evictFirst found an item, and what it left.
type evicted struct {
	ok        bool
	at        int // where the item stood
	dead      int // tombstones from there on where it looked
	withdrawn int // entries that are tombstones now
}

// evictFirst takes the first live item out, from position from on. What stood before it becomes tombstones, and behind them the
// markers of Flush, which so stay before what came after them. Nothing dead is looked at twice.
func (b *buffer[T]) evictFirst(from int) (e entry[T], r evicted) {
	for i := from; i < b.len(); i++ {
		c := b.note(i).completion
		if c.dead() {
			if c != tombstone {
				r.withdrawn++
			}
			continue
		}
		if c != nil && c.flush {
			continue
		}
		e, r.ok, r.at = b.entry(i), true, i
		break
	}
	if !r.ok {
		return e, evicted{}
	}
	to := r.at
	for i := r.at - 1; i >= from; i-- {
		if !b.note(i).completion.dead() {
			b.set(to, b.entry(i))
			to--
		}
	}
	r.dead = to + 1 - from
	for i := from; i <= to; i++ {
		b.bury(i)
	}
	return e, r
}

// bury puts a tombstone in place of the entry at position at.
func (b *buffer[T]) bury(at int) { b.set(at, entry[T]{note: note{completion: tombstone}}) }

// compact removes the tombstones of active once they are most of it, so that each costs O(1).
func (b *backlog[T]) compact() {
	const few = 64
	dead := int(b.tombstones)
	if b.contiguous { // else sweep sees to what was withdrawn
		dead += b.withdrawn
	}
	if dead < few || dead < b.active.len()/2 {
		return
	}
	kept := 0
	marked := b.marks.from(b.at)
	for at := range b.active.items {
		e := b.active.entry(at)
		if e.completion.dead() {
			if e.completion != tombstone {
				b.withdrawn--
			}
			continue
		}
		marked.kept(b.at+at, b.at+kept)
		if kept != at && (e.completion == nil || !e.completion.flush) {
			b.index.moved(e.item, at, kept)
		}
		b.active.set(kept, e)
		kept++
	}
	marked.kept(math.MaxInt, b.at+kept) // of an earlier sweep, too, where the next entry was to come
	b.active.truncate(kept)
	b.tombstones = 0
	if len(b.filled) == 0 {
		b.front = 0
	}
}

// withdraw books that entries of c were withdrawn. They stay where they are.
func (b *backlog[T]) withdraw(c *completion, left share) {
	b.weight = b.weight.minus(left.weight)
	b.complete = b.complete.clamp(b.weight)
	b.urgent -= int32(left.entries)
	if c.flush {
		b.markers -= int32(left.entries)
	}
	if c.swaps != b.swaps { // they are in the drain
		b.drain.weight = b.drain.weight.minus(left.weight)
		b.drain.withdrawn += left.entries
	} else {
		b.withdrawn += left.entries
	}
}

// sweep removes what was withdrawn once that is half of its buffers, so that each entry costs O(1), and callers that give up
// before a stuck stream leave no memory behind. A drain that a consumer cuts is left alone.
func (b *backlog[T]) sweep(cutting bool) {
	const few = 64
	if d := &b.drain; !cutting && d.withdrawn >= few && d.withdrawn >= d.entries/2 {
		d.skipConsumed()
		d.entries, d.withdrawn = alive(d.segments), 0
		end := b.writtenStart()
		marked := b.marks.from(math.MinInt)
		d.segments = d.buffers.sweep(d.segments, end-d.entries, &marked)
	}
	if b.contiguous || b.withdrawn < few || b.withdrawn < (len(b.filled)*bufferSize+b.active.len())/2 {
		return
	}
	start := b.writtenStart()
	marked := b.marks.from(start)
	kept := b.drain.buffers.sweep(append(b.filled, segment[T]{b.active, b.at}), start, &marked)
	b.active, b.at = buffer[T]{}, start
	if n := len(kept); n > 0 {
		b.active, b.at = kept[n-1].buffer, kept[n-1].at
		kept[n-1] = segment[T]{}
		kept = kept[:n-1]
	}
	b.filled = kept
	b.withdrawn, b.tombstones, b.front = 0, 0, 0
	marked.kept(math.MaxInt, b.at+b.active.len()) // of an earlier sweep, where the next entry was to come
}

// alive returns the number of entries that are neither tombstones nor withdrawn.
func alive[T any](segments []segment[T]) (n int) {
	for i := range segments {
		s := &segments[i]
		for at := range s.items {
			if !s.note(at).completion.dead() {
				n++
			}
		}
	}
	return n
}

// sweep moves the live entries of segments together, in order, to positions from at on, and the marks of m with them. It returns
// the segments that hold some. The others are used again.
func (p *buffers[T]) sweep(segments []segment[T], at int, m *remap) []segment[T] {
	to, n := 0, 0 // where the next entry goes: never behind where it comes from
	end := at
	for i := range segments {
		from := segments[i].at
		for j := range segments[i].items {
			e := segments[i].entry(j)
			if e.completion.dead() {
				continue
			}
			for n == segments[to].len() {
				to, n = to+1, 0
			}
			m.kept(from+j, end)
			end++
			segments[to].set(n, e)
			n++
		}
		m.kept(from+segments[i].len()-1, end)
	}
	for i := range segments {
		s := &segments[i]
		kept := s.len()
		if i == to {
			kept = n
		} else if i > to {
			kept = 0
		}
		s.truncate(kept)
		s.at = at
		at += kept
	}
	if n > 0 {
		to++
	}
	for i := to; i < len(segments); i++ {
		p.put(segments[i].buffer)
		segments[i] = segment[T]{}
	}
	return segments[:to]
}
