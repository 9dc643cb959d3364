// SPDX-License-Identifier: Apache-2.0

package signal

import "go.opentelemetry.io/collector/pdata/pcommon"

// Resources is what there is to know of the resources of a payload, by their index, and how to part them.
type Resources[P any] interface {
	// Resources counts the resources of p.
	Resources(p P) int

	// Resource returns a resource of p, to be read.
	Resource(p P, i int) pcommon.Resource

	// ItemsOf counts the items under a resource of p. Together they are Items.
	ItemsOf(p P, i int) int

	// SizeOf is what a resource of p, with all that is under it, is of Size(p). Not for profiles.
	SizeOf(p P, i int) int

	// Divide moves each resource i of p, with all that is under it, behind what is in part of[i] of the n that it returns;
	// with an of[i] below 0 it stays in p. p passed Check, and may be used for nothing but Unref afterwards.
	// finish is to be called once with each part before that is used; nil: they are finished. It may be called for several
	// parts at once.
	Divide(p P, of []int, n int) (parts []P, finish func(part P))

	// Unite undoes Divide: it moves the resources of the parts back to where they were in p, which still has the shells that
	// Divide left. Each part has as many resources as it had then, and may be used for nothing but Unref afterwards. Not for
	// profiles, whose parts have dictionaries of their own.
	Unite(p P, parts []P, of []int)
}

// divide moves resources from p to the parts that they belong to.
func divide[P any, E movable[E], S slice[E]](p P, of []int, n int, resources func(P) S, empty func() P) []P {
	parts, sizes := make([]P, n), make([]int, n)
	for _, k := range of {
		if k >= 0 {
			sizes[k]++
		}
	}
	for k := range parts {
		parts[k] = empty()
		resources(parts[k]).EnsureCapacity(sizes[k])
	}
	from := resources(p)
	for i, k := range of {
		if k >= 0 {
			from.At(i).MoveTo(resources(parts[k]).AppendEmpty())
		}
	}
	return parts
}

// unite moves resources from the parts back to p.
func unite[P any, E movable[E], S slice[E]](p P, parts []P, of []int, resources func(P) S) {
	next := make([]int, len(parts))
	to := resources(p)
	for i, k := range of {
		if k >= 0 {
			resources(parts[k]).At(next[k]).MoveTo(to.At(i))
			next[k]++
		}
	}
}

// itemsOf counts the items of a container by the counts of its children.
func itemsOf[E any, S interface {
	Len() int
	At(i int) E
}](children S, items func(E) int) (n int) {
	for i := range children.Len() {
		n += items(children.At(i))
	}
	return n
}
