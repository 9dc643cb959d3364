// SPDX-License-Identifier: Apache-2.0

package partitioned

// write is how an item gets into its stream.
type write int8

const (
	add   write = iota // behind all others: what a Queue does
	put                // in place of what a Map holds of its key
	newer              // the same, if its version is greater
	merge              // folded into what the Map holds of its key
)

// overwrites reports whether the write replaces what is held by what is written.
func (how write) overwrites() bool { return how == put || how == newer }

// mapping is what makes a Map of a Queue of entries. Its zero value makes a Queue. That is the one decision: everything else
// asks the index, which does nothing in a Queue.
type mapping[T any] struct {
	newIndex func(partition int) index[T] // of a new stream; may run under the partition's lock
	hash     func(item T) uint64          // of its key; chooses the partition where no Key does
	// merges reports whether an item that is written as newer is merged instead. Nil: none is.
	merges func(item T) bool
	// supersedes: fold with newer calls a function of the user.
	supersedes bool
	// void reports whether what a merge made of item is taken out. The user's; it runs under the partition's lock. Nil: nothing is.
	void func(item T) bool
	// depart is told of a batch before Process, and returns what is told of its verdict after it. It remembers versions. Nil:
	// nobody is told. Both run under no lock.
	depart func(s *stream[T], c *call[T]) (arrive func(v Verdict[T]))
}

// howOf returns how an item of a push is written.
func (k *mapping[T]) howOf(item T, how write) write {
	if how == newer && k.merges != nil && k.merges(item) {
		return merge
	}
	return how
}

// index finds the entries of active by their key. The partition's lock guards it, except for clear.
type index[T any] interface {
	// position returns where in active the entry with the key of item stands, or -1. hash is that of the key.
	position(active []T, item T, hash uint64) int

	// slots returns the hash table that position looks into.
	slots() *table

	// fold writes item to held, which has the same key. It reports false if item is superseded itself (I3).
	fold(held *T, item T, how write) bool

	// first prepares item, whose key is not in active, to be appended at position at. It reports false if item is superseded
	// by a remembered version (I3).
	first(item T, hash uint64, how write, at int) (T, bool)

	// moved books that item stands at position to of active and no longer at from. A to of -1: it was removed.
	moved(item T, from, to int)

	// left books that item was removed from active: it was deleted, or else evicted.
	left(item T, deleted bool)

	// settled books that item, of an earlier active, is no longer pending: it was delivered, or else dropped. It returns the
	// position of the entry of active that item supersedes, or -1.
	settled(active []T, item T, delivered bool) (superseded int)

	// fell books that an entry was dropped that stands for others.
	fell(active []T, s stander)

	// swap begins a new active, in O(1). The consumer clears the table of the old one, without the lock, before the next
	// swap.
	swap()
	clear()
}

// noIndex is the index of a Queue.
type noIndex[T any] struct{}

func (noIndex[T]) position([]T, T, uint64) int                      { return -1 }
func (noIndex[T]) slots() *table                                    { return nil }
func (noIndex[T]) fold(*T, T, write) bool                           { return false }
func (noIndex[T]) first(item T, _ uint64, _ write, _ int) (T, bool) { return item, true }
func (noIndex[T]) moved(T, int, int)                                {}
func (noIndex[T]) left(T, bool)                                     {}
func (noIndex[T]) settled([]T, T, bool) int                         { return -1 }
func (noIndex[T]) fell([]T, stander)                                {}
func (noIndex[T]) swap()                                            {}
func (noIndex[T]) clear()                                           {}

// ahead is the number of items whose slots of the table are fetched at a time.
const ahead = 64

// insert writes item to the stream of a Map; its units are reserved in the gate. It reports whether some were given back for
// which somebody may wait. Partition's lock held.
func (q *Queue[T]) insert(s *stream[T], item T, hash uint64, w packedWeight, how write, c *completion) (freed bool, failed *PanicError) {
	b := &s.backlog
	units := q.units(w)
	if at := b.index.position(b.active.items, item, hash); at >= 0 {
		return q.replace(s, at, item, w, units, how, c)
	}
	void, failed := q.isVoid(item, how)
	if void {
		return q.supersede(s, w, units, c), nil
	}
	item, ok := b.index.first(item, hash, how, b.active.len())
	if !ok {
		return q.supersede(s, w, units, c), failed
	}
	quiet := b.append(item, c, w)
	s.accept(int64(w.items), units, quiet)
	return false, failed
}

// replace writes item, for which units are reserved in the gate, to the entry at position at. failed: a function of the user panicked.
// Partition's lock held.
func (q *Queue[T]) replace(s *stream[T], at int, item T, w packedWeight, units int64, how write, c *completion) (freed bool, failed *PanicError) {
	b := &s.backlog
	used, failed := q.fold(b, at, item, how)
	switch {
	case failed != nil:
		s.partition.mu.fail(int64(w.items), c != nil)
		return q.giveBackFor(units, c, failed), failed
	case !used:
		return q.supersede(s, w, units, c), nil
	}
	void, failed := q.isVoid(b.active.items[at], how)
	if void {
		return q.annihilate(s, at, w, units, c), nil
	}
	before, after := b.active.note(at).weight, w
	if how == merge {
		after = q.reweigh(b.active.items[at], before)
	}
	more := q.units(after) - q.units(before)
	s.partition.mu.replace(int64(w.items), int64(after.items)-int64(before.items))
	if c != nil || after != before { // mostly neither: then s is only read
		b.replaced(at, after, c)
		s.reserve(more)
		s.moveOn()
	}
	return q.giveBack(units - more), failed
}

// annihilate takes out the entry at position at, which an item of weight w made void: both are superseded, and whoever waits for one
// of them is told that all is well. Units are reserved in the gate for the item. The stream keeps its state, as the push may write more to
// it; write tidies it. Partition's lock held.
func (q *Queue[T]) annihilate(s *stream[T], at int, w packedWeight, units int64, c *completion) (freed bool) {
	e := s.backlog.delete(at)
	s.partition.mu.remove(int64(e.weight.items))
	q.giveBackOf(s, e)
	if e.completion != nil {
		e.completion.complete(nil)
	}
	return q.supersede(s, w, units, c)
}

// supersede books an item that an earlier one supersedes (I3). Partition's lock held.
func (q *Queue[T]) supersede(s *stream[T], w packedWeight, units int64, c *completion) (freed bool) {
	s.partition.mu.supersede(int64(w.items))
	return q.giveBackFor(units, c, nil)
}

// giveBackFor is giveBack for an item that is settled at once, for c if somebody waits. Partition's lock held.
func (q *Queue[T]) giveBackFor(units int64, c *completion, err error) (freed bool) {
	if c != nil {
		c.complete(err)
	}
	return q.giveBack(units)
}

// giveBack gives back units that the gate has counted and the stream has not, and reports whether somebody may wait for them.
// Partition's lock held.
func (q *Queue[T]) giveBack(units int64) (freed bool) {
	if units == 0 {
		return false
	}
	return q.gate.leave(units)
}
