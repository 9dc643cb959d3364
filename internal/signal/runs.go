// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"hash/maphash"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// run are deltas of one metric of a payload, and are to be added to those of a [table]. It only refers to them: nothing is altered before the
// payload is accepted. So it has no series twice, as somebody would have to add up the two: the second one begins another run.
type run[D summable[D]] struct {
	kind    *summation[D]
	points  slice[D] // of the metric
	text    []byte
	begin   int // in text, of that of the first
	members []member
}

// member is a point of a run.
type member struct {
	hash uint64 // of the text of its series
	end  int    // of that, in the text of the run
	at   int    // of points
}

// newRun makes a run of points in the memory of one that has ended, if that is about as large: what is held keeps no more than
// twice what it needs.
func newRun[D summable[D]](k *summation[D], points slice[D], text []byte, members []member) *run[D] {
	r, _ := k.ended.Get().(*run[D])
	if r != nil && (cap(r.text) > 2*len(text)+64 || cap(r.members) > 2*len(members)+4) {
		k.ended.Put(r)
		r = nil
	}
	if r == nil {
		r = &run[D]{kind: k}
	}
	r.points, r.text, r.members = points, append(r.text[:0], text...), append(r.members[:0], members...)
	return r
}

func (r *run[D]) len() int { return len(r.members) }

// at returns what the Encoder wrote of the series of point i, its hash, and the point.
func (r *run[D]) at(i int) (text []byte, hash uint64, p D) {
	begin := r.begin
	if i > 0 {
		begin = r.members[i-1].end
	}
	m := r.members[i]
	return r.text[begin:m.end], m.hash, r.points.At(m.at)
}

func (r *run[D]) plus(added any) summed { return newTable(r).plus(added) }

func (r *run[D]) split(n int) (head, tail summed) {
	first, rest := *r, *r
	first.members, rest.members = r.members[:n:n], r.members[n:]
	rest.begin = r.members[n-1].end
	return &first, &rest
}

func (r *run[D]) moveTo(m pmetric.Metric) {
	to := r.kind.of(m)
	for _, m := range r.members {
		r.points.At(m.at).MoveTo(to.AppendEmpty())
	}
}

// end gives the memory of a run to another one. All its points were added to a table. No other run has that memory: those that split makes
// share theirs, and are added to nothing.
func (r *run[D]) end() {
	r.points = nil
	r.kind.ended.Put(r)
}

// seriesSeed is that of the hashes of all series.
var seriesSeed = maphash.MakeSeed()

// runs makes the runs of a metric one after the other. It is used for many metrics. The text of a run is written by the Encoder.
type runs struct {
	members []member
	seen    seen // the hashes of members
	parts   partOrder
}

// sum calls f with the runs of the points of a metric, and with those that cannot be summed. delta names what two points need to have in common,
// besides their attributes, to be summed. It reports whether this one can be.
func sum[D summable[D], S slice[D]](w *pointWalk, points S, kind *summation[D], point func(D) Point, delta func(*pointWalk, D) (Name, bool)) {
	e, runs := w.encoder, &w.encoder.runs
	e.reset()
	var group Name // of the run, and its part; what is to be known of it besides stands in runs
	part := 0
	end := func(begin int) { // the run ends, and its text where that of the next one begins
		if len(runs.members) > 0 {
			r := newRun(kind, points, e.buf[:begin], runs.members)
			w.f(ID{Group: group, Resource: w.resource, Item: w.item + runs.members[0].at, Sums: true}, Point{above: w.above, other: r})
		}
		runs.members, e.buf = runs.members[:0], append(e.buf[:0], e.buf[begin:]...)
		runs.seen.clear()
	}
	runs.seen.grow(points.Len())
	order := w.byPart(points.Len())
	for i := range points.Len() {
		if order != nil {
			i = order[i]
		}
		p, begin := points.At(i), len(e.buf)
		of, ok := delta(w, p)
		if !ok {
			end(begin)
			w.f(ID{Resource: w.resource, Item: w.item + i}, point(p))
			continue
		}
		e.pointAttributes(p.Attributes(), &w.keys.Ignore)
		hash := maphash.Bytes(seriesSeed, e.buf[begin:])
		if of != group || w.partOf(i) != part || !runs.seen.add(hash) {
			end(begin)
			runs.seen.add(hash)
			group, part = of, w.partOf(i)
		}
		runs.members = append(runs.members, member{hash, len(e.buf), i})
	}
	end(len(e.buf))
	runs.reset()
	e.reset()
}

// reset gives back the room that an unusual metric took.
func (r *runs) reset() {
	o := &r.parts
	if 24*cap(r.members)+16*(len(r.seen.slots)+cap(o.ends))+8*(cap(o.next)+cap(o.met)+cap(o.ordered)) > maxKept {
		*r = runs{}
	}
}

// partOf returns the part of point i of the metric.
func (w *pointWalk) partOf(i int) int {
	if w.keys.Parts == nil {
		return 0
	}
	return w.keys.Parts[w.item+i]
}

// byPart returns the n points of the metric in the order of their parts; nil: they stand in it.
func (w *pointWalk) byPart(n int) []int {
	if w.keys.Parts == nil {
		return nil
	}
	return w.encoder.runs.parts.order(w.keys.Parts[w.item : w.item+n])
}

// partOrder puts points in the order of their parts, in linear time, however many parts a payload has.
type partOrder struct {
	ends    []partEnds // of each part
	next    []int      // for each point, the next one of its part; 0: it is the last one
	met     []int      // the parts of the points
	ordered []int
}

// partEnds are the first and the last of the points of a part, counted from 1. Zero: it has none.
type partEnds struct{ first, last int }

// order returns the positions in parts, which says the part of each point, so that those of one part stand in a row, in their order.
func (o *partOrder) order(parts []int) []int {
	o.next, o.met, o.ordered = o.next[:0], o.met[:0], o.ordered[:0]
	for i, part := range parts {
		if part >= len(o.ends) {
			o.ends = append(o.ends, make([]partEnds, part+1-len(o.ends))...)
		}
		ends := &o.ends[part]
		if ends.first == 0 {
			ends.first = i + 1
			o.met = append(o.met, part)
		} else {
			o.next[ends.last-1] = i + 1
		}
		ends.last = i + 1
		o.next = append(o.next, 0)
	}
	for _, part := range o.met {
		for i := o.ends[part].first; i > 0; i = o.next[i-1] {
			o.ordered = append(o.ordered, i-1)
		}
		o.ends[part] = partEnds{}
	}
	return o.ordered
}

// seen is a set of hashes, which costs nothing to clear.
type seen struct {
	slots []seenSlot // open addressing, linear probing, at most half in use
	round uint64     // what is in the slots of others is not in the set
}

type seenSlot struct{ hash, round uint64 }

// grow makes room for n hashes in all.
func (s *seen) grow(n int) {
	if 2*n > len(s.slots) {
		*s = seen{slots: make([]seenSlot, slotsFor(n))}
	}
}

func (s *seen) clear() { s.round++ }

// add reports whether hash is new.
func (s *seen) add(hash uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := &s.slots[i]
		switch {
		case slot.round != s.round:
			*slot = seenSlot{hash, s.round}
			return true
		case slot.hash == hash:
			return false
		}
	}
}
