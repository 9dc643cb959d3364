// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
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

// oneStream reports whether all items of a push of so many go to one stream.
func (q *Queue[T]) oneStream(key *string, items int) bool {
	return key != nil || len(q.partitions) == 1 && !q.byKey() || q.spreads && q.runs(items) == 1
}

// runs is the number of partitions that a push of so many items without a key is spread over. None gets less than leastPart of them, or
// than what makes a batch. What an item weighs in bytes is not known here, so those that are batched by it are spread one by one.
func (q *Queue[T]) runs(items int) int {
	part := leastPart
	switch t := q.tuned.Load(); {
	case t.byBytes():
		part = 1
	case t.size.Items > 0:
		part = min(part, t.size.Items)
	}
	return min(len(q.partitions), max(items/part, 1))
}

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
		return q.partitions[q.turns.of.Load()], ""
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
func (q *Queue[T]) divide(items []T, m *measures) ([]part[T], []T) {
	var parts []part[T]
	switch {
	case q.spreads:
		parts = q.byTurns(len(items))
	case q.byKey():
		parts, items = q.byStream(items, m)
	default:
		parts, items = q.byPartition(items, m)
	}
	for i := range parts {
		q.total(&parts[i], m)
	}
	slices.SortStableFunc(parts, func(a, b part[T]) int { return a.partition.number - b.partition.number })
	return parts, items
}

// byTurns is divide where items have no key: as many to each partition, from that of the turn on.
func (q *Queue[T]) byTurns(items int) []part[T] {
	parts := make([]part[T], q.runs(items))
	turn := int(q.turns.of.Load())
	for i := range parts {
		p := q.partitions[(turn+i)%len(q.partitions)]
		parts[i] = part[T]{partition: p, from: i * items / len(parts), to: (i + 1) * items / len(parts)}
	}
	return parts
}

// byStream is divide where a stream is a key: one part for each, in the order of the partitions, and then of the keys.
func (q *Queue[T]) byStream(items []T, m *measures) ([]part[T], []T) {
	all := make([]part[T], len(items)) // one for each item, which from says
	for i := range items {
		all[i].from = i
		all[i].partition, all[i].key = q.locate(nil, items[i], m.hash(i))
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
func (q *Queue[T]) byPartition(items []T, m *measures) ([]part[T], []T) {
	to := make([]int32, len(items))
	ends := make([]int, len(q.partitions)+1)
	for i := range items {
		p, _ := q.locate(nil, items[i], m.hash(i))
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

// Items of one push without a key are divided if each part has leastPart of them. Single ones go to a partition in runs of up to longRun, which
// fill a buffer.
const (
	leastPart = 64
	longRun   = bufferSize
)

// turns says to which partition items without a key go. They come in runs, which are as long for all partitions in a round. Runs get
// twice as long from round to round, up to a batch, and as short as what a partition holds that has its turn: so few items are spread as
// one by one, and many are spread evenly, but most pushes go where the last one went. With each turn another lock, and what is behind it,
// moves to another core, some of it for a single push that was about to take the old one. With runs of up to 64, eight partitions took up
// to 1.5 times as long as one; of up to 1024, 0.95 to 1.09 times (8 and 64 producers, two cores).
type turns struct {
	of  atomic.Int32 // the partition whose turn it is. Whoever holds its lock may pass it on
	run int32        // how many items make a run in this round, as they weigh. Owned by whoever holds that lock
}

// took books that s got items without a key of that weight, and passes the turn on if a run is over. Partition's lock held.
func (q *Queue[T]) took(s *stream[T], items int) {
	p := s.partition
	if int(q.turns.of.Load()) != p.number {
		return // any more
	}
	if p.mu.run == 0 {
		q.turns.run = int32(min(int(q.turns.run), s.backlog.weight.Items))
		p.mu.run = q.turns.run
	}
	if items >= int(p.mu.run) {
		q.passTurn(p)
		return
	}
	p.mu.run -= int32(items)
}

// passTurn makes it the turn of the next partition, if it is that of p. Lock of p held.
func (q *Queue[T]) passTurn(p *partition[T]) {
	t := &q.turns
	if int(t.of.Load()) != p.number {
		return
	}
	p.mu.run = 0
	next := p.number + 1
	if next == len(q.partitions) {
		next, t.run = 0, int32(min(2*int(t.run), q.tuned.Load().longestRun()))
	}
	t.of.Store(int32(next))
}

// longestRun is how many items a partition may get at its turn, as they weigh: no more than a batch. How many bytes a run will have nobody
// knows, so it is short where they make a batch.
func (t *tuning) longestRun() int {
	longest := longRun
	if t.byBytes() {
		longest = leastPart
	}
	if t.size.Items > 0 {
		longest = min(longest, t.size.Items)
	}
	return longest
}

// passTurns passes the turn on after a push: to what comes behind its partitions if it had several, or was refused, so that the next push
// is not held up by what holds up this one. Partitions' locks held.
func (q *Queue[T]) passTurns(parts []part[T], refused bool) {
	if len(parts) == 1 && !refused {
		q.took(parts[0].stream, parts[0].weight.Items)
		return
	}
	for range 2 { // they are in the order of their numbers, of which the turn may be in the midst
		for i := range parts {
			q.passTurn(parts[i].partition)
		}
	}
}

// Partition returns the number of the partition that key leads to, from 0 to Partitions - 1. It never changes.
func (q *Queue[T]) Partition(key string) int {
	if q.gate == nil {
		return 0
	}
	return q.partition(key).number
}

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
