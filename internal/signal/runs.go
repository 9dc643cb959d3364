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
	text    string
	begin   int // in text, of that of the first
	members []member
}

// member is a point of a run.
type member struct {
	hash uint64 // of the text of its series
	end  int    // of that, in the text of the run
}

func (r *run[D]) len() int { return len(r.members) }

func (r *run[D]) at(i int) (series, D) {
	begin := r.begin
	if i > 0 {
		begin = r.members[i-1].end
	}
	m := r.members[i]
	return series{r.text[begin:m.end], m.hash}, r.points.At(r.first + i)
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

// runs makes the runs of the points of one metric after the other. It is used for many payloads.
type runs struct {
	texts []byte // of the run that is being made
	seen  seen   // the hashes in it
}

// seriesSeed is that of the hashes of all series.
var seriesSeed = maphash.MakeSeed()

// sum calls f with the runs of the points of a metric, and with those that cannot be summed. delta names what two points need to have in common,
// besides their attributes, to be summed. It reports whether this one can be.
func sum[D summable[D], S slice[D]](w *pointWalk, points S, kind *summation[D], point func(D) Point, delta func(*pointWalk, D) (Name, bool)) {
	e := w.encoder
	var r *run[D] // nil: none has begun
	var group Name
	end := func() {
		if r != nil {
			r.text, e.runs.texts = string(e.runs.texts), e.runs.texts[:0]
			w.f(ID{Group: group, Resource: w.resource, Sums: true}, Point{above: w.above, other: r})
			r = nil
		}
	}
	e.runs.seen.grow(points.Len())
	for i := range points.Len() {
		p := points.At(i)
		of, ok := delta(w, p)
		if !ok {
			end()
			w.f(ID{Resource: w.resource}, point(p))
			continue
		}
		e.pointAttributes(p.Attributes(), &w.keys.Ignore)
		hash := maphash.Bytes(seriesSeed, e.buf)
		if r != nil && (of != group || w.keys.Apart || !e.runs.seen.add(hash)) {
			end()
		}
		if r == nil {
			r, group = &run[D]{kind: kind, points: points, first: i}, of
			if i == 0 && !w.keys.Apart { // most metrics are one run
				r.members = make([]member, 0, points.Len())
			}
			e.runs.seen.clear()
			e.runs.seen.add(hash)
		}
		e.runs.texts = append(e.runs.texts, e.buf...)
		r.members = append(r.members, member{hash, len(e.runs.texts)})
	}
	end()
	e.runs.reset()
}

// reset gives back the room that an unusual metric took.
func (r *runs) reset() {
	if cap(r.texts)+16*len(r.seen.slots) > maxKept {
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
