// SPDX-License-Identifier: Apache-2.0

package partitioned

import "errors"

// evictAndPush drops the oldest items until there is capacity for a push: those of a stream whose share refuses it, else of the
// streams that it goes to, else of the stream that holds most. It drops none if to drop all of them would not be enough.
//
// It holds the locks of all partitions, so nobody else enters: what it finds out stays true until it has pushed. That is the
// price of OverflowDropOldest, and paid only without capacity.
//
// The units are taken before anything is dropped. So a Shutdown that closes the gate refuses the push, or finds it accepted, and
// nothing is dropped for a push that gets an error. For the same reason it is decided once which parts are of stalled keys, and
// that MaxKeys allows the push: streams that are emptied for it would change both.
func (q *Queue[T]) evictAndPush(parts []part[T], items []T, m *measures, c *completion) error {
	var victims []victim[T]
	for _, p := range q.partitions {
		p.mu.Lock()
	}
	_, err := q.enter(parts, nil)
	if errors.Is(err, errNoCapacity) && q.canEvictFor(parts) {
		push := q.need(parts, nil).units
		if err = q.gate.enter(push, maxUnits, true); err == nil {
			victims = q.evictFor(parts, push)
			q.takeAll(parts)
		}
	}
	if err == nil {
		for i := range parts {
			q.write(&parts[i], items, m, c)
		}
	}
	forgetEmpty(parts)
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
	var last *completion
	for _, e := range victims {
		last = q.dropped(e.entry, ErrEvicted, last)
		q.cfg.Observer.evicted(q.cfg.Name, e.partition, int(e.weight.items))
	}
	return err
}

// takeAll books that the gate has taken the units of parts. Streams that were emptied and forgotten are opened again, and have their
// key slots again. Locks of all partitions held.
func (q *Queue[T]) takeAll(parts []part[T]) {
	for i := range parts {
		p := &parts[i]
		if p.stream = p.partition.existing(p.key); p.stream == nil {
			p.stream, _ = p.partition.open(p.key) // it is not dead: the gate was open under its lock
		}
		p.held = p.stream.reserved
		if p.dropped {
			continue
		}
		if p.stream.slot == slotFree {
			q.keys.add()
		}
		p.stream.take(true)
		p.held += p.units
	}
}

// dropped tells of an entry that was dropped, and returns its completion. last: that of the entry before, as the error is reported
// once for those of one push that stand side by side. No lock held (I4).
func (q *Queue[T]) dropped(e entry[T], reason error, last *completion) *completion {
	if q.cfg.Dropped != nil {
		q.safeDropped(e.item, reason)
	}
	switch e.completion {
	case nil:
	case last:
		e.completion.complete(nil)
	default:
		e.completion.complete(reason)
	}
	return e.completion
}

// victim is an entry that was dropped, and the number of its partition.
type victim[T any] struct {
	entry[T]
	partition int
}

// evictFor drops items until the shares and the capacity allow parts, and returns them. push is the units of parts, which the gate has
// taken already. It looks at each part and each partition a constant number of times, however many items that takes. Locks of all
// partitions held.
func (q *Queue[T]) evictFor(parts []part[T], push int64) (victims []victim[T]) {
	stays := func() int64 { return q.gate.used() - push }
	var limits []*part[T] // whose shares still refuse the push with all of their own dropped
	if q.shares {
		limits = q.evictForShares(parts, push, &victims)
	}
	most := func() int64 { // units that may stay
		most := q.gate.capacity - 1
		for _, p := range limits {
			most = min(most, q.bound(p, push, nil))
		}
		return most
	}
	for i := range parts {
		for s := parts[i].stream; stays() > most() && q.evict(s, &victims); {
		}
	}
	if stays() <= most() {
		return victims
	}
	for t := q.tops(); stays() > most() && t.top() != nil; {
		p := t.top()
		if !q.evict(p.ranking.droppable.top(), &victims) {
			break
		}
		if p.ranking.droppable.top() == nil {
			t.remove(p)
		} else {
			t.fix(p)
		}
	}
	return victims
}

// refusal is a part whose share refuses a push, in a heap. It has a copy: a pointer would make the parts of every push escape.
type refusal[T any] struct {
	part[T]
	place int
}

// evictForShares drops of the streams whose share refuses a part, each time of the one that is the furthest beyond it: what is dropped
// of one makes room for the others too. Of the streams of which nothing is left to drop, and which still refuse, it returns those
// whose shares allow least: one that is stuck and one that is not, as to be stuck is the one other thing that a share depends on.
func (q *Queue[T]) evictForShares(parts []part[T], push int64, victims *[]victim[T]) (limits []*part[T]) {
	holds := func(p *part[T]) int64 { return p.stream.reserved + p.units }
	most := heap[refusal[T]]{
		before: func(a, b *refusal[T]) bool { return holds(&a.part) > holds(&b.part) },
		place:  func(r *refusal[T]) *int { return &r.place },
	}
	refuses := func(p *part[T]) bool {
		return q.bound(p, push, nil) < min(q.gate.used()-push, q.gate.capacity-1)
	}
	for i := range parts {
		if refuses(&parts[i]) {
			most.push(&refusal[T]{part: parts[i]})
		}
	}
	var of [2]*part[T] // stuck or not
	for r := most.top(); r != nil; r = most.top() {
		switch { // a share that allows the push goes on to allow it: dropping makes room
		case !refuses(&r.part):
			most.remove(r)
		case q.evict(r.stream, victims):
			most.fix(r)
		default:
			most.remove(r)
			at := 0
			if r.stream.stuck {
				at = 1
			}
			if of[at] == nil || holds(&r.part) > holds(of[at]) {
				of[at] = &r.part
			}
		}
	}
	for _, p := range of {
		if p != nil {
			limits = append(limits, p)
		}
	}
	return limits
}

// evict drops the oldest item of s that no consumer has, and appends it to victims. It reports false if there is none. A stream that
// holds nothing any more is not full. Partition's lock held.
func (q *Queue[T]) evict(s *stream[T], victims *[]victim[T]) bool {
	e, ok := s.evict()
	if ok {
		s.partition.mu.evict(int64(e.weight.items))
		q.remove(s, e)
		*victims = append(*victims, victim[T]{e, s.partition.number})
		if s.reserved == 0 {
			s.setFull(false)
		}
	}
	return ok
}

// remove gives back the units of an entry that was evicted or deleted. Partition's lock held.
func (q *Queue[T]) remove(s *stream[T], e entry[T]) {
	q.giveBackOf(s, e)
	s.tidy()
}

// giveBackOf is remove without what the stream does next. Partition's lock held.
func (q *Queue[T]) giveBackOf(s *stream[T], e entry[T]) {
	units := q.units(e.weight)
	e.completion.forgo(e.weight.unpack(), units)
	s.reserve(-units)
	q.gate.leave(s.uncount(units))
}

// canEvictFor reports whether parts would be admitted if all were dropped that may be. Partitions' locks held.
func (q *Queue[T]) canEvictFor(parts []part[T]) bool {
	var kept int64
	for _, p := range q.partitions {
		kept += p.ranking.kept
	}
	if kept >= q.gate.capacity {
		return false
	}
	if !q.shares {
		return true
	}
	push, stuck := q.need(parts, nil).units, q.stuck.Load()
	for i := range parts {
		if s := parts[i].stream; s.stuck && s.reserved == s.evictable() {
			stuck-- // with nothing in it
		}
	}
	for i := range parts {
		if parts[i].dropped {
			continue
		}
		s := parts[i].stream
		held := s.reserved - s.evictable()
		if held >= q.cfg.KeyCapacity {
			return false
		}
		divisor := 1 + stuck
		if s.stuck {
			divisor--
		}
		if held > 0 && held+parts[i].units > (q.gate.capacity-kept-push)/divisor {
			return false
		}
	}
	return true
}

// urgeHeaviest makes the stream due that holds most, of those that only wait for their time: callers need what it holds.
func (q *Queue[T]) urgeHeaviest() {
	var most *stream[T]
	for _, p := range q.partitions {
		p.mu.Lock()
		if s := p.heaviestTimed(); s != nil && (most == nil || s.above(most)) {
			most = s
		}
	}
	if most != nil {
		most.need()
	}
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
}

// heaviestTimed returns the stream that holds most, of those that wait for their time, or nil. Lock held.
func (p *partition[T]) heaviestTimed() (most *stream[T]) {
	if p.ranking != nil {
		return p.ranking.timed.top()
	}
	p.all(func(s *stream[T]) {
		if s.rank.oldest = s.oldest(); s.state == timed && (most == nil || s.above(most)) {
			most = s
		}
	})
	return most
}
