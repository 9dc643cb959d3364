// SPDX-License-Identifier: Apache-2.0

package partitioned

// table is a hash table of positions in a slice, which has the keys: half the memory of a Go map that has them too, one
// place less to touch, and hashes are computed before the lock. Open addressing, linear probing, deletion by shifting back
// (Knuth, The Art of Computer Programming, vol. 3, 6.4, algorithms L and R).
type table struct {
	slots []slot // a power of two of them, at most three quarters in use
	used  int

	fetched slot // what fetch read, so that it does
}

// slot is the upper half of a hash, and below it a position plus 1; 0: free.
type slot uint64

func newSlot(hash uint64, at int) slot { return slot(hash>>32<<32 | uint64(at+1)) }

func (s slot) at() int      { return int(uint32(s)) - 1 }
func (s slot) hash() uint32 { return uint32(s >> 32) }

const minSlots = 8

// probe iterates over the candidate positions for hash. While next returns true, at is one.
func (t *table) probe(hash uint64) probe {
	return probe{t: t, hash: uint32(hash >> 32), i: uint32(hash>>32) - 1}
}

type probe struct {
	t       *table
	hash, i uint32
}

func (p *probe) next() bool {
	if len(p.t.slots) == 0 {
		return false
	}
	mask := uint32(len(p.t.slots) - 1)
	for {
		p.i = (p.i + 1) & mask
		switch s := p.t.slots[p.i]; {
		case s == 0:
			return false
		case s.hash() == p.hash:
			return true
		}
	}
}

func (p *probe) at() int { return p.t.slots[p.i&uint32(len(p.t.slots)-1)].at() }

// fetch reads where probes of hashes begin, for several at once: the processor waits once for all of them, and not for each.
// Bulk writes to a table that is larger than the cache are a third quicker with it.
func (t *table) fetch(hashes []uint64) {
	if len(t.slots) == 0 {
		return
	}
	mask := uint32(len(t.slots) - 1)
	var all slot
	for _, h := range hashes {
		all ^= t.slots[uint32(h>>32)&mask]
	}
	t.fetched = all
}

// insert adds a position that is not in t.
func (t *table) insert(hash uint64, at int) {
	if t.used >= len(t.slots)/4*3 {
		old := t.slots
		t.slots = make([]slot, max(minSlots, 2*len(old)))
		for _, s := range old {
			if s != 0 {
				t.place(s)
			}
		}
	}
	t.place(newSlot(hash, at))
	t.used++
}

func (t *table) place(s slot) {
	mask := uint32(len(t.slots) - 1)
	i := s.hash() & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

// move says that what stood at from stands at to.
func (t *table) move(hash uint64, from, to int) {
	if i, ok := t.find(hash, from); ok {
		t.slots[i] = newSlot(hash, to)
	}
}

// remove takes a position out.
func (t *table) remove(hash uint64, at int) {
	hole, ok := t.find(hash, at)
	if !ok {
		return
	}
	t.used--
	mask := uint32(len(t.slots) - 1)
	for i := (hole + 1) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		// What stands at i may fill the hole if its way there, from where its hash leads, passes by the hole.
		if home := t.slots[i].hash() & mask; (i-home)&mask >= (i-hole)&mask {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole] = 0
}

func (t *table) find(hash uint64, at int) (i uint32, ok bool) {
	for p := t.probe(hash); p.next(); {
		if p.at() == at {
			return p.i, true
		}
	}
	return 0, false
}

// clear empties t. A table that was mostly empty is given back, so that one great flush is not remembered for ever.
func (t *table) clear() {
	if t.used == 0 {
		return
	}
	if len(t.slots) > minSlots && t.used < len(t.slots)/8 {
		t.slots = nil
	}
	clear(t.slots)
	t.used = 0
}
