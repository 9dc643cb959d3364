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

// Marshal implements [Signal].
func (Metrics) Marshal(b []byte, p pmetric.Metrics) ([]byte, error) {
	var m pmetric.ProtoMarshaler
	encoded, err := m.MarshalMetrics(p)
	return append(b, encoded...), err
}

// Unmarshal implements [Signal].
func (Metrics) Unmarshal(b []byte) (pmetric.Metrics, error) {
	var u pmetric.ProtoUnmarshaler
	p, err := u.UnmarshalMetrics(b)
	if err == nil {
		pref.MarkPipelineOwnedMetrics(p)
	}
	return p, err
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
func (Metrics) Cut(p pmetric.Metrics, m Measure) Cutter[pmetric.Metrics] {
	return newCutter(p, p.DataPointCount(), m, metricsTree, newMetrics)
}

// Strip implements [Signal].
func (Metrics) Strip(p pmetric.Metrics) { metricsTree.strip(p) }

// AppendCopy implements [Signal].
func (Metrics) AppendCopy(dst, src pmetric.Metrics, from, to, seam int) {
	metricsTree.joinSome(dst, src, from, to, seam)
}

var metricsTree = func() *branch[pmetric.Metrics, pmetric.ResourceMetrics, pmetric.ResourceMetricsSlice] {
	var m pmetric.ProtoMarshaler
	scope := newBranch(copyScope[pmetric.ScopeMetrics], pmetric.ScopeMetrics.Metrics, metricLevel{}, message[pmetric.ScopeMetrics]{
		size: m.ScopeMetricsSize, base: without(pmetric.ScopeMetrics.Metrics, pmetric.NewMetricSlice, m.ScopeMetricsSize),
	})
	resource := newBranch(copyResource[pmetric.ResourceMetrics], pmetric.ResourceMetrics.ScopeMetrics, scope, message[pmetric.ResourceMetrics]{
		size: m.ResourceMetricsSize, base: without(pmetric.ResourceMetrics.ScopeMetrics, pmetric.NewScopeMetricsSlice, m.ResourceMetricsSize),
	})
	return newBranch(copyNothing[pmetric.Metrics], pmetric.Metrics.ResourceMetrics, resource, message[pmetric.Metrics]{})
}()

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

// metricLevel is a leaf whose slice of items has a Go type for each type of metric, and stands in a message of its own within
// the metric, called its data.
type metricLevel struct{}

func (metricLevel) items(m pmetric.Metric) int { return pointsIn(m) }

func (metricLevel) size(m pmetric.Metric) int {
	var size pmetric.ProtoMarshaler
	return size.MetricSize(m)
}

func (l metricLevel) split(head func() pmetric.Metric, m pmetric.Metric, n *node, q Quota) (took Quota) {
	data := node{sized: n.sized, items: n.items, next: n.next, ahead: n.ahead}
	if n.sized {
		data.base = dataBase(m)
		if !n.opened {
			fields := pmetric.NewMetric()
			copyMetric(fields, m)
			n.base = l.size(fields) - delimited(data.base)
		}
		data.size = within(n.size - n.base)
		q.Bytes = within(q.Bytes - n.base)
	}
	n.opened = true
	took = splitPoints(func() pmetric.Metric {
		h := head()
		copyMetric(h, m)
		return h
	}, m, &data, q)
	n.items, n.next, n.ahead = data.items, data.next, data.ahead
	n.size = n.base + data.cost()
	took.Bytes = n.delimited(took.Bytes)
	return n.withBase(took)
}

// splitPoints is [splitItems] for the data of m.
func splitPoints(head func() pmetric.Metric, m pmetric.Metric, data *node, q Quota) Quota {
	var size pmetric.ProtoMarshaler
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return splitItems(func() pmetric.NumberDataPointSlice { return head().Gauge().DataPoints() },
			m.Gauge().DataPoints(), data, size.NumberDataPointSize, q)
	case pmetric.MetricTypeSum:
		return splitItems(func() pmetric.NumberDataPointSlice { return head().Sum().DataPoints() },
			m.Sum().DataPoints(), data, size.NumberDataPointSize, q)
	case pmetric.MetricTypeHistogram:
		return splitItems(func() pmetric.HistogramDataPointSlice { return head().Histogram().DataPoints() },
			m.Histogram().DataPoints(), data, size.HistogramDataPointSize, q)
	case pmetric.MetricTypeExponentialHistogram:
		return splitItems(func() pmetric.ExponentialHistogramDataPointSlice { return head().ExponentialHistogram().DataPoints() },
			m.ExponentialHistogram().DataPoints(), data, size.ExponentialHistogramDataPointSize, q)
	default: // a metric of no type has no points, and is not divided
		return splitItems(func() pmetric.SummaryDataPointSlice { return head().Summary().DataPoints() },
			m.Summary().DataPoints(), data, size.SummaryDataPointSize, q)
	}
}

// dataBase is how many bytes the data of m has without points.
func dataBase(m pmetric.Metric) (base int) {
	temporality := pmetric.AggregationTemporalityUnspecified // then the field is left out
	switch m.Type() {
	case pmetric.MetricTypeSum:
		temporality = m.Sum().AggregationTemporality()
		if m.Sum().IsMonotonic() {
			base += 2 // tag and true
		}
	case pmetric.MetricTypeHistogram:
		temporality = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		temporality = m.ExponentialHistogram().AggregationTemporality()
	}
	if temporality != pmetric.AggregationTemporalityUnspecified {
		base += 1 + varint(int(temporality))
	}
	return base
}

func (metricLevel) strip(pmetric.Metric) {}

func (metricLevel) join(dst, src pmetric.Metric, _ int) {
	switch src.Type() {
	case pmetric.MetricTypeGauge:
		appendCopies(dst.Gauge().DataPoints(), src.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		appendCopies(dst.Sum().DataPoints(), src.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		appendCopies(dst.Histogram().DataPoints(), src.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		appendCopies(dst.ExponentialHistogram().DataPoints(), src.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		appendCopies(dst.Summary().DataPoints(), src.Summary().DataPoints())
	}
}

// copyMetric copies all of a metric but its points.
func copyMetric(dst, src pmetric.Metric) {
	describeMetric(dst, src)
	setType(dst, src)
}

// describeMetric copies the fields of a metric that stand beside its data.
func describeMetric(dst, src pmetric.Metric) {
	dst.SetName(src.Name())
	dst.SetDescription(src.Description())
	dst.SetUnit(src.Unit())
	src.Metadata().CopyTo(dst.Metadata())
}

// setType gives dst empty data of the type of src, with the fields of that.
func setType(dst, src pmetric.Metric) {
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

func (metricLevel) trim(m pmetric.Metric, n *node) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		dropFirst(m.Gauge().DataPoints(), n.next)
	case pmetric.MetricTypeSum:
		dropFirst(m.Sum().DataPoints(), n.next)
	case pmetric.MetricTypeHistogram:
		dropFirst(m.Histogram().DataPoints(), n.next)
	case pmetric.MetricTypeExponentialHistogram:
		dropFirst(m.ExponentialHistogram().DataPoints(), n.next)
	case pmetric.MetricTypeSummary:
		dropFirst(m.Summary().DataPoints(), n.next)
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
func (Metrics) Divide(p pmetric.Metrics, of []int, n int) ([]pmetric.Metrics, func(pmetric.Metrics)) {
	return divide(p, of, n, pmetric.Metrics.ResourceMetrics, newMetrics), nil
}

// DivideItems implements [ByItem].
func (Metrics) DivideItems(p pmetric.Metrics, of []int, n int) ([]pmetric.Metrics, func(int, pmetric.Metrics)) {
	return divideItems(p, of, n, metricsTree, newMetrics)
}

// UniteItems implements [ByItem].
func (Metrics) UniteItems(p pmetric.Metrics, parts []pmetric.Metrics, of []int) {
	uniteItems(p, parts, of, metricsTree)
}

// SizesOfItems implements [ByItem].
func (Metrics) SizesOfItems(p pmetric.Metrics, of []int, n int) []Measure {
	return sizesOfItems(p, of, n, metricsTree)
}

// newMetrics makes a payload that is known to be a pipeline's: the graph's next consumer gives back no reference of it.
func newMetrics() pmetric.Metrics {
	p := pmetric.NewMetrics()
	pref.MarkPipelineOwnedMetrics(p)
	return p
}
