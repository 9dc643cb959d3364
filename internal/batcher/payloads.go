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
	pooled     bool // payloads are recycled when nobody holds them
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
		signal: sig, dictionary: dictionary, bytes: cfg.Bytes, maxBytes: cfg.MaxBatchSize.Bytes,
		pooled: pref.UseProtoPooling.IsEnabled(), log: log,
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

// measure reports whether profiles can be neither merged nor cut, and what they weigh in bytes.
func (p *payloads[P]) measure(payload P) (size int, whole bool) {
	if p.signal.Check(payload) != nil {
		return wholeSize, true // goes on alone, as it came: the next consumer may know better
	}
	return 0, false
}

// tooLarge reports whether a batch of this weight has more bytes than a batch may have.
func (p *payloads[P]) tooLarge(w partitioned.Weight) bool {
	return p.bytes && p.maxBytes > 0 && w.Bytes > p.maxBytes
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

// take returns what r stands for, as a payload that is ours to change, and of which we hold a reference.
func (p *payloads[P]) take(r *request[P]) P {
	if r.meta != nil && r.meta.source != nil {
		return r.meta.source.take(p, r.items)
	}
	return p.exclusive(r.payload)
}

// merge moves all requests into the payload of the first.
func (p *payloads[P]) merge(requests []request[P]) P {
	first := p.take(&requests[0])
	if len(requests) == 1 {
		return first
	}
	scratch, _ := p.scratch.Get().(*[]P)
	if scratch == nil {
		scratch = new([]P)
	}
	others := (*scratch)[:0]
	for i := range requests[1:] {
		others = append(others, p.take(&requests[i+1]))
	}
	p.signal.Merge(first, others...)
	for _, payload := range others {
		p.release(payload)
	}
	clear(others)
	*scratch = others
	p.scratch.Put(scratch)
	return first
}

// outgoing is the payload of one call of the next consumer. We hold a reference to either of the two until releaseOutgoing, so that
// they can be read after the call, and what an error says of a subset, which may be made of them.
type outgoing[P any] struct {
	merged P    // what the requests of the batch became
	held   bool // ours
	sent   P    // what the next consumer gets: merged or, if that may have to be sent again, a deep copy
	copied bool // ours
}

// load merges requests into out. A batch that is too large carries no containers without items: it is that of one item, or of
// what repeats too much. Without keep nobody pays for the copy.
func (p *payloads[P]) load(out *outgoing[P], requests []request[P], keep, tooLarge bool) {
	out.merged = p.merge(requests)
	out.held = true
	if tooLarge {
		p.signal.Strip(out.merged)
	}
	out.sent = out.merged
	if keep {
		out.sent, out.copied = p.copy(out.merged), true
	}
}

func (p *payloads[P]) releaseOutgoing(out *outgoing[P]) {
	if out.held {
		p.release(out.merged)
	}
	if out.copied {
		p.release(out.sent)
	}
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
	head, tail, ok = p.cut(r, q)
	if !ok && p.bytes && room.Bytes >= p.maxBytes {
		if n := min(p.together(r), room.Items); n < r.items {
			return p.cut(r, signal.Items(n))
		}
	}
	return head, tail, ok
}

// together is how many of the next items of r belong into a batch that is too large even so, after cut found no room for one.
func (p *payloads[P]) together(r request[P]) int {
	if left, _ := r.meta.source.(*remainder[P]); left != nil && left.cutter != nil {
		return left.cutter.Together(p.maxBytes)
	}
	return r.items
}

// cut takes items off r, fewer than it has, if q has room for one.
func (p *payloads[P]) cut(r request[P], q signal.Quota) (head, tail request[P], ok bool) {
	defer func() {
		if v := recover(); v != nil { // I8: on a consumer it would end the process; like this it costs the request its cap
			p.log.Error("A request could not be cut", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			head, tail, ok = r, r, false
		}
	}()
	m := r.meta
	left, _ := m.source.(*remainder[P])
	if left == nil {
		left = &remainder[P]{payload: p.take(&r)}
		m.source = left
		size := 0
		if p.bytes {
			size = m.size
		}
		left.cutter = p.signal.Cut(left.payload, size)
	}
	if left.cutter == nil {
		return r, r, false // it panicked before
	}
	q.Items = min(q.Items, r.items-1)
	part, took := left.cutter.Take(q)
	if took.Items == 0 {
		return r, r, false
	}
	head, tail = r, r
	head.payload, head.items = part, took.Items
	tail.items -= took.Items
	of := *m
	of.source = nil
	head.meta = &of
	if p.bytes {
		of.size, m.size = took.Bytes, left.cutter.Left().Bytes
	}
	return head, tail, true
}

// remainder is the [source] of a request that is cut. It holds a reference of its payload.
type remainder[P any] struct {
	payload P
	cutter  signal.Cutter[P] // takes payload apart; nil: that cannot be done
}

func (s *remainder[P]) take(p *payloads[P], items int) P {
	if s.cutter == nil {
		return s.payload
	}
	defer p.release(s.payload) // nothing is left in it
	last, _ := s.cutter.Take(signal.Items(items))
	return last
}
