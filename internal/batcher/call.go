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
	storage  *storage[P]  // immutable, as are the next four, but for the fields of parts
	division *division[P] // how the payload is taken apart; nil: there is one part
	parts    []kept[P]
	items    int
	done     chan struct{} // closed when Consume may return; nil: nobody waits

	mu struct { // guards everything in it, and the fields of a part that say so. A leaf
		sync.Mutex
		taken    bool
		void     bool
		answered bool  // done is closed, or its caller gave up
		open     int   // parts that are not settled
		err      error // of the caller
		moved    bool  // what was in the payload is ours, in own or the division
		emptied  bool  // so the payload is empty now, as it was not copied
		own      P     // if there is one part, until that is taken
	}
	payload P // the caller's, until the call is answered
}

// kept is a part of a call: what one request of the queue stands for, or several once it was cut.
type kept[P any] struct {
	call  *call[P]       // immutable
	part  int            // immutable
	entry *journal.Entry // immutable; nil: the part has no items

	// Guarded by call.mu.

	value   []byte // as encoded, for the caller; nil once it has its answer
	holders int    // requests that stand for it
	stored  bool   // the payload is in the storage alone
	unread  bool   // it could not be read back when its batch was cut, which may be above its cap now
	loaded  bool   // and was read back into payload
	payload P
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
	c.storage.payloads.release(c.payload)
	for i := range c.parts {
		if e := c.parts[i].entry; e != nil {
			c.storage.journal.Delete(e)
		}
	}
}

// answer lets the caller go. mu is held.
func (c *call[P]) answer() {
	c.mu.answered = true
	if !c.mu.void {
		c.storage.volatile.Add(-int64(c.items))
	}
	if c.mu.err == nil {
		for i := range c.parts {
			c.parts[i].value = nil
		}
	}
	close(c.done)
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
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.answered {
		return
	}
	if err == nil {
		if c.mu.err != nil { // a part was given up before
			c.mu.err = consumererror.NewPermanent(c.mu.err)
		}
		c.answer()
		return
	}
	if !c.mu.taken { // else the caller gets what becomes of the delivery
		c.mu.err = c.storage.failed(err)
		c.voidUnlessTaken()
		c.answer()
	}
}

// claim says that a consumer touches the call from now on. It reports false if the call is void.
func (k *kept[P]) claim() bool {
	k.call.mu.Lock()
	defer k.call.mu.Unlock()
	k.call.mu.taken = k.call.mu.taken || !k.call.mu.void
	return !k.call.mu.void
}

// ready prepares the part for a cut: claimed, and read back. It reports false if that cannot be.
func (k *kept[P]) ready() bool {
	if !k.claim() {
		return false
	}
	if !k.absent() {
		return true
	}
	s := k.call.storage
	values, errs, err := s.journal.Load(context.Background(), []*journal.Entry{k.entry})
	if err != nil {
		k.setUnread(true)
		return false
	}
	payload, err := s.decode(values[0], errs[0])
	if err == nil {
		k.load(payload)
	}
	return err == nil // else fetch finds out once more, and drops it
}

// setUnread sets unread, and returns what it was.
func (k *kept[P]) setUnread(unread bool) (was bool) {
	k.call.mu.Lock()
	defer k.call.mu.Unlock()
	was, k.unread = k.unread, unread
	return was
}

// absent reports whether the payload has to be read back before take.
func (k *kept[P]) absent() bool {
	k.call.mu.Lock()
	defer k.call.mu.Unlock()
	return k.stored && !k.loaded
}

// load is told what was read back.
func (k *kept[P]) load(payload P) {
	k.call.mu.Lock()
	defer k.call.mu.Unlock()
	k.payload, k.loaded = payload, true
}

// take implements [source]. The part was claimed, and is not absent.
func (k *kept[P]) take(p *payloads[P], _ int) P {
	c := k.call
	c.mu.Lock()
	defer c.mu.Unlock()
	var none P
	if k.loaded {
		own := k.payload
		k.payload, k.loaded = none, false
		return own
	}
	if !c.mu.moved {
		c.moveOut(p)
	}
	if c.division != nil {
		return (&part[P]{c.division, k.part}).take(p, 0)
	}
	own := c.mu.own
	c.mu.own = none
	return own
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
	p.release(c.payload)
	if c.mu.moved = true; c.division == nil {
		c.mu.own = own
	} else {
		c.division.payload = own
	}
}

// hold adds a request that stands for the part.
func (k *kept[P]) hold() {
	k.call.mu.Lock()
	defer k.call.mu.Unlock()
	k.holders++
}

// release is called once for each request that stands for the part, when that is settled: err is why it was given up. The entry goes
// with the last one.
func (k *kept[P]) release(err error) {
	c := k.call
	c.mu.Lock()
	if err != nil && !c.mu.answered {
		c.mu.err = errors.Join(c.mu.err, err)
	}
	last := false
	if k.holders--; k.holders == 0 {
		last = true
		if c.mu.open--; c.mu.open == 0 && !c.mu.answered {
			if c.mu.err != nil {
				c.mu.err = consumererror.NewPermanent(c.mu.err) // it counts as dropped
			}
			c.answer()
		}
	}
	c.mu.Unlock()
	if last {
		c.storage.journal.Delete(k.entry)
	}
}

// releaseAll settles requests.
func releaseAll[P any](requests []request[P], err error) {
	for i := range requests {
		if m := requests[i].meta; m != nil && requests[i].items > 0 { // else it was left out, and is settled
			for _, k := range m.kept {
				k.release(err)
			}
		}
	}
}

// mergeKept returns what requests that come again as one stand for. A part that two of them stand for has one holder less.
func mergeKept[P any](batch []request[P]) (all []*kept[P]) {
	var seen map[*kept[P]]bool
	for i := range batch {
		if batch[i].items == 0 || batch[i].meta == nil {
			continue
		}
		for _, k := range batch[i].meta.kept {
			if seen == nil {
				seen = map[*kept[P]]bool{}
			}
			if seen[k] {
				k.release(nil) // others hold it
				continue
			}
			seen[k] = true
			all = append(all, k)
		}
	}
	return all
}
