// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

// drawnDelta is one point of a delta sum: a series has its type and its attributes.
type drawnDelta struct {
	series, value int
	double        bool
	missing       bool // it has no value
	reverse       bool // its attributes stand the other way round
	part          int
}

func (d drawnDelta) of() string { return fmt.Sprint(d.series, " ", d.double) }

// deltaSum is a payload of them. Every third series lacks an attribute that the others have.
func deltaSum(deltas []drawnDelta) pmetric.Metrics {
	p := pmetric.NewMetrics()
	m := p.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for _, d := range deltas {
		one := m.Sum().DataPoints().AppendEmpty()
		attributes := []string{"a", "b", "c"}
		if d.series%3 == 0 {
			attributes = attributes[:2]
		}
		if d.reverse {
			slices.Reverse(attributes)
		}
		for _, name := range attributes {
			one.Attributes().PutInt(name, int64(d.series))
		}
		switch {
		case d.missing:
		case d.double:
			one.SetDoubleValue(float64(d.value))
		default:
			one.SetIntValue(int64(d.value))
		}
	}
	return p
}

// TestSumsOfRuns: however points come, those of one series and part are added up to one, the payloads are not altered before that, and no value is
// lost, wherever sums are taken apart.
func TestSumsOfRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "parts")
		drawn := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) drawnDelta {
			return drawnDelta{
				rapid.IntRange(1, 20).Draw(t, "series"), rapid.IntRange(0, 9).Draw(t, "value"),
				rapid.Bool().Draw(t, "double"), rapid.IntRange(0, 9).Draw(t, "missing") == 0, rapid.Bool().Draw(t, "reverse"),
				rapid.IntRange(0, parts-1).Draw(t, "part"),
			}
		}), 1, 30), 1, 5).Draw(t, "payloads")
		want, got := make([]map[string]int, parts), make([]map[string]int, parts)
		for part := range parts {
			want[part], got[part] = map[string]int{}, map[string]int{}
		}
		var e Encoder
		held := map[string]Point{}       // by part and identity
		all := make([][]Point, parts)    // what is sent without being held
		order := make([][]string, parts) // in which they are held
		for _, deltas := range drawn {
			keys := RecordKeys{Points: PointKeys{SumDeltas: true}}
			if parts > 1 {
				for _, d := range deltas {
					keys.Parts = append(keys.Parts, d.part)
				}
			}
			p := deltaSum(deltas)
			before := exactMetrics(p)
			var ids []ID
			var runs []Point
			Metrics{}.Records(&e, p, keys, func(id ID, r Point) { ids, runs = append(ids, id), append(runs, r) })
			require.Equal(t, before, exactMetrics(p))
			n := 0
			for i, id := range ids {
				n += pointSums{}.Len(runs[i])
				part := deltas[id.Item].part
				if !id.Sums {
					require.Equal(t, Name{}, id.Group)
					all[part] = append(all[part], runs[i])
					continue
				}
				key := fmt.Sprint(part, id.Group, id.Record)
				if before, ok := held[key]; ok {
					runs[i] = pointSums{}.Add(before, runs[i])
				} else {
					order[part] = append(order[part], key)
				}
				held[key] = runs[i]
			}
			require.Equal(t, len(deltas), n)
			for _, d := range deltas {
				if !d.missing {
					want[d.part][d.of()] += d.value
				}
			}
		}
		for part := range parts {
			for _, key := range order[part] {
				r := held[key]
				for n := (pointSums{}).Len(r); n > 1 && rapid.Bool().Draw(t, "split"); n = (pointSums{}).Len(r) {
					var head Point
					head, r = pointSums{}.Split(r, rapid.IntRange(1, n-1).Draw(t, "at"))
					all[part] = append(all[part], head)
				}
				all[part] = append(all[part], r)
			}
			addUp(t, got[part], Metrics{}.Assemble(all[part]))
		}
		require.Equal(t, want, got)
	})
}

// addUp notes the value of each series in a payload, none of which is there twice.
func addUp(t *rapid.T, got map[string]int, sent pmetric.Metrics) {
	if sent.DataPointCount() == 0 {
		return
	}
	for _, m := range sent.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		for _, p := range m.Sum().DataPoints().All() {
			series, _ := p.Attributes().Get("a")
			of := drawnDelta{series: int(series.Int()), value: int(p.IntValue())}
			switch p.ValueType() {
			case pmetric.NumberDataPointValueTypeEmpty:
				continue
			case pmetric.NumberDataPointValueTypeDouble:
				of.double, of.value = true, int(p.DoubleValue())
			}
			require.NotContains(t, got, of.of())
			got[of.of()] = of.value
		}
	}
}

// TestSeriesWithOneHash are told apart by their texts.
func TestSeriesWithOneHash(t *testing.T) {
	runOf := func(text string) *run[pmetric.NumberDataPoint] {
		points := pmetric.NewNumberDataPointSlice()
		for i := range text {
			points.AppendEmpty().SetIntValue(int64(i + 1))
		}
		r := &run[pmetric.NumberDataPoint]{kind: numberSums, points: points, text: []byte(text)}
		for i := range text {
			r.members = append(r.members, member{hash: 7, end: i + 1, at: i})
		}
		return r
	}
	sums := runOf("ab").plus(runOf("cab"))
	m := pmetric.NewMetric()
	m.SetEmptySum()
	sums.moveTo(m)
	got := map[int]int64{}
	for i, p := range m.Sum().DataPoints().All() {
		got[i] = p.IntValue()
	}
	require.Equal(t, map[int]int64{0: 1 + 2, 1: 2 + 3, 2: 1}, got)
}

// TestSmallRunTakesNoLargeMemory: it may be held for long.
func TestSmallRunTakesNoLargeMemory(t *testing.T) {
	points := pmetric.NewNumberDataPointSlice()
	k := &summation[pmetric.NumberDataPoint]{}
	for range 10 {
		newRun(k, points, make([]byte, maxKept), make([]member, 1000)).end()
		small := newRun(k, points, []byte("a"), []member{{hash: 7, end: 1}})
		require.LessOrEqual(t, cap(small.text)+24*cap(small.members), 200)
		require.Equal(t, "a", string(small.text))
		require.Equal(t, []member{{hash: 7, end: 1}}, small.members)
	}
}

// TestPartsOfAMetric: the points of a part are one run, however they alternate with those of others.
func TestPartsOfAMetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Encoder // for all: it forgets
		for range 3 {
			var deltas []drawnDelta
			keys := RecordKeys{Points: PointKeys{SumDeltas: true}}
			items := map[int][]int{} // of each part
			for i := range rapid.IntRange(1, 30).Draw(t, "points") {
				part := rapid.IntRange(0, 5).Draw(t, "part")
				deltas, keys.Parts = append(deltas, drawnDelta{series: i + 1}), append(keys.Parts, part)
				items[part] = append(items[part], i)
			}
			Metrics{}.Records(&e, deltaSum(deltas), keys, func(id ID, r Point) {
				part := keys.Parts[id.Item]
				var got []int
				for _, m := range r.other.(*run[pmetric.NumberDataPoint]).members {
					got = append(got, m.at)
				}
				require.Equal(t, items[part], got)
				delete(items, part)
			})
			require.Empty(t, items)
		}
	})
}
