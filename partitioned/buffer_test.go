// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// TestBufferIsASliceOfEntries: with notes or without, a buffer holds what a plain slice of entries would.
func TestBufferIsASliceOfEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var model []entry[int]
		pool := &buffers[int]{}
		b := pool.get()
		next := 0
		draw := func() entry[int] {
			next++
			return entry[int]{next, rapid.SampledFrom([]note{
				plain, plain, plain, {weight: packedWeight{2, 3}}, {tombstone, packedWeight{}}, {newCompletion(1), plain.weight},
			}).Draw(t, "note")}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 6).Draw(t, "step"); {
			case step < 3:
				e := draw()
				b.append(e.item, e.note)
				model = append(model, e)
			case len(model) == 0:
			case step == 3:
				at := rapid.IntRange(0, len(model)-1).Draw(t, "set")
				model[at] = draw()
				b.set(at, model[at])
			case step == 4:
				n := rapid.IntRange(0, len(model)).Draw(t, "kept")
				model = model[:n]
				if b.truncate(n); slices.ContainsFunc(b.items[n:cap(b.items)], func(i int) bool { return i != 0 }) ||
					slices.ContainsFunc(b.notes[len(b.notes):cap(b.notes)], func(n note) bool { return n != note{} }) {
					t.Fatal("something is kept behind the end")
				}
			case step == 5:
				n := rapid.IntRange(0, len(model)).Draw(t, "skipped")
				model = model[n:]
				b.skip(n)
			default:
				b.truncate(0)
				if model = nil; pool.put(b) {
					b = pool.get()
				}
			}
			var got []entry[int]
			for at := range b.len() {
				got = append(got, b.entry(at))
			}
			if !slices.Equal(got, model) {
				t.Fatalf("it holds %v\nwant     %v", got, model)
			}
		}
	})
}

// TestPlainEntriesHaveNoNotes: a push of them writes an item, and nothing else, and a swap leaves it at that.
func TestPlainEntriesHaveNoNotes(t *testing.T) {
	b := newBacklog()
	for i := range 3*bufferSize + 1 {
		b.append(i, nil, plain.weight)
	}
	b.swap()
	for i, s := range b.drain.segments {
		if cap(s.notes) > 0 {
			t.Errorf("segment %d has notes", i)
		}
	}
}

// TestPlainEntriesAreCutAlike: what is copied at once makes the same batches as what is looked at one by one.
func TestPlainEntriesAreCutAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := func(name string) int { return rapid.SampledFrom([]int{0, 1, 3, 10, 100}).Draw(t, name) }
		q := &Queue[int]{}
		q.cfg.Unit = Unit(rapid.IntRange(0, 2).Draw(t, "unit"))
		tuned := tuning{until: Weight{Items: size("until"), Bytes: size("bytes")}, limit: Weight{Items: size("limit")}}
		weighs := rapid.Bool().Draw(t, "weighs")
		runs := rapid.SliceOfN(rapid.IntRange(1, 30), 1, 5).Draw(t, "runs")
		cut := func(noted bool) (batches [][]int, totals []any) {
			d := drain[int]{buffers: &buffers[int]{}}
			item := 0
			for _, n := range runs {
				var b buffer[int]
				for range n {
					item++
					b.append(item, plain)
				}
				if noted {
					b.annotate()
				}
				d.segments = append(d.segments, segment[int]{buffer: b})
				d.entries += n
			}
			for d.entries > 0 {
				c := &call[int]{tuning: &tuned}
				if weighs {
					c.weights = []uint32{}
				}
				before := d.entries
				if r := q.cut(&d, c); r != (cutResult{}) || d.entries == before {
					t.Fatalf("%+v, %d entries left of %d", r, d.entries, before)
				}
				batches = append(batches, c.batch.Items)
				totals = append(totals, c.batch.Weight, c.units, len(c.weights))
			}
			return batches, totals
		}
		batches, totals := cut(false)
		if one, onesTotals := cut(true); !slices.EqualFunc(batches, one, slices.Equal[[]int]) || !slices.Equal(totals, onesTotals) {
			t.Fatalf("at once %v %v\none by one %v %v", batches, totals, one, onesTotals)
		}
	})
}

// TestAPushTouchesTwoCacheLinesOfAStream: each line more is a miss more for a push to one of many keys.
func TestAPushTouchesTwoCacheLinesOfAStream(t *testing.T) {
	var s stream[int]
	end := unsafe.Offsetof(s.backlog) + unsafe.Offsetof(s.backlog.urgent) + unsafe.Sizeof(s.backlog.urgent)
	if end > 128 {
		t.Errorf("what a push touches ends at %d", end)
	}
}
