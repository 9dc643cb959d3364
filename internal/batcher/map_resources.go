// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"slices"
	"sync"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// resources is the [store] that holds a resource once, with all that arrived for it.
type resources[P any] struct {
	*partitioned.Map[resourceID, resource[P]]
	signal   signal.Groups[P]
	router   *router[P]
	payloads *payloads[P]
	send     sendFunc[P]
	writers  sync.Pool // of *resourceWriter[P]
}

// resourceWriter is what it takes to push.
type resourceWriter[P any] struct {
	encoder signal.Encoder
	streams streams
}

type resourceID struct {
	stream   string
	identity signal.Name
}

func (k resourceID) of() string { return k.stream }

type resourceEntry[P any] = partitioned.Entry[resourceID, resource[P]]

// resource is small, as the lines of memory that it has are what producers wait for.
type resource[P any] struct {
	items int
	meta  *meta[P]
	last  *arrival[P] // of those of the same resource, that will be folded into the first
	again *request[P] // instead: what was taken out of the map, for good
}

// arrival is a resource as it came. We hold a reference of its payload.
type arrival[P any] struct {
	signal.Group[P]
	before *arrival[P]
}

func newResources[P any](cfg Settings, sig signal.Groups[P], keys keyer, xs expressions[P], p *payloads[P], send sendFunc[P]) (*resources[P], error) {
	m := &resources[P]{signal: sig, router: newRouter(cfg, keys, xs, p, mapPartitions(cfg)), payloads: p, send: send}
	mc := mapConfig[resourceID, resource[P]](cfg)
	mc.Process = m.process
	mc.Weigh = func(e resourceEntry[P]) partitioned.Weight {
		return partitioned.Weight{Items: e.Value.items}
	}
	if mc.MaxBatchSize != (partitioned.Weight{}) {
		mc.Split = m.split
	}
	mc.Merge = m.gather
	if p.pooled {
		mc.Dropped = func(e resourceEntry[P], _ error) { m.discard(&e.Value) }
	}
	var err error
	m.Map, err = partitioned.NewUnstartedMap(mc)
	return m, err
}

// push copies what others may read, now or, as a caller that waits gets it back after an error, later; and what has to be taken apart
// below its resources: if it is refused, it is as it was.
func (m *resources[P]) push(ctx context.Context, r request[P], wait bool) (partitioned.Result, error) {
	given := r.payload
	w, _ := m.writers.Get().(*resourceWriter[P])
	if w == nil {
		w = &resourceWriter[P]{}
	}
	defer m.writers.Put(w)
	parts, err := m.router.begin(ctx, &w.streams, r)
	if err != nil {
		return partitioned.Result{}, err
	}
	copied := wait || parts.mixed || m.payloads.signal.Shared(given)
	if copied {
		r.payload = m.payloads.copy(given)
	}
	if parts.mixed {
		r.payload = m.payloads.apart(r.payload, parts.cuts())
	}
	var one [1]resourceEntry[P]
	entries, err := m.entries(ctx, w, r, &parts, one[:0])
	if err != nil {
		if copied {
			m.payloads.release(r.payload)
		}
		return partitioned.Result{}, err
	}
	for range len(entries) - 1 { // each has a reference
		m.payloads.hold(r.payload)
	}
	var result partitioned.Result
	if wait {
		result, err = m.MergeAllResult(ctx, entries...)
	} else {
		err = m.MergeAll(ctx, entries...)
	}
	if err != nil {
		for range len(entries) - 1 {
			m.payloads.release(r.payload)
		}
		if copied {
			m.payloads.release(r.payload)
		}
	} else if copied && !wait {
		m.payloads.release(given)
	}
	return result, err
}

// entries makes an entry for each resource of r with an item, behind those in entries. What was taken apart has a resource for each part.
func (m *resources[P]) entries(ctx context.Context, w *resourceWriter[P], r request[P], parts *itemParts, entries []resourceEntry[P]) ([]resourceEntry[P], error) {
	n := m.payloads.signal.Resources(r.payload)
	l := r.lease()
	if l != nil {
		l.divide()
		l.cuts = cuts{of: count(n), parts: n}
		if parts.mixed {
			l.cuts = parts.cuts()
		}
	}
	for i := range n {
		identity, g := m.signal.Group(&w.encoder, r.payload, i)
		of := resource[P]{items: g.Items, meta: r.meta, last: &arrival[P]{Group: g}}
		if r.meta != nil && (len(entries) > 0 || l != nil) {
			own := *r.meta
			of.meta = &own
			if len(entries) > 0 { // the links stand once for all of them
				own.links = nil
			}
			if l != nil {
				own.piece = nil
				first := l.addPart()
				first.items = g.Items
				own.group = newGroup([]*piece[P]{first}, nil)
			}
		}
		if g.Items == 0 {
			continue
		}
		entries = append(entries, resourceEntry[P]{Key: resourceID{m.router.stream(ctx, &w.streams, r.payload, i), identity}, Value: of})
	}
	return entries, w.streams.err
}

// count returns the numbers from 0 to n - 1.
func count(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// gather runs under the lock of the partition. What is below the resources becomes one when the entry is taken: here it would hold up
// all callers, for memory that is in another processor's cache each time.
func (m *resources[P]) gather(held, added resourceEntry[P]) resource[P] {
	v := added.Value
	v.last.before = held.Value.last
	v.items += held.Value.items
	v.meta = mergeMeta(held.Value.meta, v.meta)
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
		m.payloads.release(g.Payload)
	}
	clear(*same)
	*same = (*same)[:0]
	p := m.signal.Extract(first.Group)
	if m.payloads.signal.Resources(first.Payload) > 1 {
		m.payloads.release(first.Payload)
	}
	*v.last = arrival[P]{Group: signal.Group[P]{Payload: p, Items: v.items}} // may be taken again, if it cannot be split
	return request[P]{payload: p, items: v.items, meta: v.meta}
}

// discard lets go of a resource that is never sent.
func (m *resources[P]) discard(v *resource[P]) {
	if v.again != nil {
		m.payloads.discard(*v.again)
		return
	}
	for a := v.last; a != nil; a = a.before {
		m.payloads.release(a.Payload)
	}
}

func (m *resources[P]) entry(stream string, r *request[P]) resourceEntry[P] {
	return resourceEntry[P]{Key: resourceID{stream: stream}, Value: resource[P]{items: r.items, meta: r.meta, again: r}}
}

func (m *resources[P]) split(e resourceEntry[P], room partitioned.Weight) (head, tail resourceEntry[P], ok bool) {
	if room.Items >= e.Value.items {
		return e, e, false
	}
	var same []*signal.Group[P]
	first, second, ok := m.payloads.split(m.take(&e.Value, &same), room)
	return m.entry(e.Key.stream, &first), m.entry(e.Key.stream, &second), ok
}

func (m *resources[P]) process(ctx context.Context, batch partitioned.Batch[resourceEntry[P]]) partitioned.Verdict[resourceEntry[P]] {
	requests := make([]request[P], len(batch.Items))
	var same []*signal.Group[P]
	for i := range batch.Items {
		requests[i] = m.take(&batch.Items[i].Value, &same)
	}
	return sendEntries(ctx, m.send, batch, requests, func(r *request[P]) resourceEntry[P] { return m.entry(batch.Key, r) })
}
