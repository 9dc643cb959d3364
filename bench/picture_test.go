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

// The picture of what is stored has the second figure, requests delivered a second.
func TestStoredPicture(t *testing.T) {
	var reports []*Report
	for _, c := range storedCases() {
		r := &Report{Case: c}
		for i := range c.Variants {
			r.Figures = append(r.Figures, [][]float64{{7}, {float64(3000 / (i + 1))}, {7}}) // acknowledged, delivered, CPU
		}
		reports = append(reports, r)
	}
	p := StoredPicture(reports)
	if want := []string{"ours", persistentQueue}; !reflect.DeepEqual(p.Names, want) {
		t.Errorf("%q, want %q", p.Names, want)
	}
	if want := (Bars{"fsync=true producers=64", []float64{3, 1.5}}); len(p.Bars) != 4 || !reflect.DeepEqual(p.Bars[0], want) {
		t.Errorf("%v, want %v first", p.Bars, want)
	}
}
