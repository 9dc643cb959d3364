// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// router finds the streams that the resources of a payload belong to. It only reads payloads.
type router[P any] struct { // immutable
	keyer
	signal     signal.Signal[P]
	bytes      bool         // the parts of a payload are measured
	partitions []string     // with several partitions: a key that leads to each of them
	by         PartitionBy  // what decides between them
	seed       maphash.Seed // of the hash of that

	ofResource, ofScope, ofItem expressions[P] // whose values are in the key
	expresses                   bool           // there are some of items or their scopes

	items       []string  // attributes of items: whose values are in the key, or decide between partitions
	itemSetting string    // where they stand
	walks       sync.Pool // of *itemKeys[P]
}

func newRouter[P any](cfg Settings, keys keyer, xs expressions[P], p *payloads[P], partitions []string) *router[P] {
	o := &router[P]{keyer: keys, signal: p.signal, bytes: p.bytes, partitions: partitions, seed: maphash.MakeSeed()}
	o.ofResource, o.ofScope, o.ofItem = xs.of(OfResource), xs.of(OfScope), xs.of(OfItem)
	o.expresses = len(o.ofScope)+len(o.ofItem) > 0
	o.items, o.itemSetting = keys.attribute, settingAttributes
	if len(partitions) > 0 {
		o.by = cfg.PartitionBy
	}
	if o.by == ByAttributes {
		o.itemSetting = "partition_attributes"
		o.items = cfg.PartitionAttributes
	}
	return o
}

// byItems reports whether items of one resource may belong to different streams.
func (o *router[P]) byItems() bool { return len(o.items) > 0 || o.by == ByTrace || o.expresses }

// single reports whether there is one stream for everything.
func (o *router[P]) single() bool { return o.none() && len(o.partitions) == 0 }

// byResource reports whether streams hang on the payload.
func (o *router[P]) byResource() bool {
	return len(o.resource)+len(o.ofResource)+len(o.partitions) > 0 || o.byItems()
}

// route returns the key of r, or one request for each key if it has several.
func (o *router[P]) route(ctx context.Context, r request[P]) (key string, parts []request[P], err error) {
	var stack [128]byte // most keys fit
	k := o.appendClient(ctx, stack[:0])
	client := len(k)
	switch {
	case o.byItems():
		return o.routeItems(ctx, r, k)
	case !o.byResource():
		return string(k), nil, nil
	}
	for i := range o.signal.Resources(r.payload) {
		if k, err = o.appendPart(ctx, k[:client], r.payload, i); err != nil {
			return "", nil, err
		}
		switch {
		case i == 0:
			key = string(k)
		case string(k) == key:
		case r.meta == nil || !r.meta.whole:
			parts, err = o.divide(ctx, r, resourceKeys{first: key, same: i, client: client}, k)
			return "", parts, err
		case !o.none():
			return "", nil, o.notDivisible(r.payload)
		}
	}
	return key, nil, nil
}

// resourceKeys are the keys that are known of the resources of a payload with several.
type resourceKeys struct {
	first  string // of the first ones
	same   int    // how many these are
	client int    // length of the part of each key that is the same for all of the payload
}

// notDivisible is the error for a request with several keys that cannot be taken apart.
func (o *router[P]) notDivisible(payload P) error {
	return consumererror.NewPermanent(fmt.Errorf(
		"profiles of several combinations of %s that cannot be taken apart: %w", o.settings(), o.signal.Check(payload)))
}

// divide makes a request for each key of r. key is that of the resource behind the first ones. It is a parameter of its own, and no field:
// escape analysis does not tell fields apart, and the key of every call would have to leave its stack.
func (o *router[P]) divide(ctx context.Context, r request[P], known resourceKeys, key []byte) (parts []request[P], err error) {
	of := make([]int, o.signal.Resources(r.payload))
	p := newParting(r)
	index := map[string]int{known.first: 0}
	p.add(known.first)
	for i := range of {
		if i > known.same {
			if key, err = o.appendPart(ctx, key[:known.client], r.payload, i); err != nil {
				return nil, err
			}
		}
		n, ok := 0, true
		if i >= known.same {
			n, ok = index[string(key)]
		}
		if !ok {
			n = len(p.requests)
			name := string(key)
			index[name] = n
			p.add(name)
		}
		of[i] = n
		p.grow(n, o.signal.ItemsOf(r.payload, i))
		if o.bytes {
			p.requests[n].meta.measure.Add(o.signal.SizeOf(r.payload, i))
		}
	}
	p.cut(cuts{of: of, parts: len(p.requests)})
	// Parts without items go the way of an empty payload.
	return slices.DeleteFunc(p.requests, func(r request[P]) bool { return r.items == 0 }), nil
}

// parting makes the requests for the parts of one.
type parting[P any] struct {
	whole    request[P]
	lease    *lease[P] // of whole; nil: nobody waits for it
	division *division[P]
	requests []request[P]
}

func newParting[P any](r request[P]) *parting[P] {
	p := &parting[P]{whole: r, lease: r.lease(), division: &division[P]{payload: r.payload}}
	if p.lease != nil {
		p.lease.divide()
	}
	return p
}

// add adds the request for the next part, without items yet.
func (p *parting[P]) add(key string) {
	m := &meta[P]{}
	if p.whole.meta != nil {
		*m = *p.whole.meta
	}
	m.measure = signal.Measure{} // that of the whole, if it was recovered
	if m.key = key; p.lease == nil {
		m.source = &part[P]{division: p.division, n: len(p.requests)}
	} else {
		m.piece = p.lease.addPart()
	}
	p.requests = append(p.requests, request[P]{meta: m})
}

// grow adds items to part n.
func (p *parting[P]) grow(n, items int) {
	p.requests[n].items += items
	if p.lease != nil {
		p.lease.parts[n].items += items
	}
}

// cut says how the payload is taken apart.
func (p *parting[P]) cut(c cuts) {
	p.division.cuts = c
	if p.lease != nil {
		p.lease.cuts = c
	}
}

// appendPart appends to a key what it gets of a resource.
func (o *router[P]) appendPart(ctx context.Context, key []byte, payload P, i int) (_ []byte, err error) {
	attributes := o.signal.Resource(payload, i).Attributes()
	if len(o.partitions) > 0 {
		return append(key, o.partition(signal.HashAttributes(o.seed, attributes))...), nil
	}
	if key, err = o.appendResource(key, attributes); err != nil || len(o.ofResource) == 0 {
		return key, err
	}
	return o.ofResource.appendTo(ctx, key, payload, signal.Position{Resource: i})
}

func (o *router[P]) partition(hash uint64) string {
	return o.partitions[hash%uint64(len(o.partitions))]
}

// identity returns the partition for what has this identity. It depends on texts alone, as a Name may be made anew.
func (o *router[P]) identity(group signal.Name, text string) string {
	return o.partition(maphash.String(o.seed, text) + 3*group.Value().Hash(o.seed))
}

// streams finds the streams of one request's resources after the other. It may be used again.
type streams struct {
	of     []string // that of each resource, if items decide; nil: they do not
	key    []byte
	client int               // length of the part that is the same for all
	last   string            // stream that was found
	others map[string]string // streams of the request, once it has several: each exists once, however often they alternate (I10)
	err    error             // of the last that was not
}

// begin begins with the resources of r. If items decide, it returns the parts of r, each of which is of one resource: if they are mixed,
// the resources are those that the payload has when it is taken apart.
func (o *router[P]) begin(ctx context.Context, s *streams, r request[P]) (parts itemParts, err error) {
	s.of, s.last, s.others, s.err = nil, "", nil, nil
	s.key = o.appendClient(ctx, s.key[:0])
	s.client = len(s.key)
	if !o.byItems() {
		return parts, nil
	}
	w := o.newWalk(ctx, s.key)
	defer w.end()
	parts, err = w.partsOf(r.payload, r.items)
	if s.of = parts.keys; err != nil || parts.mixed {
		return parts, err
	}
	s.of = make([]string, len(parts.ofResource))
	for i, k := range parts.ofResource {
		if k >= 0 {
			s.of[i] = parts.keys[k]
		}
	}
	return parts, nil
}

// stream returns the stream of a resource; "": there is one for everything, or it has none, and s.err says why.
func (o *router[P]) stream(ctx context.Context, s *streams, payload P, i int) string {
	if s.of != nil {
		return s.of[i]
	}
	if o.single() {
		return ""
	}
	var err error
	if s.key, err = o.appendPart(ctx, s.key[:s.client], payload, i); err != nil {
		s.err = err
		return ""
	}
	if s.last == "" {
		s.last = string(s.key)
	} else if string(s.key) != s.last {
		s.last = s.other()
	}
	return s.last
}

// other returns the stream of key, which is not the last one.
func (s *streams) other() string {
	if s.others == nil {
		s.others = map[string]string{s.last: s.last}
	}
	stream, ok := s.others[string(s.key)]
	if !ok {
		stream = string(s.key)
		s.others[stream] = stream
	}
	return stream
}

// partitionKeys returns a key for each of n partitions that leads there.
func partitionKeys(n int, partition func(key string) int) []string {
	keys := make([]string, n)
	for i, found := 0, 0; found < n; i++ {
		key := strconv.Itoa(i)
		if at := partition(key); keys[at] == "" {
			keys[at] = key
			found++
		}
	}
	return keys
}
