// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// examine finds out how much of a batch failed.
func (f *failed[P]) examine(p *payloads[P]) {
	f.items = f.out.items
	if !f.Single() {
		return
	}
	if subset, ok := p.signal.Subset(f.err); ok {
		if n := p.signal.Items(subset); n > 0 { // else nobody can tell what failed
			f.partial, f.subset, f.items = true, subset, n
		}
	}
}

// size is that of what failed; 0: it has none of its own.
func (f *failed[P]) size(p *payloads[P]) int {
	switch {
	case p.dictionary:
		return 0
	case f.partial:
		return p.signal.Size(f.subset)
	default:
		return p.signal.Size(f.out.merged)
	}
}

// again is what comes again of a batch: all that failed of it.
//
// While callers wait, the requests come again as they were, so that each caller learns of its own. So do those that the storage has, after
// the first attempt. Else they come again as one, which costs less. So does a subset that an error named of a batch of several callers:
// nobody can tell what of it belongs to whom.
type again[P any] struct {
	requests []request[P]
	from     []int // the index in the batch that each of requests is of; nil: nobody can tell
}

// again makes requests of what failed. What f.out has merged is used up, unless only a subset of it failed.
func (o *policy[P]) again(batch []request[P], f *failed[P], tries attempts) *again[P] {
	switch {
	case f.partial:
		return o.subset(batch, f, tries)
	case f.out.stored:
		return &again[P]{requests: takeBack(withItems(batch))}
	case !o.wait:
		r := request[P]{payload: f.out.merged, items: f.items, meta: mergedMeta(batch, tries)}
		f.out.held = false
		r.meta.measure, r.meta.whole = o.payloads.measure(r.payload)
		if o.maxAge > 0 {
			return &again[P]{requests: o.byAge(r, batch)}
		}
		return &again[P]{requests: []request[P]{r}}
	}
	o.payloads.unload(f.out, batch)
	a := &again[P]{}
	for i, r := range batch {
		if r.items > 0 {
			a.requests, a.from = append(a.requests, r), append(a.from, i)
		}
	}
	a.attempted(tries)
	return a
}

// byAge takes what was merged of a batch apart again, into requests that came at about the same time: max_age ends for each of them at
// its own time. They are at most as many as the requests of the batch, and mostly one, as a batch is young beside max_age.
func (o *policy[P]) byAge(rest request[P], batch []request[P]) (all []request[P]) {
	for {
		n, items := sameAge(batch, o.maxAge/64)
		head, tail, ok := rest, rest, false
		if n < len(batch) {
			head, tail, ok = o.payloads.cut(rest, signal.Items(items), o.payloads.measureOf(rest))
		}
		if !ok { // the last, or what cannot be cut
			n = len(batch)
			if rest.meta.source != nil {
				rest.payload, rest.meta.source = o.payloads.take(&rest), nil
			}
			head = rest
		}
		head.meta.arrived = batch[n-1].meta.arrived
		if len(all) > 0 {
			head.meta.links = nil // once for all of them
		}
		all = append(all, head)
		if !ok {
			return all
		}
		rest, batch = tail, batch[n:]
	}
}

// sameAge returns how many of the first requests of a batch came within span, and their items.
func sameAge[P any](batch []request[P], span time.Duration) (n, items int) {
	for n < len(batch) && batch[n].meta.arrived.Sub(batch[0].meta.arrived) <= span {
		items += batch[n].items
		n++
	}
	return n, items
}

// subset makes a request of the subset of a batch that failed. The subset is copied: whoever made it may go on to use it.
func (o *policy[P]) subset(batch []request[P], f *failed[P], tries attempts) *again[P] {
	r := request[P]{payload: o.payloads.copy(f.subset), items: f.items, meta: mergedMeta(batch, tries)}
	r.meta.measure, r.meta.whole = o.payloads.measure(r.payload)
	if o.wait {
		if g := groupOf(batch); g.sole() != nil {
			r.meta.piece = g.sole().narrow(o.payloads, g, r.payload, r.items)
		} else {
			r.meta.group = g
		}
	}
	return &again[P]{requests: []request[P]{r}}
}

// giveUp lets go of what does not come again. made: what again made of it already; nil: nothing. A caller that had the batch alone
// gets back the subset that failed, and nothing else.
func (o *policy[P]) giveUp(batch []request[P], f *failed[P], made *again[P]) {
	if made == nil {
		releaseAll(batch, f.err)
	} else {
		releaseAll(made.requests, f.err)
	}
	if made == nil && o.wait && f.partial {
		if g := groupOf(batch); g.sole() != nil {
			g.sole().narrow(o.payloads, g, o.payloads.copy(f.subset), f.items)
		}
	}
	if made == nil {
		return
	}
	for i := range made.requests {
		if r := &made.requests[i]; r.meta.piece == nil {
			o.payloads.release(r.payload)
		}
	}
}

// attempted notes what is known of the attempts.
func (a *again[P]) attempted(tries attempts) {
	for i := range a.requests {
		a.requests[i].meta.attempts = &tries
	}
}

// halves takes a apart in two, of about the same number of items. It returns how many requests each half has; nil: that cannot be
// done, and a is as it was. size is that of a batch that is too large; 0: it is halved for another reason.
func (a *again[P]) halves(p *payloads[P], items, size int) []int {
	i, before := 0, 0 // the request in whose items the middle is, and the items before it
	for before+a.requests[i].items <= items/2 {
		before += a.requests[i].items
		i++
	}
	r, half := a.requests[i], items/2-before
	switch {
	case half == 0 && i > 0:
	case size > 0 && len(a.requests) > 1: // the requests of different callers are divided first
		if i == 0 || half > r.items/2 && i+1 < len(a.requests) {
			i++
		}
	case r.meta.whole || half == 0 || !a.cut(p, i, half, size):
		if len(a.requests) == 1 {
			return nil
		}
		i = max(i, 1)
	default:
		i++
	}
	return []int{i, len(a.requests) - i}
}

// cut cuts request i in two, of which the first has so many items. With a size, that of the request, it has at most seven eighths of
// the bytes too. If the containers of an item have more than that, they are too large whatever is cut off, and keep their items: one by
// one, those would repeat them.
func (a *again[P]) cut(p *payloads[P], i, items, size int) bool {
	q, r := signal.Items(items), a.requests[i]
	measure := r.meta.measure
	if !p.bytes {
		measure = signal.Measure{Bytes: size}
	}
	if size > 0 {
		q.Bytes = size - size/8
	}
	head, tail, ok := p.cutTogether(r, q, r.items, measure)
	if ok {
		a.replace(i, head, tail)
	}
	return ok
}

// replace puts the two parts of request i in its place.
func (a *again[P]) replace(i int, head, tail request[P]) {
	a.requests = append(a.requests[:i+1], a.requests[i:]...)
	a.requests[i], a.requests[i+1] = head, tail
	if a.from != nil {
		a.from = append(a.from[:i+1], a.from[i:]...)
	}
}

// mergedMeta is what is known of requests that come again as one.
func mergedMeta[P any](batch []request[P], tries attempts) *meta[P] {
	m := &meta[P]{several: several(batch), links: linksOf(batch), attempts: &tries, kept: mergeKept(batch)}
	m.deadline, _ = latestDeadline(batch)
	for i := range batch {
		if batch[i].meta != nil {
			m.arrived = later(m.arrived, batch[i].meta.arrived)
		}
	}
	return m
}
