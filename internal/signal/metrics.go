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
func (Metrics) Cut(p pmetric.Metrics) Cutter[pmetric.Metrics] {
	scope := newBranch(copyScope[pmetric.ScopeMetrics], pmetric.ScopeMetrics.Metrics, &metricPart{})
	resource := newBranch(copyResource[pmetric.ResourceMetrics], pmetric.ResourceMetrics.ScopeMetrics, scope)
	payload := newBranch(copyNothing[pmetric.Metrics], pmetric.Metrics.ResourceMetrics, resource)
	return newCutter(p, payload, newMetrics)
}

// metricPart is a leaf whose slice of items has a Go type for each type of metric.
type metricPart struct {
	next int // index of the first point that is not a shell
}

func (*metricPart) items(m pmetric.Metric) int {
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

func (p *metricPart) split(head, m pmetric.Metric, n int) {
	copyMetric(head, m)
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		moveNext(head.Gauge().DataPoints(), m.Gauge().DataPoints(), p.next, n)
	case pmetric.MetricTypeSum:
		moveNext(head.Sum().DataPoints(), m.Sum().DataPoints(), p.next, n)
	case pmetric.MetricTypeHistogram:
		moveNext(head.Histogram().DataPoints(), m.Histogram().DataPoints(), p.next, n)
	case pmetric.MetricTypeExponentialHistogram:
		moveNext(head.ExponentialHistogram().DataPoints(), m.ExponentialHistogram().DataPoints(), p.next, n)
	case pmetric.MetricTypeSummary:
		moveNext(head.Summary().DataPoints(), m.Summary().DataPoints(), p.next, n)
	}
	p.next += n
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

func (p *metricPart) trim(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		dropFirst(m.Gauge().DataPoints(), p.next)
	case pmetric.MetricTypeSum:
		dropFirst(m.Sum().DataPoints(), p.next)
	case pmetric.MetricTypeHistogram:
		dropFirst(m.Histogram().DataPoints(), p.next)
	case pmetric.MetricTypeExponentialHistogram:
		dropFirst(m.ExponentialHistogram().DataPoints(), p.next)
	case pmetric.MetricTypeSummary:
		dropFirst(m.Summary().DataPoints(), p.next)
	}
	p.next = 0
}

// Resource implements [Signal].
func (Metrics) Resource(p pmetric.Metrics, i int) pcommon.Resource {
	return p.ResourceMetrics().At(i).Resource()
}

// ItemsOf implements [Signal].
func (Metrics) ItemsOf(p pmetric.Metrics, i int) int {
	return itemsOf(p.ResourceMetrics().At(i).ScopeMetrics(), func(s pmetric.ScopeMetrics) int {
		return itemsOf(s.Metrics(), (*metricPart)(nil).items)
	})
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
