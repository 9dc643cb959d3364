// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// A payload whose resources have several keys, or belong to several lanes, goes in as one request for each, in one push: the
// queue takes all of them or none. Until then it is only read, as it has to be as it was if it is refused, and may wait
// for room for long. So these requests do not hold a part of the payload, but say which one they will need; the first worker
// that needs one takes the payload apart, once, for all of them.
//
// Rejected: to take it apart before the push, as a refusal would have to put it together again, in the old order; and in
// Consume after the push, as workers may have a part's batch by then, and would have to wait for a goroutine that
// nothing makes run.

// division is a payload that is to be taken apart.
type division[P any] struct {
	once    sync.Once
	payload P     // of once
	of      []int // the part that each resource belongs to
	n       int   // parts
	parts   []P   // made by once; each is one request's from then on
}

// route tells the key of r; or, if there are several, returns the requests that its payload is to be taken apart for, which
// know theirs. It only reads the payload.
func (b *buffer[P]) route(ctx context.Context, r request[P]) (key string, parts []request[P], err error) {
	var stack [128]byte // most keys fit
	k := b.keys.appendClient(ctx, stack[:0])
	client := len(k)
	if len(b.keys.resource) == 0 && len(b.lanes) == 0 {
		return string(k), nil, nil
	}
	for i := range b.signal.Resources(r.payload) {
		k = b.appendPart(k[:client], r.payload, i)
		switch {
		case i == 0:
			key = string(k)
		case string(k) == key:
		case r.more == nil || !r.more.whole:
			return "", b.divide(r, k[:client]), nil
		case !b.keys.none():
			return "", nil, consumererror.NewPermanent(fmt.Errorf(
				"profiles of several combinations of resource_keys that cannot be taken apart: %w", b.signal.Check(r.payload)))
		}
	}
	return key, nil, nil
}

func (b *buffer[P]) divide(r request[P], key []byte) []request[P] {
	d := &division[P]{payload: r.payload, of: make([]int, b.signal.Resources(r.payload))}
	client, index := len(key), map[string]int{}
	var parts []request[P]
	for i := range d.of {
		key = b.appendPart(key[:client], r.payload, i)
		part, ok := index[string(key)]
		if !ok {
			part = len(parts)
			m := more[P]{}
			if r.more != nil {
				m = *r.more
			}
			m.key, m.of, m.part = string(key), d, part
			index[m.key] = part
			parts = append(parts, request[P]{more: &m})
		}
		d.of[i] = part
		parts[part].items += b.signal.ItemsOf(r.payload, i)
		if b.bytes {
			parts[part].more.size += b.signal.SizeOf(r.payload, i)
		}
	}
	d.n = len(parts)
	// Parts without items go the way of an empty payload.
	return slices.DeleteFunc(parts, func(r request[P]) bool { return r.items == 0 })
}

// appendPart appends to a key what it gets of a resource.
func (b *buffer[P]) appendPart(key []byte, payload P, i int) []byte {
	attributes := b.signal.Resource(payload, i).Attributes()
	if len(b.lanes) == 0 {
		return b.keys.appendResource(key, attributes)
	}
	return append(key, b.lanes[signal.HashAttributes(b.seed, attributes)%uint64(len(b.lanes))]...)
}

// mine returns the payload of r as one that is ours to change, and of which we hold a reference.
func (b *buffer[P]) mine(r *request[P]) P {
	if r.more == nil || r.more.of == nil {
		return b.own(r.payload)
	}
	d := r.more.of
	d.once.Do(func() {
		p := b.own(d.payload)
		d.parts = b.signal.Divide(p, d.of, d.n)
		b.release(p)
	})
	p := d.parts[r.more.part]
	var none P
	d.parts[r.more.part] = none // no part is kept for the sake of others
	r.more.of = nil
	return p
}

// lanesOf makes a key for each of n lanes, that leads there.
func lanesOf(n int, lane func(key string) int) []string {
	keys := make([]string, n)
	for i, found := 0, 0; found < n; i++ {
		key := strconv.Itoa(i)
		if l := lane(key); keys[l] == "" {
			keys[l] = key
			found++
		}
	}
	return keys
}
