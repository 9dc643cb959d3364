// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// weighAll returns the weights of items, in some or in memory of its own. It runs Weigh, under no lock.
func (q *Queue[T]) weighAll(some []packedWeight, items []T) []packedWeight {
	if len(items) > cap(some) {
		some = make([]packedWeight, 0, len(items))
	}
	for i := range items {
		some = append(some, pack(q.cfg.Weigh(items[i])))
	}
	return some
}

// hashAll returns the hashes of the keys of items, in some or in memory of its own.
func (q *Queue[T]) hashAll(some []uint64, items []T) []uint64 {
	if len(items) > cap(some) {
		some = make([]uint64, 0, len(items))
	}
	for i := range items {
		some = append(some, q.mapping.hash(items[i]))
	}
	return some
}

// oneStream reports whether all items go to one stream.
func (q *Queue[T]) oneStream() bool { return len(q.partitions) == 1 && !q.byKey() }

// locate returns where an item goes: the partition and the key of its stream. hash is that of its key in a Map.
func (q *Queue[T]) locate(key *string, item T, hash uint64) (p *partition[T], name string) {
	switch {
	case key != nil:
		name = *key
	case q.cfg.Key != nil:
		name = q.cfg.Key(item)
	case q.mapping.hash != nil:
		return q.partitions[hash%uint64(len(q.partitions))], ""
	default:
		return q.nextPartition(), ""
	}
	if p = q.partition(name); !q.byKey() {
		name = "" // it says the partition, and no more
	}
	return p, name
}

// total sets the weight and the units of a part.
func (q *Queue[T]) total(p *part[T], m *measures) {
	if m.weights == nil {
		p.weight.Items = p.to - p.from
		p.units = int64(p.to - p.from)
		return
	}
	for i := p.from; i < p.to; i++ {
		w := m.weight(i)
		p.weight = p.weight.plus(w.unpack())
		p.units += q.units(w)
	}
}

// divide makes the parts of a push to several streams, in the order of their partitions. It returns items and changes m, both
// in the order of the parts.
func (q *Queue[T]) divide(key *string, items []T, m *measures) ([]part[T], []T) {
	var parts []part[T]
	switch {
	case key == nil && q.cfg.Key == nil && q.mapping.hash == nil: // items spread evenly
		runs := min(len(q.partitions), len(items))
		for i := range runs {
			parts = append(parts, part[T]{partition: q.nextPartition(), from: i * len(items) / runs, to: (i + 1) * len(items) / runs})
		}
	case q.byKey():
		parts, items = q.byStream(key, items, m)
	default:
		parts, items = q.byPartition(key, items, m)
	}
	for i := range parts {
		q.total(&parts[i], m)
	}
	slices.SortStableFunc(parts, func(a, b part[T]) int { return a.partition.number - b.partition.number })
	return parts, items
}

// byStream is divide where a stream is a key: one part for each, in the order of the partitions, and then of the keys.
func (q *Queue[T]) byStream(key *string, items []T, m *measures) ([]part[T], []T) {
	all := make([]part[T], len(items)) // one for each item, which from says
	for i := range items {
		all[i].from = i
		all[i].partition, all[i].key = q.locate(key, items[i], m.hash(i))
	}
	slices.SortStableFunc(all, func(a, b part[T]) int {
		return cmp.Or(cmp.Compare(a.partition.number, b.partition.number), strings.Compare(a.key, b.key))
	})
	to := make([]int32, len(items))
	parts := all[:0]
	for at, p := range all {
		to[p.from] = int32(at)
		if n := len(parts) - 1; n >= 0 && parts[n].partition == p.partition && parts[n].key == p.key {
			parts[n].to = at + 1
			continue
		}
		p.from, p.to = at, at+1
		parts = append(parts, p)
	}
	return parts, reorder(items, to, m)
}

// byPartition is divide where a stream is what a partition holds: a counting sort of the items by partition.
func (q *Queue[T]) byPartition(key *string, items []T, m *measures) ([]part[T], []T) {
	to := make([]int32, len(items))
	ends := make([]int, len(q.partitions)+1)
	for i := range items {
		p, _ := q.locate(key, items[i], m.hash(i))
		n := p.number
		to[i] = int32(n)
		ends[n+1]++
	}
	var parts []part[T]
	for n := range q.partitions {
		from := ends[n]
		ends[n+1] += from
		if ends[n+1] > from {
			parts = append(parts, part[T]{partition: q.partitions[n], from: from, to: ends[n+1]})
		}
	}
	for i, n := range to {
		to[i] = int32(ends[n]) // the first free place of the partition
		ends[n]++
	}
	return parts, reorder(items, to, m)
}

// reorder returns items, and changes m, so that item i stands at to[i].
func reorder[T any](items []T, to []int32, m *measures) []T {
	sorted := make([]T, len(items))
	var weights []packedWeight
	if m.weights != nil {
		weights = make([]packedWeight, len(items))
	}
	var hashes []uint64
	if m.hashes != nil {
		hashes = make([]uint64, len(items))
	}
	for i, at := range to {
		sorted[at] = items[i]
		if weights != nil {
			weights[at] = m.weights[i]
		}
		if hashes != nil {
			hashes[at] = m.hashes[i]
		}
	}
	m.weights, m.hashes = weights, hashes
	return sorted
}

// nextPartition returns where the next item without a key goes.
func (q *Queue[T]) nextPartition() *partition[T] {
	if len(q.partitions) == 1 {
		return q.partitions[0]
	}
	return q.partitions[q.turn.Add(1)%uint32(len(q.partitions))]
}

// Partition returns the number of the partition that key leads to, from 0 to Partitions - 1. It never changes.
func (q *Queue[T]) Partition(key string) int { return q.partition(key).number }

func (q *Queue[T]) partition(key string) *partition[T] {
	if len(q.partitions) == 1 {
		return q.partitions[0]
	}
	n, _ := bits.Mul64(maphash.String(q.seed, key), uint64(len(q.partitions))) // even, as a remainder is, without a division
	return q.partitions[n]
}

// units returns what an item of weight w takes of the capacity. Nothing is free, so no units taken means that nothing is
// pending; and as w is packed, nothing takes more than a small part of what the gate can count. Where requests are counted, each
// part of one that was split is one.
func (q *Queue[T]) units(w packedWeight) int64 {
	switch q.cfg.Unit {
	case UnitItems:
		return int64(w.items)
	case UnitBytes:
		return max(int64(w.bytes), 1)
	default:
		return 1
	}
}
