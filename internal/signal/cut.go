// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"math"
	"math/bits"
)

// A payload is a tree: resources, scopes, for metrics and profiles one more level, items. To cut it is one walk over that
// tree (tree.go), written once; the signals only name their levels.
//
// Two things keep the walk linear. Nothing is shifted within its slice when what stood before it has gone: a position is
// kept instead, and what was moved away stays behind as an empty shell until its container goes as a whole. And what is
// known of the tree is only the path to the next item: a node per level. A container is counted, and if bytes matter
// measured, as a whole when the walk gets there. Only if it does not fit as a whole, its children are. So each item is
// counted and measured once per level above it at most, whatever the number of parts, and containers that go as a whole
// cost no memory. Resources that the caller measured are not measured again, and neither is the last child of a container: it has
// what is left.

// node is what is known of a container on the path, or of what is left of it when a part has been taken.
type node struct {
	known  bool
	opened bool  // it is walked into: base is valid
	sized  bool  // bytes matter. Otherwise size, base, lead and ahead stay 0
	items  int   // in it
	size   int   // bytes, encoded, base included
	base   int   // bytes of its own fields: what each part of it has too
	next   int   // the first of its children, or of its items, that is left
	first  int   // of a branch: the first child with an item, if child is known
	lead   int   // of a branch: the bytes of the children from next to first, which have no items
	each   []int // of a branch: how many bytes each child takes in it; nil: they have to be measured
	child  *node // of a branch: the child at first. Its memory is used again
	ahead  int   // of a leaf: the bytes of item next; 0: not measured
}

// unbounded is more bytes than any payload has. A few more can be added to it.
const unbounded = math.MaxInt / 2

// delimited is how many bytes a message of so many has in another one: tag, length, content. All tags here have one byte.
func delimited(size int) int { return 1 + varint(size) + size }

func varint(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// within is how large a message may be whose delimited size is at most room; below 0: there is no room for any.
func within(room int) int {
	size := room - 1 - varint(max(room, 0))
	if delimited(size+1) <= room {
		size++
	}
	return size
}

// delimited is how many bytes something of so many takes in n.
func (n *node) delimited(size int) int {
	if !n.sized {
		return 0
	}
	return delimited(size)
}

// cost is how many bytes n takes in its parent.
func (n *node) cost() int { return n.delimited(n.size) }

// take takes off n what has been moved out of it.
func (n *node) take(q Quota) {
	n.items -= q.Items
	n.size -= q.Bytes
}

// withBase is what a part has if it took this out of n.
func (n *node) withBase(took Quota) Quota {
	if took.Items > 0 {
		took.Bytes += n.base
	}
	return took
}

// forget makes n and all below it unknown.
func (n *node) forget() {
	*n = node{child: n.child}
	if n.child != nil {
		n.child.forget()
	}
}

// cutter is a [Cutter]: a payload and the walk through it.
type cutter[P movable[P], E movable[E], S slice[E]] struct {
	payload P
	root    *branch[P, E, S]
	node    node
	empty   func() P
}

// newCutter cuts payload, which was measured; zero: by items only.
func newCutter[P movable[P], E movable[E], S slice[E]](payload P, items int, m Measure, root *branch[P, E, S], empty func() P) *cutter[P, E, S] {
	n := node{known: true, opened: true, sized: m.Bytes > 0, items: items, size: m.Bytes, each: m.each}
	return &cutter[P, E, S]{payload: payload, root: root, node: n, empty: empty}
}

// Left implements [Cutter].
func (c *cutter[P, E, S]) Left() Quota { return Quota{Items: c.node.items, Bytes: c.node.size} }

// Take implements [Cutter].
func (c *cutter[P, E, S]) Take(q Quota) (part P, took Quota) {
	if q.Items < 1 {
		panic("signal: Take needs room for at least one item")
	}
	left := c.Left()
	if q.Items >= left.Items && q.Bytes >= left.Bytes {
		// Moved even if nothing was taken before: were the payload itself handed out, then Unref, which with pdata's
		// pooling clears what it still holds, would clear the batch.
		part = c.empty()
		c.root.trim(c.payload, &c.node)
		c.payload.MoveTo(part)
		c.node = node{}
		return part, left
	}
	q = Quota{Items: min(q.Items, left.Items-1), Bytes: min(q.Bytes, unbounded)}
	took = c.root.split(func() P { part = c.empty(); return part }, c.payload, &c.node, q)
	return part, took
}

// Seam implements [Cutter].
func (c *cutter[P, E, S]) Seam() (seam int) {
	depth := 0
	for n := c.node.child; n != nil && n.known; n = n.child {
		if depth++; n.next > 0 {
			seam = depth
		}
	}
	return seam
}

// Together implements [Cutter]. The Take before it has opened the path as far as there is more than one item.
func (c *cutter[P, E, S]) Together(most int) int {
	room := most
	for n := c.node.child; n != nil && n.known && n.opened; n = n.child {
		if room = within(room) - n.base; room < 0 {
			return n.items // I6
		}
	}
	return 1
}
