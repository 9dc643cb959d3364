// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// request is one Consume call's payload on its way through, or what is left of it. It is small, as it is copied in and out
// of the queue: what most requests do without stands in more.
type request[P any] struct {
	payload P
	items   int
	more    *more[P]
}

type more[P any] struct {
	key    string            // of its stream, where it is not given with the push
	size   int               // signal.Size, where it matters
	whole  bool              // can be neither merged nor cut
	origin trace.SpanContext // of the call, if it was sampled
	of     *division[P]      // payload is not there yet: it is a part of this, until it is needed
	part   int               // which
	rest   P                 // what is taken apart, in place of payload, if left is set. We hold a reference
	left   signal.Cutter[P]  // takes rest apart

	deadline time.Time // of the call, if somebody waits for the result: of the last of them; zero: there is none

	// Of a batch that comes again, instead of origin.
	several  bool // calls have items in it
	links    []trace.Link
	attempts attempts
}

// maxDictionary bounds the dictionary entries of the profiles that are merged into one batch: pdata looks each entry up
// from the front, so that the cost of a merge grows with their square.
const maxDictionary = 4096

func (b *buffer[P]) describe(ctx context.Context, payload P, origin trace.SpanContext) *more[P] {
	m := &more[P]{}
	if origin.IsSampled() {
		m.origin = origin
	}
	if b.cfg.WaitForResult {
		m.deadline, _ = ctx.Deadline()
	}
	if b.profiles {
		b.measure(m, payload)
	}
	return m
}

// measure fills in what has to be known of profiles in order to merge and cut them.
func (b *buffer[P]) measure(m *more[P], payload P) {
	m.size = b.signal.Size(payload)
	if b.signal.Check(payload) != nil {
		m.whole = true
		m.size = maxDictionary + 1 // goes on alone, as it came: the next component may know better
	}
}

// needsMore tells whether there is something to describe of a request.
func (b *buffer[P]) needsMore(ctx context.Context, origin trace.SpanContext) bool {
	if origin.IsSampled() || b.profiles || b.bytes {
		return true
	}
	if !b.cfg.WaitForResult {
		return false
	}
	_, ok := ctx.Deadline()
	return ok
}

// latestDeadline is that of the last of those who wait for a batch; false: one of them has none.
func latestDeadline[P any](requests []request[P]) (latest time.Time, ok bool) {
	for i := range requests {
		m := requests[i].more
		if m == nil || m.deadline.IsZero() {
			return time.Time{}, false
		}
		if m.deadline.After(latest) {
			latest = m.deadline
		}
	}
	return latest, true
}

func keyOf[P any](r request[P]) string { return r.more.key }

func weigh[P any](r request[P]) partitioned.Weight {
	w := partitioned.Weight{Items: r.items}
	if r.more != nil {
		w.Bytes = r.more.size
	}
	return w
}

// hold keeps payload from being recycled after Consume returned, until release. Without the gate pdata.useProtoPooling
// references have no meaning, and two atomic operations on each payload's own cache line cost an eighth of Consume.
func (b *buffer[P]) hold(payload P) {
	if b.pooled {
		b.signal.Ref(payload)
	}
}

func (b *buffer[P]) release(payload P) {
	if b.pooled {
		b.signal.Unref(payload)
	}
}

// split takes off r what there is room for. With room for a whole batch it takes one item at least, even if that alone is
// too large, so that it does no harm to those behind it. A dictionary cannot be split: without room for it the batch ends
// before r, and one that is larger than any batch's gets batches of its own.
func (b *buffer[P]) split(r request[P], room partitioned.Weight) (head, tail request[P], ok bool) {
	if r.more == nil {
		r.more = &more[P]{}
	}
	q := signal.Items(room.Items)
	switch {
	case r.items == 1 || r.more.whole:
		return r, r, false
	case b.bytes:
		q.Bytes = room.Bytes
	case room.Items >= r.items || b.profiles && r.more.size > room.Bytes && room.Bytes < maxDictionary:
		return r, r, false
	}
	head, tail, ok = b.cut(r, q)
	if !ok && b.bytes && room.Bytes >= int(b.cfg.SendBatchMaxSizeBytes) {
		return b.cut(r, signal.Items(1))
	}
	return head, tail, ok
}

// cut takes items off r, fewer than it has, if q has room for one.
func (b *buffer[P]) cut(r request[P], q signal.Quota) (head, tail request[P], ok bool) {
	defer func() {
		if p := recover(); p != nil { // I8: on a worker it would end the process; like this it costs the request its cap
			b.logger.Error("A request could not be cut", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			ok = false
		}
	}()
	m := r.more
	if m.left == nil {
		size := 0
		if b.bytes {
			size = m.size
		}
		m.rest = b.mine(&r)
		m.left = b.signal.Cut(m.rest, size)
	}
	q.Items = min(q.Items, r.items-1)
	part, took := m.left.Take(q)
	if took.Items == 0 {
		return r, r, false
	}
	head, tail = r, r
	head.payload, head.items = part, took.Items
	tail.items -= took.Items
	var none P
	of := *m
	of.left, of.rest = nil, none
	head.more = &of
	if b.bytes {
		of.size, m.size = took.Bytes, m.left.Left().Bytes
	}
	return head, tail, true
}

// take returns what r stands for, as a payload that is ours to change, and of which we hold a reference.
func (b *buffer[P]) take(r *request[P]) P {
	if r.more != nil && r.more.left != nil {
		defer b.release(r.more.rest) // nothing is left of it
		p, _ := r.more.left.Take(signal.Items(r.items))
		return p
	}
	return b.mine(r)
}

// own returns p, or a copy in its place if others may read it.
func (b *buffer[P]) own(p P) P {
	if !b.signal.Shared(p) {
		return p
	}
	defer b.release(p)
	return b.signal.Copy(p)
}
