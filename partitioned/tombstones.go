// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"slices"
	"time"
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
		b.removed(e)
	}
	return e, ok
}

// delete removes the entry at position at of active.
func (b *backlog[T]) delete(at int) entry[T] {
	e := b.active[at]
	b.active[at] = entry[T]{completion: tombstone}
	b.tombstones++
	b.index.moved(e.item, at, -1)
	b.removed(e)
	return e
}

func (b *backlog[T]) removed(e entry[T]) {
	b.weight = b.weight.minus(e.weight.unpack())
	if e.completion.urgent() {
		b.urgent--
	}
}

func (b *backlog[T]) evictDrained() (e entry[T], ok bool) {
	d := &b.drain
	skip := d.cursor
	for i, s := range d.segments {
		entries := s.entries[skip:]
		skip = 0
		if e, _, ok = evictFirst(entries); !ok {
			continue
		}
		d.weight = d.weight.minus(e.weight.unpack())
		b.index.settled(b.active, e.item, time.Now())
		if i == 0 {
			entries[0] = entry[T]{}
			d.consume(1)
		}
		return e, true
	}
	return e, false
}

func (b *backlog[T]) evictFilled() (e entry[T], ok bool) {
	skip := int(b.front)
	for i, s := range b.filled {
		entries := s.entries[skip:]
		skip = 0
		if e, _, ok = evictFirst(entries); !ok {
			continue
		}
		if i > 0 {
			return e, true // what stands before it is markers of Flush
		}
		if b.front++; len(entries) == 1 {
			clear(s.entries)
			b.drain.buffers.put(s.entries)
			b.filled = slices.Delete(b.filled, 0, 1)
			b.front = 0
		}
		return e, true
	}
	return e, false
}

func (b *backlog[T]) evictActive() (e entry[T], ok bool) {
	from := int(b.front)
	if len(b.filled) > 0 { // with nothing but markers of Flush in it; front counts there
		from = 0
	}
	e, at, ok := evictFirst(b.active[from:])
	if !ok {
		return e, false
	}
	b.index.moved(e.item, from+at, -1)
	if b.tombstones++; len(b.filled) == 0 {
		b.front++
	}
	return e, true
}

// evictFirst takes the first item out of entries, where it stood at position at, and leaves a tombstone in entries[0].
// Markers of Flush that stood before the item move up by one place, so that they stay before what came after them.
func evictFirst[T any](entries []entry[T]) (e entry[T], at int, ok bool) {
	for i := range entries {
		if c := entries[i].completion; c == tombstone || c != nil && c.flush {
			continue
		}
		e = entries[i]
		copy(entries[1:i+1], entries[:i])
		entries[0] = entry[T]{completion: tombstone}
		return e, i, true
	}
	return e, 0, false
}

// compact removes the tombstones of active once they are most of it, so that each costs O(1).
func (b *backlog[T]) compact() {
	const few = 64
	if b.tombstones < few || int(b.tombstones) < len(b.active)/2 {
		return
	}
	kept := b.active[:0]
	for at, e := range b.active {
		if e.completion == tombstone {
			continue
		}
		if len(kept) != at && (e.completion == nil || !e.completion.flush) {
			b.index.moved(e.item, at, len(kept))
		}
		kept = append(kept, e)
	}
	clear(b.active[len(kept):])
	b.active = kept
	b.tombstones = 0
	if len(b.filled) == 0 {
		b.front = 0
	}
}
