// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHeapGivesTheEarliest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := byDeadline[int]()
		in := map[*stream[int]]bool{}
		all := []*stream[int]{}
		zero := time.Unix(0, 0)
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0, 1:
				s := newStream[int](nil)
				s.node.deadline = zero.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "deadline")))
				h.push(s)
				in[s] = true
				all = append(all, s)
			case 2:
				if len(all) > 0 {
					if s := rapid.SampledFrom(all).Draw(rt, "any"); in[s] {
						h.remove(s)
						delete(in, s)
					}
				}
			case 3:
				if len(all) > 0 {
					if s := rapid.SampledFrom(all).Draw(rt, "moved"); in[s] {
						s.node.deadline = zero.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "to")))
						h.fix(s)
					}
				}
			case 4:
				if s := h.top(); s != nil {
					h.remove(s)
					delete(in, s)
				}
			}
			if len(h.all) != len(in) {
				rt.Fatalf("%d in the heap, %d were put in", len(h.all), len(in))
			}
			for i, s := range h.all {
				if s.node.heapIndex != i || !in[s] {
					rt.Fatalf("at %d: index %d, in: %v", i, s.node.heapIndex, in[s])
				}
				if top := h.top(); s.node.deadline.Before(top.node.deadline) {
					rt.Fatalf("%v is at the top, %v is in", top.node.deadline, s.node.deadline)
				}
			}
			for _, s := range all {
				if !in[s] && s.node.heapIndex != -1 {
					rt.Fatalf("outside, but index is %d", s.node.heapIndex)
				}
			}
		}
		last := zero
		for s := h.top(); s != nil; s = h.top() {
			if s.node.deadline.Before(last) {
				rt.Fatalf("%v came after %v", s.node.deadline, last)
			}
			last = s.node.deadline
			h.remove(s)
		}
	})
}

func TestFifoKeepsItsOrder(t *testing.T) {
	var f fifo[int]
	streams := []*stream[int]{{}, {}, {}}
	for range 2 { // used again, it is as new
		for _, s := range streams {
			f.push(s)
		}
		for i, want := range streams {
			if got := f.pop(); got != want || got.node.next != nil {
				t.Fatalf("%d: %p, want %p", i, got, want)
			}
			if i == 0 { // between two pops
				f.push(streams[0])
			}
		}
		if got := f.pop(); got != streams[0] || f.first != nil || f.last != nil {
			t.Fatalf("at the end: %p, %+v", got, f)
		}
	}
}
