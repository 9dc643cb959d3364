// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var _ Records[pmetric.Metrics, Point] = Metrics{}

// Point is a data point outside of its payload.
type Point struct {
	above  *abovePoints
	number pmetric.NumberDataPoint // of a gauge or sum
	other  any                     // of one of the other types, which are fewer, and not worth three more words each
}

type abovePoints struct {
	above[pmetric.ResourceMetrics, pmetric.ScopeMetrics]
	series, description Name
	metric              pmetric.Metric // without points
}

// Records implements [Records]: a point is known by the series that it belongs to, as the data model defines it, and, gauges
// aside, by its start, so that a reset leaves both points. Its version is its time. Points of no temporality have no identity: each
// counts. So do deltas, unless they are summed: then what cannot be added, as it has other buckets, say, is another identity.
func (Metrics) Records(e *Encoder, p pmetric.Metrics, keys RecordKeys, f func(ID, Point)) {
	for at, rm := range p.ResourceMetrics().All() {
		var under above[pmetric.ResourceMetrics, pmetric.ScopeMetrics]
		var resource, scope names
		for _, sm := range rm.ScopeMetrics().All() {
			under.scopeName = Name{}
			for _, m := range sm.Metrics().All() {
				if pointsIn(m) == 0 {
					continue
				}
				if under.resourceName == (Name{}) {
					under.resource = pmetric.NewResourceMetrics()
					copyResource(under.resource, rm)
					resource = e.resourceNames(rm.Resource(), rm.SchemaUrl(), &keys.Ignore)
					under.resourceName = resource.whole
				}
				if under.scopeName == (Name{}) {
					under.scope = pmetric.NewScopeMetrics()
					copyScope(under.scope, sm)
					scope = e.scopeNames(sm.Scope(), sm.SchemaUrl(), resource, &keys.Ignore)
					under.scopeName = scope.whole
				}
				a := &abovePoints{above: under, metric: pmetric.NewMetric()}
				copyMetric(a.metric, m)
				e.reset()
				e.series(m)
				a.series = e.intern(scope.whole)
				id := a.series
				if scope.id != scope.whole {
					id = e.intern(scope.id)
				}
				e.reset()
				e.describe(m)
				a.description = e.intern(Name{})
				w := pointWalk{encoder: e, keys: &keys, resource: at, series: id, above: a, f: f}
				w.metric(m)
			}
		}
	}
}

// dataPoint is what the four types of points have in common.
type dataPoint interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
}

// pointWalk goes through the points of one metric.
type pointWalk struct {
	encoder  *Encoder
	keys     *RecordKeys
	resource int
	series   Name // by which points are told apart
	above    *abovePoints
	f        func(ID, Point)

	typed     Name                             // the part of the series that the last delta belongs to; zero: there was none
	valueType pmetric.NumberDataPointValueType // of that delta
	like      pmetric.HistogramDataPoint       // that delta
}

func (w *pointWalk) metric(m pmetric.Metric) {
	number := func(p pmetric.NumberDataPoint) Point { return Point{above: w.above, number: p} }
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		each(w, m.Gauge().DataPoints(), w.newest(w.keys.Points.ForwardGauges, false), number, (*pointWalk).numberDelta)
	case pmetric.MetricTypeSum:
		each(w, m.Sum().DataPoints(), w.by(m.Sum()), number, (*pointWalk).numberDelta)
	case pmetric.MetricTypeHistogram:
		each(w, m.Histogram().DataPoints(), w.by(m.Histogram()), func(p pmetric.HistogramDataPoint) Point { return Point{above: w.above, other: p} },
			(*pointWalk).histogramDelta)
	case pmetric.MetricTypeExponentialHistogram:
		each(w, m.ExponentialHistogram().DataPoints(), w.by(m.ExponentialHistogram()),
			func(p pmetric.ExponentialHistogramDataPoint) Point { return Point{above: w.above, other: p} }, (*pointWalk).exponentialDelta)
	case pmetric.MetricTypeSummary:
		each(w, m.Summary().DataPoints(), w.newest(w.keys.Points.ForwardSummaries, true),
			func(p pmetric.SummaryDataPoint) Point { return Point{above: w.above, other: p} },
			func(*pointWalk, pmetric.SummaryDataPoint) (Name, bool) { return Name{}, false })
	}
}

// rule is how the points of a metric are told apart.
type rule struct {
	series Name // zero: they have no identity
	starts bool // by their start, too
	sums   bool // those with one identity are summed; else the newest stays
}

func (w *pointWalk) newest(forward, starts bool) rule {
	if forward {
		return rule{}
	}
	return rule{series: w.series, starts: starts}
}

// temporal is a metric with a temporality.
type temporal interface {
	AggregationTemporality() pmetric.AggregationTemporality
}

// by returns the rule for a metric with a temporality. Of a cumulative one the newest point says all. Deltas each count.
func (w *pointWalk) by(m temporal) rule {
	switch {
	case m.AggregationTemporality() == pmetric.AggregationTemporalityCumulative:
		return rule{series: w.series, starts: true}
	case isDelta(m) && w.keys.Points.SumDeltas:
		return rule{series: w.series, sums: true}
	default:
		return rule{}
	}
}

// each calls f with the points of a metric. delta names what two points need to have in common, besides their attributes, to be summed. It
// reports whether this point can be summed.
func each[D dataPoint, S interface {
	Len() int
	At(i int) D
}](w *pointWalk, points S, by rule, point func(D) Point, delta func(*pointWalk, D) (Name, bool)) {
	for i := range points.Len() {
		p := points.At(i)
		id := ID{Group: by.series, Version: uint64(p.Timestamp()), Resource: w.resource}
		switch {
		case by.series == (Name{}):
		case !by.sums:
			id.Record = w.encoder.point(p.Attributes(), &w.keys.Ignore, p.StartTimestamp(), by.starts)
		default:
			id.Version = 0 // each counts, whenever it comes
			id.Group = Name{}
			if group, ok := delta(w, p); ok {
				id.Group = group
				w.encoder.pointAttributes(p.Attributes(), &w.keys.Ignore)
				id.Record = w.encoder.string()
			}
		}
		w.f(id, point(p))
	}
}

// Assemble implements [Records].
func (Metrics) Assemble(records []Point) pmetric.Metrics {
	p := newMetrics()
	var made assembly[pmetric.ResourceMetrics, pmetric.ScopeMetrics]
	type key struct{ series, description Name }
	metrics := map[key]pmetric.Metric{}
	var last *abovePoints
	var to pmetric.Metric
	for i := range records {
		a := records[i].above
		if a != last {
			m, ok := metrics[key{a.series, a.description}]
			if !ok {
				m = made.in(a.scopeName, a.resourceName, func() pmetric.ResourceMetrics {
					r := p.ResourceMetrics().AppendEmpty()
					copyResource(r, a.resource)
					return r
				}, func(r pmetric.ResourceMetrics) pmetric.ScopeMetrics {
					s := r.ScopeMetrics().AppendEmpty()
					copyScope(s, a.scope)
					return s
				}).Metrics().AppendEmpty()
				copyMetric(m, a.metric)
				metrics[key{a.series, a.description}] = m
			}
			to, last = m, a
		}
		records[i].moveTo(to)
	}
	return p
}

func (r *Point) moveTo(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		r.number.MoveTo(m.Gauge().DataPoints().AppendEmpty())
	case pmetric.MetricTypeSum:
		r.number.MoveTo(m.Sum().DataPoints().AppendEmpty())
	case pmetric.MetricTypeHistogram:
		r.other.(pmetric.HistogramDataPoint).MoveTo(m.Histogram().DataPoints().AppendEmpty())
	case pmetric.MetricTypeExponentialHistogram:
		r.other.(pmetric.ExponentialHistogramDataPoint).MoveTo(m.ExponentialHistogram().DataPoints().AppendEmpty())
	case pmetric.MetricTypeSummary:
		r.other.(pmetric.SummaryDataPoint).MoveTo(m.Summary().DataPoints().AppendEmpty())
	}
}
