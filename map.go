// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// With buffer: map, what arrives twice is held once. Two kinds of entries do that: resources, into which what arrives for
// them is folded, and records, of which the newest stays. Either way a batch becomes requests again when it is processed, so
// that from there on everything is as with a queue.

// mapKey tells the entries of a map apart, in full.
type mapKey interface {
	comparable
	of() string // the key of the request
}

// newMap makes the map that the configuration asks for. R is a record of the signal.
func newMap[P, R any](b *buffer[P]) (pending[P], error) {
	if b.cfg.Map.Key == mapResource {
		return newResources(b, any(b.signal).(signal.Groups[P]))
	}
	return newRecords(b, any(b.signal).(signal.Records[P, R]))
}

// mapConfig is what the maps have in common. Streams are keys, or with several partitions lanes by resource; without either
// there is one, with one lock.
func mapConfig[P any, K mapKey, V any](b *buffer[P]) partitioned.MapConfig[K, V] {
	mc := partitioned.MapConfig[K, V]{QueueConfig: pendingConfig[P, partitioned.Entry[K, V]](b)}
	if !b.cfg.keyed() {
		mc.Partitions = int(b.cfg.Partitions)
	}
	if b.cfg.keyed() || b.cfg.Partitions > 1 {
		mc.Key = func(e partitioned.Entry[K, V]) string { return e.Key.of() }
	}
	if mc.Partitions > 1 {
		for i := range mc.Partitions {
			b.lanes = append(b.lanes, strconv.Itoa(i))
		}
	}
	return mc
}

// streams makes the streams of one request's resources.
type streams[P any] struct {
	b      *buffer[P]
	key    []byte
	client int // length of the part that is the same for all
	last   string
}

func (b *buffer[P]) streams(ctx context.Context, s *streams[P]) {
	s.b, s.last = b, ""
	s.key = b.keys.appendClient(ctx, s.key[:0])
	s.client = len(s.key)
}

// of returns the stream of a resource.
func (s *streams[P]) of(payload P, i int) string {
	if s.b.keys.none() && len(s.b.lanes) == 0 {
		return ""
	}
	s.key = s.b.appendPart(s.key[:s.client], payload, i)
	if s.last == "" || string(s.key) != s.last {
		s.last = string(s.key)
	}
	return s.last
}

// processEntries processes a batch of entries as the requests that they stand for. What comes again becomes an entry, for good.
func processEntries[P, E any](ctx context.Context, b *buffer[P], batch partitioned.Batch[E], requests []request[P], entry func(*request[P]) E) (v partitioned.Verdict[E]) {
	answer := b.process(ctx, partitioned.Batch[request[P]]{
		Key: batch.Key, Items: requests, Weight: batch.Weight, Reason: batch.Reason, Oldest: batch.Oldest, Closing: batch.Closing,
	})
	v.Err, v.Taken, v.Alone, v.After = answer.Err, answer.Taken, answer.Alone, answer.After
	for i := range answer.Rest {
		v.Rest = append(v.Rest, entry(&answer.Rest[i]))
	}
	return v
}

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
		return weigh(request[P]{items: e.Value.items, more: e.Value.more})
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

// both is what is known of two requests that became one.
func both[P any](held, added *more[P]) *more[P] {
	if held == nil && added == nil {
		return nil
	}
	if held == nil {
		held = &more[P]{}
	} else if !held.several { // it may be that of other entries too
		own := *held
		held = &own
	}
	switch {
	case added == nil || added.deadline.IsZero():
		held.deadline = time.Time{}
	case !held.deadline.IsZero() && added.deadline.After(held.deadline):
		held.deadline = added.deadline
	}
	if added != nil && added.origin.IsValid() && len(held.links) < maxLinks {
		held.links = append(held.links, trace.Link{SpanContext: added.origin})
	}
	held.several = true
	return held
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

// records holds the newest of the records with one identity.
type records[P, R any] struct {
	*partitioned.Map[recordKey, record[P, R]]
	b       *buffer[P]
	signal  signal.Records[P, R]
	keys    signal.RecordKeys
	copies  bool          // payloads may be recycled, and nobody hears what becomes of a record that is superseded
	spread  bool          // over the lanes by identity, as the versions of a record may stand below several resources
	serial  atomic.Uint64 // of entries that are alone
	writers sync.Pool
}

// recordKey is that of one record; without a group it is alone.
type recordKey struct{ stream, group, record string }

func (k recordKey) of() string { return k.stream }

type recordEntry[P, R any] = partitioned.Entry[recordKey, record[P, R]]

// record is one record and nothing else, mostly.
type record[P, R any] struct {
	one   R
	other *others[P, R]
}

type others[P, R any] struct {
	more  *more[P]    // of the request of one; of several
	alone []R         // instead of one: what nothing supersedes, of one request
	again *request[P] // instead of one: what comes again, or a part of it
}

// writer is what it takes to push.
type writer[P, R any] struct {
	encoder signal.Encoder
	streams streams[P]
	entries []recordEntry[P, R]
}

func newRecords[P, R any](b *buffer[P], sig signal.Records[P, R]) (pending[P], error) {
	m := &records[P, R]{b: b, signal: sig, copies: b.pooled, keys: signal.RecordKeys{Attributes: b.cfg.Map.LogKeys, Version: b.cfg.Map.LogVersion}}
	_, ofLogs := any(sig).(signal.Logs)
	if ofLogs && len(m.keys.Attributes) == 0 {
		return nil, errors.New("map.log_keys is empty; a logs pipeline with map.key record needs the attributes that tell records apart")
	}
	mc := mapConfig[P, recordKey, record[P, R]](b)
	m.spread = ofLogs && len(b.lanes) > 0
	mc.Process = m.process
	mc.Weigh = func(e recordEntry[P, R]) partitioned.Weight {
		return partitioned.Weight{Items: e.Value.items()}
	}
	mc.Split = m.split
	mc.Remember = b.cfg.Map.Remember
	mc.MaxRemembered = int(b.cfg.Map.RememberLimit)
	var err error
	m.Map, err = partitioned.NewMap(mc)
	return m, err
}

func (r *record[P, R]) items() int {
	switch {
	case r.other == nil:
		return 1
	case r.other.again != nil:
		return r.other.again.items
	default:
		return max(1, len(r.other.alone))
	}
}

func (m *records[P, R]) push(ctx context.Context, r request[P], _ bool) (partitioned.Result, error) {
	from := r.payload
	own := m.copies || m.b.signal.Shared(from)
	if own {
		from = m.b.signal.Copy(from)
	}
	w, _ := m.writers.Get().(*writer[P, R])
	if w == nil {
		w = &writer[P, R]{}
	}
	m.b.streams(ctx, &w.streams)
	var with *others[P, R]
	if r.more != nil {
		with = &others[P, R]{more: r.more}
	}
	stream, of := "", -1
	var alone []R
	endAlone := func() {
		if len(alone) > 0 {
			w.entries = append(w.entries, m.alone(stream, r.more, alone))
			alone = nil
		}
	}
	w.entries = w.entries[:0]
	m.signal.Records(&w.encoder, from, m.keys, time.Now().UnixNano(), func(id signal.ID, one R) {
		if id.Resource != of {
			of = id.Resource
			if s := w.streams.of(from, of); s != stream {
				endAlone()
				stream = s
			}
		}
		if id.Group == "" {
			alone = append(alone, one)
			return
		}
		key := recordKey{stream, id.Group, id.Record}
		if m.spread {
			key.stream = m.b.lanes[maphash.String(m.b.seed, id.Record)%uint64(len(m.b.lanes))]
		}
		w.entries = append(w.entries, recordEntry[P, R]{
			Key: key, Value: record[P, R]{one: one, other: with}, Version: id.Version,
		})
	})
	endAlone()
	err := m.PutAllNewer(ctx, w.entries...)
	clear(w.entries)
	if cap(w.entries) <= maxWriter {
		m.writers.Put(w)
	}
	if err == nil && own {
		m.b.release(r.payload)
	}
	return partitioned.Result{}, err
}

// alone makes the entry of records that nothing supersedes.
func (m *records[P, R]) alone(stream string, of *more[P], all []R) recordEntry[P, R] {
	var serial [8]byte
	binary.LittleEndian.PutUint64(serial[:], m.serial.Add(1))
	return recordEntry[P, R]{
		Key:     recordKey{stream: stream, record: string(serial[:])},
		Value:   record[P, R]{other: &others[P, R]{more: of, alone: all}},
		Version: partitioned.NoVersion,
	}
}

// maxWriter is how many entries a writer has room for that is kept for the next push.
const maxWriter = 16 << 10

func (m *records[P, R]) split(e recordEntry[P, R], room partitioned.Weight) (head, tail recordEntry[P, R], ok bool) {
	head, tail = e, e
	o := e.Value.other
	if room.Items < 1 || room.Items >= e.Value.items() {
		return e, e, false
	}
	if o.again == nil {
		n := room.Items
		head.Value.other = &others[P, R]{more: o.more, alone: o.alone[:n:n]}
		tail.Value.other = &others[P, R]{more: o.more, alone: o.alone[n:]}
		return head, tail, true
	}
	first, second, ok := m.b.split(*o.again, room)
	head.Value.other, tail.Value.other = &others[P, R]{again: &first}, &others[P, R]{again: &second}
	return head, tail, ok
}

func (m *records[P, R]) process(ctx context.Context, batch partitioned.Batch[recordEntry[P, R]]) partitioned.Verdict[recordEntry[P, R]] {
	var requests []request[P]
	all := make([]R, 0, batch.Weight.Items)
	var of *more[P]
	var last *more[P]
	for i := range batch.Items {
		v := &batch.Items[i].Value
		if v.other == nil {
			all = append(all, v.one)
			continue
		}
		if v.other.again != nil {
			requests = append(requests, *v.other.again)
			continue
		}
		if v.other.alone != nil {
			all = append(all, v.other.alone...)
		} else {
			all = append(all, v.one)
		}
		if more := v.other.more; more != nil && more != last {
			last = more
			if of == nil {
				of = more
			} else {
				of = both(of, more)
			}
		}
	}
	if len(all) > 0 {
		if of != nil {
			own := *of // the others of its request have it too
			of = &own
		}
		requests = append(requests, request[P]{payload: m.signal.Assemble(all), items: len(all), more: of})
	}
	return processEntries(ctx, m.b, batch, requests, func(r *request[P]) recordEntry[P, R] {
		return recordEntry[P, R]{Key: recordKey{stream: batch.Key}, Value: record[P, R]{other: &others[P, R]{again: r}}}
	})
}

// errNoMap is for signals that have no map.
func errNoMap(name string) error {
	return fmt.Errorf("buffer is %q; %s can only be in a queue, as their parts refer to one dictionary a payload and are not merged by resource", bufferMap, name)
}
