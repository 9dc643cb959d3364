// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"slices"
	"sync"
)

// memory bounds the stored payloads that are also in memory. Beyond the limit it drops payloads from memory, and they are read back when
// their turn comes: the newest ones of the stream that holds most. So the tenant whose backend is down pays for it, and nobody else.
//
// A part counts from when it is written until a consumer touches it: what is in a batch, or is requeued as one, is not counted.
type memory[P any] struct {
	limit int64 // bytes, as encoded; immutable

	mu struct { // guards everything in it, and kept.residence. A leaf: it is taken under no lock, and none is taken under it
		sync.Mutex
		bytes   int64
		streams map[string]*residents[P]
	}
}

// residents are the parts of one stream that are in memory, in the order in which they were written, and some that have left.
type residents[P any] struct {
	parts []*kept[P]
	head  int // all before it left
	bytes int64
}

// residence is where a part stands.
type residence int8

const (
	unwritten residence = iota
	resident
	left // delivered, about to be, or dropped from memory
)

func newMemory[P any](limit int64) *memory[P] {
	m := &memory[P]{limit: limit}
	m.mu.streams = map[string]*residents[P]{}
	return m
}

// add counts parts that were just written, and returns those that have to leave memory for it.
func (m *memory[P]) add(parts []kept[P]) (leave []*kept[P]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range parts {
		k := &parts[i]
		if k.entry == nil || k.residence != unwritten {
			continue // a consumer was faster
		}
		s := m.mu.streams[k.key]
		if s == nil {
			s = &residents[P]{}
			m.mu.streams[k.key] = s
		}
		k.residence = resident
		s.parts = append(s.parts, k)
		s.bytes += k.size()
		m.mu.bytes += k.size()
	}
	if m.mu.bytes > m.limit {
		leave = m.evict(m.limit - m.limit/8)
	}
	return leave
}

// evict takes parts out until no more than so many bytes are left. It looks at all streams once for each sixteenth of that, or for each
// stream that it empties. mu is held.
func (m *memory[P]) evict(most int64) (leave []*kept[P]) {
	for m.mu.bytes > most {
		var name string
		var largest *residents[P]
		for n, s := range m.mu.streams {
			if largest == nil || s.bytes > largest.bytes {
				name, largest = n, s
			}
		}
		for until := max(m.mu.bytes-max(most/16, 1), most); m.mu.bytes > until && largest.bytes > 0; {
			k := largest.parts[len(largest.parts)-1]
			largest.parts = largest.parts[:len(largest.parts)-1]
			if k.residence == resident {
				m.leave(largest, k)
				leave = append(leave, k)
			}
		}
		if largest.bytes == 0 {
			delete(m.mu.streams, name)
		}
	}
	return leave
}

// remove is told that a consumer touches a part, or that it was dropped. It may be called twice.
func (m *memory[P]) remove(k *kept[P]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k.residence != resident {
		k.residence = left
		return
	}
	s := m.mu.streams[k.key]
	if m.leave(s, k); s.bytes == 0 {
		delete(m.mu.streams, k.key)
		return
	}
	for s.parts[s.head].residence == left { // the oldest leave first
		s.parts[s.head] = nil
		s.head++
	}
	if 2*s.head >= len(s.parts) {
		s.parts, s.head = slices.Clone(s.parts[s.head:]), 0
	}
}

// leave books that a part is not in memory any more. mu is held.
func (m *memory[P]) leave(s *residents[P], k *kept[P]) {
	k.residence = left
	s.bytes -= k.size()
	m.mu.bytes -= k.size()
}

// used is the number of bytes that are counted.
func (m *memory[P]) used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.bytes
}
