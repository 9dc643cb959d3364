// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"
)

// Entry is what a Map holds of a key, and what Process receives. Of those that are given to PutAll, PutAllNewer, MergeAll and
// MergeAllWait, Updates is ignored, and Version too but for PutAllNewer.
type Entry[K comparable, V any] struct {
	Key     K
	Value   V
	Version int64 // as given to PutNewer; 0 if it never was
	// Updates is how often the entry was changed since it was first written: by a PutNewer of a newer version, and by Merge. Put
	// replaces the entry, and begins at 0 again.
	Updates int64
}

// MapBatch is what Process receives from a Map.
type MapBatch[K comparable, V any] = Batch[Entry[K, V]]

// MapVerdict is what Process says of a MapBatch.
type MapVerdict[K comparable, V any] = Verdict[Entry[K, V]]

// NoVersion is for PutNewer of a key that no other write will ever have: it is less than any other version, and it is not
// remembered.
const NoVersion = math.MinInt64

// AlwaysNewer is for PutNewer of a value that has no version, where others of its key may have one: it replaces what is held,
// and is accepted whatever is remembered, as the later write is the newer one. The key keeps the version that it has; without
// one, any version replaces it.
const AlwaysNewer = math.MinInt64 + 1

// Merged is for PutNewer of a value that is to be merged: it is written as by Merge. So one PutAllNewer replaces some values and folds
// others, all of it or nothing. In a Map without a Merge it is a version like any other.
const Merged = math.MinInt64 + 2

// MapQueueConfig says how a Map works. Only Process has to be set.
type MapQueueConfig[K comparable, V any] struct {
	// QueueConfig is that of the Queue of entries which a Map is. Some fields mean a little more:
	//
	//   - Process: no batch, and no flush, has a key twice, unless Split divided its entry. Entries stand in the order in
	//     which their keys were first written since the last flush.
	//   - Key: must depend on the entry's Key alone. Nil: entries spread over the partitions by a hash of it, each of
	//     which makes batches of its own.
	//   - Partitions: default 4 for each processor; more of them make writes to many keys quicker, and batches smaller.
	//     Consumers: default 1, or 10 with a Key.
	//   - Adaptive: always; a flush sends all that is held. So BatchSize is only a trigger, MaxBatchSize bounds batches.
	//   - Weigh: runs under the partition's lock too, for what Merge made. What is superseded weighs nothing any more.
	//   - Order: of one key, always.
	QueueConfig[Entry[K, V]]

	// Merge folds an added entry into the one that is held, and returns the value to hold. It runs under the partition's
	// lock, so it must be quick, and must not call the Map. If it panics, the added entry is dropped. Needed by the methods of that name.
	Merge func(held, added Entry[K, V]) V

	// Void reports whether a value that Merge made, or that was merged to a key of which nothing is held, means nothing: the sum of +1 and
	// -1, or what was created and then deleted. Its entry is then taken out as by Delete: it is not processed, all that was
	// written to it counts as superseded, its capacity is free at once, its version is remembered, and who waits for it gets nil. What
	// a flush has taken stays: what undoes it is an entry of its own. Void runs under the partition's lock, as Merge does. If it panics, the
	// value is held. Put and PutNewer do not ask it. It needs a Merge. Nil: no value is void.
	Void func(value V) bool

	// Supersede returns the value to hold after PutNewer of a key that is pending. kept is the entry with the newer version, and superseded the
	// other one, whichever of the two came first: the result is the value of kept, with whatever is to be carried over to it. It must weigh what
	// the value of kept weighs. Supersede runs under the partition's lock, as Merge does. If it panics, the added entry is dropped. Nil:
	// the value of kept as it is.
	Supersede func(kept, superseded Entry[K, V]) V

	// Remember is how long a key's version is kept after it was delivered, which is when a call of Process took it. PutNewer
	// compares with it; an entry that Put or Merge begins has it as its own. A version that was dropped is not kept, so its repetition is
	// processed; of a batch of which something failed, none is, unless Errs names what. While a version is with Process, or comes
	// again, an older one is superseded, and an equal one is held until it is known which of the two is needed. Of an entry that Split
	// divided, the part that is settled first decides. A Rest with a key that is none of its batch stands for all of that: its versions
	// stay pending, and are remembered if all of the Rest is taken. 0: PutNewer compares with what is held, and with nothing else.
	Remember time.Duration
	// MaxRemembered bounds the number of versions that are kept after their delivery, over all partitions and keys. Beyond it
	// the ones that were delivered first are forgotten. Default: 100 000.
	MaxRemembered int
}

// Map is a Queue of entries in which each key is held once: what is written to a key that is pending replaces it, or is
// folded into it. Make one with NewMap or NewUnstartedMap.
//
// It takes capacity for what it holds, and gives it back at once when something is superseded. Put and PutNewer of a value
// that is no heavier than the one they replace need none, so a Map that is full still takes them. All other writes need
// capacity first. What is deleted is remembered, with Remember, as if it had been delivered.
//
// A flush takes what a partition, or with Key a stream, holds. From then on its entries are out of reach: Get does not see
// them, Delete does not undo them, and a write to their key begins a new entry, which is processed after them.
//
// All of a Queue's promises hold. All methods may be called at once.
type Map[K comparable, V any] struct {
	queue  Queue[Entry[K, V]]
	seed   maphash.Seed // of the hashes of keys
	memory []*memory[K] // by partition, whose lock guards it; nil without Remember

	delivered *deliveries[K] // those of all of memory; nil without Remember
	merge     func(held, added Entry[K, V]) V
}

// NewUnstartedMap makes a Map that accepts nothing until Start. It fails if a field of cfg is invalid, and names it.
func NewUnstartedMap[K comparable, V any](cfg MapQueueConfig[K, V]) (*Map[K, V], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Map[K, V]{merge: cfg.Merge, seed: maphash.MakeSeed()}
	hash := func(e Entry[K, V]) uint64 { return m.hash(e.Key) }
	k := mapping[Entry[K, V]]{
		hash: hash, supersedes: cfg.Supersede != nil, void: cfg.voids(),
		newIndex: func(partition int) index[Entry[K, V]] {
			g := &generation[K, V]{merge: cfg.Merge, supersede: cfg.Supersede, hash: hash}
			if m.memory != nil {
				g.memory = m.memory[partition]
			}
			return g
		},
	}
	if cfg.Remember > 0 {
		m.delivered = &deliveries[K]{keep: cfg.Remember, limit: cfg.MaxRemembered}
		for i := range cfg.Partitions {
			m.memory = append(m.memory, newMemory(i, m.delivered))
		}
		k.depart = m.depart
	}
	if cfg.Merge != nil {
		k.merges = func(e Entry[K, V]) bool { return e.Version == Merged }
	}
	if err := m.queue.init(cfg.QueueConfig, k); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Map[K, V]) hash(key K) uint64 { return maphash.Comparable(m.seed, key) }

// voids is Void for entries.
func (c *MapQueueConfig[K, V]) voids() func(Entry[K, V]) bool {
	if c.Void == nil {
		return nil
	}
	return func(e Entry[K, V]) bool { return c.Void(e.Value) }
}

// withDefaults returns the configuration with the defaults of a Map filled in, or an error that names the field and its value.
func (c MapQueueConfig[K, V]) withDefaults() (MapQueueConfig[K, V], error) {
	if c.Remember < 0 || c.MaxRemembered < 0 {
		return c, fmt.Errorf("partitioned: Remember %v and MaxRemembered %d must not be negative", c.Remember, c.MaxRemembered)
	}
	if c.OrderOnlyByPartition {
		return c, errors.New("partitioned: OrderOnlyByPartition is not for a Map: without Key, batches are made by partition")
	}
	if c.Void != nil && c.Merge == nil {
		return c, errors.New("partitioned: Void needs a Merge, whose values it looks at")
	}
	if c.MaxRemembered > 0 && c.Remember == 0 {
		return c, fmt.Errorf("partitioned: MaxRemembered %d needs a Remember, without which no version is kept", c.MaxRemembered)
	}
	if c.Partitions == 0 {
		c.Partitions = defaultPartitions()
	}
	if c.Key == nil && c.Consumers > c.Partitions && c.Partitions > 0 {
		err := c.tooManyConsumers()
		return c, err
	}
	if c.MaxRemembered == 0 {
		c.MaxRemembered = 100_000
	}
	c.Adaptive = true
	return c, nil
}

// Start begins to accept and to process, on Consumers goroutines. It fails after Shutdown, and if called twice.
func (m *Map[K, V]) Start() error { return m.queue.Start() }

// Put makes value what is held of key, whatever its version, which the key keeps. It waits for room, and fails, as
// [Queue.Push] does.
func (m *Map[K, V]) Put(ctx context.Context, key K, value V) error {
	return m.write(ctx, Entry[K, V]{Key: key, Value: value}, put)
}

// PutAll is Put for the keys and values of all entries, in order: all of them are accepted or none.
func (m *Map[K, V]) PutAll(ctx context.Context, entries ...Entry[K, V]) error {
	return m.writeAll(ctx, entries, put)
}

// PutNewer makes value what is held of key if version is greater than that of the key, and is superseded at once, and
// counted, if it is not: of two equal versions the first stays. It returns nil in both cases. A pending key without a version
// has version 0. Any version beats a key that is neither pending nor remembered.
func (m *Map[K, V]) PutNewer(ctx context.Context, key K, value V, version int64) error {
	return m.write(ctx, Entry[K, V]{Key: key, Value: value, Version: version}, newer)
}

// PutAllNewer is PutNewer for all entries, in order: all of them are accepted or none.
func (m *Map[K, V]) PutAllNewer(ctx context.Context, entries ...Entry[K, V]) error {
	return m.writeAll(ctx, entries, newer)
}

// write is Put and PutNewer: what push does, in one step under the lock where there is nothing to find out. No function of the
// user runs, nothing is remembered, and the key is held, or its stream is and has room. It decides nothing: in all other cases it leaves
// all to push.
func (m *Map[K, V]) write(ctx context.Context, e Entry[K, V], how write) error {
	if q := &m.queue; q.gate != nil && q.cfg.Weigh == nil && m.memory == nil && !q.mapping.supersedes && q.mapping.howOf(e, how) != merge {
		hash := m.hash(e.Key)
		p, key := q.locate(nil, e, hash)
		p.mu.Lock()
		ok := m.writeHere(p.existing(key), e, hash, how)
		p.mu.Unlock()
		if ok {
			return nil
		}
	}
	return m.queue.push(ctx, nil, []Entry[K, V]{e}, how, nil)
}

// writeHere reports false if it has done nothing. Partition's lock held.
func (m *Map[K, V]) writeHere(s *stream[Entry[K, V]], e Entry[K, V], hash uint64, how write) bool {
	if s == nil {
		return false
	}
	g := s.backlog.index.(*generation[K, V])
	if at := g.find(s.backlog.active.items, e.Key, hash); at >= 0 {
		if m.queue.gate.closed() {
			return false
		}
		g.overwrite(&s.backlog.active.items[at], &e, how)
		s.partition.mu.supersede(1) // one of the two
		return true
	}
	if m.queue.enterItem(s, 1) != nil {
		return false
	}
	e, _ = g.first(e, hash, how, s.backlog.active.len()) // nothing is remembered that would supersede it
	quiet := s.backlog.append(e, nil, packedWeight{items: 1})
	s.accept(1, 1, quiet)
	return true
}

func (m *Map[K, V]) writeAll(ctx context.Context, entries []Entry[K, V], how write) error {
	return m.queue.push(ctx, nil, entries, how, nil)
}

// Merge folds value into what is held of key, by the Merge of the config, or makes it what is held. If Void says so of the
// result, nothing is held of key any more. It panics if the config has no Merge.
func (m *Map[K, V]) Merge(ctx context.Context, key K, value V) error {
	m.needMerge()
	return m.writeAll(ctx, []Entry[K, V]{{Key: key, Value: value}}, merge)
}

// MergeAll is Merge for all entries, in order: all of them are accepted or none.
func (m *Map[K, V]) MergeAll(ctx context.Context, entries ...Entry[K, V]) error {
	m.needMerge()
	return m.queue.push(ctx, nil, entries, merge, nil)
}

// MergeAllWait is MergeAll that returns when the entries that the values were folded into are settled, as
// [Queue.PushWait] does: with the errors of the batches that they were in, whoever else wrote to them. Those that Void took out
// have none.
func (m *Map[K, V]) MergeAllWait(ctx context.Context, entries ...Entry[K, V]) error {
	m.needMerge()
	return m.queue.pushWait(ctx, entries, merge)
}

// MergeAllResult is MergeAllWait in two steps, as [Queue.PushResult] is.
func (m *Map[K, V]) MergeAllResult(ctx context.Context, entries ...Entry[K, V]) (Result, error) {
	m.needMerge()
	return m.queue.pushResult(ctx, entries, merge)
}

func (m *Map[K, V]) needMerge() {
	if m.merge == nil && m.queue.gate != nil { // a zero Map has an error for it
		panic("partitioned: the config of the Map has no Merge")
	}
}

// Get returns what is held of key and would be sent by the next flush. What a flush has taken is not seen any more,
// whether it is being processed or waits for its turn.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	if m.queue.gate == nil {
		return value, false
	}
	p := m.locked(key)
	defer p.mu.Unlock()
	if p.at >= 0 {
		value, ok = p.stream.backlog.active.items[p.at].Value, true
	}
	return value, ok
}

// Delete takes key out, if Get would see it, and reports whether it did. Its items are counted as superseded, those who wait
// for it are told that all is well, and its version is remembered as if it had been delivered.
func (m *Map[K, V]) Delete(key K) (ok bool) {
	_, ok = m.Take(key)
	return ok
}

// Take is Get and Delete in one step: what it returns is not processed, and nobody else gets it.
func (m *Map[K, V]) Take(key K) (value V, ok bool) {
	if m.queue.gate == nil {
		return value, false
	}
	p := m.locked(key)
	if p.at < 0 {
		p.mu.Unlock()
		return value, false
	}
	value = p.stream.backlog.active.items[p.at].Value
	m.delete(p.stream, p.at)
	return value, true
}

// delete takes the entry at position at of active out, as superseded. It is called with the partition's lock, and gives that up.
func (m *Map[K, V]) delete(s *stream[Entry[K, V]], at int) {
	q, p := &m.queue, s.partition
	e := s.backlog.delete(at)
	p.mu.remove(int64(e.weight.items))
	q.remove(s, e)
	p.mu.Unlock()
	if e.completion != nil {
		e.completion.complete(nil)
	}
	if q.gate.waiting() {
		q.roomOf(s)
	}
}

// entryPlace is where the entry of a key stands.
type entryPlace[T any] struct {
	*partition[T]
	stream *stream[T]
	at     int // in active; -1: there is none
}

// locked returns where the entry of key stands, and holds the lock of its partition.
func (m *Map[K, V]) locked(key K) entryPlace[Entry[K, V]] {
	q := &m.queue
	hash := m.hash(key)
	p, name := q.locate(nil, Entry[K, V]{Key: key}, hash)
	p.mu.Lock()
	s := p.existing(name)
	if s == nil || p.mu.dead {
		return entryPlace[Entry[K, V]]{p, nil, -1}
	}
	return entryPlace[Entry[K, V]]{p, s, s.backlog.index.(*generation[K, V]).find(s.backlog.active.items, key, hash)}
}

// Len is the number of items that are pending: those that wait, and those in a call of Process.
func (m *Map[K, V]) Len() (queued, inFlight int) { return m.queue.Len() }

// LongestWait returns the age of the oldest caller that is waiting for capacity, as [Queue.LongestWait] does.
func (m *Map[K, V]) LongestWait() time.Duration { return m.queue.LongestWait() }

// Stats returns a snapshot, taken under the locks of all partitions.
func (m *Map[K, V]) Stats() Stats {
	st := m.queue.Stats()
	for i, mem := range m.memory {
		p := m.queue.partitions[i]
		p.mu.Lock()
		st.Remembered += int64(len(mem.pending) + len(mem.delivered))
		p.mu.Unlock()
	}
	return st
}

// Update changes the map as [Queue.Update] does.
func (m *Map[K, V]) Update(c Change) error { return m.queue.Update(c) }

// Flush makes due whatever is held and not paused, and returns when all of that is settled or ctx is done, whose cause it then returns.
func (m *Map[K, V]) Flush(ctx context.Context) error { return m.queue.Flush(ctx) }

// Shutdown stops accepting and delivers what is pending, as [Queue.Shutdown] does.
func (m *Map[K, V]) Shutdown(ctx context.Context) error { return m.queue.Shutdown(ctx) }

// arrived books the versions of keys, some at a time, so that no writer waits long, and forgets what it is time to forget. The
// batch is still in flight, so s exists, and nothing is cut from it.
func (m *Map[K, V]) arrived(s *stream[Entry[K, V]], keys []K, again map[K]struct{}, delivered bool) {
	const some = 256
	for len(keys) > 0 {
		n := min(some, len(keys))
		if !m.settleVersions(s, keys[:n], again, delivered) {
			return
		}
		keys = keys[n:]
		now := time.Now()
		for d := m.delivered.next(now); d != nil; d = m.delivered.next(now) {
			p := m.queue.partitions[d.partition]
			p.mu.Lock()
			m.memory[d.partition].forget(d)
			p.mu.Unlock()
		}
	}
}

// settleVersions is arrived for some keys. It reports false if nothing is held any more, and nothing will be written.
func (m *Map[K, V]) settleVersions(s *stream[Entry[K, V]], keys []K, again map[K]struct{}, delivered bool) bool {
	p := s.partition
	p.mu.Lock()
	for _, key := range keys {
		if p.mu.dead {
			p.mu.Unlock()
			return false
		}
		if _, ok := again[key]; ok {
			continue
		}
		b := &s.backlog
		if at := b.index.settled(b.active.items, Entry[K, V]{Key: key}, delivered); at >= 0 {
			m.delete(s, at) // a repetition
			p.mu.Lock()
		}
	}
	p.mu.Unlock()
	return true
}
