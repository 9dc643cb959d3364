// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"iter"
	"sync"
	"time"
)

// lane is one partition: a lock and the streams behind it. Appends and swaps happen under the lock, and the accounts are
// kept; no foreign code runs there (I4).
type lane[T any] struct {
	// What a push writes stands in one cache line, up to gate.word: where the lock goes from processor to processor, each
	// line more that it takes along shows.
	mu struct { // before the scheduler's lock; several lanes in the order of their numbers
		lock
		pushed
		*counts
		dead bool // the deadline of Shutdown is over, all has been counted: nothing moves any more
	}
	gate gate // of the queue if this is its only lane: beside the lock, which is held when room is taken

	number  int
	streams map[string]*stream[T]   // by key; empty where streams are not by key
	most    int                     // streams that there have been at once since the map was made
	sole    *stream[T]              // the one stream of a lane without keys; nil with keys
	apart   map[*stream[T]]struct{} // streams made of a Rest where there is no order to keep
	unused  []*stream[T]            // to be used again
	buffers *buffers[T]             // of the queue
}

// pushed and counts are the accounts of a lane, in items. I1: accepted = forwarded + returned + superseded + failed +
// evicted + lost + queued + inFlight.
type pushed struct {
	accepted, queued int64
	superseded       int64 // replaced, or deleted, in a Map
}

type counts struct {
	inFlight            int64 // pending, with queued
	forwarded, returned int64
	failed, lost        int64 // dropped: nobody waited for the error; Shutdown's deadline was over
	evicted             int64 // dropped: made room for newer ones
	retried, oversized  int64
	calls               int64 // batches in flight
	batches             [Shutdown + 1]int64
}

// entry is an item on its way, and who waits for it.
type entry[T any] struct {
	item   T
	origin *origin // nil: nobody
}

// gone is the origin of an entry that was deleted or evicted, and that a cut passes over.
var gone = &origin{}

// chunk is a swapped-out buffer.
type chunk[T any] struct {
	entries []entry[T]
	born    time.Time // when the first entry came
}

// left goes over what is left in chunks, where so many entries of the first are gone.
func left[T any](chunks []chunk[T], gone int) iter.Seq2[int, []entry[T]] {
	return func(yield func(int, []entry[T]) bool) {
		for i, c := range chunks {
			if !yield(i, c.entries[gone:]) {
				return
			}
			gone = 0
		}
	}
}

// place is where a stream stands, as its lane sees it.
type place int8

const (
	idle    place = iota // active and draining are empty
	timed                // waits for more, or for its time
	ready                // waits for a worker
	parked               // waits for its Rest's time
	cutting              // a worker cuts a batch from draining
	busy                 // a worker has a batch of it in flight
)

// stream is the pending data of one key in one lane. Writers append to active, and put it into filled when it is. The worker
// that takes the stream swaps both into draining, and cuts a batch from there; what is left stays in front of what comes.
//
//	Push ──append──► active ──swap──► draining ──cut──► batch ──► Process
//	                                     ▲                          │
//	                                     └───────── Rest ───────────┘
type stream[T any] struct {
	// Guarded by lane.mu. The first are what a push touches, in one cache line.
	active  []entry[T] // writers append here
	queued  Weight     // of active and draining
	held    int64      // room taken: active, draining and in flight
	waited  int32      // entries of active and draining that somebody waits for
	place   place
	blocked bool     // callers stand in line for room of this key
	apart   bool     // made of a Rest, in the lane's apart; immutable
	holes   int32    // entries of active that are gone
	front   int32    // entries at the beginning of filled, or of active if that is empty, that are gone
	index   index[T] // where in active a Map's entries stand; nil in a Queue

	filled []chunk[T] // what was active before, since the last swap; in a Map nothing, as its index leads into active
	spare  []entry[T] // an empty buffer for active to swap with
	born   time.Time  // when active got its first entry
	calls  []*call[T] // in flight; at most one where order is kept (I2)

	// Guarded by lane.mu, but while place is cutting: then they are the worker's.
	draining []chunk[T]
	cursor   int    // entries of draining[0] that are gone
	left     Weight // of draining

	// Guarded by the line's lock.
	line   waiters[T] // callers that wait for room of this key
	called bool       // one of them has its turn in the common line

	// Guarded by the scheduler's lock.
	deadline  time.Time
	heapIndex int // in a heap; -1: in none
	next      *stream[T]

	key  string
	lane *lane[T]
}

const (
	bufferSize = 1024    // entries of a buffer; a smaller one grows, and a Map's grows on
	maxSpare   = 1 << 16 // entries of a buffer that a stream keeps for use again
)

// buffers are buffers of bufferSize, to be used again: however much is pending, nothing of it is copied to make room for
// more, while writers wait.
type buffers[T any] struct{ pool sync.Pool } // of *[bufferSize]entry[T]

func (p *buffers[T]) get() []entry[T] {
	if b, ok := p.pool.Get().(*[bufferSize]entry[T]); ok {
		return b[:0]
	}
	return make([]entry[T], 0, bufferSize)
}

// put takes back a buffer without entries, if it is of that size.
func (p *buffers[T]) put(b []entry[T]) (ok bool) {
	if ok = cap(b) == bufferSize; ok {
		p.pool.Put((*[bufferSize]entry[T])(b[:bufferSize]))
	}
	return ok
}

// append adds an item behind all others. lane.mu held.
func (s *stream[T]) append(item T, o *origin) {
	if len(s.active) == cap(s.active) {
		s.extend()
	}
	if len(s.active) == 0 {
		s.born = time.Now() // the only clock on the way of a push, and only in an empty buffer
	}
	if o != nil {
		s.waited++
	}
	s.active = append(s.active, entry[T]{item, o})
}

// extend puts a full active aside if it is large enough. lane.mu held.
func (s *stream[T]) extend() {
	if len(s.active) < bufferSize || s.index != nil {
		return
	}
	s.filled = append(s.filled, chunk[T]{s.active, s.born})
	s.active, s.holes = s.lane.buffers.get(), 0
}

// swap hands what was written over to draining. lane.mu held.
func (s *stream[T]) swap() {
	if len(s.active) == 0 {
		return
	}
	s.draining = append(append(s.draining, s.filled...), chunk[T]{s.active, s.born})
	if clear(s.filled); cap(s.filled) > maxEmpty {
		s.filled = nil
	}
	s.filled = s.filled[:0]
	if cap(s.active) == bufferSize && s.index == nil {
		s.active = s.lane.buffers.get() // there will be as much again
	} else {
		s.active, s.spare = s.spare, nil
	}
	s.left = s.queued
	s.holes, s.front = 0, 0
	if s.index != nil {
		s.index.swap()
	}
}

// oldest is when the buffer of the oldest entry was begun.
func (s *stream[T]) oldest() time.Time {
	if len(s.draining) > 0 {
		return s.draining[0].born
	}
	return s.oldestWritten()
}

// oldestWritten is oldest without what was swapped out.
func (s *stream[T]) oldestWritten() time.Time {
	if len(s.filled) > 0 {
		return s.filled[0].born
	}
	return s.born
}

// prepend puts entries before all others. lane.mu held.
func (s *stream[T]) prepend(c chunk[T]) {
	if s.cursor > 0 {
		s.draining[0].entries = s.draining[0].entries[s.cursor:]
		s.cursor = 0
	}
	s.draining = append([]chunk[T]{c}, s.draining...)
}

// existing is the stream of key; nil: there is none. lane.mu held.
func (l *lane[T]) existing(key string) *stream[T] {
	if l.sole != nil {
		return l.sole
	}
	return l.streams[key]
}

// open finds the stream of key, or makes it if q's number of keys allows. lane.mu held.
func (l *lane[T]) open(q *Queue[T], key string) (*stream[T], error) {
	if l.sole != nil {
		return l.sole, nil
	}
	if s, ok := l.streams[key]; ok {
		return s, nil
	}
	if l.mu.dead {
		return nil, ErrClosed
	}
	if !q.takeKey() {
		return nil, ErrTooManyKeys
	}
	var s *stream[T]
	if n := len(l.unused); n > 0 {
		s, l.unused = l.unused[n-1], l.unused[:n-1]
	} else {
		s = q.newStream(l)
	}
	s.key = key
	l.streams[key] = s
	l.most = max(l.most, len(l.streams))
	return s, nil
}

func newStream[T any](l *lane[T]) *stream[T] { return &stream[T]{lane: l, heapIndex: -1} }

func (q *Queue[T]) newStream(l *lane[T]) *stream[T] {
	s := newStream(l)
	if q.newIndex != nil {
		s.index = q.newIndex(l.number)
	}
	return s
}

// forget removes s if it holds nothing: a key without pending data costs nothing (I5). lane.mu held.
func (l *lane[T]) forget(q *Queue[T], s *stream[T]) {
	if s == l.sole || s.place != idle || s.blocked || len(s.calls) > 0 {
		return
	}
	if _, ok := l.apart[s]; ok {
		delete(l.apart, s)
		return
	}
	if l.streams[s.key] != s {
		return // forgotten already: several parts of one push were for it
	}
	delete(l.streams, s.key)
	q.keys.Add(-1)
	if len(l.streams) == 0 && l.most > maxEmpty { // a map does not shrink
		l.streams, l.most = map[string]*stream[T]{}, 0
	}
	if s.index == nil && len(l.unused) < maxUnused && cap(s.active)+cap(s.spare) <= maxUnusedEntries {
		s.key = ""
		l.unused = append(l.unused, s)
	}
}

const (
	maxEmpty = 1024 // keys for which an empty map or heap keeps room

	maxUnused        = 64  // streams that a lane keeps for use again
	maxUnusedEntries = 256 // room for entries in each of them
)

// all calls f for every stream of the lane. lane.mu held.
func (l *lane[T]) all(f func(*stream[T])) {
	if l.sole != nil {
		f(l.sole)
	}
	for _, s := range l.streams {
		f(s)
	}
	for s := range l.apart {
		f(s)
	}
}
