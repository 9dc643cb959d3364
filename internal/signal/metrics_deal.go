// SPDX-License-Identifier: Apache-2.0

package signal

import "go.opentelemetry.io/collector/pdata/pmetric"

func (metricLevel) deal(m pmetric.Metric, d *dealer, _ int, head func(k int) pmetric.Metric) {
	typed := func(k int) pmetric.Metric {
		h := head(k)
		if h.Type() == pmetric.MetricTypeEmpty {
			setType(h, m)
		}
		return h
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		dealItems(m.Gauge().DataPoints(), d, func(k int) pmetric.NumberDataPointSlice { return typed(k).Gauge().DataPoints() })
	case pmetric.MetricTypeSum:
		dealItems(m.Sum().DataPoints(), d, func(k int) pmetric.NumberDataPointSlice { return typed(k).Sum().DataPoints() })
	case pmetric.MetricTypeHistogram:
		dealItems(m.Histogram().DataPoints(), d, func(k int) pmetric.HistogramDataPointSlice { return typed(k).Histogram().DataPoints() })
	case pmetric.MetricTypeExponentialHistogram:
		dealItems(m.ExponentialHistogram().DataPoints(), d, func(k int) pmetric.ExponentialHistogramDataPointSlice {
			return typed(k).ExponentialHistogram().DataPoints()
		})
	case pmetric.MetricTypeSummary:
		dealItems(m.Summary().DataPoints(), d, func(k int) pmetric.SummaryDataPointSlice { return typed(k).Summary().DataPoints() })
	}
}

func (metricLevel) fill(dst, src pmetric.Metric, _ *[]int32) { describeMetric(dst, src) }

func (metricLevel) each(m pmetric.Metric, f func(anyItem)) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		eachItem(m.Gauge().DataPoints(), f)
	case pmetric.MetricTypeSum:
		eachItem(m.Sum().DataPoints(), f)
	case pmetric.MetricTypeHistogram:
		eachItem(m.Histogram().DataPoints(), f)
	case pmetric.MetricTypeExponentialHistogram:
		eachItem(m.ExponentialHistogram().DataPoints(), f)
	case pmetric.MetricTypeSummary:
		eachItem(m.Summary().DataPoints(), f)
	}
}

func (l metricLevel) share(m pmetric.Metric, s *shares, level int) (size int) {
	size = l.size(m)
	if m.Type() == pmetric.MetricTypeEmpty {
		return size
	}
	data := dataBase(m)
	base := size - delimited(data+sharePoints(m, s, level))
	s.end(level, func(points int) int { return base + delimited(data+points) })
	return size
}

func sharePoints(m pmetric.Metric, s *shares, level int) (bytes int) {
	var size pmetric.ProtoMarshaler
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return shareItems(m.Gauge().DataPoints(), s, level, size.NumberDataPointSize)
	case pmetric.MetricTypeSum:
		return shareItems(m.Sum().DataPoints(), s, level, size.NumberDataPointSize)
	case pmetric.MetricTypeHistogram:
		return shareItems(m.Histogram().DataPoints(), s, level, size.HistogramDataPointSize)
	case pmetric.MetricTypeExponentialHistogram:
		return shareItems(m.ExponentialHistogram().DataPoints(), s, level, size.ExponentialHistogramDataPointSize)
	default:
		return shareItems(m.Summary().DataPoints(), s, level, size.SummaryDataPointSize)
	}
}
