// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// notes writes on a record what it stands for: itself, and what it superseded since its flush before.
type notes[R any] struct { // immutable
	count string // attribute for how many records these are; "": none
	first string // attribute for the time of the first of them; "": none
	of    func(R) (pcommon.Map, pcommon.Timestamp)
}

// newNotes returns nil if nothing is to be written.
func newNotes[R any](cfg *Map, of func(R) (pcommon.Map, pcommon.Timestamp)) *notes[R] {
	if cfg.CountAttribute == "" && cfg.FirstTimeAttribute == "" {
		return nil
	}
	return &notes[R]{count: cfg.CountAttribute, first: cfg.FirstTimeAttribute, of: of}
}

// tally is what is known of the records that one stands for.
type tally struct {
	count int64             // 0: it has superseded none
	first pcommon.Timestamp // the earliest of their times; 0: none has one
}

// plus returns the tally of the records of both.
func (t tally) plus(o tally) tally {
	t.count += o.count
	if t.first == 0 || o.first != 0 && o.first < t.first {
		t.first = o.first
	}
	return t
}

// write writes t on a record, which nobody else has any more.
func (n *notes[R]) write(one R, t tally) {
	attributes, _ := n.of(one)
	if n.count != "" {
		attributes.PutInt(n.count, t.count)
	}
	if n.first != "" && t.first != 0 {
		attributes.PutStr(n.first, t.first.AsTime().Format(time.RFC3339Nano))
	}
}

// tally is that of r: of one record alone, mostly.
func (r *record[P, R]) tally(n *notes[R]) tally {
	if r.other != nil && r.other.tally.count > 0 {
		return r.other.tally
	}
	_, at := n.of(r.one)
	return tally{1, at}
}

// supersede returns what stays of two records with one identity, of which kept is the newer one: kept with the tally of both.
// The records of a request share their others. So a record with a tally gets others for itself, and passes them on to the record that
// supersedes it. The partition's lock is held.
func (m *records[P, R]) supersede(kept, superseded recordEntry[P, R]) record[P, R] {
	v := kept.Value
	sum := v.tally(m.notes).plus(superseded.Value.tally(m.notes))
	var of *meta[P]
	if v.other != nil {
		of = v.other.meta
	}
	switch {
	case v.other != nil && v.other.tally.count > 0:
	case superseded.Value.other != nil && superseded.Value.other.tally.count > 0:
		v.other = superseded.Value.other
	default:
		v.other = &others[P, R]{}
	}
	v.other.meta, v.other.tally = of, sum
	return v
}
