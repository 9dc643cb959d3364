// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// maxExemplars is how many exemplars a sum of points has: the first ones.
const maxExemplars = 16

// addPoint returns the sum of two deltas with one identity, which is held with added in it. Of other points added stays.
func addPoint(held, added Point) Point {
	switch m := added.above.metric; m.Type() {
	case pmetric.MetricTypeSum:
		if isDelta(m.Sum()) {
			addNumber(held.number, added.number)
			return held
		}
	case pmetric.MetricTypeHistogram:
		if isDelta(m.Histogram()) {
			addHistogram(held.other.(pmetric.HistogramDataPoint), added.other.(pmetric.HistogramDataPoint))
			return held
		}
	case pmetric.MetricTypeExponentialHistogram:
		if isDelta(m.ExponentialHistogram()) {
			addExponential(held.other.(pmetric.ExponentialHistogramDataPoint), added.other.(pmetric.ExponentialHistogramDataPoint))
			return held
		}
	}
	return added
}

func isDelta(m temporal) bool {
	return m.AggregationTemporality() == pmetric.AggregationTemporalityDelta
}

func addNumber(held, added pmetric.NumberDataPoint) {
	addTimes(held, added)
	addExemplars(held.Exemplars(), added.Exemplars())
	if held.ValueType() != pmetric.NumberDataPointValueTypeInt {
		held.SetDoubleValue(held.DoubleValue() + added.DoubleValue())
		return
	}
	a, b := held.IntValue(), added.IntValue()
	if sum := a + b; (sum > a) == (b > 0) {
		held.SetIntValue(sum)
	} else {
		held.SetDoubleValue(float64(a) + float64(b)) // what an integer does not hold
	}
}

// addHistogram adds a histogram with the same bounds, and as many buckets.
func addHistogram(held, added pmetric.HistogramDataPoint) {
	addTimes(held, added)
	addExemplars(held.Exemplars(), added.Exemplars())
	addDistribution(held, added)
	to, from := held.BucketCounts(), added.BucketCounts()
	for i := range from.Len() {
		to.SetAt(i, to.At(i)+from.At(i))
	}
}

// spanned is what has the time from a start to an end.
type spanned interface {
	StartTimestamp() pcommon.Timestamp
	SetStartTimestamp(pcommon.Timestamp)
	Timestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
}

// addTimes makes held reach from the earlier start to the later end.
func addTimes(held, added spanned) {
	if start := added.StartTimestamp(); start != 0 && (start < held.StartTimestamp() || held.StartTimestamp() == 0) {
		held.SetStartTimestamp(start)
	}
	if added.Timestamp() > held.Timestamp() {
		held.SetTimestamp(added.Timestamp())
	}
}

func addExemplars(held, added pmetric.ExemplarSlice) {
	for i := 0; i < added.Len() && held.Len() < maxExemplars; i++ {
		added.At(i).CopyTo(held.AppendEmpty())
	}
}

// distribution is what the two kinds of histograms have in common.
type distribution interface {
	Count() uint64
	SetCount(uint64)
	HasSum() bool
	Sum() float64
	SetSum(float64)
	RemoveSum()
	HasMin() bool
	Min() float64
	SetMin(float64)
	RemoveMin()
	HasMax() bool
	Max() float64
	SetMax(float64)
	RemoveMax()
}

// addDistribution adds counts and sums. What one of the two does not say of what it counted, nobody knows of both.
func addDistribution(held, added distribution) {
	switch {
	case added.Count() == 0 && !added.HasSum():
	case held.HasSum() && added.HasSum():
		held.SetSum(held.Sum() + added.Sum())
	case held.Count() == 0 && added.HasSum():
		held.SetSum(added.Sum())
	default:
		held.RemoveSum()
	}
	switch {
	case added.Count() == 0 && !added.HasMin():
	case held.HasMin() && added.HasMin():
		held.SetMin(math.Min(held.Min(), added.Min()))
	case held.Count() == 0 && added.HasMin():
		held.SetMin(added.Min())
	default:
		held.RemoveMin()
	}
	switch {
	case added.Count() == 0 && !added.HasMax():
	case held.HasMax() && added.HasMax():
		held.SetMax(math.Max(held.Max(), added.Max()))
	case held.Count() == 0 && added.HasMax():
		held.SetMax(added.Max())
	default:
		held.RemoveMax()
	}
	held.SetCount(held.Count() + added.Count())
}

// The rest of the identity of a delta that is summed: what has to be equal for two points to be added. A point without a value, as at
// the end of a series, has none.

func (e *Encoder) numberDelta(p pmetric.NumberDataPoint) bool {
	e.tag(byte(p.ValueType()))
	return !p.Flags().NoRecordedValue() && p.ValueType() != pmetric.NumberDataPointValueTypeEmpty
}

func (e *Encoder) histogramDelta(p pmetric.HistogramDataPoint) bool {
	bounds := p.ExplicitBounds()
	e.number(uint64(p.BucketCounts().Len()))
	e.number(uint64(bounds.Len()))
	for i := range bounds.Len() {
		e.fixed64(math.Float64bits(bounds.At(i)))
	}
	return !p.Flags().NoRecordedValue()
}

func (e *Encoder) exponentialDelta(p pmetric.ExponentialHistogramDataPoint) bool {
	return !p.Flags().NoRecordedValue() && addable(p)
}
