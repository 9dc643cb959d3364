// SPDX-License-Identifier: Apache-2.0

package partitioned

// generation is the index of a Map's stream: what was written since the last swap.
type generation[K comparable, V any] struct {
	merge     func(held, added Entry[K, V]) V
	supersede func(kept, superseded Entry[K, V]) V // nil: nobody asks
	hash      func(Entry[K, V]) uint64
	memory    *memory[K] // of the partition; nil: none
	at        table
	retired   table // that of the last swap. The consumer clears it; then it is at again
}

func (g *generation[K, V]) position(active []Entry[K, V], item Entry[K, V], hash uint64) int {
	return g.find(active, item.Key, hash)
}

func (g *generation[K, V]) find(active []Entry[K, V], key K, hash uint64) int {
	for p := g.at.probe(hash); p.next(); {
		if at := p.at(); active[at].Key == key {
			return at
		}
	}
	return -1
}

func (g *generation[K, V]) slots() *table { return &g.at }

func (g *generation[K, V]) fold(held *Entry[K, V], item Entry[K, V], how write) bool {
	if how != merge {
		return g.overwrite(held, &item, how)
	}
	held.Value = g.merge(*held, item)
	held.Updates++
	g.kept(item.Key)
	return true
}

// overwrite is fold for put and newer.
func (g *generation[K, V]) overwrite(held, item *Entry[K, V], how write) bool {
	older := how == newer && item.Version != AlwaysNewer && item.Version <= held.Version // I3
	if how == newer && g.supersede != nil {
		if older {
			held.Value = g.supersede(*held, *item)
		} else {
			item.Value = g.supersede(*item, *held)
		}
	}
	if older {
		return false
	}
	if how == newer && item.Version != AlwaysNewer {
		held.Version = item.Version
		if g.memory != nil {
			g.memory.update(item.Key, item.Version, false)
		}
	} else {
		g.kept(item.Key)
	}
	held.Value = item.Value
	if held.Updates++; how == put {
		held.Updates = 0
	}
	return true
}

func (g *generation[K, V]) first(item Entry[K, V], hash uint64, how write, at int) (Entry[K, V], bool) {
	if how != newer {
		item.Version = 0 // only PutNewer gives one
	}
	item.Updates = 0
	if item.Key != item.Key { //nolint:gocritic // NaN equals nothing: neither found nor remembered
		return item, true
	}
	if g.memory != nil && !g.remember(&item, how) {
		return item, false
	}
	g.at.insert(hash, at)
	return item, true
}

// remember is first for the versions. Of a version that is in a batch, or was swapped out, it is not known yet whether it is
// delivered. What is older is superseded all the same, as in active. What is equal is held until it is known.
func (g *generation[K, V]) remember(item *Entry[K, V], how write) bool {
	known, ok := g.memory.version(item.Key)
	swapped, isSwapped := g.memory.pending[item.Key]
	versioned := how == newer && item.Version != AlwaysNewer
	if versioned && (ok && item.Version <= known || isSwapped && item.Version < swapped.latest) { // I3
		return false
	}
	switch {
	case versioned && item.Version != NoVersion:
		g.memory.begin(item.Key, item.Version)
	case ok || isSwapped:
		if isSwapped && (!ok || swapped.latest > known) {
			known = swapped.latest
		}
		item.Version = known
		g.memory.begin(item.Key, known)
		g.kept(item.Key)
	}
	return true
}

// kept books that the entry of key in active has another value, and keeps its version.
func (g *generation[K, V]) kept(key K) {
	if g.memory != nil {
		g.memory.update(key, 0, true)
	}
}

func (g *generation[K, V]) moved(item Entry[K, V], from, to int) {
	hash := g.hash(item)
	if to >= 0 {
		g.at.move(hash, from, to)
		return
	}
	g.at.remove(hash, from)
}

func (g *generation[K, V]) left(item Entry[K, V], deleted bool) {
	if g.memory != nil {
		g.memory.leave(item.Key, deleted)
	}
}

func (g *generation[K, V]) settled(active []Entry[K, V], item Entry[K, V], delivered bool) (superseded int) {
	if g.memory == nil {
		return -1
	}
	at := g.find(active, item.Key, g.hash(item))
	if !g.memory.settle(item.Key, at >= 0, delivered) {
		return -1
	}
	return at
}

func (g *generation[K, V]) swap() { g.at, g.retired = g.retired, g.at }

func (g *generation[K, V]) clear() { g.retired.clear() }
