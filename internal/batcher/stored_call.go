// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
)

// With a storage each request is kept: it has an entry in the journal from its acceptance until it is settled. Its payload goes to the
// queue first, so capacity is acceptance, and what is refused is never written. Then Consume waits until all of the call is
// written, or delivered, whichever comes first.
//
// If it cannot be written, or the caller gives up, and no consumer has touched any of the call, the call is void: its caller gets an error
// and its payload as it was, and the consumer leaves its requests out. Once a consumer has touched it, the call is taken: what is in the
// caller's payload was moved out then, and nobody but the caller touches it any more. Now Consume waits for what becomes of it, as it
// would with wait_for_result. A caller that gives up even so gets its payload back from what was encoded, and it may arrive twice.
//
// A restored request has a call too, whose caller has its answer.

// call is one Consume call, whose requests are kept.
type call[P any] struct {
	storage  *storage[P]  // immutable, as are the next two, but for the fields of parts
	division *division[P] // how the payload is taken apart; nil: there is one part
	parts    []kept[P]
	done     chan struct{} // closed when Consume may return; nil: nobody waits. The caller's, but for closing it

	mu struct { // guards everything in it, and the fields of a part that say so. A leaf
		sync.Mutex
		taken    bool
		void     bool
		answered bool  // done is closed, or its caller gave up
		open     int   // parts that are not settled
		err      error // of the caller
		moved    bool  // what was in the payload is ours, in detached or the division
		held     bool  // we hold a reference of payload
		emptied  bool  // so the payload is empty now, as it was not copied
		detached P     // if there is one part, until that is taken
	}
	payload P // the caller's, until the call is answered
}

// newCall makes the call of requests that are the parts of one that has several keys. They have kept parts as their sources instead.
func newCall[P any](s *storage[P], requests []request[P]) *call[P] {
	c := &call[P]{storage: s, division: requests[0].meta.source.(*part[P]).division}
	c.parts = make([]kept[P], c.division.parts)
	c.mu.open = len(requests)
	for i := range requests {
		m := requests[i].meta
		n := m.source.(*part[P]).n
		k := &c.parts[n]
		k.call, k.part, k.holders = c, n, 1
		m.source, m.kept = k, []*kept[P]{k}
	}
	return c
}

// newSingleCall makes a call with one part, and the meta of its request, in one allocation: there may be millions of them.
func newSingleCall[P any](s *storage[P], of meta[P]) (*call[P], *meta[P]) {
	all := &struct {
		call[P]
		meta[P]
		part [1]kept[P]
		kept [1]*kept[P]
	}{meta: of}
	c, m, k := &all.call, &all.meta, &all.part[0]
	c.storage, c.parts, c.mu.open = s, all.part[:], 1
	k.call, k.holders = c, 1
	all.kept[0] = k
	m.source, m.kept = k, all.kept[:]
	return c, m
}

// wait returns when all of c is written or delivered, or with what went wrong. When ctx or the storage is done, c is void or abandoned.
func (c *call[P]) wait(ctx context.Context) error {
	select {
	case <-c.done:
	case <-ctx.Done():
		c.giveUp(&callerError{"the caller gave up waiting until its data is in the storage: " + c.storage.cfg.ended(context.Cause(ctx)), context.Cause(ctx)})
	case <-c.storage.closed:
		c.giveUp(&callerError{"the processor shut down before the data was in the storage; send again", journal.ErrClosed})
	}
	c.mu.Lock()
	err, restore := c.mu.err, c.mu.emptied
	c.done = nil // it takes memory for as long as the call is pending
	c.mu.Unlock()
	if err == nil || consumererror.IsPermanent(err) || !restore {
		return err
	}
	return c.restore(err)
}

// giveUp ends the call with err, unless it has ended.
func (c *call[P]) giveUp(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.answered {
		return
	}
	c.mu.err = err
	c.voidUnlessTaken()
	c.answer()
}

// voidUnlessTaken withdraws the call from the queue, and from the journal. mu is held.
func (c *call[P]) voidUnlessTaken() {
	if c.mu.taken {
		return
	}
	c.mu.void = true
	c.releaseLent()
	for i := range c.parts {
		if e := c.parts[i].entry; e != nil {
			c.storage.journal.Delete(e)
		}
	}
}

// answer lets the caller go. mu is held.
func (c *call[P]) answer() {
	c.mu.answered = true
	if c.mu.err == nil {
		for i := range c.parts {
			c.parts[i].value = nil
		}
	}
	close(c.done)
}

// releaseLent gives back the reference of the caller's payload, once. mu is held.
func (c *call[P]) releaseLent() {
	if c.mu.held {
		c.mu.held = false
		c.storage.payloads.release(c.payload)
	}
}

// restore puts what was encoded back into the caller's payload, which nobody else touches.
func (c *call[P]) restore(err error) error {
	p := c.storage.payloads
	for i := range c.parts {
		if c.parts[i].value == nil {
			continue
		}
		_, encoded, damaged := readStoredHead(c.parts[i].value[journal.Overhead:])
		if damaged == nil {
			var part P
			if part, damaged = p.signal.Unmarshal(encoded); damaged == nil {
				p.signal.Merge(c.payload, part)
				p.release(part)
			}
		}
		if damaged != nil { // it was encoded a moment ago
			return consumererror.NewPermanent(errors.Join(err, damaged))
		}
	}
	return err
}

// written is told by the journal that the entries are written, or why not.
func (c *call[P]) written(err error) {
	if c.conclude(err) {
		for _, k := range c.storage.memory.add(c.parts) {
			k.spill()
		}
	}
}

// conclude answers the caller, unless it has its answer or waits for what becomes of the delivery. It reports whether the entries stand for
// the call from now on.
func (c *call[P]) conclude(err error) (stored bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && !c.mu.void {
		for i := range c.parts {
			c.parts[i].uncount()
		}
	}
	switch {
	case c.mu.answered:
		return false
	case err == nil:
		if c.mu.err != nil { // a part was given up before
			c.mu.err = consumererror.NewPermanent(c.mu.err)
		}
		c.answer()
		return true
	case !c.mu.taken: // else the caller gets what becomes of the delivery
		c.mu.err = c.storage.failed(err)
		c.voidUnlessTaken()
		c.answer()
	}
	return false
}

// moveOut moves what is in the caller's payload to payloads of our own, or copies it where others read it, or where parts refer to a
// dictionary of the whole. mu is held.
func (c *call[P]) moveOut(p *payloads[P]) {
	var own P
	if p.dictionary || p.signal.Shared(c.payload) {
		own = p.copy(c.payload)
	} else {
		own = p.signal.New()
		p.signal.Merge(own, c.payload)
		c.mu.emptied = true
	}
	c.releaseLent()
	if c.mu.moved = true; c.division == nil {
		c.mu.detached = own
	} else {
		c.division.payload = own
	}
}
