// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

func sumsDeltas(c *Config) {
	byRecord(c)
	c.Map.LogKeys, c.Map.Deltas = nil, pointsSum
}

// delta is one delta point: of a sum if bounds is 0, else of a histogram with so many bounds.
type delta struct {
	unit   bool // its metric has one, and else the name of the others
	series int
	double bool // its value, or its first bound is not 0
	bounds int
	value  int
}

// of is what has to be equal for two to be summed.
func (d delta) of() string {
	return fmt.Sprint(d.unit, " ", d.series, " ", d.double, " ", d.bounds)
}

// deltaMetrics is a payload of deltas. Those of one kind in a row are of one metric.
func deltaMetrics(at int, deltas ...delta) pmetric.Metrics {
	md := pmetric.NewMetrics()
	list := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	var m pmetric.Metric
	for i, d := range deltas {
		if i == 0 || (d.bounds > 0) != (deltas[i-1].bounds > 0) || d.unit != deltas[i-1].unit {
			m = list.AppendEmpty()
			m.SetName("m")
			if d.unit {
				m.SetUnit("By")
			}
			if d.bounds > 0 {
				m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			} else {
				m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			}
		}
		if d.bounds > 0 {
			p := m.Histogram().DataPoints().AppendEmpty()
			for i := range d.bounds {
				p.ExplicitBounds().Append(float64(i))
				p.BucketCounts().Append(0)
			}
			if d.double {
				p.ExplicitBounds().SetAt(0, -1)
			}
			p.BucketCounts().Append(uint64(d.value))
			p.SetCount(uint64(d.value))
			identify(p.Attributes(), d.series, i%2 == 0)
			p.SetStartTimestamp(pcommon.Timestamp(at))
			p.SetTimestamp(pcommon.Timestamp(at + 1))
			continue
		}
		p := m.Sum().DataPoints().AppendEmpty()
		if d.double {
			p.SetDoubleValue(float64(d.value))
		} else {
			p.SetIntValue(int64(d.value))
		}
		identify(p.Attributes(), d.series, i%2 == 0)
		p.SetStartTimestamp(pcommon.Timestamp(at))
		p.SetTimestamp(pcommon.Timestamp(at + 1))
	}
	return md
}

// identify gives a point the attributes of its series, in either order.
func identify(m pcommon.Map, series int, first bool) {
	if first {
		m.PutInt("series", int64(series))
	}
	m.PutStr("tenant", fmt.Sprint(series%2))
	m.PutInt("series", int64(series))
}

// deltasOf lists the points of a payload, and their times.
func deltasOf(md pmetric.Metrics) (deltas []delta, spans []string) {
	series := func(m pcommon.Map) int {
		v, _ := m.Get("series")
		return int(v.Int())
	}
	for _, r := range md.ResourceMetrics().All() {
		for _, s := range r.ScopeMetrics().All() {
			for _, m := range s.Metrics().All() {
				if m.Type() == pmetric.MetricTypeHistogram {
					for _, p := range m.Histogram().DataPoints().All() {
						n := p.BucketCounts().At(p.BucketCounts().Len() - 1)
						deltas = append(deltas, delta{m.Unit() != "", series(p.Attributes()), p.ExplicitBounds().At(0) < 0, p.ExplicitBounds().Len(), int(n)})
						spans = append(spans, fmt.Sprint(uint64(p.StartTimestamp()), "-", uint64(p.Timestamp())))
					}
					continue
				}
				for _, p := range m.Sum().DataPoints().All() {
					d := delta{unit: m.Unit() != "", series: series(p.Attributes()), value: int(p.IntValue())}
					if p.ValueType() == pmetric.NumberDataPointValueTypeDouble {
						d.double, d.value = true, int(p.DoubleValue())
					}
					deltas = append(deltas, d)
					spans = append(spans, fmt.Sprint(uint64(p.StartTimestamp()), "-", uint64(p.Timestamp())))
				}
			}
		}
	}
	return deltas, spans
}

// TestDeltasAddUp: whatever comes, in whatever order, each flush has one point for what can be added, and no value is lost.
func TestDeltasAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		requests := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) delta {
			return delta{rapid.Bool().Draw(rt, "unit"), rapid.IntRange(1, 3).Draw(rt, "series"), rapid.Bool().Draw(rt, "double"), rapid.IntRange(0, 2).Draw(rt, "bounds"), rapid.IntRange(0, 9).Draw(rt, "value")}
		}), 1, 6), 1, 12).Draw(rt, "requests")
		flushes := rapid.SliceOfN(rapid.Bool(), len(requests), len(requests)).Draw(rt, "flushes")
		fails := rapid.SliceOfN(rapid.Bool(), 3, 3).Draw(rt, "fails")
		remember, shared := rapid.Bool().Draw(rt, "remember"), rapid.Bool().Draw(rt, "shared")
		partitions := rapid.SampledFrom([]int64{1, 3}).Draw(rt, "partitions")
		tenants := partitions == 1 && rapid.Bool().Draw(rt, "tenants") // of which each has batches of its own
		by := rapid.SampledFrom([]string{partitionByResource, partitionByTrace}).Draw(rt, "by")
		ignore := by != partitionByTrace && rapid.Bool().Draw(rt, "ignore") // together they are refused
		most := rapid.SampledFrom([]int64{0, 1, 2}).Draw(rt, "most")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			got := map[string]int{}
			calls, sent, accepted := 0, 0, 0
			p := newPipelineTo(t, metrics, func(c *Config) {
				sumsDeltas(c)
				c.Partitions, c.SendBatchSize, c.SendBatchMaxSize = partitions, 0, most
				if tenants {
					c.AttributeKeys = []string{"tenant"}
				}
				if partitions > 1 {
					c.PartitionBy = by
				}
				if ignore {
					c.Map.IgnoreAttributes = []string{"tenant"} // it follows from the series
				}
				if remember {
					c.Map.Remember = time.Hour
				}
				c.RetryOnFailure.Enabled = true
			}, func(p *pipeline, _ context.Context, md pmetric.Metrics) error {
				p.mu.Lock()
				defer p.mu.Unlock()
				if calls++; calls <= len(fails) && fails[calls-1] {
					return errors.New("down")
				}
				deltas, _ := deltasOf(md)
				seen := map[string]bool{}
				for _, d := range deltas {
					if seen[d.of()] && calls == 1 { // what comes again may meet what came meanwhile
						problem = "a batch has two of " + d.of()
					}
					if tenants && d.series%2 != deltas[0].series%2 {
						problem = "a batch has two tenants"
					}
					seen[d.of()] = true
					got[d.of()] += d.value
				}
				if sent += len(deltas); most > 0 && len(deltas) > int(most) {
					problem = fmt.Sprint("a batch has ", len(deltas))
				}
				return nil
			}).begun(t)
			want := map[string]int{}
			for i, deltas := range requests {
				md := deltaMetrics(10-i, deltas...)
				before, _ := deltasOf(md)
				if shared {
					md.MarkReadOnly()
				}
				if err := send(context.Background(), p, md); err != nil {
					problem = err.Error()
					return
				}
				accepted += len(before)
				for _, d := range before {
					want[d.of()] += d.value
				}
				if flushes[i] {
					later(time.Second)
				}
				if shared {
					if after, _ := deltasOf(md); fmt.Sprint(before) != fmt.Sprint(after) {
						problem = "what is shared was altered"
					}
				}
			}
			later(time.Hour)
			p.mu.Lock()
			defer p.mu.Unlock()
			if problem == "" && fmt.Sprint(want) != fmt.Sprint(got) {
				problem = fmt.Sprint("want ", want, ", got ", got)
			}
			if n := p.metric(t, "items_superseded", ""); problem == "" && int(n) != accepted-sent {
				problem = fmt.Sprint(n, " are counted as superseded; ", accepted, " were accepted, and ", sent, " sent")
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// A sum reaches from the first start to the last end, and each flush begins anew. Without the setting every point goes on.
func TestDeltasAreSummedWithinAFlush(t *testing.T) {
	for deltas, want := range map[string][]string{
		pointsSum:     {"5-11", "20-21"},
		pointsForward: {"10-11", "5-6", "20-21"},
	} {
		t.Run(deltas, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				p := newPipelineTo(t, metrics, func(c *Config) {
					sumsDeltas(c)
					c.Map.Deltas = deltas
				}, func(p *pipeline, _ context.Context, md pmetric.Metrics) error {
					p.mu.Lock()
					defer p.mu.Unlock()
					_, spans := deltasOf(md)
					got = append(got, spans...)
					return nil
				}).begun(t)
				for _, at := range []int{10, 5, 20} {
					require.NoError(t, send(context.Background(), p, deltaMetrics(at, delta{series: 1, value: 1})))
					if at == 5 {
						later(time.Second)
					}
				}
				later(time.Second)
				p.mu.Lock()
				defer p.mu.Unlock()
				require.Equal(t, want, got)
			})
		})
	}
}

// The values that the interval processor's own test documents for points that come twice.
func TestDeltasAsTheIntervalProcessorSumsThem(t *testing.T) {
	type sides struct{ zero, positive, negative []uint64 }
	make3 := func(at int, sum float64, buckets []uint64, exponential sides) pmetric.Metrics {
		md := pmetric.NewMetrics()
		list := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
		m := list.AppendEmpty()
		m.SetName("delta.monotonic.sum")
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		s.DataPoints().AppendEmpty().SetDoubleValue(sum)
		m = list.AppendEmpty()
		m.SetName("delta.histogram.test")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		hp := h.DataPoints().AppendEmpty()
		hp.SetTimestamp(pcommon.Timestamp(at))
		hp.ExplicitBounds().FromRaw([]float64{0.01, 0.1, 1, 10, 100})
		hp.BucketCounts().FromRaw(buckets)
		m = list.AppendEmpty()
		m.SetName("delta.exphistogram.test")
		e := m.SetEmptyExponentialHistogram()
		e.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		ep := e.DataPoints().AppendEmpty()
		ep.SetTimestamp(pcommon.Timestamp(at))
		ep.SetScale(4)
		ep.SetZeroCount(exponential.zero[0])
		ep.Positive().SetOffset(2)
		ep.Positive().BucketCounts().FromRaw(exponential.positive)
		ep.Negative().SetOffset(6)
		ep.Negative().BucketCounts().FromRaw(exponential.negative)
		return md
	}
	synctest.Test(t, func(t *testing.T) {
		var got []pmetric.Metrics
		p := newPipelineTo(t, metrics, sumsDeltas, func(p *pipeline, _ context.Context, md pmetric.Metrics) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			got = append(got, md)
			return nil
		}).begun(t)
		require.NoError(t, send(context.Background(), p, make3(80, 100, []uint64{9, 12, 17, 8, 34, 0},
			sides{[]uint64{5}, []uint64{9, 12, 17, 8, 34}, []uint64{6, 21, 9, 19, 7}})))
		require.NoError(t, send(context.Background(), p, make3(90, 233, []uint64{1, 2, 3, 4, 5, 0},
			sides{[]uint64{2}, []uint64{1, 1, 1, 1, 1}, []uint64{2, 2, 2, 2, 2}})))
		later(time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Len(t, got, 1)
		want := make3(90, 333, []uint64{10, 14, 20, 12, 39, 0}, sides{[]uint64{7}, []uint64{10, 13, 18, 9, 35}, []uint64{8, 23, 11, 21, 9}})
		marshaler := &pmetric.JSONMarshaler{}
		wantText, err := marshaler.MarshalMetrics(want)
		require.NoError(t, err)
		gotText, err := marshaler.MarshalMetrics(got[0])
		require.NoError(t, err)
		require.JSONEq(t, string(wantText), string(gotText))
	})
}

// Gauges and summaries are forwarded as they came, if so set, each kind by itself.
func TestGaugesAndSummariesAreForwarded(t *testing.T) {
	for _, c := range []struct{ gauges, summaries string }{
		{pointsNewest, pointsNewest}, {pointsForward, pointsNewest}, {pointsNewest, pointsForward}, {pointsForward, pointsForward},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipelineTo(t, metrics, func(cfg *Config) {
					byRecord(cfg)
					cfg.Map.LogKeys, cfg.Map.Gauges, cfg.Map.Summaries = nil, c.gauges, c.summaries
				}, func(*pipeline, context.Context, pmetric.Metrics) error { return nil }).begun(t)
				for at := range 3 {
					md := pmetric.NewMetrics()
					list := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
					list.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(pcommon.Timestamp(at + 1))
					list.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty().SetTimestamp(pcommon.Timestamp(at + 1))
					require.NoError(t, send(context.Background(), p, md))
				}
				later(time.Second)
				want := 2
				for _, kind := range []string{c.gauges, c.summaries} {
					if kind == pointsForward {
						want += 2
					}
				}
				require.EqualValues(t, want, p.metric(t, "items_forwarded", ""))
				require.EqualValues(t, 6-want, p.metric(t, "items_superseded", ""))
			})
		})
	}
}
