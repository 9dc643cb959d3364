// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// node is a stream's place in the lists of the scheduler, which owns it.
type node[T any] struct {
	deadline  time.Time
	heapIndex int    // in a heap; -1: in none
	turn      uint64 // when it became due, in order
	failing   bool   // its last call failed
	busy      bool   // it counts as one of the failing that have a consumer

	prev, next *stream[T] // in a fifo
}

// fifo is a list of streams, linked through them.
type fifo[T any] struct{ first, last *stream[T] }

func (f *fifo[T]) push(s *stream[T]) {
	if f.last == nil {
		f.first = s
	} else {
		f.last.node.next = s
	}
	s.node.prev = f.last
	f.last = s
}

func (f *fifo[T]) pop() *stream[T] {
	s := f.first
	f.remove(s)
	return s
}

func (f *fifo[T]) has(s *stream[T]) bool { return s.node.prev != nil || f.first == s }

func (f *fifo[T]) remove(s *stream[T]) {
	prev, next := s.node.prev, s.node.next
	s.node.prev, s.node.next = nil, nil
	if prev == nil {
		f.first = next
	} else {
		prev.node.next = next
	}
	if next == nil {
		f.last = prev
	} else {
		next.node.prev = prev
	}
}

// heap is a binary heap of streams by deadline. A stream knows its place in it, so that any can be removed; a stream
// outside has heapIndex -1.
type heap[T any] struct{ all []*stream[T] }

func (h *heap[T]) top() *stream[T] {
	if len(h.all) == 0 {
		return nil
	}
	return h.all[0]
}

func (h *heap[T]) push(s *stream[T]) {
	h.all = append(h.all, s)
	h.up(len(h.all)-1, s)
}

func (h *heap[T]) remove(s *stream[T]) {
	i, n := s.node.heapIndex, len(h.all)-1
	last := h.all[n]
	h.all[n] = nil
	h.all = h.all[:n]
	s.node.heapIndex = -1
	if n == 0 && cap(h.all) > maxEmpty {
		h.all = nil
	}
	if i < n {
		h.down(i, last)
		if last.node.heapIndex == i {
			h.up(i, last)
		}
	}
}

// up and down move s, whose place is the hole at i, to where it belongs.
func (h *heap[T]) up(i int, s *stream[T]) {
	for i > 0 {
		parent := (i - 1) / 2
		if !s.node.deadline.Before(h.all[parent].node.deadline) {
			break
		}
		h.set(i, h.all[parent])
		i = parent
	}
	h.set(i, s)
}

func (h *heap[T]) down(i int, s *stream[T]) {
	for {
		child := 2*i + 1
		if child >= len(h.all) {
			break
		}
		if right := child + 1; right < len(h.all) && h.all[right].node.deadline.Before(h.all[child].node.deadline) {
			child = right
		}
		if !h.all[child].node.deadline.Before(s.node.deadline) {
			break
		}
		h.set(i, h.all[child])
		i = child
	}
	h.set(i, s)
}

func (h *heap[T]) set(i int, s *stream[T]) {
	h.all[i] = s
	s.node.heapIndex = i
}
