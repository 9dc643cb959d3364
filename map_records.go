// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

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
	m.signal.Records(&w.encoder, from, m.keys, func(id signal.ID, one R) {
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
			Key: key, Value: record[P, R]{one: one, other: with}, Version: entryVersion(id.Version),
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

// entryVersion maps the versions of records onto those of entries, in their order: a time is an unsigned number. The two lowest
// of an entry have a meaning of their own, so the two greatest of records become one.
func entryVersion(v uint64) int64 {
	if v == 0 {
		return partitioned.AlwaysNewer
	}
	return int64((min(v, math.MaxUint64-1) + 1) ^ 1<<63)
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
