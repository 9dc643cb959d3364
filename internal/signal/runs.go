// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"hash/maphash"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// run are deltas that stand in a row in a payload, and are to be added to those of a [table]. It only refers to them: nothing is altered before the
// payload is accepted. So it has no series twice, as somebody would have to add up the two: the second one begins another run.
type run[D summable[D]] struct {
	kind    *summation[D]
	points  slice[D]
	first   int // of points
	text    []byte
	begin   int // in text, of that of the first
	members []member
}

// member is a point of a run.
type member struct {
	hash uint64 // of the text of its series
	end  int    // of that, in the text of the run
}

// newRun makes a run of the points from first on, in the memory of one that has ended, if that is about as large: what is held keeps no more than
// twice what it needs.
func newRun[D summable[D]](k *summation[D], points slice[D], first int, text []byte, members []member) *run[D] {
	r, _ := k.ended.Get().(*run[D])
	if r != nil && (cap(r.text) > 2*len(text)+64 || cap(r.members) > 2*len(members)+4) {
		k.ended.Put(r)
		r = nil
	}
	if r == nil {
		r = &run[D]{kind: k}
	}
	r.points, r.first, r.text, r.members = points, first, append(r.text[:0], text...), append(r.members[:0], members...)
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
	return r.text[begin:m.end], m.hash, r.points.At(r.first + i)
}

func (r *run[D]) plus(added any) summed { return newTable(r).plus(added) }

func (r *run[D]) split(n int) (head, tail summed) {
	first, rest := *r, *r
	first.members, rest.members = r.members[:n:n], r.members[n:]
	rest.first, rest.begin = r.first+n, r.members[n-1].end
	return &first, &rest
}

func (r *run[D]) moveTo(m pmetric.Metric) {
	to := r.kind.of(m)
	for i := range r.members {
		r.points.At(r.first + i).MoveTo(to.AppendEmpty())
	}
}

// end gives the memory of a run to another one. All its points were added to a table, so it is no part of another run.
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
}

// sum calls f with the runs of the points of a metric, and with those that cannot be summed. delta names what two points need to have in common,
// besides their attributes, to be summed. It reports whether this one can be.
func sum[D summable[D], S slice[D]](w *pointWalk, points S, kind *summation[D], point func(D) Point, delta func(*pointWalk, D) (Name, bool)) {
	e, runs := w.encoder, &w.encoder.runs
	e.reset()
	var group Name // of the run; what is to be known of it besides stands in runs
	first := 0
	end := func(i, begin int) { // the run ends before point i, and its text where that of i begins
		if len(runs.members) > 0 {
			r := newRun(kind, points, first, e.buf[:begin], runs.members)
			w.f(ID{Group: group, Resource: w.resource, Sums: true}, Point{above: w.above, other: r})
		}
		first, runs.members, e.buf = i, runs.members[:0], append(e.buf[:0], e.buf[begin:]...)
		runs.seen.clear()
	}
	runs.seen.grow(points.Len())
	for i := range points.Len() {
		p, begin := points.At(i), len(e.buf)
		of, ok := delta(w, p)
		if !ok {
			end(i+1, begin)
			w.f(ID{Resource: w.resource}, point(p))
			continue
		}
		e.pointAttributes(p.Attributes(), &w.keys.Ignore)
		hash := maphash.Bytes(seriesSeed, e.buf[begin:])
		if of != group || w.keys.Apart || !runs.seen.add(hash) {
			end(i, begin)
			runs.seen.add(hash)
			group = of
		}
		runs.members = append(runs.members, member{hash, len(e.buf)})
	}
	end(points.Len(), len(e.buf))
	runs.reset()
	e.reset()
}

// reset gives back the room that an unusual metric took.
func (r *runs) reset() {
	if 16*(cap(r.members)+len(r.seen.slots)) > maxKept {
		*r = runs{}
	}
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
