// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Sums is what is to be known of records that stand for several. Those of metrics do, if deltas are summed.
type Sums[R any] interface {
	// Len returns how many records r stands for.
	Len(r R) int

	// Add returns held, and in it what added stands for, of the same identity: what both have is added up. Neither argument is to be used afterwards.
	Add(held, added R) R

	// Split takes r apart: head stands for its first n, and tail for the rest. Nothing is added to them.
	Split(r R, n int) (head, tail R)
}

// pointSums are the sums of [Point].
type pointSums struct{}

func (pointSums) Len(r Point) int {
	if s, ok := r.other.(summed); ok {
		return s.len()
	}
	return 1
}

func (pointSums) Add(held, added Point) Point {
	held.other = held.other.(summed).plus(added.other)
	return held
}

func (pointSums) Split(r Point, n int) (head, tail Point) {
	head, tail = r, r
	head.other, tail.other = r.other.(summed).split(n)
	return head, tail
}

// summed is a [run] or [table], of one of the types of points.
type summed interface {
	len() int
	plus(added any) summed // a run of the same type
	split(n int) (head, tail summed)
	moveTo(m pmetric.Metric)
}

// summable is a data point that can be summed.
type summable[D any] interface {
	dataPoint
	movable[D]
}

// summation is what is to be known of a type of points that are summed.
type summation[D any] struct {
	add func(held, added D)
	of  func(pmetric.Metric) slice[D] // its points

	ended sync.Pool // of *run[D]
}

// table are the sums of a metric: of each series one point. What is the same for all points of a metric was looked up once for the request. For
// a point there is a hash of its attributes, and one place to look at.
type table[D summable[D]] struct {
	kind   *summation[D]
	series []series
	points []D     // of each of series
	slots  []int32 // positions of series plus 1; 0: free. Open addressing, linear probing, at most half in use
}

// series is the identity of a point below its metric.
type series struct {
	text string // what the Encoder wrote
	hash uint64
}

// newTable makes a table of the points of a run, which ends.
func newTable[D summable[D]](r *run[D]) *table[D] {
	t := &table[D]{kind: r.kind}
	t.grow(2 * r.len())
	texts, end := string(r.text), r.begin
	for i := range r.len() {
		text, hash, p := r.at(i)
		begin := end
		end += len(text)
		*t.free(hash) = t.put(series{texts[begin:end], hash}, p)
	}
	r.end()
	return t
}

func (t *table[D]) len() int { return len(t.points) }

func (t *table[D]) plus(added any) summed {
	r := added.(*run[D])
	t.grow(r.len())
	for i := range r.len() {
		text, hash, p := r.at(i)
		slot := t.slot(text, hash)
		if *slot != 0 {
			t.kind.add(t.points[*slot-1], p)
		} else {
			*slot = t.put(series{string(text), hash}, p)
		}
	}
	r.end()
	return t
}

// put adds the point of a series that t has not, and returns its position plus 1.
func (t *table[D]) put(of series, p D) int32 {
	t.series, t.points = append(t.series, of), append(t.points, p)
	return int32(len(t.points))
}

// slot returns where the position of a series stands, or is to be written. t has room for it.
func (t *table[D]) slot(text []byte, hash uint64) *int32 {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		at := t.slots[i]
		if at == 0 {
			return &t.slots[i]
		}
		if of := &t.series[at-1]; of.hash == hash && of.text == string(text) { // in full, as others may have its hash
			return &t.slots[i]
		}
	}
}

// grow makes room for n more series.
func (t *table[D]) grow(n int) {
	if 2*(t.len()+n) <= len(t.slots) {
		return
	}
	t.slots = make([]int32, slotsFor(t.len()+n))
	for i, of := range t.series {
		*t.free(of.hash) = int32(i + 1)
	}
}

// free returns the slot for a series with this hash that t has not.
func (t *table[D]) free(hash uint64) *int32 {
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	return &t.slots[i]
}

// slotsFor returns how many slots there are to be for n of something: a power of two.
func slotsFor(n int) int {
	slots := 8
	for slots < 2*n {
		slots *= 2
	}
	return slots
}

func (t *table[D]) split(n int) (head, tail summed) {
	return &table[D]{kind: t.kind, points: t.points[:n:n]}, &table[D]{kind: t.kind, points: t.points[n:]}
}

func (t *table[D]) moveTo(m pmetric.Metric) {
	to := t.kind.of(m)
	for _, p := range t.points {
		p.MoveTo(to.AppendEmpty())
	}
}
