// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"hash/maphash"
	"unique"
)

// Name is the identity of a resource, scope or metric, interned: two are equal if, and only if, what they stand for is the same,
// and to compare or to hash them costs one word, whatever their size. That of a scope or metric refers to that of what it stands
// below, and holds no more than its own fields, so a resource's identity exists once, whatever hangs below it (I10).
//
// A Name that nobody has any more is garbage: package unique holds no more than weak pointers. The zero Name stands for nothing.
type Name = unique.Handle[identity]

type identity struct {
	above unique.Handle[identity]
	value unique.Handle[identity] // a value that it has, beside own: of log records. Else zero
	own   string                  // what the Encoder wrote of its own fields
	size  int                     // bytes of own, and of all that it refers to
}

// Hash returns a hash of how it begins, and what it stands below: what is the same for a whole payload must not be read for each record (I10).
func (i identity) Hash(seed maphash.Seed) uint64 {
	hash := maphash.String(seed, beginning(i.own))
	if i.above != (Name{}) {
		hash += 5 * maphash.String(seed, beginning(i.above.Value().own))
	}
	if i.value != (Name{}) {
		hash += 7 * maphash.String(seed, beginning(i.value.Value().own))
	}
	return hash
}

func beginning(own string) string { return own[:min(len(own), 256)] }

// intern returns the Name of what was written since the last reset, below another one.
func (e *Encoder) intern(above Name) Name { return e.internOf(above, Name{}, e.buf) }

// internOf returns the Name of a text, with a value beside it, below another one.
func (e *Encoder) internOf(above, value Name, text []byte) Name {
	size := len(text)
	if above != (Name{}) {
		size += above.Value().size
	}
	if value != (Name{}) {
		size += value.Value().size
	}
	if n, ok := e.names.of[identity{above, value, string(text), size}]; ok {
		return n
	}
	n := unique.Make(identity{above, value, string(text), size})
	e.names.add(n.Value(), n, size)
	return n
}

// recent is what an Encoder made last: most requests are like those before them, and what was made of one need not be made again.
// It is bounded in bytes, and all of it is forgotten at once.
type recent[K comparable, V any] struct {
	of   map[K]V
	size int
}

const (
	maxRecent   = 1 << 20 // bytes, as add counts them
	maxText     = 4 << 10 // bytes of one text: those that are longer are few
	recentEntry = 64      // bytes that an entry takes beside its text, roughly
)

// add remembers what was made of a text of size bytes, or keeps as many alive.
func (r *recent[K, V]) add(k K, v V, size int) {
	if size > maxText {
		return
	}
	if r.size += size + recentEntry; r.size > maxRecent {
		clear(r.of)
		r.size = size + recentEntry
	}
	if r.of == nil {
		r.of = map[K]V{}
	}
	r.of[k] = v
}
