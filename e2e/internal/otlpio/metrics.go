// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// kinds are the types of metric. Which one a data point belongs to follows from its ID.
var kinds = []pmetric.MetricType{
	pmetric.MetricTypeGauge,
	pmetric.MetricTypeSum,
	pmetric.MetricTypeHistogram,
	pmetric.MetricTypeExponentialHistogram,
	pmetric.MetricTypeSummary,
}

// Neither the number of kinds nor that of places divides the other, so every kind comes to be at every place.
func kindOf(id int64) pmetric.MetricType { return kinds[id%int64(len(kinds))] }

// metricName stands for all that the points of a metric share.
func metricName(id int64) string {
	switch kindOf(id) {
	case pmetric.MetricTypeSum:
		return "Sum in By (about Sum), Delta, monotonic"
	case pmetric.MetricTypeHistogram:
		return "Histogram in By (about Histogram), Cumulative"
	case pmetric.MetricTypeExponentialHistogram:
		return "ExponentialHistogram in By (about ExponentialHistogram), Delta"
	default:
		return fmt.Sprintf("%[1]s in By (about %[1]s)", kindOf(id))
	}
}

func describe(m pmetric.Metric) string {
	s := fmt.Sprintf("%s in %s (%s)", m.Name(), m.Unit(), m.Description())
	switch m.Type() {
	case pmetric.MetricTypeSum:
		s += ", " + m.Sum().AggregationTemporality().String()
		if m.Sum().IsMonotonic() {
			s += ", monotonic"
		}
	case pmetric.MetricTypeHistogram:
		s += ", " + m.Histogram().AggregationTemporality().String()
	case pmetric.MetricTypeExponentialHistogram:
		s += ", " + m.ExponentialHistogram().AggregationTemporality().String()
	}
	return s
}

func buildMetrics(ids []int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, p := range places {
		here := p.at(ids)
		if len(here) == 0 {
			continue
		}
		rm := md.ResourceMetrics().AppendEmpty()
		sm := rm.ScopeMetrics().AppendEmpty()
		p.set(rm, rm.Resource(), sm, sm.Scope())
		metrics := map[pmetric.MetricType]pmetric.Metric{}
		for _, id := range here {
			kind := kindOf(id)
			if _, ok := metrics[kind]; !ok {
				metrics[kind] = newMetric(sm.Metrics().AppendEmpty(), kind)
			}
			addPoint(metrics[kind], id)
		}
	}
	return md
}

func newMetric(m pmetric.Metric, kind pmetric.MetricType) pmetric.Metric {
	m.SetName(kind.String())
	m.SetUnit("By")
	m.SetDescription("about " + kind.String())
	switch kind {
	case pmetric.MetricTypeGauge:
		m.SetEmptyGauge()
	case pmetric.MetricTypeSum:
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		m.Sum().SetIsMonotonic(true)
	case pmetric.MetricTypeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case pmetric.MetricTypeExponentialHistogram:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	case pmetric.MetricTypeSummary:
		m.SetEmptySummary()
	}
	return m
}

func addPoint(m pmetric.Metric, id int64) {
	now := pcommon.NewTimestampFromTime(time.Now())
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		dp := m.Gauge().DataPoints().AppendEmpty()
		dp.SetTimestamp(now)
		dp.SetIntValue(id)
		putAttrs(dp.Attributes(), id)
	case pmetric.MetricTypeSum:
		dp := m.Sum().DataPoints().AppendEmpty()
		dp.SetTimestamp(now)
		dp.SetIntValue(id)
		putAttrs(dp.Attributes(), id)
	case pmetric.MetricTypeHistogram:
		dp := m.Histogram().DataPoints().AppendEmpty()
		dp.SetTimestamp(now)
		dp.SetCount(1)
		dp.BucketCounts().FromRaw([]uint64{0, 1})
		dp.ExplicitBounds().FromRaw([]float64{1})
		putAttrs(dp.Attributes(), id)
	case pmetric.MetricTypeExponentialHistogram:
		dp := m.ExponentialHistogram().DataPoints().AppendEmpty()
		dp.SetTimestamp(now)
		dp.SetCount(1)
		dp.SetZeroCount(1)
		putAttrs(dp.Attributes(), id)
	case pmetric.MetricTypeSummary:
		dp := m.Summary().DataPoints().AppendEmpty()
		dp.SetTimestamp(now)
		dp.SetCount(1)
		putAttrs(dp.Attributes(), id)
	}
}

func visitMetrics(md pmetric.Metrics, f func(int64, error)) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			at := found(rm, rm.Resource(), sm, sm.Scope())
			for _, m := range sm.Metrics().All() {
				about := describe(m)
				for _, attrs := range pointAttributes(m) {
					f(check(attrs, at, about, metricName))
				}
			}
		}
	}
}

func pointAttributes(m pmetric.Metric) []pcommon.Map {
	var all []pcommon.Map
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, dp := range m.Gauge().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeSum:
		for _, dp := range m.Sum().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, dp := range m.Histogram().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, dp := range m.ExponentialHistogram().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeSummary:
		for _, dp := range m.Summary().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	}
	return all
}
