// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// walk goes through a value and everything in it, each value once, a map in the order of its keys.
//
// Values nest as deep as a request has bytes, and a goroutine whose stack overflows ends the process. So there is no recursion:
// the maps and lists that the walk is in are kept here, on the heap. The zero value is ready for use, by one goroutine at a time.
type walk struct {
	levels []opened // from the outermost on
	pairs  []pair   // of all maps in levels, sorted map by map
	steps  int      // values visited so far; growth is tested by it
}

// opened is a map or a list that the walk is in.
type opened struct {
	list      pcommon.Slice
	isMap     bool
	first     int // of its pairs; 0 in a list
	next, end int // in pairs or list
}

type pair struct {
	key   string
	value pcommon.Value
}

// visitor is told what a walk comes by.
type visitor interface {
	open(isMap bool, n int)                // a map or list of n elements begins
	element(i int, isMap bool, key string) // its element i comes next, in a map the value of key
	scalar(v pcommon.Value)                // a value that is neither
	close(isMap bool)                      // the map or list that was opened last ends
	enough() bool                          // the walk is to end here
}

// value shows v to a visitor.
func (w *walk) value(v pcommon.Value, to visitor) {
	w.visit(v, to)
	for len(w.levels) > 0 && !to.enough() {
		l := &w.levels[len(w.levels)-1]
		if l.next == l.end {
			to.close(l.isMap)
			w.leave(l)
			continue
		}
		i := l.next
		l.next++
		if l.isMap {
			p := w.pairs[i]
			to.element(i-l.first, true, p.key)
			w.visit(p.value, to)
		} else {
			to.element(i, false, "")
			w.visit(l.list.At(i), to)
		}
	}
	for len(w.levels) > 0 { // that was enough
		w.leave(&w.levels[len(w.levels)-1])
	}
}

func (w *walk) visit(v pcommon.Value, to visitor) {
	switch v.Type() {
	case pcommon.ValueTypeMap:
		w.steps++
		m := v.Map()
		to.open(true, m.Len())
		first := len(w.pairs)
		w.sort(m)
		w.levels = append(w.levels, opened{isMap: true, first: first, next: first, end: len(w.pairs)})
	case pcommon.ValueTypeSlice:
		w.steps++
		list := v.Slice()
		to.open(false, list.Len())
		w.levels = append(w.levels, opened{list: list, end: list.Len()})
	default:
		w.steps++
		to.scalar(v)
	}
}

// sort appends the pairs of m in the order of their keys. Should a key be there twice, its values stay in their order.
func (w *walk) sort(m pcommon.Map) {
	first := len(w.pairs)
	for k, v := range m.All() {
		w.pairs = append(w.pairs, pair{k, v})
	}
	byKey := func(a, b pair) int { return strings.Compare(a.key, b.key) }
	slices.SortStableFunc(w.pairs[first:], byKey)
}

// leave drops the innermost level, l, and what it refers to.
func (w *walk) leave(l *opened) {
	if l.isMap {
		w.drop(l.first)
	}
	*l = opened{}
	w.levels = w.levels[:len(w.levels)-1]
}

// drop removes the pairs from first on.
func (w *walk) drop(first int) {
	clear(w.pairs[first:])
	w.pairs = w.pairs[:first]
}

// keptLevels is how much room is kept for the next walk, in levels and in pairs.
const keptLevels = 1 << 10

// reset gives back the room that an unusual value took.
func (w *walk) reset() {
	if cap(w.levels) > keptLevels {
		w.levels = nil
	}
	if cap(w.pairs) > keptLevels {
		w.pairs = nil
	}
}
