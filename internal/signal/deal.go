// SPDX-License-Identifier: Apache-2.0

package signal

// ByItem is what there is to know of the items of a payload, in their order, and how to part them.
type ByItem[P any] interface {
	// Each calls f with each item of p, in order, until f returns false. It only reads p, and uses it for all of them: f keeps
	// nothing of it. It calls f as often as Items counts.
	Each(p P, it *Item, f func(*Item) bool)

	// DivideItems moves each item i of p behind what is in part of[i] of the n that it returns, below containers of its own
	// that have no fields yet. finish(k, part k) fills them in, and is to be called once before a part is used: what many parts repeat is
	// not there for all of them at once (I10). It may be called for several parts at once, and reads p, which may be used for
	// nothing else but Unref, after the last of them. Containers without items stay in p. p passed Check.
	DivideItems(p P, of []int, n int) (parts []P, finish func(k int, part P))

	// UniteItems undoes DivideItems: it moves the items of the parts, finished or not, back to where they were in p, which
	// still has the shells that DivideItems left. Each part has as many items as it had then, in their order, and may be used for
	// nothing but Unref afterwards. Not for profiles, whose parts have dictionaries of their own.
	UniteItems(p P, parts []P, of []int)

	// SizesOfItems measures each part that DivideItems would make. It only reads. Not for profiles.
	SizesOfItems(p P, of []int, n int) []Measure
}

// levels is how many levels of containers a payload has at most: payload, resource, scope, metric or profile.
const levels = 4

// dealer is one walk that moves items to parts.
type dealer struct {
	of    []int         // the parts of the items that are left
	trail [][]int32     // of each part: which of its siblings each of its containers was, in the order of a walk
	begun [levels]int   // how many containers of a level were walked into
	last  [levels][]int // of a level, for each part: the last of them, counted from 1, that the part has a container for
}

func newDealer(of []int, n int) *dealer {
	d := &dealer{of: of, trail: make([][]int32, n)}
	all := make([]int, levels*n)
	for i := range d.last {
		d.last[i], all = all[:n:n], all[n:]
	}
	return d
}

// next returns the part of the next item.
func (d *dealer) next() int {
	k := d.of[0]
	d.of = d.of[1:]
	return k
}

// opens reports whether part k has no container yet for the one of a level that the walk is in, which is number i of its siblings,
// and notes that it gets one.
func (d *dealer) opens(level, k, i int) bool {
	if d.last[level][k] == d.begun[level] {
		return false
	}
	d.last[level][k] = d.begun[level]
	d.trail[k] = append(d.trail[k], int32(i))
	return true
}

// divideItems is DivideItems.
func divideItems[P movable[P], E movable[E], S slice[E]](p P, of []int, n int, root *branch[P, E, S], empty func() P) ([]P, func(int, P)) {
	parts, d := make([]P, n), newDealer(of, n)
	for k := range parts {
		parts[k] = empty()
	}
	root.deal(p, d, 0, func(k int) P { return parts[k] })
	return parts, func(k int, part P) {
		trail := d.trail[k]
		d.trail[k] = nil
		root.fill(part, p, &trail)
	}
}

// uniteItems is UniteItems.
func uniteItems[P movable[P], E movable[E], S slice[E]](p P, parts []P, of []int, root *branch[P, E, S]) {
	shells := make([][]anyItem, len(parts))
	next := 0
	root.each(p, func(shell anyItem) {
		shells[of[next]] = append(shells[of[next]], shell)
		next++
	})
	for k, part := range parts {
		next := 0
		root.each(part, func(i anyItem) {
			i.moveTo(shells[k][next])
			next++
		})
	}
}

// anyItem is an item of any type.
type anyItem interface{ moveTo(shell anyItem) }

type anyItemOf[E movable[E]] struct{ one E }

func (i anyItemOf[E]) moveTo(shell anyItem) { i.one.MoveTo(shell.(anyItemOf[E]).one) }

func (b *branch[C, E, S]) deal(c C, d *dealer, level int, head func(k int) C) {
	children := b.children(c)
	for i := range children.Len() {
		d.begun[level]++
		b.child.deal(children.At(i), d, level+1, func(k int) E {
			to := b.children(head(k))
			if d.opens(level, k, i) {
				return to.AppendEmpty()
			}
			return to.At(to.Len() - 1)
		})
	}
}

func (b *branch[C, E, S]) fill(dst, src C, trail *[]int32) {
	b.fields(dst, src)
	to, from := b.children(dst), b.children(src)
	for i := range to.Len() {
		at := (*trail)[0]
		*trail = (*trail)[1:]
		b.child.fill(to.At(i), from.At(int(at)), trail)
	}
}

func (b *branch[C, E, S]) each(c C, f func(anyItem)) {
	children := b.children(c)
	for i := range children.Len() {
		b.child.each(children.At(i), f)
	}
}

func (l *leaf[C, E, S]) deal(c C, d *dealer, _ int, head func(k int) C) {
	records := l.records(c)
	if records.Len() < l.least {
		l.first(head(d.next()), c) // c itself is the item
		return
	}
	moved := false
	dealItems(records, d, func(k int) S {
		h := head(k)
		if !moved {
			l.first(h, c)
			moved = true
		}
		return l.records(h)
	})
}

func (l *leaf[C, E, S]) fill(dst, src C, _ *[]int32) { l.fields(dst, src) }

func (l *leaf[C, E, S]) each(c C, f func(anyItem)) { eachItem(l.records(c), f) }

// dealItems moves each item to its part. head returns where the items of a part go.
func dealItems[E movable[E], S slice[E]](items S, d *dealer, head func(k int) S) {
	last := -1
	var to S
	for i := range items.Len() {
		if k := d.next(); k != last {
			to, last = head(k), k
		}
		items.At(i).MoveTo(to.AppendEmpty())
	}
}

func eachItem[E movable[E], S slice[E]](items S, f func(anyItem)) {
	for i := range items.Len() {
		f(anyItemOf[E]{items.At(i)})
	}
}
