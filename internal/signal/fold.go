// SPDX-License-Identifier: Apache-2.0

package signal

import "slices"

// Group is one resource of a payload and all that is below it: what a Map holds with map.key: resource. It stays where it is
// in its payload until something is folded into it or it is extracted, so that what is not accepted is as it was.
type Group[P any] struct {
	Payload P
	At      int // which of its resources
	Items   int

	names names
	index map[string]int32 // where the container with a name stands, in what holds it; nil: nothing has been folded yet
}

// names are the identities of what is below a resource, in the order of the walk: each scope, each of its metrics behind it.
// That of a metric begins with that of its scope.
type names struct {
	text string
	ends []int32 // of all but the last
	twin bool    // two are the same, or it is not known
}

// next takes the first name off.
func (n *names) next(start *int32) (name string) {
	end := int32(len(n.text))
	if len(n.ends) > 0 {
		end, n.ends = n.ends[0], n.ends[1:]
	}
	name, *start = n.text[*start:end], end
	return name
}

// Groups is what is to be known of a kind of telemetry for map.key: resource.
type Groups[P any] interface {
	// Group describes a resource of p, which it only reads, and returns the identity of the resource: its attributes, dropped
	// count, entity references and schema URL.
	Group(e *Encoder, p P, at int) (resource string, g Group[P])

	// Fold moves everything from added to held, whose resources are all equal, in place. Equal scopes become one, and equal
	// metrics: those with the same name, unit, type, temporality, monotonicity, description and metadata.
	Fold(held *Group[P], added []*Group[P])

	// Extract makes a payload of g, of its own or all of g.Payload if nothing else is in it.
	Extract(g Group[P]) P
}

// end marks the end of a name.
func (e *Encoder) end() { e.ends = append(e.ends, int32(len(e.buf))) }

// few names are compared with each other; beyond, they may well be distinct, but to find out costs as much as to fold.
const fewNames = 12

// finish returns what was written, as the identity of a resource and the names below it.
func (e *Encoder) finish() (resource string, n names) {
	text := e.intern()
	resource = text[:e.ends[0]]
	n.text = text[e.ends[0]:]
	below := e.ends[1:]
	if len(below) > 1 {
		n.ends = make([]int32, len(below)-1)
		for i := range n.ends {
			n.ends[i] = below[i] - e.ends[0]
		}
		n.twin = len(below) > fewNames || n.twins()
	}
	return resource, n
}

func (n names) twins() bool {
	var few [fewNames]string
	var start int32
	all := few[:0]
	for range len(n.ends) + 1 {
		name := n.next(&start)
		for _, other := range all {
			if name == other {
				return true
			}
		}
		all = append(all, name)
	}
	return false
}

func (n names) equal(o names) bool { return n.text == o.text && slices.Equal(n.ends, o.ends) }

// scopeSlice is a slice of scopes.
type scopeSlice[S, C any] interface {
	slice[C]
	MoveAndAppendTo(S)
}

// folder is how the scopes of a kind of telemetry are folded. S is their slice.
type folder[P any, S scopeSlice[S, C], C any] struct {
	below func(*Group[P]) S
	empty func() S
	named func(index map[string]int32, dst, src S, n names) // by the names of what is in src
	alike func(dst S, added []*Group[P])                    // whose names are the same
}

// fold is Fold. As long as what comes looks like what is there, which is mostly so, things stand side by side.
func (f folder[P, S, C]) fold(held *Group[P], added []*Group[P]) {
	for _, g := range added {
		held.Items += g.Items
	}
	n := 0
	for n < len(added) && held.index == nil && held.names.equal(added[n].names) {
		n++
	}
	to := f.below(held)
	if n > 0 {
		f.alike(to, added[:n])
	}
	for _, g := range added[n:] {
		f.unify(held)
		f.named(held.index, to, f.below(g), g.names)
	}
}

// unify makes the index of held, and one of what it may have twice, by folding what it has into nothing.
func (f folder[P, S, C]) unify(held *Group[P]) {
	if held.index != nil {
		return
	}
	held.index = map[string]int32{}
	own := f.empty()
	f.below(held).MoveAndAppendTo(own)
	f.named(held.index, f.below(held), own, held.names)
	held.names = names{}
}

// place returns the container of that name in dst, and whether it was just made.
func place[C any, S slice[C]](index map[string]int32, dst S, name string) (c C, made bool) {
	if at, ok := index[name]; ok {
		return dst.At(int(at)), false
	}
	index[name] = int32(dst.Len())
	return dst.AppendEmpty(), true
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
		named: func(index map[string]int32, dst, src S, n names) {
			var start int32
			for i := range src.Len() {
				from := src.At(i)
				to, made := place(index, dst, n.next(&start))
				if made {
					moveScope(to, from)
				}
				items(from).MoveAndAppendTo(items(to))
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
