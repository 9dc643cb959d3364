// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// Restore accepts items that were accepted before, by a queue of an earlier run, and which its owner has kept. It asks neither for
// capacity nor for MaxKeys, so what was pending when that run ended is pending again, under any configuration. Restored items come
// behind what is pending already: to keep their order, restore them before anything is pushed.
//
// What a key, or a partition, holds beyond its share after that does not count for Capacity, so that what is restored for a key which is
// stuck leaves room for the others. It counts for the key's own share and for Stats.Used, and is the first to be given back.
//
// Errors, which say that nothing was accepted: ErrClosed and ErrNotStarted.
func (q *Queue[T]) Restore(items ...T) error {
	switch {
	case len(items) == 0:
		return nil
	case q.gate == nil:
		return errZero
	}
	var m measures
	if q.cfg.Weigh != nil {
		m.weights = q.weighAll(nil, items)
	}
	parts, items := q.divide(items, &m)
	lockAll(parts)
	defer unlockAll(parts)
	if parts[0].partition.mu.dead || q.gate.closed() {
		if !q.closing.Load() {
			return ErrNotStarted
		}
		return ErrClosed
	}
	for i := range parts {
		p := &parts[i]
		if p.stream = p.partition.existing(p.key); p.stream == nil {
			p.stream, _ = p.partition.open(p.key) // it is not dead
		}
		q.restore(p)
		q.write(p, items, &m, nil)
	}
	return nil
}

// restore takes the units of a part, whatever the capacity is, and books those beyond the share as excess. Partition's lock held.
func (q *Queue[T]) restore(p *part[T]) {
	s := p.stream
	counted := p.units
	if q.shares {
		least := int64(0)
		if s.reserved == 0 {
			least = 1 // a stream that holds something has a unit in the gate, so that Shutdown waits for it
		}
		counted = min(max(q.allowance(s), least), p.units)
	}
	if s.slot == slotFree {
		q.keys.add()
	}
	q.gate.force(counted)
	s.restored(p.units - counted)
}

// allowance returns how many units more the share of s allows, as in bound; it may be negative. Partition's lock held.
func (q *Queue[T]) allowance(s *stream[T]) int64 {
	divisor := q.divisor(s)
	counted := s.reserved - s.excess
	free := q.gate.capacity - q.gate.used()
	return min((free-min(counted, free)*divisor)/(1+divisor), q.cfg.KeyCapacity-counted)
}

// restored books that s was restored, with so many units that are not counted. With any it is full: it holds more than its share.
func (s *stream[T]) restored(excess int64) {
	s.take(false)
	s.excess += excess
	s.partition.common.excess.Add(excess)
	if s.excess > 0 && !s.full {
		s.inTrouble().fullSince = time.Now()
		s.setFull(true)
	}
}

// uncount returns how many of the units that s gives back go to the gate: what it holds in excess goes first. So a stream
// that holds something has a unit in the gate until the last. Partition's lock held.
func (s *stream[T]) uncount(units int64) int64 {
	n := min(max(units, 0), s.excess)
	if n > 0 {
		s.excess -= n
		s.partition.common.excess.Add(-n)
	}
	return units - n
}

// force takes units, whatever the capacity is.
func (g *gate) force(units int64) { g.word.Add(units << gateShift) }

// add takes a slot, whatever the limit is.
func (k *keyCount) add() {
	k.Lock() // with enterGate, which looks and takes in two steps
	defer k.Unlock()
	k.n.Add(1)
}
