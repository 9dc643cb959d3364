// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// A caller that waits for its result lends its payload. If the call ends in an error, the payload is whole again, as it was, and the
// error carries what was not delivered. Nothing is copied for that while calls succeed: a lease only notes where each piece of
// the payload went. After an error the pieces are copied back from the batches that they are in, which nobody changes.
//
// A piece is one request of the engine at any time. It begins as all of the payload, or as the part of one key. Cutting a request
// cuts its piece in two. A piece is
//
//   - lent: still in the caller's payload;
//   - ours: in a payload of its own, cut off or taken out of a batch that is to be sent again, and in no batch;
//   - in a flight: resources [first, end) of a batch.
//
// The locks, in order: flight.mu, held while a batch is made, taken apart, or copied from; lease.mu, held while a piece changes its
// state. The consumer holds both for as long as it takes to move pointers. The caller waits for that, and never for the next consumer.
//
// When the call ends, the lease ends, under its lock. What is in no batch then is the caller's again, and the consumer leaves it out
// of the batch that its request is in (Verdict.Returned). What is in a flight is copied, and may arrive twice.
//
// Rejected: moving the data back. A fan-out marks a batch as read-only, and an exporter may hold it after the call. Rejected too: a copy
// of what is cut or divided. It would be made for each call that succeeds.

// lease is what one waiting caller lends.
type lease[P any] struct {
	payload P
	keep    bool // payload is only read and what is sent is a copy: others read it too, it is in a map, or its dictionary cannot be united
	cuts    cuts // how it is divided; of nil: there is one part. Not changed after the push

	parts []*piece[P] // the first piece of each part. Not changed after the push

	mu struct { // guards everything in it, and what a piece says
		sync.Mutex
		ended   bool
		finish  func(k int, part P) // what is left to do for a part of divided; nil: nothing. It may read what was divided
		divided []P                 // payload, or a copy of it, by parts; without those that were fetched. nil: it is not divided yet
		copied  *P                  // the copy, of which we hold the reference; nil: there is none
		subsets []*piece[P]         // what errors named as not delivered of pieces that count as delivered since; each the first of a list
	}
}

// newLease makes a lease with one piece, and the meta of its request, in one allocation. The caller waits under a span and
// possibly a deadline.
func newLease[P any](payload P, items int, keep bool, span trace.SpanContext) (*lease[P], *meta[P]) {
	all := &struct {
		lease[P]
		meta[P]
		piece [1]piece[P]
		parts [1]*piece[P]
		link  [1]trace.Link
	}{}
	l, m, first := &all.lease, &all.meta, &all.piece[0]
	l.payload, l.keep = payload, keep
	first.lease, first.items = l, items
	all.parts[0] = first
	l.parts = all.parts[:]
	m.piece = first
	if span.IsSampled() {
		all.link[0].SpanContext = span
		m.links = all.link[:]
	}
	return l, m
}

// divide makes the lease one without parts, of which addPart adds each. It is called before the push.
func (l *lease[P]) divide() { l.parts = nil }

// addPart adds a part with one piece, without items yet, and returns the piece.
func (l *lease[P]) addPart() *piece[P] {
	first := &piece[P]{lease: l, part: len(l.parts)}
	l.parts = append(l.parts, first)
	return first
}

// end ends the lease with the error of the call, which it returns. Unless that is nil, the payload is whole again, and the error
// carries what was not delivered, in memory of its own.
func (l *lease[P]) end(p *payloads[P], err error) error {
	l.mu.Lock()
	l.mu.ended = true
	l.mu.Unlock()
	if err != nil {
		if !l.keep {
			l.restore(p)
		}
		if rest := l.undelivered(p); p.signal.Items(rest) > 0 {
			err = p.signal.WithSubset(err, rest)
		} else {
			err = nil // the caller gave up while it was about to be told that all is delivered
		}
	}
	if p.pooled {
		l.drop(p)
	}
	return err
}

// fetch returns the payload of a part, which is removed from where it was; lent: it is the caller's own. l.mu is held.
func (l *lease[P]) fetch(p *payloads[P], part int) (payload P, lent bool) {
	switch {
	case l.cuts.of != nil:
		if l.mu.divided == nil {
			all := l.payload
			if l.keep {
				all = p.copy(all)
				l.mu.copied = &all
			}
			l.mu.divided, l.mu.finish = p.divide(all, l.cuts)
		}
		payload = l.mu.divided[part]
		var none P
		l.mu.divided[part] = none
		if l.mu.finish != nil {
			l.mu.finish(part, payload)
		}
		return payload, false
	case l.keep:
		return p.copy(l.payload), false
	default:
		return l.payload, true
	}
}

// narrow notes that of g, all of which this caller lent, only a subset was not delivered, and returns the piece for that. subset is a
// copy, with one reference, which is the piece's from here on. A caller that leaves between the two steps gets back too much. For
// one that has left, nothing is sent again.
func (l *lease[P]) narrow(p *payloads[P], g *group[P], subset P, items int) *piece[P] {
	c := &piece[P]{lease: l, items: items, fetched: true}
	l.mu.Lock()
	if l.mu.ended {
		p.release(subset)
	} else {
		c.own, c.payload = true, subset
		l.mu.subsets = append(l.mu.subsets, c)
	}
	l.mu.Unlock()
	g.deliver()
	return c
}

// restore puts everything back into the payload, in its order. Like what follows it is called after the end, when pieces are
// neither cut nor fetched any more: of them only a flight may be taken apart meanwhile.
func (l *lease[P]) restore(p *payloads[P]) {
	if l.cuts.of == nil {
		if first := l.parts[0]; first.fetched {
			all := first.restored(p)
			p.signal.Merge(l.payload, all)
			p.release(all)
		}
		return
	}
	parts := l.mu.divided
	if parts == nil {
		return
	}
	for k, first := range l.parts {
		if first.fetched {
			parts[k] = first.restored(p)
		}
	}
	p.unite(l.payload, parts, l.cuts)
	for k := range parts {
		p.release(parts[k])
	}
	l.mu.divided = nil
}

// undelivered returns a copy of what was not delivered. The payload is whole. Parts of which only some pieces were delivered stand
// behind the others.
func (l *lease[P]) undelivered(p *payloads[P]) P {
	all := p.copy(l.payload)
	if !l.anyDelivered() {
		return all
	}
	rest, parts := p.signal.New(), []P{all}
	if l.cuts.of != nil {
		parts = p.divideNow(all, l.cuts)
		p.release(all)
	}
	for k, first := range l.parts {
		first.pick(p, parts[k], rest)
		p.release(parts[k])
	}
	for _, first := range l.mu.subsets {
		for c := range first.all() {
			if !c.delivered {
				c.appendTo(p, rest, 0)
			}
		}
	}
	return rest
}

func (l *lease[P]) anyDelivered() bool {
	for _, first := range l.parts {
		for c := range first.all() {
			if c.delivered {
				return true
			}
		}
	}
	return false
}

// drop gives back all references.
func (l *lease[P]) drop(p *payloads[P]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, first := range l.parts {
		if !first.fetched && l.mu.divided != nil {
			p.release(l.mu.divided[k])
		}
	}
	for _, first := range slices.Concat(l.parts, l.mu.subsets) {
		for c := range first.all() {
			c.drop(p)
		}
	}
	l.mu.divided = nil
	if l.mu.copied != nil {
		p.release(*l.mu.copied)
		l.mu.copied = nil
	}
}
