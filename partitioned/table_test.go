// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTableFindsWhatItHolds, however its hashes collide, and after any number of removals.
func TestTableFindsWhatItHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var table table
		in := map[int]uint64{} // hash by position
		next := 0
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			which := func() int { return rapid.SampledFrom(slices.Sorted(maps.Keys(in))).Draw(rt, "which") }
			switch op := rapid.IntRange(0, 9).Draw(rt, "op"); {
			case op < 5 || len(in) == 0:
				in[next] = uint64(rapid.IntRange(0, 20).Draw(rt, "hash")) << 32
				table.insert(in[next], next)
				next++
			case op < 8:
				at := which()
				table.remove(in[at], at)
				delete(in, at)
			case op == 8:
				at := which()
				table.move(in[at], at, next)
				in[next] = in[at]
				delete(in, at)
				next++
			case rapid.IntRange(0, 9).Draw(rt, "clear") == 0:
				table.clear()
				clear(in)
			}
			if table.used != len(in) {
				rt.Fatalf("%d in use, %d are in", table.used, len(in))
			}
			got := map[int]uint64{}
			for hash := range uint64(21) {
				for p := table.probe(hash << 32); p.next(); {
					if _, twice := got[p.at()]; twice {
						rt.Fatalf("%d is there twice", p.at())
					}
					got[p.at()] = hash << 32
				}
			}
			if !maps.Equal(got, in) {
				rt.Fatalf("it finds %v, %v are in", got, in)
			}
		}
	})
}
