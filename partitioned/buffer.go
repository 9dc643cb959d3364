// SPDX-License-Identifier: Apache-2.0

package partitioned

import "sync"

// entry is an item that is pending, with what is known of it.
type entry[T any] struct {
	item T
	note
}

// note is who waits for an item, and what it weighed when it was admitted.
type note struct {
	completion *completion // nil: nobody waits
	weight     packedWeight
}

// plain is the note of most items: each weighs one, and nobody waits.
var plain = note{weight: packedWeight{items: 1}}

// tombstone is the completion of an entry that was deleted or evicted. A cut skips it.
var tombstone = &completion{}

// buffer is a run of entries, in order. While all of them are plain it holds their items and nothing else, so that most pushes write an
// item, a cut copies items, and the garbage collector looks at no more than they have it look at.
type buffer[T any] struct {
	items []T
	notes []note // as long as items; or empty: all entries are plain
}

func (b *buffer[T]) len() int { return len(b.items) }

// note returns that of the entry at position at.
func (b *buffer[T]) note(at int) note {
	if len(b.notes) == 0 {
		return plain
	}
	return b.notes[at]
}

func (b *buffer[T]) entry(at int) entry[T] { return entry[T]{b.items[at], b.note(at)} }

func (b *buffer[T]) append(item T, n note) {
	b.items = append(b.items, item)
	if len(b.notes) > 0 || n != plain {
		b.annotate()
		b.notes[len(b.notes)-1] = n
	}
}

// annotate makes notes as long as items.
func (b *buffer[T]) annotate() {
	if cap(b.notes) < len(b.items) {
		b.notes = append(make([]note, 0, cap(b.items)), b.notes...)
	}
	for len(b.notes) < len(b.items) {
		b.notes = append(b.notes, plain)
	}
}

func (b *buffer[T]) set(at int, e entry[T]) {
	b.items[at] = e.item
	b.setNote(at, e.note)
}

func (b *buffer[T]) setNote(at int, n note) {
	if len(b.notes) == 0 && n == plain {
		return
	}
	b.annotate()
	b.notes[at] = n
}

// clear forgets the entries from position from on, up to position to. They keep their places.
func (b *buffer[T]) clear(from, to int) {
	clear(b.items[from:to])
	if len(b.notes) > 0 {
		clear(b.notes[from:to])
	}
}

// truncate removes all entries but the first n.
func (b *buffer[T]) truncate(n int) {
	b.clear(n, len(b.items))
	b.items = b.items[:n]
	if len(b.notes) > 0 {
		b.notes = b.notes[:n]
	}
}

// skip removes the first n entries, whose room is lost.
func (b *buffer[T]) skip(n int) {
	b.items = b.items[n:]
	if len(b.notes) > 0 {
		b.notes = b.notes[n:]
	}
}

// appendCompletions appends those of the live entries from position from on.
func (b *buffer[T]) appendCompletions(all []*completion, from int) []*completion {
	if len(b.notes) == 0 {
		return all
	}
	for _, n := range b.notes[from:] {
		if n.completion != nil && !n.completion.dead() {
			all = append(all, n.completion)
		}
	}
	return all
}

const (
	firstSize = 4 // entries that a small buffer has room for from the beginning

	bufferSize = 1024    // entries of a pooled buffer; a smaller one grows, and that of a Map grows on
	maxSpare   = 1 << 16 // entries of the largest buffer that is kept for use again
)

// buffers is a pool of buffers of bufferSize. With it, nothing pending is copied while writers wait, however much it is.
type buffers[T any] struct {
	items sync.Pool // of *[bufferSize]T
	notes sync.Pool // of *[bufferSize]note
}

// get returns an empty buffer. It has room for notes if there is any that nobody uses.
func (p *buffers[T]) get() (b buffer[T]) {
	if items, ok := p.items.Get().(*[bufferSize]T); ok {
		b.items = items[:0]
	} else {
		b.items = make([]T, 0, bufferSize)
	}
	if notes, ok := p.notes.Get().(*[bufferSize]note); ok {
		b.notes = notes[:0]
	}
	return b
}

// put takes back a cleared buffer. It reports false, and takes nothing, if b is of another size.
func (p *buffers[T]) put(b buffer[T]) (ok bool) {
	if cap(b.items) != bufferSize {
		return false
	}
	p.items.Put((*[bufferSize]T)(b.items[:bufferSize]))
	if cap(b.notes) == bufferSize {
		p.notes.Put((*[bufferSize]note)(b.notes[:bufferSize]))
	}
	return true
}
