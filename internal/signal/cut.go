// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"math"
	"math/bits"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// A payload is a tree: resources, scopes, for metrics and profiles one level more, items. To cut it is one walk, written
// down once here; the signals only name their levels.
//
// Two things keep the walk linear. Items and containers are never shifted within their slice when those before them have
// gone: a position is kept instead, and what was moved away stays behind as an empty shell until its container's turn to
// go as a whole. And what is left of the resource where the walk stands is kept as a node: its items are counted, and if
// bytes matter measured, once, when the walk gets there. All else is arithmetic on nodes.

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

// node is what is known of a container: of what is left of it, when a part has been taken.
type node struct {
	known bool // measured
	items int
	size  int // bytes, encoded; only where bytes matter, like base and sizes
	base  int // bytes of its own fields: what each part of it has too
	kids  []node
	sizes []int32 // of its items
	count bool    // no sizes are kept, and of kids only the one that is the next, at 0, once the walk is in it
	next  int     // the first of kids, or of the items, that is left
}

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

// fits tells whether a part of n with its next item has at most room bytes. Containers without items before it go with it.
func (n *node) fits(room int) bool {
	if n.count {
		return true
	}
	room -= n.base
	if n.kids == nil {
		return n.next >= len(n.sizes) || delimited(int(n.sizes[n.next])) <= room // without sizes: bytes do not matter
	}
	for i := n.next; i < len(n.kids); i++ {
		kid := &n.kids[i]
		cost := delimited(kid.size)
		if kid.items > 0 { // a single item stays with the containers after it
			return cost <= room || kid.items > 1 && kid.fits(within(room))
		}
		room -= cost
	}
	return false
}

// takeItems counts how many of the next items have room, and takes them off n.
func (n *node) takeItems(q Quota) (took Quota) {
	if n.sizes == nil {
		took.Items = min(q.Items, n.items)
	} else {
		for took.Items < min(q.Items, n.items) {
			cost := delimited(int(n.sizes[n.next+took.Items]))
			if took.Bytes+cost > q.Bytes {
				break
			}
			took.Bytes += cost
			took.Items++
		}
	}
	n.take(took)
	n.next += took.Items
	return took
}

func (n *node) take(q Quota) {
	n.items -= q.Items
	n.size -= q.Bytes
}

// part takes containers of one kind apart. What it has to remember of one stands in its node.
type part[C any] interface {
	// measure looks at all items in c, which is ours: it may be altered meanwhile.
	measure(c C, bytes bool) node

	// split moves as many of the next items of c as q allows, but not all, into head, an empty container, and copies the
	// fields of c to it. One item fits, and q has room for one. It returns what head is.
	split(head, c C, n *node, q Quota) (took Quota)

	// trim removes the shells that split left in c.
	trim(c C, n *node)
}

// cutter is a [Cutter]: a payload and the walk through it.
type cutter[P movable[P], E movable[E], S slice[E]] struct {
	payload P
	root    *branch[P, E, S]
	node    node
	bytes   bool
	empty   func() P
}

// newCutter cuts payload, whose encoding has size bytes; 0: by items only.
func newCutter[P movable[P], E movable[E], S slice[E]](payload P, items, size int, root *branch[P, E, S], empty func() P) *cutter[P, E, S] {
	n := node{known: true, items: items, size: size, count: size == 0}
	if size > 0 {
		n.kids = make([]node, root.children(payload).Len())
	}
	root.lazy = true
	return &cutter[P, E, S]{payload: payload, root: root, node: n, bytes: size > 0, empty: empty}
}

// Left implements [Cutter].
func (c *cutter[P, E, S]) Left() Quota {
	left := Quota{Items: c.node.items}
	if c.bytes {
		left.Bytes = c.node.size
	}
	return left
}

// Take implements [Cutter].
func (c *cutter[P, E, S]) Take(q Quota) (head P, took Quota) {
	if q.Items < 1 {
		panic("signal: Take needs room for at least one item")
	}
	left := c.Left()
	if q.Items >= left.Items && q.Bytes >= left.Bytes {
		// Moved even if nothing was taken before: were the payload itself handed out, then Unref, which with pdata's
		// pooling clears what it still holds, would clear the batch.
		head = c.empty()
		c.root.trim(c.payload, &c.node)
		c.payload.MoveTo(head)
		c.node = node{}
		return head, left
	}
	q.Items = min(q.Items, left.Items-1)
	c.root.measureNext(c.payload, &c.node)
	if q.Items == 0 || !c.node.fits(q.Bytes) {
		return head, took
	}
	head = c.empty()
	if took = c.root.split(head, c.payload, &c.node, q); !c.bytes {
		took.Bytes = 0
	}
	return head, took
}

// branch is the part for containers of containers.
type branch[C any, E movable[E], S slice[E]] struct {
	fields   func(dst, src C) // copies all of a container but its children
	children func(C) S
	child    part[E]
	base     func(C) int // bytes of a container without children; nil: never asked for

	lazy bool // of the root: its children are measured when the walk gets there
}

func newBranch[C any, E movable[E], S slice[E]](fields func(dst, src C), children func(C) S, child part[E], base func(C) int) *branch[C, E, S] {
	return &branch[C, E, S]{fields: fields, children: children, child: child, base: base}
}

func (b *branch[C, E, S]) measure(c C, bytes bool) node {
	children := b.children(c)
	if !bytes {
		n := node{known: true, count: true}
		for i := range children.Len() {
			n.items += b.child.measure(children.At(i), false).items
		}
		return n
	}
	base := b.base(c)
	n := node{known: true, base: base, size: base, kids: make([]node, children.Len())}
	for i := range n.kids {
		kid := b.child.measure(children.At(i), true)
		n.items += kid.items
		n.size += delimited(kid.size)
		n.kids[i] = kid
	}
	return n
}

// measureNext measures children up to the first with an item that is left.
func (b *branch[C, E, S]) measureNext(c C, n *node) {
	if n.count {
		return
	}
	for i := n.next; i < len(n.kids); i++ {
		if b.kid(c, n, i).items > 0 {
			return
		}
	}
}

func (b *branch[C, E, S]) kid(c C, n *node, i int) *node {
	if n.count && n.kids == nil {
		n.kids = make([]node, 1)
	}
	kid := &n.kids[n.at(i)]
	if (b.lazy || n.count) && !kid.known {
		*kid = b.child.measure(b.children(c).At(i), !n.count)
	}
	return kid
}

// at is where in kids child i stands.
func (n *node) at(i int) int {
	if n.count {
		return 0
	}
	return i
}

func (b *branch[C, E, S]) split(head, c C, n *node, q Quota) (took Quota) {
	b.fields(head, c)
	took.Bytes = n.base
	from, to := b.children(c), b.children(head)
	for { // ends before the last child, as an item stays in c
		e, kid := from.At(n.next), b.kid(c, n, n.next)
		left := Quota{q.Items - took.Items, q.Bytes - took.Bytes}
		cost := delimited(kid.size)
		if kid.items > left.Items || cost > left.Bytes {
			// What holds more than fits is divided, but for its last item: that stays with the containers after it.
			left.Items = min(left.Items, kid.items-1)
			if room := within(left.Bytes); left.Items > 0 && kid.fits(room) {
				part := b.child.split(to.AppendEmpty(), e, kid, Quota{left.Items, room})
				n.take(Quota{part.Items, cost - delimited(kid.size)})
				took.Items += part.Items
				took.Bytes += delimited(part.Bytes)
			}
			return took
		}
		// As a whole: also when there is no room for items, if there is nothing in it.
		b.child.trim(e, kid)
		e.MoveTo(to.AppendEmpty())
		n.take(Quota{kid.items, cost})
		took.Items += kid.items
		took.Bytes += cost
		*kid = node{}
		n.next++
	}
}

func (b *branch[C, E, S]) trim(c C, n *node) {
	children := b.children(c)
	dropFirst(children, n.next)
	if i := n.at(n.next); i < len(n.kids) && n.kids[i].known {
		b.child.trim(children.At(0), &n.kids[i])
	}
}

// leaf is the part for containers of items.
type leaf[C any, E movable[E], S slice[E]] struct {
	fields  func(dst, src C) // copies all of a container but its items
	records func(C) S
	base    func(C) int // bytes of a container without items; nil: never asked for
	size    func(E) int // bytes of an item
}

func newLeaf[C any, E movable[E], S slice[E]](fields func(dst, src C), records func(C) S, base func(C) int, size func(E) int) *leaf[C, E, S] {
	return &leaf[C, E, S]{fields: fields, records: records, base: base, size: size}
}

func (l *leaf[C, E, S]) measure(c C, bytes bool) node {
	if !bytes {
		return node{known: true, items: l.records(c).Len()}
	}
	return measureItems(l.base(c), l.records(c), l.size)
}

// measureItems makes the node of a container with these items, whose other fields have base bytes.
func measureItems[E any, S slice[E]](base int, items S, size func(E) int) node {
	n := node{known: true, items: items.Len(), base: base, size: base, sizes: make([]int32, items.Len())}
	for i := range n.sizes {
		one := size(items.At(i))
		n.sizes[i] = int32(min(one, math.MaxInt32)) // protobuf has no larger message
		n.size += delimited(one)
	}
	return n
}

func (l *leaf[C, E, S]) split(head, c C, n *node, q Quota) (took Quota) {
	l.fields(head, c)
	first := n.next
	took = n.takeItems(Quota{q.Items, q.Bytes - n.base})
	moveNext(l.records(head), l.records(c), first, took.Items)
	took.Bytes += n.base
	return took
}

func (l *leaf[C, E, S]) trim(c C, n *node) { dropFirst(l.records(c), n.next) }

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

// without returns the size of a container that has none of its children meanwhile: they are handed to another slice and
// back, in O(1).
func without[C any, S interface{ MoveAndAppendTo(dst S) }](children func(C) S, aside func() S, size func(C) int) func(C) int {
	return func(c C) int {
		kept := aside()
		children(c).MoveAndAppendTo(kept)
		base := size(c)
		kept.MoveAndAppendTo(children(c))
		return base
	}
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
