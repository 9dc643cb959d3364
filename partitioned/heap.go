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

// heap is a binary heap. An element knows its place in it, so that any can be moved and removed; one outside has place -1.
type heap[E any] struct {
	all    []*E
	before func(a, b *E) bool // immutable, as place is
	place  func(e *E) *int
}

// byDeadline makes a heap of streams whose deadline comes first.
func byDeadline[T any]() heap[stream[T]] {
	return heap[stream[T]]{
		before: func(a, b *stream[T]) bool { return a.node.deadline.Before(b.node.deadline) },
		place:  func(s *stream[T]) *int { return &s.node.heapIndex },
	}
}

func (h *heap[E]) top() *E {
	if len(h.all) == 0 {
		return nil
	}
	return h.all[0]
}

func (h *heap[E]) push(e *E) {
	h.all = append(h.all, e)
	h.up(len(h.all)-1, e)
}

// fix moves e to where it belongs.
func (h *heap[E]) fix(e *E) {
	i := *h.place(e)
	if h.down(i, e); *h.place(e) == i {
		h.up(i, e)
	}
}

func (h *heap[E]) remove(e *E) {
	i, n := *h.place(e), len(h.all)-1
	last := h.all[n]
	h.all[n] = nil
	h.all = h.all[:n]
	*h.place(e) = -1
	if n == 0 && cap(h.all) > maxEmpty {
		h.all = nil
	}
	if i < n {
		h.set(i, last)
		h.fix(last)
	}
}

// up and down move e, whose place is the hole at i, to where it belongs.
func (h *heap[E]) up(i int, e *E) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.before(e, h.all[parent]) {
			break
		}
		h.set(i, h.all[parent])
		i = parent
	}
	h.set(i, e)
}

func (h *heap[E]) down(i int, e *E) {
	for {
		child := 2*i + 1
		if child >= len(h.all) {
			break
		}
		if right := child + 1; right < len(h.all) && h.before(h.all[right], h.all[child]) {
			child = right
		}
		if !h.before(h.all[child], e) {
			break
		}
		h.set(i, h.all[child])
		i = child
	}
	h.set(i, e)
}

func (h *heap[E]) set(i int, e *E) {
	h.all[i] = e
	*h.place(e) = i
}
