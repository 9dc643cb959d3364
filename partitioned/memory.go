// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// memory holds the versions of the keys of a partition of a Map, from when they were put until some time after their flush. Guarded
// by the partition's lock.
type memory[K comparable] struct {
	keep  time.Duration
	limit int // of versions that are flushed

	of    map[K]stamp
	queue []flushedKey[K] // in the order of their flush; those before first are gone
	first int
}

// stamp is the version of a key.
type stamp struct {
	version int64
	flushed time.Time // zero: it is pending, and not forgotten
}

type flushedKey[K comparable] struct {
	key K
	at  time.Time
}

// version returns what is remembered of key.
func (m *memory[K]) version(key K) (version int64, ok bool) {
	s, ok := m.of[key]
	if ok && !s.flushed.IsZero() && time.Since(s.flushed) >= m.keep {
		delete(m.of, key)
		return 0, false
	}
	return s.version, ok
}

// flushed books that key is no longer pending, and forgets versions whose time is over.
func (m *memory[K]) flushed(key K, now time.Time) {
	if s, ok := m.of[key]; ok {
		m.of[key] = stamp{s.version, now}
		m.queue = append(m.queue, flushedKey[K]{key, now})
	}
	for m.first < len(m.queue) && (len(m.queue)-m.first > m.limit || now.Sub(m.queue[m.first].at) >= m.keep) {
		gone := m.queue[m.first]
		// It may have been put again, and even been flushed again, since.
		if s, ok := m.of[gone.key]; ok && s.flushed.Equal(gone.at) {
			delete(m.of, gone.key)
		}
		m.queue[m.first] = flushedKey[K]{}
		m.first++
	}
	if m.first > len(m.queue)/2 {
		n := copy(m.queue, m.queue[m.first:])
		clear(m.queue[n:])
		m.queue, m.first = m.queue[:n], 0
	}
}
