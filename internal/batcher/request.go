// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// request is one Consume call's payload on its way through, or a part of it. It is small, as it is copied in and out
// of the queue: what most requests do without stands in meta.
type request[P any] struct {
	payload P // unless meta has a source or a piece
	items   int
	meta    *meta[P]
}

// lease returns what the caller of r lends; nil: r is not its caller's piece.
func (r *request[P]) lease() *lease[P] {
	if r.meta == nil || r.meta.piece == nil {
		return nil
	}
	return r.meta.piece.lease
}

// meta is what is known of a request beside its items. A request that stands for several has the meta of all of them.
type meta[P any] struct {
	key      string         // of its stream, where it is not given with the push
	measure  signal.Measure // where it matters
	whole    bool           // it can be neither merged nor cut
	source   source[P]      // where the payload comes from once it is needed; nil: it is in the request
	piece    *piece[P]      // instead of a payload: what a caller that waits for the result lends
	group    *group[P]      // of a request that is no piece: the callers that wait for it; nil: nobody, or nobody knows
	several  bool           // it has items of several Consume calls
	links    []trace.Link   // to the sampled spans that it came from, at most maxLinks
	deadline time.Time      // of the last of the callers that wait for the result; zero: one of them has none
	arrived  time.Time      // when Consume was called, with max_age; of several calls the last one
	attempts *attempts      // to send it; nil: there were none. Not changed
	kept     []*kept[P]     // with a storage: what it stands for there. Not changed
}

// from returns the source of r; nil: the payload is in the request.
func (r *request[P]) from() source[P] {
	if r.meta == nil {
		return nil
	}
	return r.meta.source
}

// source is where the payload of a request comes from: a part of one that is not taken apart yet, or what is left of one that
// batches were cut off.
type source[P any] interface {
	// take returns all that is left, as a payload that is ours to change, and of which we hold a reference. It is called once.
	take(p *payloads[P], items int) P
}

// maxLinks bounds the links of a batch's span.
const maxLinks = 128

// newLinkedMeta returns a meta with one link, in one allocation.
func newLinkedMeta[P any](span trace.SpanContext) *meta[P] {
	m := &struct {
		meta[P]
		link [1]trace.Link
	}{link: [1]trace.Link{{SpanContext: span}}}
	m.links = m.link[:1:1]
	return &m.meta
}

// mergeMeta combines the metadata of two requests that became one. It may change held, if held stands for several already.
func mergeMeta[P any](held, added *meta[P]) *meta[P] {
	if held == nil && added == nil {
		return nil
	}
	if held == nil {
		held = &meta[P]{}
	} else if !held.several { // it may be that of other entries too
		own := *held
		held = &own
	}
	switch {
	case added == nil || added.deadline.IsZero():
		held.deadline = time.Time{}
	case !held.deadline.IsZero() && added.deadline.After(held.deadline):
		held.deadline = added.deadline
	}
	if added != nil {
		held.links = appendLinks(held.links, added.links)
	}
	held.several = true
	if added != nil {
		held.arrived = later(held.arrived, added.arrived)
		held.group = held.group.join(added.group)
	}
	return held
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// older reports whether r is older than age.
func (r *request[P]) older(age time.Duration, now time.Time) bool {
	return r.meta != nil && now.Sub(r.meta.arrived) > age
}

func appendLinks(links, more []trace.Link) []trace.Link {
	return append(links, more[:min(len(more), maxLinks-len(links))]...)
}

// linksOf returns links to the spans that requests came from; nil when none was sampled.
func linksOf[P any](requests []request[P]) (links []trace.Link) {
	for i := range requests {
		if m := requests[i].meta; m != nil && requests[i].items > 0 {
			links = appendLinks(links, m.links)
		}
	}
	return links
}

// latestDeadline returns the latest deadline of the callers that wait for a batch; false: one of them has none.
func latestDeadline[P any](requests []request[P]) (latest time.Time, ok bool) {
	for i := range requests {
		m := requests[i].meta
		if requests[i].items == 0 {
			continue
		}
		if m == nil || m.deadline.IsZero() {
			return time.Time{}, false
		}
		if m.deadline.After(latest) {
			latest = m.deadline
		}
	}
	return latest, true
}

// itemsOf counts the items of requests, without those that were left out.
func itemsOf[P any](requests []request[P]) (n int) {
	for i := range requests {
		n += requests[i].items
	}
	return n
}

// several reports whether more than one Consume call has items in the batch. Of one call it never has two requests.
func several[P any](requests []request[P]) bool {
	return len(requests) > 1 || requests[0].meta != nil && requests[0].meta.several
}

// attemptsOf returns what the batch knows of the times before: one that comes again is a single request.
func attemptsOf[P any](requests []request[P]) (a attempts) {
	if m := requests[0].meta; m != nil && m.attempts != nil {
		a = *m.attempts
	}
	return a
}

func keyOf[P any](r request[P]) string { return r.meta.key }

func weigh[P any](r request[P]) partitioned.Weight {
	w := partitioned.Weight{Items: r.items}
	if r.meta != nil {
		w.Bytes = r.meta.measure.Bytes
	}
	return w
}
