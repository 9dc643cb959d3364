// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// maxExemplars is how many exemplars a sum of points has: the first ones.
const maxExemplars = 16

// The types of points whose deltas are summed.
var (
	numberSums = &summation[pmetric.NumberDataPoint]{
		add: addNumber, of: func(m pmetric.Metric) slice[pmetric.NumberDataPoint] { return m.Sum().DataPoints() },
	}
	histogramSums = &summation[pmetric.HistogramDataPoint]{
		add: addHistogram, of: func(m pmetric.Metric) slice[pmetric.HistogramDataPoint] { return m.Histogram().DataPoints() },
	}
	exponentialSums = &summation[pmetric.ExponentialHistogramDataPoint]{
		add: addExponential, of: func(m pmetric.Metric) slice[pmetric.ExponentialHistogramDataPoint] {
			return m.ExponentialHistogram().DataPoints()
		},
	}
)

func addNumber(held, added pmetric.NumberDataPoint) {
	addTimes(held, added)
	addExemplars(held.Exemplars(), added.Exemplars())
	if held.ValueType() != pmetric.NumberDataPointValueTypeInt {
		held.SetDoubleValue(held.DoubleValue() + asDouble(added))
		return
	}
	a, b := held.IntValue(), added.IntValue()
	if sum := a + b; (sum > a) == (b > 0) {
		held.SetIntValue(sum)
	} else {
		held.SetDoubleValue(float64(a) + float64(b)) // what an integer does not hold
	}
}

// asDouble is the value of p, of either type. Integers are added to a double once an integer does not hold their sum any more.
func asDouble(p pmetric.NumberDataPoint) float64 {
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(p.IntValue())
	}
	return p.DoubleValue()
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
func addTimes[P spanned](held, added P) {
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
func addDistribution[P distribution](held, added P) {
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

// What has to be equal for two deltas to be added, besides their attributes. A point without a value, as at the end of a series, is not
// added.

// numberDelta names a series and the type of its values.
func (w *pointWalk) numberDelta(p pmetric.NumberDataPoint) (Name, bool) {
	t := p.ValueType()
	if p.Flags().NoRecordedValue() || t == pmetric.NumberDataPointValueTypeEmpty {
		return Name{}, false
	}
	if w.typed == (Name{}) || w.valueType != t {
		w.valueType, w.typed = t, w.part(func(e *Encoder) { e.tag(byte(t)) })
	}
	return w.typed, true
}

// histogramDelta names a series and the bounds of its buckets, which are those of the point before, mostly.
func (w *pointWalk) histogramDelta(p pmetric.HistogramDataPoint) (Name, bool) {
	if p.Flags().NoRecordedValue() {
		return Name{}, false
	}
	if w.typed == (Name{}) || !sameBuckets(p, w.like) {
		w.like = p
		w.typed = w.part(func(e *Encoder) {
			bounds := p.ExplicitBounds()
			e.number(uint64(p.BucketCounts().Len()))
			e.number(uint64(bounds.Len()))
			for i := range bounds.Len() {
				e.fixed64(math.Float64bits(bounds.At(i)))
			}
		})
	}
	return w.typed, true
}

func (w *pointWalk) exponentialDelta(p pmetric.ExponentialHistogramDataPoint) (Name, bool) {
	return w.series, !p.Flags().NoRecordedValue() && addable(p)
}

// part names a part of the series: what below writes tells it from the others. What the Encoder has written so far stays.
func (w *pointWalk) part(below func(*Encoder)) Name {
	e, begin := w.encoder, len(w.encoder.buf)
	below(e)
	name := e.internOf(w.series, Name{}, e.buf[begin:])
	e.buf = e.buf[:begin]
	return name
}

// sameBuckets reports whether two histograms have as many buckets with the same bounds, bit by bit.
func sameBuckets(p, o pmetric.HistogramDataPoint) bool {
	a, b := p.ExplicitBounds(), o.ExplicitBounds()
	if a.Len() != b.Len() || p.BucketCounts().Len() != o.BucketCounts().Len() {
		return false
	}
	for i := range a.Len() {
		if math.Float64bits(a.At(i)) != math.Float64bits(b.At(i)) {
			return false
		}
	}
	return true
}
