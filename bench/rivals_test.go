// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestRivalsDeliverEverything keeps the harness honest: every rival gets a small load with several producers, and Closed
// itself counts what arrives.
func TestRivalsDeliverEverything(t *testing.T) {
	for _, v := range []Variant{
		{Rival: Ours},
		{Rival: Batch},
		{Rival: Queuebatch, Settings: Settings{"queue_size": 1000}},
		{Rival: Floor},
	} {
		t.Run(v.label(), func(t *testing.T) {
			l := Load{Producers: 5, Calls: 1003, Items: 11}
			check := func(o Outcome, err error) {
				t.Helper()
				if err != nil {
					t.Error(err)
				} else if o.Batches < 1 || o.Batches > l.Calls {
					t.Errorf("%d batches of %d calls", o.Batches, l.Calls)
				}
			}
			check(Closed(Traces, v, l))
			check(Closed(Metrics, v, l))
			check(Closed(Logs, v, l))
		})
	}
}

func TestOpenLoopMeasuresWaiting(t *testing.T) {
	lat, err := Open(Logs, Variant{Rival: Ours}, OpenLoad{Items: 5, PerSecond: 2000, Lasts: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if lat.P50 <= 0 || lat.P50 > lat.P99 || lat.P99 > lat.Max {
		t.Errorf("%+v", lat)
	}
}

// TestCasesAreConsistent: labels tell variants apart and targets name what exists.
func TestCasesAreConsistent(t *testing.T) {
	for _, c := range Cases() {
		r := &Report{Case: c}
		columns := map[string]bool{}
		for _, col := range c.Columns {
			columns[col.Unit] = true
		}
		for i, v := range c.Variants {
			if r.variant(v.label()) != i {
				t.Errorf("%s %s: two variants are called %s", c.Group, c.Name, v.label())
			}
			if v.Factory == nil {
				continue // a queue or a map of the library
			}
			if _, err := v.config(v.Settings); err != nil {
				t.Errorf("%s %s: %v", c.Group, c.Name, err)
			}
		}
		for _, target := range c.Targets {
			if !columns[target.Column] || r.variant(target.Of) < 0 || target.Over != "" && r.variant(target.Over) < 0 {
				t.Errorf("%s %s: target %+v names nothing", c.Group, c.Name, target)
			}
		}
	}
}

func TestReport(t *testing.T) {
	r := &Report{
		Case: Case{
			Name: "x", Columns: []Column{{Unit: "ns/op", Ratio: true}},
			Variants: []Variant{{Rival: Ours}, {Rival: Batch}},
			Targets:  []Target{{Column: "ns/op", Of: "ours", Over: "batch", AtMost: 0.35}, {Column: "ns/op", Of: "ours", Over: "batch", AtLeast: 8}},
		},
		Figures: [][][]float64{{{123.456, 100, 200}}, {{1000, 500, 0.0123456}}},
	}
	var b bytes.Buffer
	r.WriteTable(&b)
	r.WriteTargets(&b)
	for _, want := range []string{
		"| x | ns/op | ns/op: ours ÷ this |\n|---|---|---|\n",
		"| ours | 123 (100..200) | 1 |\n",
		"| batch | 500 (0.0123..1000) | 0.200 (0.123..16200) |\n",
		"ours ÷ batch: 0.200, target at most 0.350: reached",
		"ours ÷ batch: 0.200, target at least 8.00: **missed**",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
