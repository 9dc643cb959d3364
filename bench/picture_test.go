// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"reflect"
	"testing"
)

// A picture has a bar for each variant of each case of its name, in millions of spans a second.
func TestSplitPicture(t *testing.T) {
	var reports []*Report
	for _, c := range splitCases() {
		r := &Report{Case: c}
		for i := range c.Variants {
			r.Figures = append(r.Figures, [][]float64{{float64(i + 1)}, {1}}) // ms, batches
		}
		reports = append(reports, r)
	}
	p := SplitPicture("resources=1", reports)
	if want := []string{"ours", "ours(bytes)", "batch", measured, "queuebatch(bytes)"}; !reflect.DeepEqual(p.Names, want) {
		t.Errorf("%q, want %q", p.Names, want)
	}
	want := []Bars{{"cap=100", []float64{200, 100, 200. / 3, 50, 0}}, {"cap=1000", []float64{200, 100, 200. / 3, 50, 40}}}
	if !reflect.DeepEqual(p.Bars, want) {
		t.Errorf("%v, want %v", p.Bars, want)
	}
	if p := SplitPicture("resources=1000", reports); len(p.Bars) != 1 {
		t.Error(p)
	}
}
