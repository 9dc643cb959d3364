// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"sync/atomic"
)

// partition is a lock, the streams behind it, and their accounts. Appends and swaps happen under the lock, and nothing
// foreign runs there (I4), except for a Map's Merge, Supersede, Void and Weigh.
type partition[T any] struct {
	// What a push writes stands in one cache line, up to the word of the gate. The line moves with the lock from processor to
	// processor, and each further line costs as much again.
	mu struct { // before the scheduler's lock; several partitions in the order of their numbers
		lock
		accounts
		dead bool  // the deadline of Shutdown is over and everything was counted: nothing moves any more
		run  int32 // what is left of its run of items without a key; 0: none has begun. See turns
	}
	gate gate // of the queue if this is its only partition. It is entered under the lock, so it stands beside it

	number  int
	common  *common[T]
	streams map[string]*stream[T]   // by key; nil where streams are not by key
	most    int                     // streams that there have been at once since the map was made
	sole    *stream[T]              // the one stream of a partition without keys; nil with keys
	apart   map[*stream[T]]struct{} // streams of requeued items where there is no order to keep
	unused  []*stream[T]            // to be used again
	ranking *ranking[T]             // of the streams; nil unless Overflow is OverflowDropOldest, and after Shutdown
	pauses  pauses
}

// common is what the partitions of a queue share. It is immutable, except for what its fields point to.
type common[T any] struct {
	tuned     *atomic.Pointer[tuning]
	gate      *gate
	keys      *keyCount
	stuck     *atomic.Int64 // streams that are full, and of which nothing was forwarded since
	excess    *atomic.Int64 // units of all streams that the gate does not count, as they were restored beyond their shares
	memories  *memories[T]
	scheduler *scheduler[T]
	buffers   *buffers[T]
	newIndex  func(partition int) index[T] // nil in a Queue
	splits    bool                         // items can be split
	ordered   bool                         // streams have at most one batch in flight (I2)
	ranks     bool                         // partitions have a ranking
}

const (
	maxEmpty = 1024 // keys for which an empty map or heap keeps room

	maxUnused        = 64  // streams that a partition keeps for use again
	maxUnusedEntries = 256 // entries that the buffers of such a stream have room for
)

// newPartition makes a partition with one stream per key, or with one stream.
func newPartition[T any](number int, byKey bool, c *common[T]) *partition[T] {
	p := &partition[T]{number: number, common: c, apart: map[*stream[T]]struct{}{}}
	p.mu.settled = &settled{}
	if c.ranks {
		p.ranking = newRanking[T]()
	}
	if byKey {
		p.streams = map[string]*stream[T]{}
	} else {
		p.sole = newStream(p)
	}
	return p
}

// existing returns the stream of key, or nil if there is none. Lock held.
func (p *partition[T]) existing(key string) *stream[T] {
	if p.sole != nil {
		return p.sole
	}
	return p.streams[key]
}

// open makes a stream for key, which has none. Its key slot is taken with its units. Lock held.
func (p *partition[T]) open(key string) (*stream[T], error) {
	if p.mu.dead {
		return nil, ErrClosed
	}
	var s *stream[T]
	if n := len(p.unused); n > 0 {
		s, p.unused = p.unused[n-1], p.unused[:n-1]
	} else {
		s = newStream(p)
	}
	s.key, s.slot = key, slotFree
	p.streams[key] = s
	p.most = max(p.most, len(p.streams))
	return s, nil
}

// forget removes s if it holds nothing, and nobody waits for it: a key without pending data costs nothing (I5), except for a
// minute after a failed call. Lock held.
func (p *partition[T]) forget(s *stream[T]) {
	if s.state != idle || len(s.flights) > 0 {
		return
	}
	if s.freeSlot() {
		p.common.keys.n.Add(-1)
	}
	if s.apart {
		delete(p.apart, s)
	}
	if s == p.sole || s.apart || s.blocked || p.streams[s.key] != s || p.common.memories.keep(s) {
		return
	}
	delete(p.streams, s.key)
	if len(p.streams) == 0 && p.most > maxEmpty { // a map does not shrink
		p.streams, p.most = map[string]*stream[T]{}, 0
	}
	s.clear()
	if len(p.unused) < maxUnused && s.reusable() {
		p.unused = append(p.unused, s)
	}
}

// forgetAll removes every stream, at the deadline of Shutdown. Lock held.
func (p *partition[T]) forgetAll() {
	for _, s := range p.streams {
		if s.slot == slotTaken {
			p.common.keys.n.Add(-1)
		}
	}
	clear(p.streams)
	clear(p.apart)
	p.ranking = nil
}

// openApart makes a stream for requeued items that must not hold up the others. Lock held.
func (p *partition[T]) openApart() *stream[T] {
	s := newStream(p)
	s.apart = true
	p.apart[s] = struct{}{}
	return s
}

// all calls f for every stream. Lock held.
func (p *partition[T]) all(f func(*stream[T])) {
	if p.sole != nil {
		f(p.sole)
	}
	for _, s := range p.streams {
		f(s)
	}
	for s := range p.apart {
		f(s)
	}
}

// keyCount counts the keys of which something is pending. There are at most max, except for a push of more keys than that.
type keyCount struct {
	sync.Mutex // held to take slots if there is a max: together with units, so that none is given back
	n          atomic.Int64
	max        int64 // 0: no limit
}
