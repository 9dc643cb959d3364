// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"sync"
	"sync/atomic"
)

// A payload with several keys, or that belongs to several partitions, goes in as one request for each, in one push: the
// queue takes all of them or none. Until then it is only read, as it has to be as it was if it is refused, and may wait
// for capacity for long. So these requests do not hold a part of the payload, but say which one they will need; the first consumer
// that needs one takes the payload apart, once, for all of them.
//
// Rejected: to take it apart before the push, as a refusal would have to put it together again, in the old order; and in
// Consume after the push, as consumers may have a part's batch by then, and would have to wait for a goroutine that
// nothing makes run.

// cuts says what part of a payload each of its resources belongs to, or each of its items if resources have items of several parts.
type cuts struct {
	of      []int // the part of each; below 0: it stays behind, as it has no items
	parts   int
	byItems bool
}

// divide takes payload apart. finish(k, part k) is to be called once before a part is used; nil: they are finished. If it is divided by
// its items, payload is to be held until the last of these calls.
func (p *payloads[P]) divide(payload P, c cuts) (parts []P, finish func(k int, part P)) {
	if c.byItems {
		return p.signal.DivideItems(payload, c.of, c.parts)
	}
	parts, each := p.signal.Divide(payload, c.of, c.parts)
	if each == nil {
		return parts, nil
	}
	return parts, func(_ int, part P) { each(part) }
}

// divideNow is divide with all parts finished.
func (p *payloads[P]) divideNow(payload P, c cuts) []P {
	parts, finish := p.divide(payload, c)
	if finish != nil {
		for k, part := range parts {
			finish(k, part)
		}
	}
	return parts
}

// apart makes each part of a payload a resource of its own, in their order. payload is ours and holds a reference, as what is returned. The
// parts are of one resource each.
func (p *payloads[P]) apart(payload P, c cuts) P {
	all := p.signal.New()
	for _, part := range p.divideNow(payload, c) {
		p.signal.Merge(all, part)
		p.release(part)
	}
	p.release(payload)
	return all
}

// unite undoes divide. Not for profiles.
func (p *payloads[P]) unite(payload P, parts []P, c cuts) {
	if c.byItems {
		p.signal.UniteItems(payload, parts, c.of)
	} else {
		p.signal.Unite(payload, parts, c.of)
	}
}

// division is a payload that is to be taken apart.
type division[P any] struct {
	cuts
	once    sync.Once
	payload P   // of once
	all     P   // payload, or a copy of it. Made by once; if it is divided by items, we hold its reference until all parts are finished
	made    []P // the parts. Made by once; each belongs to one request from then on
	finish  func(k int, part P)
	left    atomic.Int64 // parts that are not finished
}

// part is the [source] of the request that stands for part n of a division.
type part[P any] struct {
	division *division[P]
	n        int
}

func (s *part[P]) take(p *payloads[P], _ int) P {
	d := s.division
	d.once.Do(func() {
		d.all = p.exclusive(d.payload)
		d.made, d.finish = p.divide(d.all, d.cuts)
		d.left.Store(int64(d.parts))
		if !d.byItems {
			p.release(d.all)
		}
	})
	own := d.made[s.n]
	var none P
	d.made[s.n] = none // no part is kept for the sake of others
	if d.finish != nil {
		d.finish(s.n, own)
	}
	if d.byItems && d.left.Add(-1) == 0 {
		p.release(d.all)
	}
	return own
}
