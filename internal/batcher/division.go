// SPDX-License-Identifier: Apache-2.0

package batcher

import "sync"

// A payload whose resources have several keys, or belong to several partitions, goes in as one request for each, in one push: the
// queue takes all of them or none. Until then it is only read, as it has to be as it was if it is refused, and may wait
// for capacity for long. So these requests do not hold a part of the payload, but say which one they will need; the first consumer
// that needs one takes the payload apart, once, for all of them.
//
// Rejected: to take it apart before the push, as a refusal would have to put it together again, in the old order; and in
// Consume after the push, as consumers may have a part's batch by then, and would have to wait for a goroutine that
// nothing makes run.

// division is a payload that is to be taken apart.
type division[P any] struct {
	once    sync.Once
	payload P     // of once
	of      []int // the part that each resource belongs to
	n       int   // parts
	parts   []P   // made by once; each belongs to one request from then on
	finish  func(part P)
}

// part is the [source] of the request that stands for part n of a division.
type part[P any] struct {
	division *division[P]
	n        int
}

func (s *part[P]) take(p *payloads[P], _ int) P {
	d := s.division
	d.once.Do(func() {
		all := p.exclusive(d.payload)
		d.parts, d.finish = p.signal.Divide(all, d.of, d.n)
		p.release(all)
	})
	own := d.parts[s.n]
	var none P
	d.parts[s.n] = none // no part is kept for the sake of others
	if d.finish != nil {
		d.finish(own)
	}
	return own
}
