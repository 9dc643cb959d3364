// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// records is the [store] that holds the newest of the records with one identity. Of deltas that are summed an entry is those of a metric.
type records[P, R any] struct {
	*partitioned.Map[recordKey, record[P, R]]
	signal   signal.Records[P, R]
	router   *router[P]
	payloads *payloads[P]
	send     sendFunc[P]
	keys     signal.RecordKeys
	sums     signal.Sums[R] // adds up; nil: nothing is summed
	notes    *notes[R]      // what is written on a record of those that it superseded; nil: nothing
	spread   bool           // over the partitions by identity, as the versions of a record may stand below several resources
	serial   atomic.Uint64  // of entries that are alone
	writers  sync.Pool      // of *recordWriter[P, R]
}

// recordKey is that of one record; without a group it is alone.
type recordKey struct {
	stream string
	group  signal.Name
	record string
}

func (k recordKey) of() string { return k.stream }

type recordEntry[P, R any] = partitioned.Entry[recordKey, record[P, R]]

// record is one record and nothing else, mostly.
type record[P, R any] struct {
	one   R
	other *others[P, R]
}

type others[P, R any] struct {
	meta  *meta[P]    // of the request of one; of several
	tally tally       // of one and of what it superseded; with a count, no other record shares these others
	alone []R         // instead of one: what nothing supersedes, of one request
	again *request[P] // instead of one: what comes again, or a part of it
}

func newRecords[P, R any](cfg Settings, kind signal.Descriptor[P, R], keys keyer, xs expressions[P], p *payloads[P], send sendFunc[P]) (*records[P, R], error) {
	partitions := mapPartitions(cfg)
	m := &records[P, R]{
		signal: kind.Records, router: newRouter(cfg, keys, xs, p, partitions), payloads: p, send: send,
		keys: signal.RecordKeys{Version: cfg.Map.LogVersion, Ignore: cfg.Map.Ignore, Points: cfg.Map.Points},
	}
	// By trace, what arrives twice is in one partition already.
	m.spread = len(partitions) > 0 && (kind.AnyResource || m.keys.Ignore.Any() && cfg.PartitionBy != ByTrace)
	for _, text := range cfg.Map.LogKeys {
		key, _ := signal.ParseLogKey(text) // the configuration is valid
		m.keys.Log = append(m.keys.Log, key)
	}
	mc := mapConfig[recordKey, record[P, R]](cfg)
	mc.Process = m.process
	mc.Weigh = func(e recordEntry[P, R]) partitioned.Weight {
		return partitioned.Weight{Items: m.items(&e.Value)}
	}
	if mc.MaxBatchSize != (partitioned.Weight{}) {
		mc.Split = m.split
	}
	if cfg.MaxAge > 0 {
		mc.Expired = func(e recordEntry[P, R], now time.Time) bool { return e.Value.older(cfg.MaxAge, now) }
	}
	if mc.Remember = cfg.Map.Remember; mc.Remember > 0 {
		mc.MaxRemembered = cfg.Map.RememberLimit
	}
	if cfg.Map.Points.SumDeltas {
		m.sums = kind.Sums
		mc.Merge = m.merge
	}
	if m.notes = newNotes(cfg.Map, kind.Noted); m.notes != nil {
		mc.Supersede = m.supersede
	}
	var err error
	m.Map, err = partitioned.NewUnstartedMap(mc)
	return m, err
}

// push copies what may be recycled or read by others: nobody hears what becomes of a record that is superseded.
func (m *records[P, R]) push(ctx context.Context, r request[P], _ bool) (partitioned.Result, error) {
	from := r.payload
	own := m.payloads.pooled || m.payloads.signal.Shared(from)
	if own {
		from = m.payloads.copy(from)
	}
	w, _ := m.writers.Get().(*recordWriter[P, R])
	if w == nil {
		w = &recordWriter[P, R]{}
	}
	parts, err := m.router.begin(ctx, &w.streams, r)
	if err == nil {
		w.write(ctx, m, from, &parts, r.meta)
		err = w.streams.err
	}
	if err == nil {
		err = m.PutAllNewer(ctx, w.entries...)
	}
	clear(w.entries)
	if cap(w.entries)+cap(w.alone) <= maxWriter {
		m.writers.Put(w)
	}
	if err == nil && own {
		m.payloads.release(r.payload)
	}
	return partitioned.Result{}, err
}

// recordWriter makes the entries of one request.
type recordWriter[P, R any] struct {
	encoder signal.Encoder
	streams streams
	stream  string // of the resource that the walk is in
	alone   [][]R  // of each part of the request, what nothing supersedes and no entry has yet. It has one part, unless they are mixed. Between two requests all are nil
	entries []recordEntry[P, R]
}

// maxWriter is how many entries a writer has room for that is kept for the next push.
const maxWriter = 16 << 10

func (w *recordWriter[P, R]) write(ctx context.Context, m *records[P, R], from P, parts *itemParts, of *meta[P]) {
	var with *others[P, R]
	if of != nil {
		with = &others[P, R]{meta: of}
	}
	resource := -1
	w.stream, w.entries = "", w.entries[:0]
	keys, n := m.keys, 1
	if parts.mixed {
		keys.Parts, n = parts.of, len(parts.keys)
	}
	w.alone = slices.Grow(w.alone[:0], n)[:n]
	m.signal.Records(&w.encoder, from, keys, func(id signal.ID, one R) {
		part := 0
		if parts.mixed {
			part = parts.of[id.Item]
			w.stream = parts.keys[part]
		} else if id.Resource != resource {
			resource = id.Resource
			if stream := m.router.stream(ctx, &w.streams, from, resource); stream != w.stream {
				w.endAlone(0, m, of)
				w.stream = stream
			}
		}
		if id.Group == (signal.Name{}) {
			w.alone[part] = append(w.alone[part], one)
			return
		}
		key := recordKey{w.stream, id.Group, id.Record}
		if m.spread {
			key.stream = m.router.identity(id.Group, id.Record)
		}
		w.entries = append(w.entries, recordEntry[P, R]{
			Key: key, Value: record[P, R]{one: one, other: with}, Version: entryVersion(&id),
		})
	})
	w.endAllAlone(m, parts, of)
}

// entryVersion maps the versions of records onto those of entries, in their order: a time is an unsigned number. The three lowest
// of an entry have a meaning of their own, so the three greatest of records become one.
func entryVersion(id *signal.ID) int64 {
	switch {
	case id.Sums:
		return partitioned.Merged
	case id.Version == 0:
		return partitioned.AlwaysNewer
	default:
		return int64((min(id.Version, math.MaxUint64-2) + 2) ^ 1<<63)
	}
}

func (w *recordWriter[P, R]) endAllAlone(m *records[P, R], parts *itemParts, of *meta[P]) {
	for part := range w.alone {
		if parts.mixed {
			w.stream = parts.keys[part]
		}
		w.endAlone(part, m, of)
	}
}

// endAlone makes the entry of the records of a part that nothing supersedes, if there are any. No other entry has its serial.
func (w *recordWriter[P, R]) endAlone(part int, m *records[P, R], of *meta[P]) {
	if len(w.alone[part]) == 0 {
		return
	}
	serial := binary.LittleEndian.AppendUint64(nil, m.serial.Add(1))
	w.entries = append(w.entries, recordEntry[P, R]{
		Key:     recordKey{stream: w.stream, record: string(serial)},
		Value:   record[P, R]{other: &others[P, R]{meta: of, alone: w.alone[part]}},
		Version: partitioned.NoVersion,
	})
	w.alone[part] = nil
}

// items returns how many items v stands for.
func (m *records[P, R]) items(v *record[P, R]) int {
	switch {
	case v.other != nil && v.other.again != nil:
		return v.other.again.items
	case v.other != nil && v.other.alone != nil:
		return len(v.other.alone)
	case m.sums != nil:
		return m.sums.Len(v.one)
	default:
		return 1
	}
}

// older reports whether r is older than age.
func (r *record[P, R]) older(age time.Duration, now time.Time) bool {
	of := r.other // with max_age every record has a meta
	if of.again != nil {
		return of.again.older(age, now)
	}
	return now.Sub(of.meta.arrived) > age
}

// merge adds the sums of a request to those that are held of a metric, and what is known of the request to what is known of theirs. The
// partition's lock is held.
func (m *records[P, R]) merge(held, added recordEntry[P, R]) record[P, R] {
	v := held.Value
	v.one = m.sums.Add(v.one, added.Value.one)
	if of := mergeMeta(v.meta(), added.Value.meta()); of != nil {
		v.other = &others[P, R]{meta: of}
	}
	return v
}

// meta is that of the request of r, or of its requests; nil: it has none.
func (r *record[P, R]) meta() *meta[P] {
	if r.other == nil {
		return nil
	}
	return r.other.meta
}

func (m *records[P, R]) split(e recordEntry[P, R], room partitioned.Weight) (head, tail recordEntry[P, R], ok bool) {
	head, tail = e, e
	o := e.Value.other
	n := room.Items
	switch {
	case n < 1 || n >= m.items(&e.Value):
		return e, e, false
	case o == nil || o.again == nil && o.alone == nil:
		head.Value.one, tail.Value.one = m.sums.Split(e.Value.one, n)
		return head, tail, true
	case o.again == nil:
		head.Value.other = &others[P, R]{meta: o.meta, alone: o.alone[:n:n]}
		tail.Value.other = &others[P, R]{meta: o.meta, alone: o.alone[n:]}
		return head, tail, true
	}
	first, second, ok := m.payloads.split(*o.again, room)
	head.Value.other, tail.Value.other = &others[P, R]{again: &first}, &others[P, R]{again: &second}
	return head, tail, ok
}

func (m *records[P, R]) process(ctx context.Context, batch partitioned.Batch[recordEntry[P, R]]) partitioned.Verdict[recordEntry[P, R]] {
	var requests []request[P]
	all := make([]R, 0, len(batch.Items))
	n := 0 // what all stand for
	var of, last *meta[P]
	for i := range batch.Items {
		v := &batch.Items[i].Value
		if m.notes != nil && batch.Items[i].Key.group != (signal.Name{}) {
			m.notes.write(v.one, v.tally(m.notes))
		}
		if v.other != nil && v.other.again != nil {
			requests = append(requests, *v.other.again)
			continue
		}
		n += m.items(v)
		if v.other == nil {
			all = append(all, v.one)
			continue
		}
		if v.other.alone != nil {
			all = append(all, v.other.alone...)
		} else {
			all = append(all, v.one)
		}
		if m := v.other.meta; m != nil && m != last {
			last = m
			if of == nil {
				of = m
			} else {
				of = mergeMeta(of, m)
			}
		}
	}
	if len(all) > 0 {
		if of != nil {
			own := *of // the others of its request have it too
			of = &own
		}
		requests = append(requests, request[P]{payload: m.signal.Assemble(all), items: n, meta: of})
	}
	return sendEntries(ctx, m.send, batch, requests, func(r *request[P]) recordEntry[P, R] {
		return recordEntry[P, R]{Key: recordKey{stream: batch.Key}, Value: record[P, R]{other: &others[P, R]{again: r}}}
	})
}
