// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"bytes"
	"context"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// compare compares the key of each item with that of the first, and collects from the first item on whose key differs: each key is made
// once. If the payload is whole, it stops there.
func (w *itemKeys[P]) compare() bool {
	switch {
	case w.count == 0:
		w.first = append(w.first[:0], w.key...)
		return true
	case w.several:
		return w.collect()
	case w.same || bytes.Equal(w.key, w.first):
		return true
	}
	w.several = true
	if w.whole {
		return false
	}
	w.collectPassed()
	return w.collect()
}

// itemParts are the parts that the items of a payload belong to: one for each key or, if they are of one resource each, for each
// key in each resource.
type itemParts struct {
	ofOneResource bool
	keys          []string // of each part. Equal ones are one string (I10)
	items         []int    // of each part, their number
	of            []int    // the part of each item
	ofResource    []int    // the part of each resource; below 0: it has no items
	mixed         bool     // a resource has items of several parts: ofResource does not say all

	resource int               // that the walk is in
	begin    int               // its first part, if the parts are of one resource each
	last     int               // the part of the last item
	index    map[string]int    // of the parts since begin, by key; nil: there is one at most
	names    map[string]string // the keys that there are, if parts may share them
}

// collect gathers parts. See [router.partsOf].
func (w *itemKeys[P]) collect() bool {
	p := &w.parts
	at := w.item.Resource
	if p.ofOneResource && at != p.resource {
		p.resource, p.begin, p.index = at, len(p.keys), nil
	}
	if len(p.keys) == p.begin || !w.same && string(w.key) != p.keys[p.last] {
		p.last = p.find(w.key)
	}
	p.items[p.last]++
	p.of = append(p.of, p.last)
	if p.ofResource[at] < 0 {
		p.ofResource[at] = p.last
	}
	p.mixed = p.mixed || p.ofResource[at] != p.last
	return true
}

// collectPassed makes the part of the items before this one, which all have the key of the first.
func (w *itemKeys[P]) collectPassed() {
	w.parts = w.newParts(w.items, false)
	p := &w.parts
	p.keys, p.items, p.of = append(p.keys, string(w.first)), append(p.items, w.count), p.of[:w.count]
	for i, passed := 0, 0; passed < w.count; i++ {
		if n := w.router.signal.ItemsOf(w.payload, i); n > 0 {
			p.ofResource[i] = 0
			passed += n
		}
	}
}

// find returns the part of a key that is not that of the last item, made if it is the first.
func (p *itemParts) find(key []byte) int {
	if n, ok := p.index[string(key)]; ok {
		return n
	}
	n := len(p.keys)
	if n > p.begin && p.index == nil {
		p.index = map[string]int{p.keys[p.begin]: p.begin}
		if string(key) == p.keys[p.begin] {
			return p.begin
		}
	}
	name, ok := p.names[string(key)]
	if !ok {
		name = string(key)
		if p.ofOneResource {
			if p.names == nil {
				p.names = map[string]string{}
			}
			p.names[name] = name
		}
	}
	p.keys, p.items = append(p.keys, name), append(p.items, 0)
	if p.index != nil {
		p.index[name] = n
	}
	return n
}

// cuts says how the payload is to be taken apart.
func (p *itemParts) cuts() cuts {
	if p.mixed {
		return cuts{of: p.of, parts: len(p.keys), byItems: true}
	}
	return cuts{of: p.ofResource, parts: len(p.keys)}
}

// partsOf returns the parts of a payload with so many items, of one resource each.
func (w *itemKeys[P]) partsOf(payload P, items int) (itemParts, error) {
	w.payload = payload
	w.parts = w.newParts(items, true)
	err := w.walk(payload, (*itemKeys[P]).collect)
	return w.parts, err
}

func (w *itemKeys[P]) newParts(items int, ofOneResource bool) itemParts {
	p := itemParts{ofOneResource: ofOneResource, resource: -1, of: make([]int, 0, items)}
	p.ofResource = make([]int, w.router.signal.Resources(w.payload))
	for i := range p.ofResource {
		p.ofResource[i] = -1
	}
	return p
}

// routeItems is route where items of one resource may have different keys.
func (o *router[P]) routeItems(ctx context.Context, r request[P], client []byte) (key string, parts []request[P], err error) {
	w := o.newWalk(ctx, client)
	defer w.end()
	w.items, w.whole, w.several = r.items, r.meta != nil && r.meta.whole, false
	err = w.walk(r.payload, (*itemKeys[P]).compare)
	switch {
	case err != nil:
		return "", nil, err
	case w.several && !w.whole:
		return "", o.divideItems(&w.parts, r), nil
	case w.several && !o.none():
		return "", nil, o.notDivisible(r.payload)
	default:
		return string(w.first), nil, nil
	}
}

// divideItems makes a request for each key of r.
func (o *router[P]) divideItems(found *itemParts, r request[P]) []request[P] {
	p := newParting(r)
	p.cut(found.cuts())
	var measures []signal.Measure
	if o.bytes {
		measures = o.measures(r.payload, p.division.cuts)
	}
	for k, key := range found.keys {
		p.add(key)
		p.grow(k, found.items[k])
		if o.bytes {
			p.requests[k].meta.measure = measures[k]
		}
	}
	return p.requests
}

// measures measures the parts of a payload.
func (o *router[P]) measures(payload P, c cuts) []signal.Measure {
	if c.byItems {
		return o.signal.SizesOfItems(payload, c.of, c.parts)
	}
	all := make([]signal.Measure, c.parts)
	for i, k := range c.of {
		if k >= 0 {
			all[k].Add(o.signal.SizeOf(payload, i))
		}
	}
	return all
}
