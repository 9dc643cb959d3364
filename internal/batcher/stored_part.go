// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
)

// kept is a part of a call: what one request of the queue stands for, or several once it was cut.
type kept[P any] struct {
	call  *call[P]       // immutable
	part  int            // immutable
	entry *journal.Entry // immutable; nil: the part has no items
	key   string         // of its stream; immutable
	items int            // immutable

	residence residence // guarded by memory.mu

	// Guarded by call.mu.

	value   []byte // as encoded, for the caller; nil once it has its answer
	holders int    // requests that stand for it
	claimed bool   // a consumer touches it
	counted bool   // in storage.volatile
	stored  bool   // the payload is in the storage alone
	unread  bool   // it could not be read back when its batch was cut, which may be above its cap now
	loaded  bool   // and was read back into payload
	payload P
}

// size is what the part takes in the storage.
func (k *kept[P]) size() int64 { return int64(k.entry.Size()) }

// claim says that a consumer touches the call from now on, and moves its payload out: a caller that gives up later has to find what is in
// its payload, or that it is empty, and nobody may change that behind its back. It reports false if the call is void.
func (k *kept[P]) claim() bool {
	c := k.call
	c.mu.Lock()
	ok := !c.mu.void
	k.claimed = ok
	c.mu.taken = c.mu.taken || ok
	if ok && !k.stored && !c.mu.moved {
		c.moveOut(c.storage.payloads)
	}
	c.mu.Unlock()
	c.storage.memory.remove(k)
	return ok
}

// spill drops the payload, which is in the storage too, unless a consumer touches it.
func (k *kept[P]) spill() {
	c := k.call
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.claimed || k.stored || k.holders == 0 {
		return
	}
	k.stored = true
	p := c.storage.payloads
	if c.division == nil {
		var none P
		c.releaseLent()
		c.payload, c.mu.moved = none, true
		return
	}
	p.release(k.separate(p))
}

// ready prepares the part for a cut: claimed, and read back. It reports false if that cannot be.
func (k *kept[P]) ready() bool {
	if !k.claim() {
		return false
	}
	if !k.absent() {
		return true
	}
	ctx, cancel := k.call.storage.cutting()
	defer cancel()
	damages, err := k.call.storage.readBack(ctx, []*kept[P]{k})
	if err != nil {
		k.setUnread(true)
		return false
	}
	return damages[0] == nil // else fetch finds out once more, and drops it
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
	if k.loaded {
		var none P
		own := k.payload
		k.payload, k.loaded = none, false
		return own
	}
	return k.separate(p)
}

// takeBack undoes take, after what that returned was sent and may be another's: the payload is had from the storage again, or from what was
// encoded, which is there until the caller knows that it is stored.
func (k *kept[P]) takeBack() {
	c := k.call
	c.mu.Lock()
	defer c.mu.Unlock()
	k.stored = true
	if k.value == nil {
		return
	}
	if payload, err := c.storage.decode(k.value[journal.Overhead:], nil); err == nil { // it was encoded a moment ago
		k.payload, k.loaded = payload, true
	}
}

// separate returns what was accepted of the part, apart from the rest of the call. call.mu is held.
func (k *kept[P]) separate(p *payloads[P]) P {
	c := k.call
	if !c.mu.moved {
		c.moveOut(p)
	}
	if c.division != nil {
		return (&part[P]{c.division, k.part}).take(p, 0)
	}
	var none P
	own := c.mu.detached
	c.mu.detached = none
	return own
}

// discard lets go of the payload of a part that is never sent. While it was not moved out of the caller's, it is not ours.
func (k *kept[P]) discard(p *payloads[P]) {
	k.call.mu.Lock()
	defer k.call.mu.Unlock()
	if !k.stored && k.call.mu.moved {
		p.release(k.separate(p))
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
	k.holders--
	last := k.holders == 0
	if last {
		k.uncount()
		c.mu.open--
	}
	if last && c.mu.open == 0 {
		c.releaseLent()
		if !c.mu.answered {
			if c.mu.err != nil {
				c.mu.err = consumererror.NewPermanent(c.mu.err) // it counts as dropped
			}
			c.answer()
		}
	}
	c.mu.Unlock()
	if last {
		c.storage.memory.remove(k)
		c.storage.journal.Delete(k.entry)
	}
}

// uncount takes the part out of what only memory has. call.mu is held.
func (k *kept[P]) uncount() {
	if k.counted {
		k.counted = false
		k.call.storage.volatile.Add(-int64(k.items))
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

// canTakeBack reports whether the requests of a batch are parts that were neither cut nor sent before. So each is had from the storage if it
// has to be sent again, and nothing of the batch has to be copied before it is sent. What failed is copied, so that it is read back only once.
func canTakeBack[P any](batch []request[P]) bool {
	if attemptsOf(batch).before {
		return false
	}
	for i := range batch {
		if _, ok := batch[i].from().(*kept[P]); !ok && batch[i].items > 0 {
			return false
		}
	}
	return true
}

// takeBack makes the requests of a batch what they were before it was sent. canTakeBack was true.
func takeBack[P any](batch []request[P]) []request[P] {
	for i := range batch {
		batch[i].from().(*kept[P]).takeBack()
	}
	return batch
}
