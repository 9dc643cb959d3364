// SPDX-License-Identifier: Apache-2.0

package batcher

import "slices"

// outgoing is the payload of one call of the next consumer, and what it was made of. We hold a reference to either of the two
// payloads until unload or release, so that they can be read after the call, and so can what an error says of a subset, which
// may be made of them.
type outgoing[P any] struct {
	merged P    // what the requests of the batch became
	held   bool // ours
	sent   P    // what the next consumer gets: merged or, if that is needed afterwards, a deep copy
	copied bool // ours
	stored bool // what comes again is had from the storage: nothing of merged is needed afterwards

	items  int        // without those that were left out
	lends  bool       // a caller gets back from merged what is not delivered
	flight *flight[P] // of merged, if callers lend pieces of it
	ends   []int      // number of resources of merged behind each request, with a flight
}

// repeatable reports whether what was sent can be sent again.
func (out *outgoing[P]) repeatable() bool { return out.copied || out.stored }

// load merges requests into out. A request whose caller gave up is left out: it has no items from then on.
func (p *payloads[P]) load(out *outgoing[P], requests []request[P], wait bool) {
	if wait {
		p.loadFlight(out, requests)
		return
	}
	if requests = withItems(requests); len(requests) == 0 {
		return
	}
	out.merged, out.held = p.merge(requests), true
	for i := range requests {
		out.items += requests[i].items
	}
}

// withItems returns requests without those that were left out.
func withItems[P any](requests []request[P]) []request[P] {
	out := func(r request[P]) bool { return r.items == 0 }
	if !slices.ContainsFunc(requests, out) {
		return requests
	}
	return slices.DeleteFunc(slices.Clone(requests), out)
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

// loadFlight merges requests whose callers wait for them into a payload that is none of theirs.
func (p *payloads[P]) loadFlight(out *outgoing[P], requests []request[P]) {
	out.merged, out.held = p.signal.New(), true
	out.flight = &flight[P]{payload: out.merged}
	out.ends = make([]int, 0, len(requests))
	out.flight.mu.Lock()
	defer out.flight.mu.Unlock()
	for i := range requests {
		r := &requests[i]
		switch c := r.meta.piece; {
		case c == nil:
			own := p.take(r)
			p.signal.Merge(out.merged, own)
			p.release(own)
		case c.board(p, out.flight):
			out.lends = out.lends || !c.lease.keep
		default:
			r.items = 0
		}
		out.items += r.items
		out.ends = append(out.ends, p.signal.Resources(out.merged))
	}
}

// address says what is sent: merged, or a copy of it, if merged is needed afterwards. A batch that is too large carries no containers
// without items: it is that of one item, or of what repeats too much. What callers lent goes back to them as it was, in its order.
func (p *payloads[P]) address(out *outgoing[P], keep, tooLarge bool) {
	unsorted := p.sort && !p.signal.SortedByTime(out.merged)
	if unsorted && out.flight == nil {
		p.signal.SortByTime(out.merged)
		unsorted = false
	}
	out.sent = out.merged
	if out.copied = keep || (tooLarge || unsorted) && out.flight != nil; out.copied {
		out.sent = p.copy(out.merged)
	}
	if unsorted {
		p.signal.SortByTime(out.sent)
	}
	if tooLarge {
		p.signal.Strip(out.sent)
	}
}

// unload takes a flight apart: each request has a payload of its own again. A request whose caller has gone has no items from then on.
func (p *payloads[P]) unload(out *outgoing[P], requests []request[P]) {
	out.flight.mu.Lock()
	defer out.flight.mu.Unlock()
	of := make([]int, p.signal.Resources(out.merged))
	from := 0
	for i, end := range out.ends {
		for ; from < end; from++ {
			of[from] = i
		}
	}
	for i, payload := range p.divideNow(out.merged, cuts{of: of, parts: len(requests)}) {
		r := &requests[i]
		switch c := r.meta.piece; {
		case r.items == 0:
			p.release(payload)
		case c == nil:
			r.payload, r.meta.source = payload, nil
		case !c.land(p, out.flight, payload):
			r.items = 0
		}
	}
}

// delivered notes that these requests were delivered. Somebody waits for them.
func (p *payloads[P]) delivered(requests []request[P]) {
	for i := range requests {
		r := &requests[i]
		switch {
		case r.items == 0:
		case r.meta.piece != nil:
			r.meta.piece.deliver()
		case r.meta.group != nil:
			r.meta.group.deliver()
		}
	}
}

// releaseOutgoing gives back the references of out.
func (p *payloads[P]) releaseOutgoing(out *outgoing[P]) {
	if out.held {
		p.release(out.merged)
	}
	if out.copied {
		p.release(out.sent)
	}
}
