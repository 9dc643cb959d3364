// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// resources holds a resource once, with all that arrived for it.
type resources[P any] struct {
	*partitioned.Map[resourceID, resource[P]]
	b       *buffer[P]
	signal  signal.Groups[P]
	writers sync.Pool
}

type resourceWriter[P any] struct {
	encoder signal.Encoder
	streams streams[P]
}

type resourceID struct{ stream, identity string }

func (k resourceID) of() string { return k.stream }

type resourceEntry[P any] = partitioned.Entry[resourceID, resource[P]]

// resource is small, as the lines of memory that it has are what producers wait for.
type resource[P any] struct {
	items int
	more  *more[P]
	last  *arrival[P] // of those of the same resource, that will be folded into the first
	again *request[P] // instead: what was taken out of the map, for good
}

// arrival is a resource as it came. We hold a reference of its payload.
type arrival[P any] struct {
	signal.Group[P]
	before *arrival[P]
}

func newResources[P any](b *buffer[P], sig signal.Groups[P]) (pending[P], error) {
	m := &resources[P]{b: b, signal: sig}
	mc := mapConfig[P, resourceID, resource[P]](b)
	mc.Process = m.process
	mc.Weigh = func(e resourceEntry[P]) partitioned.Weight {
		return partitioned.Weight{Items: e.Value.items}
	}
	mc.Split = m.split
	mc.Merge = m.gather
	var err error
	m.Map, err = partitioned.NewMap(mc)
	return m, err
}

func (m *resources[P]) push(ctx context.Context, r request[P], wait bool) (partitioned.Result, error) {
	given := r.payload
	copied := m.b.signal.Shared(given)
	if copied {
		r.payload = m.b.signal.Copy(given)
	}
	w, _ := m.writers.Get().(*resourceWriter[P])
	if w == nil {
		w = &resourceWriter[P]{}
	}
	m.b.streams(ctx, &w.streams)
	var one [1]resourceEntry[P]
	entries := one[:0]
	for i := range m.b.signal.Resources(r.payload) {
		identity, g := m.signal.Group(&w.encoder, r.payload, i)
		if g.Items == 0 {
			continue
		}
		of := resource[P]{items: g.Items, more: r.more, last: &arrival[P]{Group: g}}
		if r.more != nil && len(entries) > 0 { // one link for all of them
			rest := *r.more
			rest.origin = trace.SpanContext{}
			of.more = &rest
		}
		entries = append(entries, resourceEntry[P]{Key: resourceID{w.streams.of(r.payload, i), identity}, Value: of})
	}
	m.writers.Put(w)
	for range len(entries) - 1 { // each has a reference
		m.b.hold(r.payload)
	}
	var result partitioned.Result
	var err error
	if wait {
		result, err = m.MergeAllResult(ctx, entries...)
	} else {
		err = m.MergeAll(ctx, entries...)
	}
	if err != nil {
		for range len(entries) - 1 {
			m.b.release(r.payload)
		}
		if copied {
			m.b.release(r.payload)
		}
	} else if copied {
		m.b.release(given)
	}
	return result, err
}

// gather runs under the lane's lock. What is below the resources becomes one when the entry is taken: here it would hold up
// all callers, for memory that is in another processor's cache each time.
func (m *resources[P]) gather(held, added resourceEntry[P]) resource[P] {
	v := added.Value
	v.last.before = held.Value.last
	v.items += held.Value.items
	v.more = both(held.Value.more, v.more)
	return v
}

// take makes the request of an entry that was taken out of the map. same is room for what is folded.
func (m *resources[P]) take(v *resource[P], same *[]*signal.Group[P]) request[P] {
	if v.again != nil {
		return *v.again
	}
	first := v.last
	for ; first.before != nil; first = first.before {
		*same = append(*same, &first.Group)
	}
	slices.Reverse(*same)
	m.signal.Fold(&first.Group, *same)
	for _, g := range *same {
		m.b.release(g.Payload)
	}
	clear(*same)
	*same = (*same)[:0]
	p := m.signal.Extract(first.Group)
	if m.b.signal.Resources(first.Payload) > 1 {
		m.b.release(first.Payload)
	}
	*v.last = arrival[P]{Group: signal.Group[P]{Payload: p, Items: v.items}} // may be taken again, if it cannot be split
	return request[P]{payload: p, items: v.items, more: v.more}
}

func (m *resources[P]) entry(stream string, r *request[P]) resourceEntry[P] {
	return resourceEntry[P]{Key: resourceID{stream: stream}, Value: resource[P]{items: r.items, more: r.more, again: r}}
}

func (m *resources[P]) split(e resourceEntry[P], room partitioned.Weight) (head, tail resourceEntry[P], ok bool) {
	if room.Items >= e.Value.items {
		return e, e, false
	}
	var same []*signal.Group[P]
	first, second, ok := m.b.split(m.take(&e.Value, &same), room)
	return m.entry(e.Key.stream, &first), m.entry(e.Key.stream, &second), ok
}

func (m *resources[P]) process(ctx context.Context, batch partitioned.Batch[resourceEntry[P]]) partitioned.Verdict[resourceEntry[P]] {
	requests := make([]request[P], len(batch.Items))
	var same []*signal.Group[P]
	for i := range batch.Items {
		requests[i] = m.take(&batch.Items[i].Value, &same)
	}
	return processEntries(ctx, m.b, batch, requests, func(r *request[P]) resourceEntry[P] { return m.entry(batch.Key, r) })
}
