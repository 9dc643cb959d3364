// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// router finds the streams that the resources of a payload belong to. It only reads payloads.
type router[P any] struct { // immutable
	keyer
	signal     signal.Signal[P]
	bytes      bool         // the parts of a payload are measured
	partitions []string     // with several partitions: a key that leads to each of them
	seed       maphash.Seed // of what decides between them
}

func newRouter[P any](keys keyer, p *payloads[P], partitions []string) *router[P] {
	return &router[P]{keyer: keys, signal: p.signal, bytes: p.bytes, partitions: partitions, seed: maphash.MakeSeed()}
}

// single reports whether there is one stream for everything.
func (o *router[P]) single() bool { return o.none() && len(o.partitions) == 0 }

// route returns the key of r, or one request for each key if it has several.
func (o *router[P]) route(ctx context.Context, r request[P]) (key string, parts []request[P], err error) {
	var stack [128]byte // most keys fit
	k := o.appendClient(ctx, stack[:0])
	client := len(k)
	if len(o.resource) == 0 && len(o.partitions) == 0 {
		return string(k), nil, nil
	}
	for i := range o.signal.Resources(r.payload) {
		if k, err = o.appendPart(k[:client], r.payload, i); err != nil {
			return "", nil, err
		}
		switch {
		case i == 0:
			key = string(k)
		case string(k) == key:
		case r.meta == nil || !r.meta.whole:
			parts, err = o.divide(r, k[:client])
			return "", parts, err
		case !o.none():
			return "", nil, consumererror.NewPermanent(fmt.Errorf(
				"profiles of several combinations of resource_keys that cannot be taken apart: %w", o.signal.Check(r.payload)))
		}
	}
	return key, nil, nil
}

// divide makes a request for each key of r. client is the part of a key that is the same for all of them.
func (o *router[P]) divide(r request[P], client []byte) (parts []request[P], err error) {
	d := &division[P]{payload: r.payload, of: make([]int, o.signal.Resources(r.payload))}
	l := r.lease()
	if l != nil {
		l.divide(d.of)
	}
	key, index := client, map[string]int{}
	for i := range d.of {
		if key, err = o.appendPart(key[:len(client)], r.payload, i); err != nil {
			return nil, err
		}
		n, ok := index[string(key)]
		if !ok {
			n = len(parts)
			m := &meta[P]{}
			if r.meta != nil {
				*m = *r.meta
			}
			if m.key = string(key); l == nil {
				m.source = &part[P]{division: d, n: n}
			} else {
				m.piece = l.addPart()
			}
			index[m.key] = n
			parts = append(parts, request[P]{meta: m})
		}
		d.of[i] = n
		items := o.signal.ItemsOf(r.payload, i)
		if parts[n].items += items; l != nil {
			l.parts[n].items += items
		}
		if o.bytes {
			parts[n].meta.size += o.signal.SizeOf(r.payload, i)
		}
	}
	d.n = len(parts)
	// Parts without items go the way of an empty payload.
	return slices.DeleteFunc(parts, func(r request[P]) bool { return r.items == 0 }), nil
}

// appendPart appends to a key what it gets of a resource.
func (o *router[P]) appendPart(key []byte, payload P, i int) ([]byte, error) {
	attributes := o.signal.Resource(payload, i).Attributes()
	if len(o.partitions) == 0 {
		return o.appendResource(key, attributes)
	}
	return append(key, o.partition(signal.HashAttributes(o.seed, attributes))...), nil
}

func (o *router[P]) partition(hash uint64) string {
	return o.partitions[hash%uint64(len(o.partitions))]
}

// identity returns the partition for what has this identity.
func (o *router[P]) identity(text string) string {
	return o.partition(maphash.String(o.seed, text))
}

// streams finds the streams of one request's resources after the other. It may be used again.
type streams struct {
	key    []byte
	client int               // length of the part that is the same for all
	last   string            // stream that was found
	others map[string]string // streams of the request, once it has several: each exists once, however often they alternate (I10)
	err    error             // of the last that was not
}

func (o *router[P]) begin(ctx context.Context, s *streams) {
	s.last, s.others, s.err = "", nil, nil
	s.key = o.appendClient(ctx, s.key[:0])
	s.client = len(s.key)
}

// stream returns the stream of a resource; "": there is one for everything, or it has none, and s.err says why.
func (o *router[P]) stream(s *streams, payload P, i int) string {
	if o.single() {
		return ""
	}
	var err error
	if s.key, err = o.appendPart(s.key[:s.client], payload, i); err != nil {
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
