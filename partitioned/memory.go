// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// memory holds the versions of the keys of a partition of a Map: those that are pending, and those that were delivered, for some
// time. What was dropped is not remembered, so that its repetition is sent. Guarded by the partition's lock.
type memory[K comparable] struct {
	pending   map[K]pendingVersion
	delivered map[K]*delivered[K]
	all       *deliveries[K] // of all partitions
	partition int
}

// pendingVersion is what is pending of a key: at most one entry of active, and one that was swapped out.
type pendingVersion struct {
	latest     int64 // of the entry in active, or if there is none of the other
	swapped    int64 // of the entry that was swapped out, if swappedToo
	swappedToo bool
	repeating  bool // both have the same version: that in active is superseded if the other is delivered
}

func newMemory[K comparable](partition int, all *deliveries[K]) *memory[K] {
	return &memory[K]{pending: map[K]pendingVersion{}, delivered: map[K]*delivered[K]{}, all: all, partition: partition}
}

// version returns the latest version that was delivered, and is not forgotten.
func (m *memory[K]) version(key K) (version int64, ok bool) {
	d := m.delivered[key]
	if d == nil || time.Since(d.at) >= m.all.keep {
		return 0, false
	}
	return d.version, true
}

// begin books a new entry of key in active.
func (m *memory[K]) begin(key K, version int64) {
	before, ok := m.pending[key]
	m.pending[key] = pendingVersion{latest: version, swapped: before.latest, swappedToo: ok, repeating: ok && before.latest == version}
}

// update books that the entry of key in active has another version, or with keep another value of the same version.
func (m *memory[K]) update(key K, version int64, keep bool) {
	p, ok := m.pending[key]
	if keep && !ok {
		return // it has none
	}
	if !keep {
		p.latest = version
	}
	p.repeating = false
	m.pending[key] = p
}

// leave books that the entry of key in active was deleted, which counts as delivered, or evicted.
func (m *memory[K]) leave(key K, deleted bool) {
	p, ok := m.pending[key]
	if !ok {
		return
	}
	if p.swappedToo {
		m.pending[key] = pendingVersion{latest: p.swapped}
	} else {
		delete(m.pending, key)
	}
	if deleted {
		m.deliver(key, p.latest)
	}
}

// settle books that the entry of key that was swapped out is no longer pending. held: there is one in active. It reports whether
// that one is superseded.
func (m *memory[K]) settle(key K, held, ok bool) (superseded bool) {
	p, known := m.pending[key]
	if !known || held && !p.swappedToo {
		return false
	}
	version := p.latest
	if held {
		version = p.swapped
		m.pending[key] = pendingVersion{latest: p.latest}
	} else {
		delete(m.pending, key)
	}
	if ok {
		m.deliver(key, version)
	}
	return ok && held && p.repeating
}

func (m *memory[K]) deliver(key K, version int64) {
	d := m.delivered[key]
	if d == nil {
		d = &delivered[K]{key: key, partition: m.partition}
		m.delivered[key] = d
	}
	if known, ok := m.version(key); !ok || version > known { // one whose time is over does not come back
		d.version = version
	}
	m.all.renew(d)
}

// deliveries is a list of the versions that were delivered, of all partitions of a Map, so that there is one bound of them. Its
// lock comes after those of the partitions.
type deliveries[K comparable] struct {
	keep  time.Duration
	limit int

	mu struct {
		sync.Mutex
		first, last *delivered[K]
		len         int
	}
}

// delivered is a version that was delivered. The partition's lock guards it; prev, next and listed are the list's, and at is
// written under both.
type delivered[K comparable] struct {
	key       K
	partition int
	version   int64
	at        time.Time

	prev, next *delivered[K]
	listed     bool
}

// renew makes d the last of the list, as of now.
func (l *deliveries[K]) renew(d *delivered[K]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.listed {
		l.remove(d)
	}
	d.at, d.listed = time.Now(), true
	d.prev = l.mu.last
	if l.mu.last == nil {
		l.mu.first = d
	} else {
		l.mu.last.next = d
	}
	l.mu.last = d
	l.mu.len++
}

// next takes the first out of the list if there are too many, or if its time is over.
func (l *deliveries[K]) next(now time.Time) *delivered[K] {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.mu.first
	if d == nil || l.mu.len <= l.limit && now.Sub(d.at) < l.keep {
		return nil
	}
	l.remove(d)
	return d
}

// forget removes d, which next took out, unless it was delivered again meanwhile. The lock of d's partition is held.
func (m *memory[K]) forget(d *delivered[K]) {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	if !d.listed && m.delivered[d.key] == d {
		delete(m.delivered, d.key)
	}
}

func (l *deliveries[K]) remove(d *delivered[K]) {
	if d.prev == nil {
		l.mu.first = d.next
	} else {
		d.prev.next = d.next
	}
	if d.next == nil {
		l.mu.last = d.prev
	} else {
		d.next.prev = d.prev
	}
	d.prev, d.next, d.listed = nil, nil, false
	l.mu.len--
}
