// SPDX-License-Identifier: Apache-2.0

package signal

import "go.opentelemetry.io/collector/pdata/pcommon"

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
	CopyTo(dst E)
}

// level is one level of the tree that a payload is: how to count, measure, divide and join its containers. It has no state:
// what the walk has to remember of a container stands in its node.
type level[C any] interface {
	// items counts the items in c.
	items(c C) int

	// size is the number of bytes of c, encoded.
	size(c C) int

	// split moves as many of the next items of c as q allows, fewer than it has, into a new container, and copies the
	// fields of c to it, or moves them if they are true of the whole alone. It takes the new one from head, once it knows that there is room for an item.
	split(head func() C, c C, n *node, q Quota) (took Quota)

	// trim removes the shells that split left in c.
	trim(c C, n *node)

	// strip removes the containers without items from c, which has items itself.
	strip(c C)

	// join appends a copy of what is in src to what is in dst, as if the two were parts of one container, and seam was
	// returned by [Cutter.Seam] at the end of the first of them, less the levels above.
	join(dst, src C, seam int)

	// deal moves the items in c to their parts. c is a child of a container of the level above, level counts from the payload, and head returns
	// the container for c that a part has, or makes it.
	deal(c C, d *dealer, level int, head func(part int) C)

	// fill copies the fields of src, and of the containers in it that trail leads to, to dst, which has a part of its items.
	fill(dst, src C, trail *[]int32)

	// each calls f with each item in c.
	each(c C, f func(anyItem))

	// share adds what is in c to what each part has in the level above, and returns the size of c.
	share(c C, s *shares, level int) (size int)
}

// message is how a signal measures one of its containers.
type message[C any] struct {
	size func(C) int // bytes, encoded
	base func(C) int // without its children or items
}

// open notes that c is walked into.
func (m message[C]) open(c C, n *node) {
	if n.sized && !n.opened {
		n.base = m.base(c)
	}
	n.opened = true
}

// branch is the level of containers of containers.
type branch[C any, E movable[E], S slice[E]] struct {
	fields   func(dst, src C) // copies all of a container but its children
	children func(C) S
	child    level[E]
	message  message[C] // zero: never asked for
}

func newBranch[C any, E movable[E], S slice[E]](fields func(dst, src C), children func(C) S, child level[E], m message[C]) *branch[C, E, S] {
	return &branch[C, E, S]{fields: fields, children: children, child: child, message: m}
}

func (b *branch[C, E, S]) items(c C) (n int) {
	children := b.children(c)
	for i := range children.Len() {
		n += b.child.items(children.At(i))
	}
	return n
}

func (b *branch[C, E, S]) size(c C) int { return b.message.size(c) }

func (b *branch[C, E, S]) split(head func() C, c C, n *node, q Quota) (took Quota) {
	b.message.open(c, n)
	q.Bytes -= n.base
	var to S
	begun := false
	begin := func() { // children without items go with the item behind them
		if !begun {
			h := head()
			b.fields(h, c)
			to, begun = b.children(h), true
		}
		moveNext(to, b.children(c), n.next, n.first-n.next)
		n.next = n.first
	}
	for took.Items < q.Items { // ends before the last item of c, as that stays
		e, kid := b.look(c, n)
		left := Quota{q.Items - took.Items, q.Bytes - took.Bytes - n.lead}
		cost := kid.cost()
		if kid.items > left.Items || cost > left.Bytes {
			// It is divided, but for its last item: that stays with the children without items behind it.
			left.Items = min(left.Items, kid.items-1)
			if n.sized {
				left.Bytes = within(left.Bytes)
			}
			if left.Items < 1 {
				break
			}
			part := b.child.split(func() E { begin(); return to.AppendEmpty() }, e, kid, left)
			if part.Items > 0 {
				took = took.plus(Quota{part.Items, n.lead + n.delimited(part.Bytes)})
				n.take(Quota{part.Items, n.lead + cost - kid.cost()})
				n.lead = 0
			}
			break
		}
		begin()
		b.child.trim(e, kid)
		e.MoveTo(to.AppendEmpty())
		whole := Quota{kid.items, n.lead + cost}
		took = took.plus(whole)
		n.take(whole)
		kid.forget()
		n.next, n.first, n.lead = n.first+1, n.first+1, 0
	}
	return n.withBase(took)
}

// look finds the next child that has an item. What is left of c has one.
func (b *branch[C, E, S]) look(c C, n *node) (E, *node) {
	if n.child == nil {
		n.child = &node{}
	}
	children := b.children(c)
	for kid := n.child; !kid.known; {
		e := children.At(n.first)
		kid.sized, kid.items = n.sized, b.child.items(e)
		if kid.sized {
			kid.size = b.measure(e, n, n.first == children.Len()-1)
		}
		if kid.known = kid.items > 0; !kid.known {
			n.lead += kid.cost()
			n.first++
		}
	}
	return children.At(n.first), n.child
}

// measure returns the bytes of e, the child at n.first.
func (b *branch[C, E, S]) measure(e E, n *node, last bool) int {
	switch {
	case last:
		return within(n.size - n.base - n.lead)
	case n.each != nil:
		return within(n.each[n.first])
	default:
		return b.child.size(e)
	}
}

func (b *branch[C, E, S]) trim(c C, n *node) {
	children := b.children(c)
	dropFirst(children, n.next)
	if n.child != nil && n.child.known {
		b.child.trim(children.At(n.first-n.next), n.child)
	}
}

func (b *branch[C, E, S]) strip(c C) {
	b.children(c).RemoveIf(func(e E) bool {
		if b.child.items(e) == 0 {
			return true
		}
		b.child.strip(e)
		return false
	})
}

func (b *branch[C, E, S]) join(dst, src C, seam int) {
	b.joinSome(dst, src, 0, b.children(src).Len(), seam)
}

// joinSome joins only the children of src from one to before another.
func (b *branch[C, E, S]) joinSome(dst, src C, from, to, seam int) {
	d, s := b.children(dst), b.children(src)
	if seam > 0 && from < to && d.Len() > 0 {
		b.child.join(d.At(d.Len()-1), s.At(from), seam-1)
		from++
	}
	for ; from < to; from++ { // no EnsureCapacity: it grows by what is asked for, so that many joins would be quadratic
		s.At(from).CopyTo(d.AppendEmpty())
	}
}

// leaf is the level of containers of items.
type leaf[C any, E movable[E], S slice[E]] struct {
	fields  func(dst, src C) // copies all of a container but its items
	records func(C) S
	message message[C]       // zero: never asked for
	record  func(E) int      // bytes of an item, encoded; nil: never asked for
	least   int              // how many items a container without any counts as
	whole   func(dst, src C) // moves what is true of a whole container alone, to its first part; nil: nothing is
}

func newLeaf[C any, E movable[E], S slice[E]](fields func(dst, src C), records func(C) S, m message[C], record func(E) int) *leaf[C, E, S] {
	return &leaf[C, E, S]{fields: fields, records: records, message: m, record: record}
}

func (l *leaf[C, E, S]) items(c C) int { return max(l.least, l.records(c).Len()) }

func (l *leaf[C, E, S]) size(c C) int { return l.message.size(c) }

func (l *leaf[C, E, S]) split(head func() C, c C, n *node, q Quota) (took Quota) {
	l.message.open(c, n)
	return splitItems(func() S {
		h := head()
		l.fields(h, c)
		l.first(h, c)
		return l.records(h)
	}, l.records(c), n, l.record, q)
}

// first gives the first part of c what is true of c as a whole. Later it has no effect.
func (l *leaf[C, E, S]) first(head, c C) {
	if l.whole != nil {
		l.whole(head, c)
	}
}

func (l *leaf[C, E, S]) trim(c C, n *node) { dropFirst(l.records(c), n.next) }

func (l *leaf[C, E, S]) strip(C) {}

func (l *leaf[C, E, S]) join(dst, src C, _ int) { appendCopies(l.records(dst), l.records(src)) }

// splitItems is what the split of a leaf does once n is opened: it moves items of src to head, which is asked for if there
// is room for one. size measures one.
func splitItems[E movable[E], S slice[E]](head func() S, src S, n *node, size func(E) int, q Quota) (took Quota) {
	if !n.sized {
		took.Items = q.Items
	}
	for room := q.Bytes - n.base; took.Items < q.Items; took.Items++ {
		if n.ahead == 0 {
			n.ahead = delimited(size(src.At(n.next + took.Items)))
		}
		if took.Bytes+n.ahead > room {
			break
		}
		took.Bytes += n.ahead
		n.ahead = 0
	}
	if took.Items > 0 {
		moveNext(head(), src, n.next, took.Items)
		n.next += took.Items
		n.take(took)
	}
	return n.withBase(took)
}

// moveNext moves n elements of src, from index first on, behind those of dst.
func moveNext[E movable[E], S slice[E]](dst, src S, first, n int) {
	if n > 1 {
		dst.EnsureCapacity(dst.Len() + n)
	}
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

func appendCopies[E movable[E], S slice[E]](dst, src S) {
	for i := range src.Len() {
		src.At(i).CopyTo(dst.AppendEmpty())
	}
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
