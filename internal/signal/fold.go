// SPDX-License-Identifier: Apache-2.0

package signal

// Group is one resource of a payload and all that is below it: what a Map holds with map.key: resource. It stays where it is
// in its payload until something is folded into it or it is extracted, so that what is not accepted is as it was.
type Group[P any] struct {
	Payload P
	At      int // which of its resources
	Items   int

	outline *outline
	index   map[place]int // where the scopes and metrics stand, in what holds them; nil: nothing has been folded yet
}

// place is a scope, or a metric of a scope.
type place struct {
	scope int    // where the scope of a metric stands; noScope: it is one
	name  string // its own fields
}

const noScope = -1

// Groups is what is to be known of a kind of telemetry for map.key: resource.
type Groups[P any] interface {
	// Group describes a resource of p, which it only reads, and returns the identity of the resource: its attributes, dropped
	// count, entity references and schema URL.
	Group(e *Encoder, p P, at int) (resource Name, g Group[P])

	// Fold moves everything from added to held, whose resources are all equal, in place. Equal scopes become one, and equal
	// metrics: those with the same name, unit, type, temporality, monotonicity, description and metadata. The items of each
	// stand in the order of added, and within one in the order in which they stood.
	Fold(held *Group[P], added []*Group[P])

	// Extract makes a payload of g, of its own or all of g.Payload if nothing else is in it.
	Extract(g Group[P]) P
}

// scopeSlice is a slice of scopes.
type scopeSlice[S, C any] interface {
	slice[C]
	MoveAndAppendTo(S)
}

// folder is how the scopes of a kind of telemetry are folded. S is their slice.
type folder[P any, S scopeSlice[S, C], C any] struct {
	below func(*Group[P]) S
	empty func() S
	named func(index map[place]int, dst, src S, from *outline) // by the names of what is in src
	alike func(dst S, added []*Group[P])                       // whose outlines are equal, and have no twins
}

// fold is Fold. As long as what comes looks like what is there, which is mostly so, things stand side by side. Not so what has
// twins: the first of them would be moved before the second, though it came later.
func (f folder[P, S, C]) fold(held *Group[P], added []*Group[P]) {
	for _, g := range added {
		held.Items += g.Items
	}
	n := 0
	if held.index == nil {
		for n < len(added) && held.outline.equal(added[n].outline) {
			n++
		}
		if n > 0 && held.outline.twins() {
			n = 0
		}
	}
	to := f.below(held)
	if n > 0 {
		f.alike(to, added[:n])
	}
	for _, g := range added[n:] {
		f.unify(held)
		f.named(held.index, to, f.below(g), g.outline)
	}
}

// unify makes the index of held, and one of what it may have twice, by folding what it has into nothing.
func (f folder[P, S, C]) unify(held *Group[P]) {
	if held.index != nil {
		return
	}
	held.index = map[place]int{}
	own := f.empty()
	f.below(held).MoveAndAppendTo(own)
	f.named(held.index, f.below(held), own, held.outline)
	held.outline = nil
}

// find returns where the container of that name stands in dst, and whether it was just made.
func find[C any, S slice[C]](index map[place]int, dst S, p place) (at int, made bool) {
	if at, ok := index[p]; ok {
		return at, false
	}
	at = dst.Len()
	index[p] = at
	dst.AppendEmpty()
	return at, true
}

// itemSlice is a slice of items.
type itemSlice[I any] interface {
	MoveAndAppendTo(I)
	EnsureCapacity(int)
	Len() int
}

// folderOf makes the folder for signals whose items stand below their scopes.
func folderOf[P any, C withScope, S scopeSlice[S, C], I itemSlice[I]](below func(*Group[P]) S, empty func() S, items func(C) I) folder[P, S, C] {
	return folder[P, S, C]{
		below: below, empty: empty,
		named: func(index map[place]int, dst, src S, from *outline) {
			for i := range src.Len() {
				at, made := find(index, dst, place{noScope, from.scopes[i].name})
				if made {
					moveScope(dst.At(at), src.At(i))
				}
				items(src.At(i)).MoveAndAppendTo(items(dst.At(at)))
			}
		},
		alike: func(dst S, added []*Group[P]) {
			from := make([]I, len(added))
			for i := range dst.Len() {
				to := items(dst.At(i))
				n := to.Len()
				// What was added is in nobody's cache: all of it is looked up first, so that the processor need not wait for each.
				for j, g := range added {
					from[j] = items(below(g).At(i))
					n += from[j].Len()
				}
				to.EnsureCapacity(n)
				for j := range from {
					from[j].MoveAndAppendTo(to)
				}
			}
		},
	}
}

// extract is Extract. The others in the payload are not touched: they may belong to somebody else by now.
func extract[P any, E movable[E], S slice[E]](g Group[P], resources func(P) S, empty func() P) P {
	from := resources(g.Payload)
	if from.Len() == 1 {
		return g.Payload
	}
	p := empty()
	from.At(g.At).MoveTo(resources(p).AppendEmpty())
	return p
}
