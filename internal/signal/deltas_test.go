// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

// observed is an exponential histogram of these values at a scale, as the data model defines its buckets.
func observed(values []float64, scale int32, threshold float64) pmetric.ExponentialHistogramDataPoint {
	p := pmetric.NewExponentialHistogramDataPoint()
	p.SetScale(scale)
	p.SetZeroThreshold(threshold)
	p.SetCount(uint64(len(values)))
	positive, negative := map[int64]uint64{}, map[int64]uint64{}
	for _, v := range values {
		p.SetSum(p.Sum() + v)
		switch {
		case math.Abs(v) <= threshold:
			p.SetZeroCount(p.ZeroCount() + 1)
		case v > 0:
			positive[bucketOf(v, scale)]++
		default:
			negative[bucketOf(-v, scale)]++
		}
	}
	fill(p.Positive(), positive)
	fill(p.Negative(), negative)
	return p
}

func fill(to pmetric.ExponentialHistogramDataPointBuckets, counts map[int64]uint64) {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range counts {
		first, last = min(first, i), max(last, i)
	}
	if len(counts) == 0 {
		return
	}
	to.SetOffset(int32(first))
	for i := first; i <= last; i++ {
		to.BucketCounts().Append(counts[i])
	}
}

// inside lists what is in buckets, by index.
func inside(b pmetric.ExponentialHistogramDataPointBuckets) map[int64]uint64 {
	counts := map[int64]uint64{}
	for i := range b.BucketCounts().Len() {
		if n := b.BucketCounts().At(i); n > 0 {
			counts[int64(b.Offset())+int64(i)] = n
		}
	}
	return counts
}

// TestBucketBoundaries: a power of two is the upper end of its bucket.
func TestBucketBoundaries(t *testing.T) {
	for scale := int32(minScale); scale <= maxScale; scale++ {
		require.EqualValues(t, -1, bucketOf(1, scale))
		require.EqualValues(t, 0, bucketOf(math.Nextafter(1, 2), scale))
		for _, v := range []float64{math.SmallestNonzeroFloat64, 1e-300, 0.1, 2, 3, 1e10, math.MaxFloat64} {
			i := bucketOf(v, scale)
			require.Less(t, boundary(i, scale), v)
			require.GreaterOrEqual(t, boundary(i+1, scale), v)
		}
	}
}

// TestSumOfExponentialHistograms: the sum of any of them is the histogram of all that they have seen, at a scale that both can have, and in
// as many buckets as one may have.
func TestSumOfExponentialHistograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 {
			v := math.Exp2(rapid.Float64Range(-8, 8).Draw(t, "exponent"))
			return v * float64(rapid.SampledFrom([]int{-1, 0, 1, 1}).Draw(t, "sign"))
		}), 0, 30)
		scale := rapid.Int32Range(-2, 4)
		n := rapid.IntRange(2, 4).Draw(t, "histograms")
		var all []float64
		var sum pmetric.ExponentialHistogramDataPoint
		coarsest := int32(maxScale)
		for i := range n {
			some, at := values.Draw(t, "values"), scale.Draw(t, "scale")
			all, coarsest = append(all, some...), min(coarsest, at)
			one := observed(some, at, 0)
			if i == 0 {
				sum = one
				continue
			}
			addExponential(sum, one)
		}
		require.LessOrEqual(t, sum.Scale(), coarsest)
		want := observed(all, sum.Scale(), 0)
		require.Equal(t, inside(want.Positive()), inside(sum.Positive()))
		require.Equal(t, inside(want.Negative()), inside(sum.Negative()))
		require.Equal(t, want.ZeroCount(), sum.ZeroCount())
		require.Equal(t, want.Count(), sum.Count())
		require.InDelta(t, want.Sum(), sum.Sum(), 1e-6)
		require.LessOrEqual(t, max(sum.Positive().BucketCounts().Len(), sum.Negative().BucketCounts().Len()), 16*16+1)
	})
}

// TestSumInPlace: what lies within the buckets of a series that has been seen before costs no memory, at its scale or a higher one.
func TestSumInPlace(t *testing.T) {
	all := append(make([]float64, 0, 100), -100, -0.01, 0.01, 100)
	sum := observed(all, 1, 0)
	for _, scale := range []int32{1, 2, 5} {
		values := []float64{-50, -1, 0, 1, 2, 50}
		added := observed(values, scale, 0)
		require.Zero(t, testing.AllocsPerRun(1, func() {
			addExponential(sum, added)
			all = append(all, values...)
		}))
	}
	want := observed(all, 1, 0)
	require.Equal(t, want.Scale(), sum.Scale())
	require.Equal(t, want.Count(), sum.Count())
	require.Equal(t, want.ZeroCount(), sum.ZeroCount())
	require.Equal(t, inside(want.Positive()), inside(sum.Positive()))
	require.Equal(t, inside(want.Negative()), inside(sum.Negative()))
}

// TestSumFitsIntoBuckets: far apart, at a fine scale, two histograms of one value each have a sum of few buckets, as coarse as needed.
func TestSumFitsIntoBuckets(t *testing.T) {
	for _, far := range []float64{1e3, 1e100, math.MaxFloat64} {
		sum := observed([]float64{far}, maxScale, 0)
		addExponential(sum, observed([]float64{1 / far}, maxScale, 0))
		require.LessOrEqual(t, sum.Positive().BucketCounts().Len(), maxBuckets)
		want := observed([]float64{far, 1 / far}, sum.Scale(), 0)
		require.Equal(t, inside(want.Positive()), inside(sum.Positive()))
		finer := observed([]float64{far, 1 / far}, sum.Scale()+1, 0)
		require.Greater(t, finer.Positive().BucketCounts().Len(), maxBuckets, "no coarser than that")
	}
}

// TestZeroThresholds: the greater one holds, what is below it counts as zero, and nothing that was counted is lost.
func TestZeroThresholds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-8, 8), 0, 20)
		threshold := rapid.SampledFrom([]float64{0, 0, 0.25, 0.3, 1, 2.5})
		one, other := values.Draw(t, "one"), values.Draw(t, "other")
		a := observed(one, rapid.Int32Range(-1, 3).Draw(t, "scale"), threshold.Draw(t, "threshold"))
		b := observed(other, rapid.Int32Range(-1, 3).Draw(t, "scale"), threshold.Draw(t, "threshold"))
		least := max(a.ZeroThreshold(), b.ZeroThreshold())
		addExponential(a, b)
		require.GreaterOrEqual(t, a.ZeroThreshold(), least)
		seen := a.ZeroCount()
		for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{a.Positive(), a.Negative()} {
			for i, n := range inside(side) {
				seen += n
				if a.ZeroThreshold() > least { // it is at a boundary then
					require.GreaterOrEqual(t, boundary(i, a.Scale()), a.ZeroThreshold())
				}
			}
		}
		require.EqualValues(t, len(one)+len(other), seen)
		var below uint64
		for _, v := range append(one, other...) {
			if math.Abs(v) <= least {
				below++
			}
		}
		require.GreaterOrEqual(t, a.ZeroCount(), below)
	})
}

// A histogram that no SDK makes is not added to anything.
func TestHistogramsThatCannotBeAdded(t *testing.T) {
	for name, spoil := range map[string]func(pmetric.ExponentialHistogramDataPoint){
		"scale too great":   func(p pmetric.ExponentialHistogramDataPoint) { p.SetScale(maxScale + 1) },
		"scale too small":   func(p pmetric.ExponentialHistogramDataPoint) { p.SetScale(minScale - 1) },
		"threshold":         func(p pmetric.ExponentialHistogramDataPoint) { p.SetZeroThreshold(math.NaN()) },
		"endless threshold": func(p pmetric.ExponentialHistogramDataPoint) { p.SetZeroThreshold(math.Inf(1)) },
		"offset": func(p pmetric.ExponentialHistogramDataPoint) {
			p.Negative().SetOffset(math.MaxInt32)
			p.Negative().BucketCounts().Append(1)
		},
		"no value": func(p pmetric.ExponentialHistogramDataPoint) {
			p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w pointWalk
			p := observed([]float64{1, 2}, 3, 0)
			_, ok := w.exponentialDelta(p)
			require.True(t, ok)
			spoil(p)
			_, ok = w.exponentialDelta(p)
			require.False(t, ok)
		})
	}
}

func TestSumOfIntegersThatOverflows(t *testing.T) {
	for _, c := range []struct{ a, b int64 }{{math.MaxInt64, 1}, {math.MinInt64, -1}, {math.MaxInt64, math.MinInt64}, {1, 2}, {-1, 1}, {0, 0}, {5, 0}} {
		held, added := pmetric.NewNumberDataPoint(), pmetric.NewNumberDataPoint()
		held.SetIntValue(c.a)
		added.SetIntValue(c.b)
		addNumber(held, added)
		if held.ValueType() == pmetric.NumberDataPointValueTypeInt {
			require.Zero(t, new(big.Int).Add(big.NewInt(c.a), big.NewInt(c.b)).Cmp(big.NewInt(held.IntValue())))
		} else {
			require.InEpsilon(t, float64(c.a)+float64(c.b), held.DoubleValue(), 1e-9)
			require.Greater(t, math.Abs(held.DoubleValue()), 9e18)
		}
	}
}

// TestSumGoesOnAfterAnOverflow: what comes when the sum has become a double counts too.
func TestSumGoesOnAfterAnOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, 1 << 62})), 1, 10).Draw(t, "values")
		held, exact, size := pmetric.NewNumberDataPoint(), new(big.Int), 0.0
		held.SetIntValue(0)
		for _, v := range values {
			added := pmetric.NewNumberDataPoint()
			added.SetIntValue(v)
			addNumber(held, added)
			exact.Add(exact, big.NewInt(v))
			size += math.Abs(float64(v))
		}
		if held.ValueType() == pmetric.NumberDataPointValueTypeInt {
			require.Zero(t, exact.Cmp(big.NewInt(held.IntValue())))
			return
		}
		want, _ := new(big.Float).SetInt(exact).Float64()
		require.InDelta(t, want, held.DoubleValue(), size*1e-14)
	})
}

func TestSumHasAFewExemplarsAndBothTimes(t *testing.T) {
	held, added := pmetric.NewNumberDataPoint(), pmetric.NewNumberDataPoint()
	held.SetStartTimestamp(20)
	held.SetTimestamp(30)
	for i := range 2 * maxExemplars {
		p := pmetric.NewNumberDataPoint()
		p.SetStartTimestamp(10)
		p.SetTimestamp(25)
		p.Exemplars().AppendEmpty().SetIntValue(int64(i))
		addNumber(held, p)
	}
	addNumber(held, added) // without times
	require.Equal(t, maxExemplars, held.Exemplars().Len())
	require.EqualValues(t, 0, held.Exemplars().At(0).IntValue())
	require.EqualValues(t, 10, held.StartTimestamp())
	require.EqualValues(t, 30, held.Timestamp())
}

// What one side does not say, nobody knows of both, unless that side saw nothing.
func TestSumOfMinAndMax(t *testing.T) {
	point := func(count uint64, value float64, says bool) pmetric.HistogramDataPoint {
		p := pmetric.NewHistogramDataPoint()
		p.SetCount(count)
		if says {
			p.SetMin(value)
			p.SetMax(value)
			p.SetSum(value)
		}
		return p
	}
	for _, c := range []struct {
		held, added pmetric.HistogramDataPoint
		says        bool
		min, max    float64
	}{
		{point(1, 3, true), point(1, 5, true), true, 3, 5},
		{point(1, 5, true), point(1, 3, true), true, 3, 5},
		{point(1, 5, true), point(1, 0, false), false, 0, 0},
		{point(1, 0, false), point(1, 5, true), false, 0, 0},
		{point(1, 5, true), point(0, 0, false), true, 5, 5},
		{point(0, 0, false), point(1, 5, true), true, 5, 5},
	} {
		addHistogram(c.held, c.added)
		require.Equal(t, c.says, c.held.HasMin())
		require.Equal(t, c.says, c.held.HasMax())
		require.Equal(t, c.says, c.held.HasSum())
		if c.says {
			require.InDelta(t, c.min, c.held.Min(), 0)
			require.InDelta(t, c.max, c.held.Max(), 0)
		}
	}
}
