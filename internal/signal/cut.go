// SPDX-License-Identifier: Apache-2.0

package signal

import "go.opentelemetry.io/collector/pdata/pcommon"

// A payload is a tree: resources, scopes, for metrics and profiles one level more, items. To cut it is one walk, written
// down once here; the signals only name their levels.
//
// Two things keep the walk linear. Items and containers are never shifted within their slice when those before them have
// gone: a position is kept instead, and what was moved away stays behind as an empty shell until its container's turn to
// go as a whole. And what is left in the container where the walk stands is remembered, so that each container is counted
// once per level above it and not again by each Take.

// slice is what pdata's slices have in common.
type slice[E any] interface {
	Len() int
	At(i int) E
	AppendEmpty() E
	EnsureCapacity(newCap int)
	RemoveIf(f func(E) bool)
}

// movable is what pdata's containers and items have in common. MoveTo leaves an empty one behind.
type movable[E any] interface {
	MoveTo(dst E)
}

// part takes containers of one kind apart, one after another, and remembers how far it is in the one it is in.
type part[C any] interface {
	// items counts the items in c.
	items(c C) int

	// split moves the next n items of c into head, an empty container, and copies the fields of c to it. At least one
	// item stays in c, and n is above 0.
	split(head, c C, n int)

	// trim removes the shells that split left in c, if it was called for c, and makes the part ready for another one.
	trim(c C)
}

// cutter is a [Cutter]: a payload and the walk through it.
type cutter[P movable[P]] struct {
	payload P
	left    int // items
	root    part[P]
	empty   func() P
}

func newCutter[P movable[P]](payload P, root part[P], empty func() P) *cutter[P] {
	return &cutter[P]{payload: payload, left: root.items(payload), root: root, empty: empty}
}

// Take implements [Cutter].
func (c *cutter[P]) Take(n int) P {
	if n < 1 {
		panic("signal: Take needs room for at least one item")
	}
	head := c.empty()
	if n < c.left {
		c.root.split(head, c.payload, n)
		c.left -= n
		return head
	}
	// Moved even if nothing was taken before: were the payload itself handed out, then Unref, which with pdata's pooling
	// clears what it still holds, would clear the batch.
	c.root.trim(c.payload)
	c.payload.MoveTo(head)
	c.left = 0
	return head
}

// branch is the part for containers of containers.
type branch[C any, E movable[E], S slice[E]] struct {
	fields   func(dst, src C) // copies all of a container but its children
	children func(C) S
	child    part[E]

	next    int  // index of the first child that is not a shell
	counted bool // left is known, and child stands in next
	left    int  // items in child next
}

func newBranch[C any, E movable[E], S slice[E]](fields func(dst, src C), children func(C) S, child part[E]) *branch[C, E, S] {
	return &branch[C, E, S]{fields: fields, children: children, child: child}
}

func (b *branch[C, E, S]) items(c C) int {
	total := 0
	children := b.children(c)
	for i := range children.Len() {
		total += b.child.items(children.At(i))
	}
	return total
}

func (b *branch[C, E, S]) split(head, c C, n int) {
	b.fields(head, c)
	from, to := b.children(c), b.children(head)
	for { // ends before the last child, as an item stays in c
		e := from.At(b.next)
		if !b.counted {
			b.left, b.counted = b.child.items(e), true
		}
		if b.left > n {
			if n > 0 {
				b.child.split(to.AppendEmpty(), e, n)
				b.left -= n
			}
			return
		}
		// As a whole: also with n = 0, if there is nothing in it.
		b.child.trim(e)
		e.MoveTo(to.AppendEmpty())
		n -= b.left
		b.next, b.counted = b.next+1, false
	}
}

func (b *branch[C, E, S]) trim(c C) {
	children := b.children(c)
	dropFirst(children, b.next)
	if b.counted {
		b.child.trim(children.At(0))
	}
	b.next, b.counted = 0, false
}

// leaf is the part for containers of items.
type leaf[C any, E movable[E], S slice[E]] struct {
	fields  func(dst, src C) // copies all of a container but its items
	records func(C) S

	next int // index of the first item that is not a shell
}

func newLeaf[C any, E movable[E], S slice[E]](fields func(dst, src C), records func(C) S) *leaf[C, E, S] {
	return &leaf[C, E, S]{fields: fields, records: records}
}

func (l *leaf[C, E, S]) items(c C) int { return l.records(c).Len() }

func (l *leaf[C, E, S]) split(head, c C, n int) {
	l.fields(head, c)
	moveNext(l.records(head), l.records(c), l.next, n)
	l.next += n
}

func (l *leaf[C, E, S]) trim(c C) {
	dropFirst(l.records(c), l.next)
	l.next = 0
}

// moveNext moves n elements of src, from index first on, behind those of dst.
func moveNext[E movable[E], S slice[E]](dst, src S, first, n int) {
	dst.EnsureCapacity(n)
	for i := range n {
		src.At(first + i).MoveTo(dst.AppendEmpty())
	}
}

// dropFirst removes the first n elements of s. It costs as much as s is long, once in the life of s.
func dropFirst[E any, S slice[E]](s S, n int) {
	if n == 0 {
		return
	}
	s.RemoveIf(func(E) bool {
		n--
		return n >= 0
	})
}

// copyNothing is for payloads: they have no fields beside their resources, and the dictionary of profiles is made when the
// content of a part is known.
func copyNothing[P any](_, _ P) {}

// withSchema is what the containers under a resource and under a scope have in common.
type withSchema interface {
	SchemaUrl() string
	SetSchemaUrl(string)
}

func copyResource[C interface {
	withSchema
	Resource() pcommon.Resource
}](dst, src C) {
	src.Resource().CopyTo(dst.Resource())
	dst.SetSchemaUrl(src.SchemaUrl())
}

type withScope interface {
	withSchema
	Scope() pcommon.InstrumentationScope
}

func copyScope[C withScope](dst, src C) {
	src.Scope().CopyTo(dst.Scope())
	dst.SetSchemaUrl(src.SchemaUrl())
}

func moveScope[C withScope](dst, src C) {
	src.Scope().MoveTo(dst.Scope())
	dst.SetSchemaUrl(src.SchemaUrl())
}
