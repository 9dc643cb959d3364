// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"sync"
	"unique"
)

// outline is a resource and what is below it without its items: the scopes, and of metrics those in each scope, in their order.
// It is shared by all groups that look alike, and not altered.
type outline struct {
	text     string // all of it: equal outlines have equal texts
	resource Name
	scopes   []scopeOutline

	check sync.Once
	twin  bool // see twins; written once, in check
}

type scopeOutline struct {
	name    string   // what the Encoder wrote of its fields, a part of text like all names
	metrics []string // names, too
}

// begin begins an outline of so many scopes, with so many metrics in each; nil: it has none. Behind it the resource is to be
// written, and the scopes, each with its metrics behind it, and after each of all these end to be called.
func (e *Encoder) begin(scopes int, metrics func(i int) int) {
	e.reset()
	e.counts, e.ends = e.counts[:0], e.ends[:0]
	e.number(uint64(scopes))
	for i := range scopes {
		n := 0
		if metrics != nil {
			n = metrics(i)
		}
		e.number(uint64(n)) // so that the text says what each name in it is of
		e.counts = append(e.counts, n)
	}
	e.end()
}

func (e *Encoder) end() { e.ends = append(e.ends, len(e.buf)) }

// outline returns what was written since begin.
func (e *Encoder) outline() *outline {
	if o, ok := e.outlines.of[string(e.buf)]; ok {
		return o
	}
	o := &outline{text: string(e.buf), scopes: make([]scopeOutline, len(e.counts))}
	at := 0
	next := func() (name string) {
		name = o.text[e.ends[at]:e.ends[at+1]]
		at++
		return name
	}
	resource := next()
	o.resource = unique.Make(identity{own: resource, size: len(resource)})
	metrics := make([]string, 0, len(e.ends)-2-len(e.counts))
	for i, n := range e.counts {
		o.scopes[i].name = next()
		first := len(metrics)
		for range n {
			metrics = append(metrics, next())
		}
		o.scopes[i].metrics = metrics[first:]
	}
	e.outlines.add(o.text, o, len(o.text))
	return o
}

func (o *outline) equal(other *outline) bool { return o == other || o.text == other.text }

// twins reports whether two scopes are equal, or two metrics of one scope. nil is an outline that is known to have none.
func (o *outline) twins() bool {
	if o == nil {
		return false
	}
	o.check.Do(func() {
		o.twin = repeats(len(o.scopes), func(i int) string { return o.scopes[i].name })
		for _, scope := range o.scopes {
			o.twin = o.twin || repeats(len(scope.metrics), func(i int) string { return scope.metrics[i] })
		}
	})
	return o.twin
}

// repeats reports whether two of n names are equal. A few are compared with each other, which is quicker than to hash them.
func repeats(n int, name func(i int) string) bool {
	const few = 12
	if n > few {
		seen := make(map[string]struct{}, n)
		for i := range n {
			seen[name(i)] = struct{}{}
		}
		return len(seen) < n
	}
	for i := range n {
		for j := range i {
			if name(i) == name(j) {
				return true
			}
		}
	}
	return false
}
