// SPDX-License-Identifier: Apache-2.0

package bench

import "testing"

// What cmd/downstream measures is there for every signal, and merged resources take fewer bytes and allocations.
func TestDownstreamIsMeasured(t *testing.T) {
	for _, signal := range []string{"traces", "metrics", "logs"} {
		costs, err := Downstream{Signal: signal, Items: 10, Resources: 50}.Measure(DownstreamVariants(), 1)
		if err != nil {
			t.Fatal(err)
		}
		batch, here := costs[0], costs[1]
		for _, c := range costs {
			if c.Gzip <= 0 || c.Zstd <= 0 || c.Arrow <= 0 || c.Decode <= 0 || c.ArrowDecode <= 0 {
				t.Errorf("%s: %+v", signal, c)
			}
		}
		if here.Plain >= batch.Plain || here.Allocs >= batch.Allocs || here.Resources >= batch.Resources {
			t.Errorf("%s: here %+v, batch %+v", signal, here, batch)
		}
	}
	if _, err := (Downstream{Signal: "traffic"}).Measure(DownstreamVariants(), 1); err == nil {
		t.Error("no error for an unknown signal")
	}
}
