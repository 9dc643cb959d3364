// SPDX-License-Identifier: Apache-2.0

// Package interval compares sums of deltas with those of contrib's interval processor, whose newest version needs a newer core than the
// processor is built with.
package interval

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
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

// describe lists what a payload says, in no order.
func describe(all []pmetric.Metrics) (lines []string) {
	buckets := func(b pmetric.ExponentialHistogramDataPointBuckets) (text string) {
		for i, n := range b.BucketCounts().AsRaw() {
			if n > 0 {
				text += fmt.Sprint(" ", int(b.Offset())+i, ":", n)
			}
		}
		return text
	}
	for _, md := range all {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					switch m.Type() {
					case pmetric.MetricTypeSum:
						for _, p := range m.Sum().DataPoints().All() {
							lines = append(lines, fmt.Sprint(m.Name(), p.Attributes().AsRaw(), p.IntValue(), p.StartTimestamp(), p.Timestamp()))
						}
					case pmetric.MetricTypeHistogram:
						for _, p := range m.Histogram().DataPoints().All() {
							lines = append(lines, fmt.Sprint(m.Name(), p.Attributes().AsRaw(), p.Count(), p.Sum(), p.BucketCounts().AsRaw(), p.StartTimestamp(), p.Timestamp()))
						}
					case pmetric.MetricTypeExponentialHistogram:
						for _, p := range m.ExponentialHistogram().DataPoints().All() {
							lines = append(lines, fmt.Sprint(m.Name(), p.Attributes().AsRaw(), p.Count(), p.Scale(), p.ZeroCount(), p.Min(), p.Max(),
								buckets(p.Positive()), " /", buckets(p.Negative()), p.StartTimestamp(), p.Timestamp()))
						}
					}
				}
			}
		}
	}
	slices.SortFunc(lines, cmp.Compare)
	return lines
}

// TestSumsAreThoseOfInterval: the same deltas, however they come, are the same sums.
func TestSumsAreThoseOfInterval(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var requests []pmetric.Metrics
			for range 1 + r.IntN(5) {
				requests = append(requests, deltas(r, 1+r.IntN(4), 1+r.IntN(6)))
			}
			var sums [2][]string
			for i, build := range []func(testing.TB, consumer.Metrics) processor.Metrics{ours, theirs} {
				sink := new(consumertest.MetricsSink)
				p := build(t, sink)
				for _, md := range requests {
					own := pmetric.NewMetrics()
					md.CopyTo(own)
					require.NoError(t, p.ConsumeMetrics(context.Background(), own))
				}
				time.Sleep(flush + time.Second)
				require.NoError(t, p.Shutdown(context.Background()))
				sums[i] = describe(sink.AllMetrics())
			}
			require.NotEmpty(t, sums[0])
			require.Equal(t, sums[1], sums[0], "seed %d", seed)
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
	for left := b.N; left > 0; left -= atOnce {
		b.StopTimer()
		requests := make(chan pmetric.Metrics, atOnce)
		for i := range min(left, atOnce) {
			own := pmetric.NewMetrics()
			payloads[i%templates].CopyTo(own)
			requests <- own
		}
		close(requests)
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
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*3*points/b.Elapsed().Seconds(), "points/s")
	require.NoError(b, p.Shutdown(context.Background()))
}
