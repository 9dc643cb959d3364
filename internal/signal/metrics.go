// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// Metrics is the [Signal] whose items are data points. A metric of no type has none, and is kept like any other metric
// without points.
type Metrics struct{}

var _ Signal[pmetric.Metrics] = Metrics{}

// Items counts data points.
func (Metrics) Items(p pmetric.Metrics) int { return p.DataPointCount() }

// Size implements [Signal].
func (Metrics) Size(p pmetric.Metrics) int {
	var m pmetric.ProtoMarshaler
	return m.MetricsSize(p)
}

// Check returns nil: any metrics can be merged and cut.
func (Metrics) Check(pmetric.Metrics) error { return nil }

// Ref implements [Signal].
func (Metrics) Ref(p pmetric.Metrics) { pref.RefMetrics(p) }

// Unref implements [Signal].
func (Metrics) Unref(p pmetric.Metrics) { pref.UnrefMetrics(p) }

// Shared implements [Signal].
func (Metrics) Shared(p pmetric.Metrics) bool { return p.IsReadOnly() }

// Copy implements [Signal].
func (Metrics) Copy(p pmetric.Metrics) pmetric.Metrics {
	own := newMetrics()
	p.CopyTo(own)
	return own
}

// Merge implements [Signal].
func (Metrics) Merge(dst pmetric.Metrics, src ...pmetric.Metrics) {
	merge(dst, src, pmetric.Metrics.ResourceMetrics)
}

// Subset implements [Signal].
func (Metrics) Subset(err error) (pmetric.Metrics, bool) {
	failed, ok := errors.AsType[consumererror.Metrics](err)
	return failed.Data(), ok
}

// Cut implements [Signal].
func (Metrics) Cut(p pmetric.Metrics, size int) Cutter[pmetric.Metrics] {
	var m pmetric.ProtoMarshaler
	scope := newBranch(copyScope[pmetric.ScopeMetrics], pmetric.ScopeMetrics.Metrics, metricPart{},
		without(pmetric.ScopeMetrics.Metrics, pmetric.NewMetricSlice, m.ScopeMetricsSize))
	resource := newBranch(copyResource[pmetric.ResourceMetrics], pmetric.ResourceMetrics.ScopeMetrics, scope,
		without(pmetric.ResourceMetrics.ScopeMetrics, pmetric.NewScopeMetricsSlice, m.ResourceMetricsSize))
	payload := newBranch(copyNothing[pmetric.Metrics], pmetric.Metrics.ResourceMetrics, resource, nil)
	return newCutter(p, p.DataPointCount(), size, payload, newMetrics)
}

// metricPart is a leaf whose slice of items has a Go type for each type of metric, and stands in a message of its own within
// the metric: so its node has one for that, as its only kid, where bytes matter.
type metricPart struct{}

func pointsIn(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	default:
		return 0
	}
}

func (metricPart) measure(m pmetric.Metric, bytes bool) node {
	if !bytes {
		return node{known: true, items: pointsIn(m)}
	}
	var size pmetric.ProtoMarshaler
	var data node
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		data = measureItems(0, m.Gauge().DataPoints(), size.NumberDataPointSize)
	case pmetric.MetricTypeSum:
		base := temporalitySize(m.Sum())
		if m.Sum().IsMonotonic() {
			base += 2 // tag and true
		}
		data = measureItems(base, m.Sum().DataPoints(), size.NumberDataPointSize)
	case pmetric.MetricTypeHistogram:
		data = measureItems(temporalitySize(m.Histogram()), m.Histogram().DataPoints(), size.HistogramDataPointSize)
	case pmetric.MetricTypeExponentialHistogram:
		data = measureItems(temporalitySize(m.ExponentialHistogram()), m.ExponentialHistogram().DataPoints(), size.ExponentialHistogramDataPointSize)
	case pmetric.MetricTypeSummary:
		data = measureItems(0, m.Summary().DataPoints(), size.SummaryDataPointSize)
	default:
		return node{known: true, size: size.MetricSize(m)}
	}
	fields := pmetric.NewMetric()
	copyMetric(fields, m)
	base := size.MetricSize(fields) - delimited(data.base)
	return node{known: true, items: data.items, size: base + delimited(data.size), base: base, kids: []node{data}}
}

// temporalitySize is that of a field which is left out when it is unspecified.
func temporalitySize(data interface {
	AggregationTemporality() pmetric.AggregationTemporality
},
) int {
	if data.AggregationTemporality() == pmetric.AggregationTemporalityUnspecified {
		return 0
	}
	return 1 + varint(int(data.AggregationTemporality()))
}

func (metricPart) split(head, m pmetric.Metric, n *node, q Quota) (took Quota) {
	copyMetric(head, m)
	data, room := n, q.Bytes
	if n.kids != nil {
		data, room = &n.kids[0], within(q.Bytes-n.base)
	}
	first := data.next
	took = data.takeItems(Quota{q.Items, room - data.base})
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		moveNext(head.Gauge().DataPoints(), m.Gauge().DataPoints(), first, took.Items)
	case pmetric.MetricTypeSum:
		moveNext(head.Sum().DataPoints(), m.Sum().DataPoints(), first, took.Items)
	case pmetric.MetricTypeHistogram:
		moveNext(head.Histogram().DataPoints(), m.Histogram().DataPoints(), first, took.Items)
	case pmetric.MetricTypeExponentialHistogram:
		moveNext(head.ExponentialHistogram().DataPoints(), m.ExponentialHistogram().DataPoints(), first, took.Items)
	case pmetric.MetricTypeSummary:
		moveNext(head.Summary().DataPoints(), m.Summary().DataPoints(), first, took.Items)
	}
	if n.kids != nil {
		n.items, n.size = data.items, n.base+delimited(data.size)
		took.Bytes = n.base + delimited(data.base+took.Bytes)
	}
	return took
}

// copyMetric copies all of a metric but its points.
func copyMetric(dst, src pmetric.Metric) {
	dst.SetName(src.Name())
	dst.SetDescription(src.Description())
	dst.SetUnit(src.Unit())
	src.Metadata().CopyTo(dst.Metadata())
	switch src.Type() {
	case pmetric.MetricTypeGauge:
		dst.SetEmptyGauge()
	case pmetric.MetricTypeSum:
		sum := dst.SetEmptySum()
		sum.SetAggregationTemporality(src.Sum().AggregationTemporality())
		sum.SetIsMonotonic(src.Sum().IsMonotonic())
	case pmetric.MetricTypeHistogram:
		dst.SetEmptyHistogram().SetAggregationTemporality(src.Histogram().AggregationTemporality())
	case pmetric.MetricTypeExponentialHistogram:
		dst.SetEmptyExponentialHistogram().SetAggregationTemporality(src.ExponentialHistogram().AggregationTemporality())
	case pmetric.MetricTypeSummary:
		dst.SetEmptySummary()
	}
}

func (metricPart) trim(m pmetric.Metric, n *node) {
	gone := n.next
	if n.kids != nil {
		gone = n.kids[0].next
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		dropFirst(m.Gauge().DataPoints(), gone)
	case pmetric.MetricTypeSum:
		dropFirst(m.Sum().DataPoints(), gone)
	case pmetric.MetricTypeHistogram:
		dropFirst(m.Histogram().DataPoints(), gone)
	case pmetric.MetricTypeExponentialHistogram:
		dropFirst(m.ExponentialHistogram().DataPoints(), gone)
	case pmetric.MetricTypeSummary:
		dropFirst(m.Summary().DataPoints(), gone)
	}
}

// Resource implements [Signal].
func (Metrics) Resource(p pmetric.Metrics, i int) pcommon.Resource {
	return p.ResourceMetrics().At(i).Resource()
}

// ItemsOf implements [Signal].
func (Metrics) ItemsOf(p pmetric.Metrics, i int) int {
	return itemsOf(p.ResourceMetrics().At(i).ScopeMetrics(), func(s pmetric.ScopeMetrics) int {
		return itemsOf(s.Metrics(), pointsIn)
	})
}

// SizeOf implements [Signal].
func (Metrics) SizeOf(p pmetric.Metrics, i int) int {
	var m pmetric.ProtoMarshaler
	return delimited(m.ResourceMetricsSize(p.ResourceMetrics().At(i)))
}

// Divide implements [Signal].
func (Metrics) Divide(p pmetric.Metrics, of []int, n int) []pmetric.Metrics {
	return divide(p, of, n, pmetric.Metrics.ResourceMetrics, newMetrics)
}

// newMetrics makes a payload that is known to be a pipeline's: the graph's next consumer gives back no reference of it.
func newMetrics() pmetric.Metrics {
	p := pmetric.NewMetrics()
	pref.MarkPipelineOwnedMetrics(p)
	return p
}
