// SPDX-License-Identifier: Apache-2.0

// Package interval compares sums of deltas with those of contrib's interval processor, whose newest version needs a newer core than the
// processor is built with.
package interval

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/intervalprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	partitionedbuffer "github.com/partitionedbuffer/partitionedbufferprocessor"
)

// flush is the time between two flushes.
const flush = time.Minute

func begin(t testing.TB, factory processor.Factory, settings map[string]any, next consumer.Metrics) processor.Metrics {
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(settings).Unmarshal(cfg))
	p, err := factory.CreateMetrics(context.Background(), processortest.NewNopSettings(factory.Type()), cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	return p
}

func ours(t testing.TB, next consumer.Metrics) processor.Metrics {
	return begin(t, partitionedbuffer.NewFactory(), map[string]any{
		"timeout": flush.String(), "buffer": "map", "queue_size": 1 << 20, "map": map[string]any{"key": "record", "deltas": "sum"},
	}, next)
}

func theirs(t testing.TB, next consumer.Metrics) processor.Metrics {
	return begin(t, intervalprocessor.NewFactory(), map[string]any{"interval": flush.String()}, next)
}

// deltas is a payload of points of so many series of each kind, in any order.
func deltas(r *rand.Rand, series, points int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	list := rm.ScopeMetrics().AppendEmpty().Metrics()
	const delta = pmetric.AggregationTemporalityDelta
	sum, histogram, exponential := list.AppendEmpty(), list.AppendEmpty(), list.AppendEmpty()
	for i, m := range []pmetric.Metric{sum, histogram, exponential} {
		m.SetName(fmt.Sprint("metric-", i))
	}
	sum.SetEmptySum().SetAggregationTemporality(delta)
	sum.Sum().SetIsMonotonic(true)
	histogram.SetEmptyHistogram().SetAggregationTemporality(delta)
	exponential.SetEmptyExponentialHistogram().SetAggregationTemporality(delta)
	identify := func(a pcommon.Map) {
		a.PutStr("route", fmt.Sprint("/shop/", r.IntN(series)))
		a.PutStr("method", "GET")
		a.PutInt("status", 200)
	}
	for range points {
		p := sum.Sum().DataPoints().AppendEmpty()
		identify(p.Attributes())
		p.SetIntValue(r.Int64N(100))
		start := pcommon.Timestamp(1000 + r.IntN(1000))
		p.SetStartTimestamp(start)
		p.SetTimestamp(start + 100)

		h := histogram.Histogram().DataPoints().AppendEmpty()
		identify(h.Attributes())
		h.ExplicitBounds().FromRaw([]float64{1, 10, 100})
		total := uint64(0)
		for range 4 {
			n := r.Uint64N(10)
			h.BucketCounts().Append(n)
			total += n
		}
		h.SetCount(total)
		h.SetSum(float64(total))
		h.SetStartTimestamp(start)
		h.SetTimestamp(start + 100)

		e := exponential.ExponentialHistogram().DataPoints().AppendEmpty()
		identify(e.Attributes())
		e.SetScale(int32(r.IntN(3)))
		e.SetZeroCount(r.Uint64N(3))
		total = e.ZeroCount()
		for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{e.Positive(), e.Negative()} {
			side.SetOffset(int32(r.IntN(20) - 10))
			for range 1 + r.IntN(20) {
				n := 1 + r.Uint64N(10)
				side.BucketCounts().Append(n)
				total += n
			}
		}
		e.SetCount(total)
		e.SetMin(-float64(total))
		e.SetMax(float64(total))
		e.SetStartTimestamp(start)
		e.SetTimestamp(start + 100)
	}
	return md
}

// anyDeltas is a payload of few points of few series, below several resources and scopes. The points of a metric say the same of what may be
// left out, and all have counted something: interval takes what one point does not say of nothing for unknown.
func anyDeltas(r *rand.Rand) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range 1 + r.IntN(2) {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutInt("shop", int64(r.IntN(2)))
		for range 1 + r.IntN(2) {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.Scope().SetName(fmt.Sprint("scope-", r.IntN(2)))
			for range 1 + r.IntN(4) {
				drawMetric(r, sm.Metrics().AppendEmpty())
			}
		}
	}
	return md
}

// span is what all points have.
type span interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
}

// drawMetric makes one of several metrics, which differ in their kind and in what their points have.
func drawMetric(r *rand.Rand, m pmetric.Metric) {
	number, points := r.IntN(8), 1+r.IntN(4)
	m.SetName(fmt.Sprint("metric-", number))
	m.SetUnit([]string{"", "By"}[r.IntN(2)]) // metrics of one name differ by it
	identify := func(p span) {
		for _, i := range r.Perm(2) {
			p.Attributes().PutInt(fmt.Sprint("label-", i), int64(r.IntN(2)))
		}
		if r.IntN(4) == 0 {
			p.Attributes().PutDouble("label-double", []float64{math.NaN(), math.Inf(1)}[r.IntN(2)])
		}
		start := pcommon.Timestamp(1000 + r.IntN(1000))
		p.SetStartTimestamp(start)
		p.SetTimestamp(start + pcommon.Timestamp(r.IntN(1000)))
	}
	const delta = pmetric.AggregationTemporalityDelta
	switch {
	case number < 2:
		m.SetEmptySum().SetAggregationTemporality(delta)
		m.Sum().SetIsMonotonic(true)
		for range points {
			p := m.Sum().DataPoints().AppendEmpty()
			identify(p)
			if number == 0 {
				p.SetIntValue(r.Int64N(1 << 40))
			} else {
				p.SetDoubleValue(float64(r.IntN(1000)) / 8)
				if r.IntN(50) == 0 {
					p.SetDoubleValue(math.NaN())
				}
			}
		}
	case number < 4:
		m.SetEmptyHistogram().SetAggregationTemporality(delta)
		for range points {
			p := m.Histogram().DataPoints().AppendEmpty()
			identify(p)
			drawHistogram(r, p, []float64{1, 10, 100}[:3*(number-2)], number == 2)
		}
	default:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(delta)
		for range points {
			p := m.ExponentialHistogram().DataPoints().AppendEmpty()
			identify(p)
			drawExponential(r, p, number)
		}
	}
}

func drawHistogram(r *rand.Rand, p pmetric.HistogramDataPoint, bounds []float64, extremes bool) {
	p.ExplicitBounds().FromRaw(bounds)
	total := uint64(1)
	for i := range len(bounds) + 1 {
		p.BucketCounts().Append(r.Uint64N(10))
		total += p.BucketCounts().At(i)
	}
	p.BucketCounts().SetAt(0, p.BucketCounts().At(0)+1)
	p.SetCount(total)
	if extremes {
		p.SetSum(float64(total))
		p.SetMin(float64(r.IntN(5)))
		p.SetMax(float64(5 + r.IntN(200)))
	}
}

// drawExponential makes a histogram of any scale and, for some numbers of a metric, with buckets so far apart that the scale of a sum has to be lower.
func drawExponential(r *rand.Rand, p pmetric.ExponentialHistogramDataPoint, number int) {
	p.SetScale(int32(r.IntN(1+5*(number-4)) - 3*(number-4)/2))
	p.SetZeroCount(r.Uint64N(3))
	total := p.ZeroCount()
	for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
		reach := []int{10, 100, 1000}[r.IntN(3)]
		side.SetOffset(int32(r.IntN(2*reach) - reach))
		for range r.IntN(1 + min(reach, 150)) {
			n := r.Uint64N(4)
			side.BucketCounts().Append(n)
			total += n
		}
	}
	p.SetCount(total + 1)
	p.SetZeroCount(p.ZeroCount() + 1)
	if number%2 == 0 {
		p.SetSum(float64(total))
		p.SetMin(-float64(r.IntN(100)))
		p.SetMax(float64(r.IntN(100)))
	}
}

// sum is what was found of a series. An exponential histogram has buckets at a scale.
type sum struct {
	text               string
	scale              int32
	positive, negative map[int]uint64
}

// lowered returns s at a scale that is not higher. Two buckets of a scale are one of the next lower one.
func (s sum) lowered(scale int32) sum {
	lower := func(all map[int]uint64) map[int]uint64 {
		to := map[int]uint64{}
		for i, n := range all {
			to[i>>(s.scale-scale)] += n
		}
		return to
	}
	return sum{s.text, scale, lower(s.positive), lower(s.negative)}
}

// found returns the sums of series in payloads, none of which is there twice.
func found(t *testing.T, all []pmetric.Metrics) map[string]sum {
	sums := map[string]sum{}
	for _, md := range all {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					above := fmt.Sprint(rm.Resource().Attributes().AsRaw(), sm.Scope().Name(), m.Name(), m.Unit())
					for series, s := range sumsOf(m) {
						require.NotContains(t, sums, above+series)
						sums[above+series] = s
					}
				}
			}
		}
	}
	return sums
}

func sumsOf(m pmetric.Metric) iter.Seq2[string, sum] {
	return func(yield func(string, sum) bool) {
		switch m.Type() {
		case pmetric.MetricTypeSum:
			for _, p := range m.Sum().DataPoints().All() {
				yield(fmt.Sprint(p.Attributes().AsRaw()), sum{text: fmt.Sprint(p.IntValue(), p.DoubleValue(), p.StartTimestamp(), p.Timestamp())})
			}
		case pmetric.MetricTypeHistogram:
			for _, p := range m.Histogram().DataPoints().All() {
				yield(fmt.Sprint(p.Attributes().AsRaw()), sum{text: fmt.Sprint(p.Count(), p.HasSum(), p.Sum(), p.HasMin(), p.Min(), p.HasMax(), p.Max(),
					p.ExplicitBounds().AsRaw(), p.BucketCounts().AsRaw(), p.StartTimestamp(), p.Timestamp())})
			}
		case pmetric.MetricTypeExponentialHistogram:
			for _, p := range m.ExponentialHistogram().DataPoints().All() {
				yield(fmt.Sprint(p.Attributes().AsRaw()), sum{
					text:  fmt.Sprint(p.Count(), p.ZeroCount(), p.HasSum(), p.Sum(), p.HasMin(), p.Min(), p.HasMax(), p.Max(), p.StartTimestamp(), p.Timestamp()),
					scale: p.Scale(), positive: inside(p.Positive()), negative: inside(p.Negative()),
				})
			}
		}
	}
}

// inside lists what is in buckets, by index.
func inside(b pmetric.ExponentialHistogramDataPointBuckets) map[int]uint64 {
	counts := map[int]uint64{}
	for i, n := range b.BucketCounts().AsRaw() {
		if n > 0 {
			counts[int(b.Offset())+i] = n
		}
	}
	return counts
}

// spread is how many buckets there are from the first to the last of those that hold something.
func spread(buckets map[int]uint64) int {
	if len(buckets) == 0 {
		return 0
	}
	at := slices.Sorted(maps.Keys(buckets))
	return at[len(at)-1] - at[0] + 1
}

// TestSumsAreThoseOfInterval: the same deltas, however they come, from several callers at once too, are the same sums. The scale of an exponential histogram is the same too, but
// where interval leaves it more than the 160 buckets that it allows, as it rounds towards zero.
func TestSumsAreThoseOfInterval(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var requests []pmetric.Metrics
			for range 1 + r.IntN(5) {
				requests = append(requests, anyDeltas(r))
			}
			var sums [2]map[string]sum
			for i, build := range []func(testing.TB, consumer.Metrics) processor.Metrics{ours, theirs} {
				sink := new(consumertest.MetricsSink)
				p := build(t, sink)
				var callers sync.WaitGroup
				for _, md := range requests {
					own := pmetric.NewMetrics()
					md.CopyTo(own)
					callers.Go(func() {
						if err := p.ConsumeMetrics(context.Background(), own); err != nil {
							t.Error(err)
						}
					})
				}
				callers.Wait()
				time.Sleep(flush + time.Second)
				require.NoError(t, p.Shutdown(context.Background()))
				sums[i] = found(t, sink.AllMetrics())
			}
			require.NotEmpty(t, sums[0])
			require.Len(t, sums[1], len(sums[0]))
			for name, s := range sums[0] {
				o := sums[1][name]
				require.Equal(t, o.lowered(min(s.scale, o.scale)), s.lowered(min(s.scale, o.scale)), "seed %d, %s", seed, name)
				if s.scale < o.scale {
					require.Greater(t, max(spread(o.positive), spread(o.negative)), 160)
				}
			}
		})
	}
}

// BenchmarkDeltas measures from Consume to the sum. The payloads are made while the clock stands still.
func BenchmarkDeltas(b *testing.B) {
	for _, rival := range []struct {
		name  string
		begin func(testing.TB, consumer.Metrics) processor.Metrics
	}{{"ours", ours}, {"interval", theirs}} {
		for _, producers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/producers=%d", rival.name, producers), func(b *testing.B) {
				benchmarkDeltas(b, rival.begin(b, consumertest.NewNop()), producers)
			})
		}
	}
}

func benchmarkDeltas(b *testing.B, p processor.Metrics, producers int) {
	const series, points, templates, atOnce = 1000, 30, 16, 1024
	r := rand.New(rand.NewPCG(1, 1))
	var payloads [templates]pmetric.Metrics
	for i := range payloads {
		payloads[i] = deltas(r, series, points)
	}
	b.ReportAllocs()
	var spent time.Duration // of all processors
	for left := b.N; left > 0; left -= atOnce {
		b.StopTimer()
		requests := make(chan pmetric.Metrics, atOnce)
		for i := range min(left, atOnce) {
			own := pmetric.NewMetrics()
			payloads[i%templates].CopyTo(own)
			requests <- own
		}
		close(requests)
		began := processorTime()
		b.StartTimer()
		var wg sync.WaitGroup
		for range producers {
			wg.Go(func() {
				for md := range requests {
					if err := p.ConsumeMetrics(context.Background(), md); err != nil {
						panic(err)
					}
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		spent += processorTime() - began
	}
	b.ReportMetric(float64(b.N)*3*points/b.Elapsed().Seconds(), "points/s")
	b.ReportMetric(float64(spent.Nanoseconds())/(float64(b.N)*3*points), "cpu-ns/point")
	require.NoError(b, p.Shutdown(context.Background()))
}

// processorTime is what this process has had of all processors, which others at work change less than the time that passes.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
