// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// generation is the index of a Map's stream: what was written since the last swap.
type generation[K comparable, V any] struct {
	merge   func(held, added Entry[K, V]) V
	hash    func(Entry[K, V]) uint64
	memory  *memory[K] // of the partition; nil: none
	at      table
	retired table // that of the last swap. The consumer clears it; then it is at again
}

func (g *generation[K, V]) position(active []entry[Entry[K, V]], item Entry[K, V], hash uint64) int {
	return g.find(active, item.Key, hash)
}

func (g *generation[K, V]) find(active []entry[Entry[K, V]], key K, hash uint64) int {
	for p := g.at.probe(hash); p.next(); {
		if at := p.at(); active[at].item.Key == key {
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
	return true
}

// overwrite is fold for put and newer.
func (g *generation[K, V]) overwrite(held, item *Entry[K, V], how write) bool {
	if how == newer && item.Version != AlwaysNewer {
		if item.Version <= held.Version { // I3
			return false
		}
		held.Version = item.Version
		if g.memory != nil {
			g.memory.of[item.Key] = stamp{version: item.Version}
		}
	}
	held.Value = item.Value
	held.Updates++
	return true
}

func (g *generation[K, V]) first(item Entry[K, V], hash uint64, how write, at int) (Entry[K, V], bool) {
	if how != newer {
		item.Version = 0 // only PutNewer gives one
	}
	if g.memory != nil {
		switch known, ok := g.memory.version(item.Key); {
		case how == newer && ok && item.Version <= known && item.Version != AlwaysNewer: // I3
			return item, false
		case how == newer && item.Version > AlwaysNewer: // nor NoVersion
			g.memory.of[item.Key] = stamp{version: item.Version}
		case ok:
			item.Version = known
			g.memory.of[item.Key] = stamp{version: known}
		}
	}
	g.at.insert(hash, at)
	item.Updates = 1
	return item, true
}

func (g *generation[K, V]) moved(item Entry[K, V], from, to int) {
	hash := g.hash(item)
	if to >= 0 {
		g.at.move(hash, from, to)
		return
	}
	g.at.remove(hash, from)
	if g.memory != nil {
		g.memory.flushed(item.Key, time.Now())
	}
}

// settled leaves alone a version that is pending again: that one is remembered from its own flush on.
func (g *generation[K, V]) settled(active []entry[Entry[K, V]], item Entry[K, V], now time.Time) {
	if g.memory != nil && g.find(active, item.Key, g.hash(item)) < 0 {
		g.memory.flushed(item.Key, now)
	}
}

func (g *generation[K, V]) swap() { g.at, g.retired = g.retired, g.at }

func (g *generation[K, V]) clear() { g.retired.clear() }
