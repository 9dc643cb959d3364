// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"runtime/debug"
	"sync"

	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// payloads is the only place that takes, copies, moves or releases a payload. It holds none.
type payloads[P any] struct { // immutable but for scratch
	signal     signal.Signal[P]
	dictionary bool // the parts of a payload refer to one dictionary
	bytes      bool // requests are measured in bytes
	maxBytes   int  // of a batch; 0: no limit
	maxItems   int  // of a batch; 0: no limit
	pooled     bool // payloads are recycled when nobody holds them
	sort       bool // what is sent is in the order of its time
	log        *zap.Logger

	scratch sync.Pool // of *[]P
}

// Profiles weigh no bytes, but for those that can be neither merged nor cut: they are above a cap in bytes that nothing else
// comes near, so that each is a batch of its own.
const (
	wholeCap  = 1
	wholeSize = 2
)

func newPayloads[P any](cfg Settings, sig signal.Signal[P], dictionary bool, log *zap.Logger) *payloads[P] {
	return &payloads[P]{
		signal: sig, dictionary: dictionary, bytes: cfg.Bytes, maxBytes: cfg.MaxBatchSize.Bytes, maxItems: cfg.MaxBatchSize.Items,
		pooled: pref.UseProtoPooling.IsEnabled(), sort: cfg.SortByTime, log: log,
	}
}

// hold keeps payload from being recycled after Consume returned, until release. Without the gate pdata.useProtoPooling
// references have no meaning, and two atomic operations on each payload's own cache line cost an eighth of Consume.
func (p *payloads[P]) hold(payload P) {
	if p.pooled {
		p.signal.Ref(payload)
	}
}

func (p *payloads[P]) release(payload P) {
	if p.pooled {
		p.signal.Unref(payload)
	}
}

// discard lets go of a request that is never sent.
func (p *payloads[P]) discard(r request[P]) {
	if !p.pooled || r.lease() != nil {
		return
	}
	if k, ok := r.from().(*kept[P]); ok {
		k.discard(p)
		return
	}
	p.release(p.take(&r))
}

// measure returns what payload weighs in bytes, and whether it can be neither merged nor cut.
func (p *payloads[P]) measure(payload P) (m signal.Measure, whole bool) {
	switch {
	case p.dictionary && p.signal.Check(payload) != nil:
		return signal.Measure{Bytes: wholeSize}, true // goes on alone, as it came: the next consumer may know better
	case p.bytes:
		return signal.MeasureOf(p.signal, payload), false
	default:
		return m, false
	}
}

// tooLarge reports whether a batch of this weight has more bytes than a batch may have.
func (p *payloads[P]) tooLarge(w partitioned.Weight) bool {
	return p.bytes && p.maxBytes > 0 && w.Bytes > p.maxBytes
}

// oversized reports whether a batch of so many items and bytes is larger than a batch may be. Without bytes it is not asked for those.
func (p *payloads[P]) oversized(items, bytes int) bool {
	return p.bytes && p.maxBytes > 0 && bytes > p.maxBytes || p.maxItems > 0 && items > p.maxItems
}

// copy returns a deep copy, of which we hold the reference.
func (p *payloads[P]) copy(payload P) P { return p.signal.Copy(payload) }

// exclusive returns payload, or a copy in its place if others may read it.
func (p *payloads[P]) exclusive(payload P) P {
	if !p.signal.Shared(payload) {
		return payload
	}
	defer p.release(payload)
	return p.copy(payload)
}

// take returns what r stands for, as a payload that is ours to change, and of which we hold a reference. Not for a piece.
func (p *payloads[P]) take(r *request[P]) P {
	if r.meta != nil && r.meta.source != nil {
		return r.meta.source.take(p, r.items)
	}
	return p.exclusive(r.payload)
}

// split takes off r what there is room for. With room for a whole batch it takes one item at least, even if that alone is
// too large, so that it does no harm to those behind it, or all items of what is too large without them (I6).
func (p *payloads[P]) split(r request[P], room partitioned.Weight) (head, tail request[P], ok bool) {
	if r.meta == nil {
		r.meta = &meta[P]{}
	}
	q := signal.Items(room.Items)
	switch {
	case r.items == 1 || r.meta.whole:
		return r, r, false
	case p.bytes:
		q.Bytes = room.Bytes
	case room.Items >= r.items:
		return r, r, false
	}
	if p.bytes && room.Bytes >= p.maxBytes {
		return p.cutTogether(r, q, room.Items, r.meta.measure)
	}
	return p.cut(r, q, p.measureOf(r))
}

// measureOf is what r was measured, if bytes matter; else zero.
func (p *payloads[P]) measureOf(r request[P]) signal.Measure {
	if !p.bytes {
		return signal.Measure{}
	}
	return r.meta.measure
}

// cutTogether is cut for a quota of bytes that is all that a part may have: what has more without any items goes on with all of its
// items, but at most so many, as each part would repeat it (I6). If that is all of r, r stays as it is. measure is that of r; zero:
// bytes do not matter.
func (p *payloads[P]) cutTogether(r request[P], q signal.Quota, most int, measure signal.Measure) (head, tail request[P], ok bool) {
	if head, tail, ok = p.cut(r, q, measure); ok || measure.Bytes == 0 {
		return head, tail, ok
	}
	if n := min(p.together(r, q.Bytes), most); n < r.items {
		return p.cut(r, signal.Items(n), measure)
	}
	return head, tail, false
}

// together is how many of the next items of r belong into a part that has more than most bytes, after cut found no room for one.
func (p *payloads[P]) together(r request[P], most int) int {
	if r.meta.piece != nil {
		return r.meta.piece.together(most)
	}
	if left, _ := r.meta.source.(*remainder[P]); left != nil && left.cutter != nil {
		return left.cutter.Together(most)
	}
	return r.items
}

// cut takes items off r, fewer than it has, if q has room for one. measure is that of r, if q limits bytes.
func (p *payloads[P]) cut(r request[P], q signal.Quota, measure signal.Measure) (head, tail request[P], ok bool) {
	defer func() {
		if v := recover(); v != nil { // I8: on a consumer it would end the process; like this it costs the request its cap
			p.log.Error("A request could not be cut", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			head, tail, ok = r, r, false
		}
	}()
	m := r.meta
	if k, ok := m.source.(*kept[P]); ok && !k.ready() {
		return r, r, false
	}
	q.Items = min(q.Items, r.items-1)
	var part P
	var rest *piece[P]
	var took, left signal.Quota
	if m.piece != nil {
		rest, took, left = m.piece.cut(p, q, measure)
	} else {
		part, took, left = p.remainder(&r).cut(p, q, measure)
	}
	if took.Items == 0 {
		return r, r, false
	}
	head, tail = r, r
	of := *m
	of.source, m.piece = nil, rest
	head.payload, head.items, head.meta = part, took.Items, &of
	tail.items -= took.Items
	if p.bytes {
		of.measure, m.measure = signal.Measure{Bytes: took.Bytes}, signal.Measure{Bytes: left.Bytes} // the cutter knows more
	}
	if m.group != nil {
		m.group.cut()
	}
	for _, k := range m.kept {
		k.hold()
	}
	return head, tail, true
}

// remainder makes what is left of r the source of r.
func (p *payloads[P]) remainder(r *request[P]) *remainder[P] {
	left, _ := r.meta.source.(*remainder[P])
	if left == nil {
		left = &remainder[P]{payload: p.take(r)}
		r.meta.source = left
	}
	return left
}

// remainder is the [source] of a request that is cut. It holds a reference of its payload.
type remainder[P any] struct {
	payload P
	cutter  signal.Cutter[P] // takes payload apart; nil: nothing was cut off
}

func (s *remainder[P]) cut(p *payloads[P], q signal.Quota, measure signal.Measure) (part P, took, left signal.Quota) {
	if s.cutter == nil {
		s.cutter = p.signal.Cut(s.payload, measure)
	}
	part, took = s.cutter.Take(q)
	return part, took, s.cutter.Left()
}

func (s *remainder[P]) take(p *payloads[P], items int) P {
	if s.cutter == nil {
		return s.payload
	}
	defer p.release(s.payload) // nothing is left in it
	last, _ := s.cutter.Take(signal.Items(items))
	return last
}
