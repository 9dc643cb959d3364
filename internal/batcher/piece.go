// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"iter"
	"sync"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// flight is a batch that pieces are in. Its payload is only read once it is made, unless it is taken apart.
type flight[P any] struct {
	mu      sync.Mutex // held while payload is made, taken apart, or copied from
	payload P
}

// piece is a run of items of one part of a lease: what one request of the engine stands for. lease.go says what states it has.
type piece[P any] struct {
	lease *lease[P] // immutable
	part  int       // which. Not changed after the push

	// Guarded by lease.mu.

	next  *piece[P] // the items behind it in the part
	seam  int       // where it was cut off next: signal.Cutter.Seam
	items int

	fetched bool             // it is not in lease.payload, or not as it was there
	own     bool             // payload has it
	payload P                // if own. We hold a reference, unless it is lent
	lent    bool             // payload is the caller's
	cutter  signal.Cutter[P] // takes payload apart; nil: nothing was cut off

	flight     *flight[P] // that it is in, or arrived with. We hold a reference of its payload; nil: it is in none
	first, end int        // its resources there

	delivered bool
}

// all iterates over a list of pieces.
func (c *piece[P]) all() iter.Seq[*piece[P]] {
	return func(yield func(*piece[P]) bool) {
		for ; c != nil; c = c.next {
			if !yield(c) {
				return
			}
		}
	}
}

// fetch makes sure that the piece is ours. lease.mu is held.
func (c *piece[P]) fetch(p *payloads[P]) {
	if c.own {
		return
	}
	c.payload, c.lent = c.lease.fetch(p, c.part)
	c.own, c.fetched = true, true
}

// cut cuts the piece in two, if q has room for one item. The tail becomes a new piece; it has left. A caller that gave up has
// nothing left to cut. measure is that of the piece, if bytes matter.
func (c *piece[P]) cut(p *payloads[P], q signal.Quota, measure signal.Measure) (tail *piece[P], took, left signal.Quota) {
	l := c.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.ended {
		return nil, took, left
	}
	c.fetch(p)
	if c.cutter == nil {
		c.cutter = p.signal.Cut(c.payload, measure)
	}
	head, took := c.cutter.Take(q)
	if took.Items == 0 {
		return nil, took, left
	}
	tail = &piece[P]{
		lease: l, part: c.part, next: c.next, seam: c.seam, items: c.items - took.Items,
		fetched: true, own: true, payload: c.payload, lent: c.lent, cutter: c.cutter,
	}
	c.next, c.seam, c.items = tail, c.cutter.Seam(), took.Items
	c.payload, c.lent, c.cutter = head, false, nil
	return tail, took, tail.cutter.Left()
}

// together is [signal.Cutter.Together] for a piece that cut found no room for.
func (c *piece[P]) together(most int) int {
	c.lease.mu.Lock()
	defer c.lease.mu.Unlock()
	if c.cutter == nil {
		return c.items // its caller gave up
	}
	return c.cutter.Together(most)
}

// board moves the piece behind what is in f, unless its caller gave up. f.mu is held.
func (c *piece[P]) board(p *payloads[P], f *flight[P]) bool {
	l := c.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.ended {
		return false // the caller is just about to take it back, or has done so
	}
	c.fetch(p)
	from := c.leave(p)
	c.first = p.signal.Resources(f.payload)
	p.signal.Merge(f.payload, from.payload)
	from.release(p)
	p.hold(f.payload)
	c.flight, c.end = f, p.signal.Resources(f.payload)
	return true
}

// leave takes the payload of a piece that is ours out of it. lease.mu is held.
func (c *piece[P]) leave(p *payloads[P]) (from departed[P]) {
	from = departed[P]{payload: c.payload, lent: c.lent}
	if c.cutter != nil {
		last, _ := c.cutter.Take(signal.Items(c.items))
		from.release(p) // nothing is left in it
		from = departed[P]{payload: last}
	}
	var none P
	c.own, c.payload, c.lent, c.cutter = false, none, false, nil
	return from
}

// departed is the payload that a piece was in.
type departed[P any] struct {
	payload P
	lent    bool // it is the caller's, who holds the reference
}

func (d departed[P]) release(p *payloads[P]) {
	if !d.lent {
		p.release(d.payload)
	}
}

// land makes the piece ours again, in a payload of its own that its flight was taken apart into. It reports false if it was in
// that flight no more, as its caller is gone. f.mu is held.
func (c *piece[P]) land(p *payloads[P], f *flight[P], payload P) bool {
	l := c.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.flight != f {
		p.release(payload)
		return false
	}
	p.release(f.payload)
	c.flight = nil
	c.own, c.payload = true, payload
	return true
}

// deliver notes that the piece was delivered.
func (c *piece[P]) deliver() {
	c.lease.mu.Lock()
	defer c.lease.mu.Unlock()
	if !c.lease.mu.ended {
		c.delivered = true
	}
}

// restored returns the pieces of a part as one payload again. The lease has ended.
func (c *piece[P]) restored(p *payloads[P]) P {
	whole, seam := p.signal.New(), 0
	for c := range c.all() {
		c.appendTo(p, whole, seam)
		seam = c.seam
	}
	return whole
}

// appendTo appends the piece to dst, whose last piece was cut off it at seam. What is ours is moved, what is in a flight is
// copied. The lease has ended.
func (c *piece[P]) appendTo(p *payloads[P], dst P, seam int) {
	for {
		c.lease.mu.Lock()
		f, own := c.flight, c.own
		var from departed[P]
		if own {
			from = c.leave(p)
		}
		c.lease.mu.Unlock()
		if own {
			if seam == 0 {
				p.signal.Merge(dst, from.payload)
			} else {
				p.signal.AppendCopy(dst, from.payload, 0, p.signal.Resources(from.payload), seam)
			}
			from.release(p)
			return
		}
		if f == nil || c.copyFrom(p, f, dst, seam) {
			return
		}
	}
}

// copyFrom copies the piece from f, unless f was taken apart since.
func (c *piece[P]) copyFrom(p *payloads[P], f *flight[P], dst P, seam int) bool {
	f.mu.Lock() // waits until the batch is made
	defer f.mu.Unlock()
	c.lease.mu.Lock()
	in := c.flight == f
	c.lease.mu.Unlock()
	if in { // and stays there while f.mu is held
		p.signal.AppendCopy(dst, f.payload, c.first, c.end, seam)
	}
	return in
}

// pick appends to rest what was not delivered of a part. all is a copy of the part, and is used up. The lease has ended.
func (c *piece[P]) pick(p *payloads[P], all, rest P) {
	if c == nil || c.items == 0 {
		return
	}
	if c.next == nil {
		if !c.delivered {
			p.signal.Merge(rest, all)
		}
		return
	}
	cutter := p.signal.Cut(all, signal.Measure{})
	for c := range c.all() {
		some, _ := cutter.Take(signal.Items(c.items))
		if !c.delivered {
			p.signal.Merge(rest, some)
		}
		p.release(some)
	}
}

// drop gives back the references of the piece. lease.mu is held.
func (c *piece[P]) drop(p *payloads[P]) {
	if c.own {
		c.leave(p).release(p)
	}
	if c.flight != nil {
		p.release(c.flight.payload)
		c.flight = nil
	}
}
