// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var _ Records[pmetric.Metrics, Point] = Metrics{}

// Point is a data point outside of its payload, or all those of a metric whose deltas are summed.
type Point struct {
	above  *abovePoints
	number pmetric.NumberDataPoint // of a gauge or sum
	other  any                     // of one of the other types, which are fewer, and not worth three more words each; or summed
}

// abovePoints is what stands above the points of a metric. It is shared by all payloads that have the same, and not altered.
type abovePoints struct {
	above[pmetric.ResourceMetrics, pmetric.ScopeMetrics]
	metricNames
	metric pmetric.Metric // without points
}

// metricNames are the identity of all that stands above the points of a metric.
type metricNames struct{ series, description Name }

// newAbovePoints copies what stands above the points of m, but for what under has copies of already.
func newAbovePoints(
	names metricNames, under *above[pmetric.ResourceMetrics, pmetric.ScopeMetrics], rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric,
) *abovePoints {
	if under.resource == (pmetric.ResourceMetrics{}) {
		under.resource = pmetric.NewResourceMetrics()
		copyResource(under.resource, rm)
	}
	if under.scope == (pmetric.ScopeMetrics{}) {
		under.scope = pmetric.NewScopeMetrics()
		copyScope(under.scope, sm)
	}
	a := &abovePoints{above: *under, metricNames: names, metric: pmetric.NewMetric()}
	copyMetric(a.metric, m)
	return a
}

// Records implements [Records]: a point is known by the series that it belongs to, as the data model defines it, and, gauges
// aside, by its start, so that a reset leaves both points. Its version is its time. Points of no temporality have no identity: each
// counts. So do deltas, unless they are summed: then what cannot be added, as it has other buckets, say, is another identity.
func (Metrics) Records(e *Encoder, p pmetric.Metrics, keys RecordKeys, f func(ID, Point)) {
	item := 0
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
					resource = e.resourceNames(rm.Resource(), rm.SchemaUrl(), &keys.Ignore)
					under.resourceName = resource.whole
				}
				if under.scopeName == (Name{}) {
					scope = e.scopeNames(sm.Scope(), sm.SchemaUrl(), resource, &keys.Ignore)
					under.scopeName, under.scope = scope.whole, pmetric.ScopeMetrics{}
				}
				e.reset()
				e.series(m)
				names := metricNames{series: e.intern(scope.whole)}
				id := names.series
				if scope.id != scope.whole {
					id = e.intern(scope.id)
				}
				names.description = e.description(m)
				a, ok := e.metrics.of[names]
				if !ok {
					a = newAbovePoints(names, &under, rm, sm, m)
					e.metrics.add(names, a, names.series.Value().size+names.description.Value().size)
				}
				w := pointWalk{encoder: e, keys: &keys, resource: at, item: item, series: id, above: a, f: f}
				w.metric(m)
				item += pointsIn(m)
			}
		}
	}
}

// description returns the Name of what describes a metric.
func (e *Encoder) description(m pmetric.Metric) Name {
	e.reset()
	e.describe(m)
	return e.intern(Name{})
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
	item     int  // number of the first point in the payload
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
		each(w, m.Gauge().DataPoints(), w.newest(w.keys.Points.ForwardGauges, false), number)
	case pmetric.MetricTypeSum:
		eachOrSum(w, m.Sum().DataPoints(), m.Sum(), numberSums, number, (*pointWalk).numberDelta)
	case pmetric.MetricTypeHistogram:
		eachOrSum(w, m.Histogram().DataPoints(), m.Histogram(), histogramSums,
			func(p pmetric.HistogramDataPoint) Point { return Point{above: w.above, other: p} }, (*pointWalk).histogramDelta)
	case pmetric.MetricTypeExponentialHistogram:
		eachOrSum(w, m.ExponentialHistogram().DataPoints(), m.ExponentialHistogram(), exponentialSums,
			func(p pmetric.ExponentialHistogramDataPoint) Point { return Point{above: w.above, other: p} }, (*pointWalk).exponentialDelta)
	case pmetric.MetricTypeSummary:
		each(w, m.Summary().DataPoints(), w.newest(w.keys.Points.ForwardSummaries, true),
			func(p pmetric.SummaryDataPoint) Point { return Point{above: w.above, other: p} })
	}
}

// rule is how the points of a metric are told apart.
type rule struct {
	series Name // zero: they have no identity
	starts bool // by their start, too
}

func (w *pointWalk) newest(forward, starts bool) rule {
	if forward {
		return rule{}
	}
	return rule{w.series, starts}
}

// temporal is a metric with a temporality.
type temporal interface {
	AggregationTemporality() pmetric.AggregationTemporality
}

// eachOrSum calls f with the points of a metric with a temporality. Of a cumulative one the newest point says all. Deltas each count.
func eachOrSum[D summable[D], S slice[D]](
	w *pointWalk, points S, m temporal, kind *summation[D], point func(D) Point, delta func(*pointWalk, D) (Name, bool),
) {
	switch {
	case m.AggregationTemporality() == pmetric.AggregationTemporalityCumulative:
		each(w, points, rule{w.series, true}, point)
	case m.AggregationTemporality() == pmetric.AggregationTemporalityDelta && w.keys.Points.SumDeltas:
		sum(w, points, kind, point, delta)
	default:
		each(w, points, rule{}, point)
	}
}

// each calls f with the points of a metric.
func each[D dataPoint, S slice[D]](w *pointWalk, points S, by rule, point func(D) Point) {
	for i := range points.Len() {
		p := points.At(i)
		id := ID{Group: by.series, Version: uint64(p.Timestamp()), Resource: w.resource, Item: w.item + i}
		if by.series != (Name{}) {
			id.Record = w.encoder.point(p.Attributes(), &w.keys.Ignore, p.StartTimestamp(), by.starts)
		}
		w.f(id, point(p))
	}
}

// Assemble implements [Records].
func (Metrics) Assemble(records []Point) pmetric.Metrics {
	p := newMetrics()
	var made assembly[pmetric.ResourceMetrics, pmetric.ScopeMetrics]
	metrics := map[metricNames]pmetric.Metric{}
	var last *abovePoints
	var to pmetric.Metric
	for i := range records {
		a := records[i].above
		if a != last {
			m, ok := metrics[a.metricNames]
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
				metrics[a.metricNames] = m
			}
			to, last = m, a
		}
		records[i].moveTo(to)
	}
	return p
}

func (r *Point) moveTo(m pmetric.Metric) {
	if s, ok := r.other.(summed); ok {
		s.moveTo(m)
		return
	}
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
