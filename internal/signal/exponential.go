// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Exponential histograms are added as the data model says: the scale is lowered until both fit into maxBuckets, the greater zero
// threshold holds, and buckets below it are counted as zero. Bucket i at scale s is of values above 2^(i/2^s), up to 2^((i+1)/2^s).
// https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram

const (
	maxBuckets = 160 // of a sum, on either side, as SDKs have at most
	minScale   = -10 // there one bucket reaches from 1 to beyond what a double holds
	maxScale   = 20
)

// addable reports whether a histogram is one that SDKs can make, so that its sum with others of these is one.
func addable(p pmetric.ExponentialHistogramDataPoint) bool {
	inside := func(b pmetric.ExponentialHistogramDataPointBuckets) bool {
		return int64(b.Offset())+int64(b.BucketCounts().Len()) <= math.MaxInt32
	}
	return p.Scale() >= minScale && p.Scale() <= maxScale && p.ZeroThreshold() >= 0 && p.ZeroThreshold() <= math.MaxFloat64 &&
		inside(p.Positive()) && inside(p.Negative())
}

// buckets are those of one side, from that with index first on, none of them 0 at either end.
type buckets struct {
	first  int64 // the difference of two is more than 32 bits hold
	counts []uint64
}

// end is the index behind the last one.
func (s buckets) end() int64 { return s.first + int64(len(s.counts)) }

func bucketsOf(b pmetric.ExponentialHistogramDataPointBuckets) buckets {
	s := buckets{int64(b.Offset()), b.BucketCounts().AsRaw()}
	for len(s.counts) > 0 && s.counts[0] == 0 {
		s.first, s.counts = s.first+1, s.counts[1:]
	}
	for n := len(s.counts); n > 0 && s.counts[n-1] == 0; n = len(s.counts) {
		s.counts = s.counts[:n-1]
	}
	return s
}

// lowered returns s at a scale that is lower by so much: each bucket is of 2^by ones.
func (s buckets) lowered(by int) buckets {
	if by == 0 || len(s.counts) == 0 {
		return s
	}
	first := s.first >> by
	to := buckets{first, make([]uint64, (s.end()-1)>>by-first+1)}
	for i, n := range s.counts {
		to.counts[(s.first+int64(i))>>by-first] += n
	}
	return to
}

// without returns s without its buckets up to index last, and what these count.
func (s buckets) without(last int64) (rest buckets, count uint64) {
	for len(s.counts) > 0 && s.first <= last {
		count += s.counts[0]
		s.first, s.counts = s.first+1, s.counts[1:]
	}
	return s, count
}

// plus returns the sum of two sides.
func (s buckets) plus(o buckets) buckets {
	switch {
	case len(o.counts) == 0:
		return s
	case len(s.counts) == 0:
		return o
	}
	first := min(s.first, o.first)
	sum := buckets{first, make([]uint64, max(s.end(), o.end())-first)}
	copy(sum.counts[s.first-first:], s.counts)
	for i, n := range o.counts {
		sum.counts[o.first-first+int64(i)] += n
	}
	return sum
}

// excess is by how much the scale of two sides has to be lowered for their sum to have at most maxBuckets.
func excess(s, o buckets) (by int) {
	if len(s.counts) == 0 || len(o.counts) == 0 {
		return 0 // each has what its SDK allowed
	}
	first, last := min(s.first, o.first), max(s.end(), o.end())-1
	for last>>by-first>>by >= maxBuckets {
		by++
	}
	return by
}

// addExponential adds added to held.
func addExponential(held, added pmetric.ExponentialHistogramDataPoint) {
	addTimes(held, added)
	addExemplars(held.Exemplars(), added.Exemplars())
	addDistribution(held, added)
	held.SetZeroCount(held.ZeroCount() + added.ZeroCount())
	by := int(added.Scale()) - int(held.Scale())
	if by >= 0 && held.ZeroThreshold() == added.ZeroThreshold() &&
		covers(held.Positive(), added.Positive(), by) && covers(held.Negative(), added.Negative(), by) {
		addCovered(held.Positive(), added.Positive(), by)
		addCovered(held.Negative(), added.Negative(), by)
		return
	}
	addBuckets(held, added)
}

// covers reports whether held has a bucket for each of added, whose scale is higher by so much.
func covers(held, added pmetric.ExponentialHistogramDataPointBuckets, by int) bool {
	n := int64(added.BucketCounts().Len())
	if n == 0 {
		return true
	}
	first, last := int64(added.Offset())>>by, (int64(added.Offset())+n-1)>>by
	from := int64(held.Offset())
	return first >= from && last < from+int64(held.BucketCounts().Len())
}

// addCovered adds in place, which is what most sums are: once a series has been seen for a while, nothing new is as far out.
func addCovered(held, added pmetric.ExponentialHistogramDataPointBuckets, by int) {
	to, from := held.BucketCounts(), added.BucketCounts()
	first, offset := int64(held.Offset()), int64(added.Offset())
	for i := range from.Len() {
		at := int((offset+int64(i))>>by - first)
		to.SetAt(at, to.At(at)+from.At(i))
	}
}

// sides are the buckets of a histogram.
type sides struct {
	positive, negative buckets
	threshold          float64
}

func sidesOf(p pmetric.ExponentialHistogramDataPoint, scale int32) sides {
	by := int(p.Scale() - scale)
	return sides{bucketsOf(p.Positive()).lowered(by), bucketsOf(p.Negative()).lowered(by), p.ZeroThreshold()}
}

func (s sides) lowered(by int) sides {
	return sides{s.positive.lowered(by), s.negative.lowered(by), s.threshold}
}

// widened returns s with a greater zero threshold, and what counts as zero with it. A bucket with something in it on both sides of the threshold
// makes it greater still.
func (s sides) widened(threshold float64, scale int32) (wide sides, zeros uint64) {
	if threshold <= s.threshold {
		return s, 0
	}
	last := bucketOf(threshold, scale)
	if upper := boundary(last+1, scale); upper > threshold {
		if s.positive.at(last)+s.negative.at(last) == 0 {
			last--
		} else {
			threshold = min(upper, math.MaxFloat64)
		}
	}
	positive, below := s.positive.without(last)
	negative, above := s.negative.without(last)
	return sides{positive, negative, threshold}, below + above
}

// at is the count of bucket i.
func (s buckets) at(i int64) uint64 {
	if i < s.first || i >= s.end() {
		return 0
	}
	return s.counts[i-s.first]
}

// boundary is the greatest number below bucket i.
func boundary(i int64, scale int32) float64 { return math.Exp2(math.Ldexp(float64(i), -int(scale))) }

// bucketOf is the bucket of a number above 0.
func bucketOf(v float64, scale int32) int64 {
	i := int64(math.Ceil(math.Ldexp(math.Log2(v), int(scale)))) - 1
	for boundary(i, scale) >= v { // what is rounded is off by one at most
		i--
	}
	for boundary(i+1, scale) < v {
		i++
	}
	return i
}

func addBuckets(held, added pmetric.ExponentialHistogramDataPoint) {
	scale := min(held.Scale(), added.Scale())
	a, b := sidesOf(held, scale), sidesOf(added, scale)
	by := max(excess(a.positive, b.positive), excess(a.negative, b.negative))
	a, b, scale = a.lowered(by), b.lowered(by), scale-int32(by)

	a, zeros := a.widened(b.threshold, scale)
	b, more := b.widened(a.threshold, scale)
	zeros += more
	a, more = a.widened(b.threshold, scale) // if that made it greater: at the boundary of a bucket, so this is the last time
	zeros += more

	held.SetScale(scale)
	held.SetZeroThreshold(a.threshold)
	held.SetZeroCount(held.ZeroCount() + zeros)
	a.positive.plus(b.positive).put(held.Positive())
	a.negative.plus(b.negative).put(held.Negative())
}

func (s buckets) put(to pmetric.ExponentialHistogramDataPointBuckets) {
	to.SetOffset(int32(s.first))
	to.BucketCounts().FromRaw(s.counts)
}
