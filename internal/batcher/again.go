// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// What comes again is one request, or two halves of it, of what failed of a batch.

// examine finds out how much of a batch with so many items failed.
func (o *policy[P]) examine(f *failed[P], items int) {
	f.items = items
	if !f.Single() {
		return
	}
	if subset, ok := o.payloads.signal.Subset(f.err); ok {
		if n := o.payloads.signal.Items(subset); n > 0 { // else nobody can tell what failed
			f.partial, f.subset, f.items = true, subset, n
		}
	}
}

// again makes a request of what failed. It takes the merged payload out of f.out, unless only a subset of it failed.
func (o *policy[P]) again(batch *partitioned.Batch[request[P]], f *failed[P], tries attempts) request[P] {
	r := request[P]{payload: f.out.merged, items: f.items, meta: &meta[P]{
		several:  several(batch.Items),
		links:    linksOf(batch.Items),
		attempts: tries,
	}}
	r.meta.deadline, _ = latestDeadline(batch.Items)
	if f.partial {
		r.payload = o.payloads.copy(f.subset) // whoever made it may go on to use it
	} else {
		f.out.held = false
	}
	r.meta.size, r.meta.whole = o.payloads.measure(r.payload)
	return r
}

// halves makes two requests of what failed. If it cannot be cut, halves returns nil and leaves f.out as it was.
func (o *policy[P]) halves(batch *partitioned.Batch[request[P]], f *failed[P], tries attempts) []request[P] {
	r := o.again(batch, f, tries)
	if !r.meta.whole {
		if head, tail, ok := o.payloads.cut(r, signal.Items(r.items/2)); ok {
			return []request[P]{head, tail}
		}
	}
	if f.partial {
		o.payloads.release(r.payload)
	} else {
		f.out.held = true
	}
	return nil
}
