// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// few draws how many children a container has: often none.
func few(t *rapid.T, what string) int { return rapid.IntRange(0, 4).Draw(t, what) }

// some draws a value from a small set, so that equal ones occur.
func some(t *rapid.T, what string) int { return rapid.IntRange(0, 2).Draw(t, what) }

// long makes lengths around 128, where a length of protobuf takes a second byte.
var long = strings.Repeat("long", 30)

func text(t *rapid.T, what string) string {
	return rapid.SampledFrom([]string{"", "a", "b", long}).Draw(t, what)
}

func drawResource(t *rapid.T, r pcommon.Resource) {
	drawAttributes(t, r.Attributes())
	r.SetDroppedAttributesCount(uint32(some(t, "dropped")))
}

func drawScope(t *rapid.T, s pcommon.InstrumentationScope) {
	s.SetName(text(t, "scope"))
	s.SetVersion(text(t, "version"))
	drawAttributes(t, s.Attributes())
	s.SetDroppedAttributesCount(uint32(some(t, "dropped")))
}

func drawAttributes(t *rapid.T, m pcommon.Map) {
	switch some(t, "attributes") {
	case 1:
		m.PutStr("text", text(t, "value"))
	case 2:
		m.PutInt("number", int64(some(t, "value")))
		m.PutEmptySlice("list").AppendEmpty().SetStr(text(t, "value"))
	}
}

func drawTraces(t *rapid.T) ptrace.Traces {
	p := ptrace.NewTraces()
	id := byte(0)
	for range few(t, "resources") {
		r := p.ResourceSpans().AppendEmpty()
		drawResource(t, r.Resource())
		r.SetSchemaUrl(text(t, "schema"))
		for range few(t, "scopes") {
			s := r.ScopeSpans().AppendEmpty()
			drawScope(t, s.Scope())
			s.SetSchemaUrl(text(t, "schema"))
			for range few(t, "spans") {
				id++
				span := s.Spans().AppendEmpty()
				span.SetSpanID([8]byte{id})
				span.SetName(text(t, "name"))
				span.Events().AppendEmpty().SetName(text(t, "event"))
				drawAttributes(t, span.Attributes())
			}
		}
	}
	return p
}

func flattenTraces(p ptrace.Traces) (list []string) {
	for _, r := range p.ResourceSpans().All() {
		resource := ptrace.NewTraces()
		r.CopyTo(resource.ResourceSpans().AppendEmpty())
		resource.ResourceSpans().At(0).ScopeSpans().RemoveIf(all)
		if r.ScopeSpans().Len() == 0 {
			list = append(list, marshalTraces(resource))
		}
		for _, s := range r.ScopeSpans().All() {
			scope := ptrace.NewTraces()
			resource.CopyTo(scope)
			s.CopyTo(scope.ResourceSpans().At(0).ScopeSpans().AppendEmpty())
			scope.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(all)
			if s.Spans().Len() == 0 {
				list = append(list, marshalTraces(scope))
			}
			for _, item := range s.Spans().All() {
				one := ptrace.NewTraces()
				scope.CopyTo(one)
				item.CopyTo(one.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty())
				list = append(list, marshalTraces(one))
			}
		}
	}
	return list
}

func all[E any](E) bool { return true }

func marshalTraces(p ptrace.Traces) string {
	b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func drawLogs(t *rapid.T) plog.Logs {
	p := plog.NewLogs()
	id := 0
	for range few(t, "resources") {
		r := p.ResourceLogs().AppendEmpty()
		drawResource(t, r.Resource())
		r.SetSchemaUrl(text(t, "schema"))
		for range few(t, "scopes") {
			s := r.ScopeLogs().AppendEmpty()
			drawScope(t, s.Scope())
			s.SetSchemaUrl(text(t, "schema"))
			for range few(t, "records") {
				id++
				record := s.LogRecords().AppendEmpty()
				record.SetTimestamp(pcommon.Timestamp(id))
				record.Body().SetStr(text(t, "body"))
				drawAttributes(t, record.Attributes())
			}
		}
	}
	return p
}

func flattenLogs(p plog.Logs) (list []string) {
	for _, r := range p.ResourceLogs().All() {
		resource := plog.NewLogs()
		r.CopyTo(resource.ResourceLogs().AppendEmpty())
		resource.ResourceLogs().At(0).ScopeLogs().RemoveIf(all)
		if r.ScopeLogs().Len() == 0 {
			list = append(list, marshalLogs(resource))
		}
		for _, s := range r.ScopeLogs().All() {
			scope := plog.NewLogs()
			resource.CopyTo(scope)
			s.CopyTo(scope.ResourceLogs().At(0).ScopeLogs().AppendEmpty())
			scope.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().RemoveIf(all)
			if s.LogRecords().Len() == 0 {
				list = append(list, marshalLogs(scope))
			}
			for _, item := range s.LogRecords().All() {
				one := plog.NewLogs()
				scope.CopyTo(one)
				item.CopyTo(one.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty())
				list = append(list, marshalLogs(one))
			}
		}
	}
	return list
}

func marshalLogs(p plog.Logs) string {
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func drawMetrics(t *rapid.T) pmetric.Metrics {
	p := pmetric.NewMetrics()
	id := pcommon.Timestamp(0)
	for range few(t, "resources") {
		r := p.ResourceMetrics().AppendEmpty()
		drawResource(t, r.Resource())
		r.SetSchemaUrl(text(t, "schema"))
		for range few(t, "scopes") {
			s := r.ScopeMetrics().AppendEmpty()
			drawScope(t, s.Scope())
			s.SetSchemaUrl(text(t, "schema"))
			for range few(t, "metrics") {
				m := s.Metrics().AppendEmpty()
				m.SetName(text(t, "name"))
				m.SetUnit(text(t, "unit"))
				m.SetDescription(text(t, "description"))
				drawAttributes(t, m.Metadata())
				id = drawPoints(t, m, id)
			}
		}
	}
	return p
}

// drawPoints gives m a type, or none, and points with the timestamps that follow id. It returns the last one.
func drawPoints(t *rapid.T, m pmetric.Metric, id pcommon.Timestamp) pcommon.Timestamp {
	temporality := pmetric.AggregationTemporality(some(t, "temporality"))
	switch pmetric.MetricType(rapid.IntRange(0, 5).Draw(t, "type")) {
	case pmetric.MetricTypeGauge:
		m.SetEmptyGauge()
		for range few(t, "points") {
			id++
			point := m.Gauge().DataPoints().AppendEmpty()
			point.SetTimestamp(id)
			point.SetIntValue(int64(some(t, "value")))
			point.Exemplars().AppendEmpty().SetDoubleValue(float64(some(t, "exemplar")))
		}
	case pmetric.MetricTypeSum:
		m.SetEmptySum().SetAggregationTemporality(temporality)
		m.Sum().SetIsMonotonic(rapid.Bool().Draw(t, "monotonic"))
		for range few(t, "points") {
			id++
			point := m.Sum().DataPoints().AppendEmpty()
			point.SetTimestamp(id)
			drawAttributes(t, point.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(temporality)
		for range few(t, "points") {
			id++
			point := m.Histogram().DataPoints().AppendEmpty()
			point.SetTimestamp(id)
			point.BucketCounts().Append(uint64(some(t, "count")), 1)
			point.ExplicitBounds().Append(float64(some(t, "bound")))
			point.Exemplars().AppendEmpty().SetIntValue(int64(some(t, "exemplar")))
		}
	case pmetric.MetricTypeExponentialHistogram:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(temporality)
		for range few(t, "points") {
			id++
			point := m.ExponentialHistogram().DataPoints().AppendEmpty()
			point.SetTimestamp(id)
			point.Positive().BucketCounts().Append(uint64(some(t, "count")))
		}
	case pmetric.MetricTypeSummary:
		m.SetEmptySummary()
		for range few(t, "points") {
			id++
			point := m.Summary().DataPoints().AppendEmpty()
			point.SetTimestamp(id)
			point.QuantileValues().AppendEmpty().SetValue(float64(some(t, "quantile")))
		}
	}
	return id
}

func flattenMetrics(p pmetric.Metrics) (list []string) {
	for _, r := range p.ResourceMetrics().All() {
		resource := pmetric.NewMetrics()
		r.CopyTo(resource.ResourceMetrics().AppendEmpty())
		resource.ResourceMetrics().At(0).ScopeMetrics().RemoveIf(all)
		if r.ScopeMetrics().Len() == 0 {
			list = append(list, marshalMetrics(resource))
		}
		for _, s := range r.ScopeMetrics().All() {
			scope := pmetric.NewMetrics()
			resource.CopyTo(scope)
			s.CopyTo(scope.ResourceMetrics().At(0).ScopeMetrics().AppendEmpty())
			scope.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().RemoveIf(all)
			if s.Metrics().Len() == 0 {
				list = append(list, marshalMetrics(scope))
			}
			for _, m := range s.Metrics().All() {
				list = append(list, flattenMetric(scope, m)...)
			}
		}
	}
	return list
}

// flattenMetric lists the points of m, which is in scope: a payload that holds only the fields of resource and scope.
func flattenMetric(scope pmetric.Metrics, m pmetric.Metric) (list []string) {
	whole := pmetric.NewMetrics()
	scope.CopyTo(whole)
	m.CopyTo(whole.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty())
	for i := range max(whole.DataPointCount(), 1) {
		one := pmetric.NewMetrics()
		whole.CopyTo(one)
		metric := one.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		at := 0
		others := func() bool {
			at++
			return at-1 != i
		}
		switch metric.Type() {
		case pmetric.MetricTypeGauge:
			metric.Gauge().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return others() })
		case pmetric.MetricTypeSum:
			metric.Sum().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return others() })
		case pmetric.MetricTypeHistogram:
			metric.Histogram().DataPoints().RemoveIf(func(pmetric.HistogramDataPoint) bool { return others() })
		case pmetric.MetricTypeExponentialHistogram:
			metric.ExponentialHistogram().DataPoints().RemoveIf(
				func(pmetric.ExponentialHistogramDataPoint) bool { return others() })
		case pmetric.MetricTypeSummary:
			metric.Summary().DataPoints().RemoveIf(func(pmetric.SummaryDataPoint) bool { return others() })
		}
		list = append(list, marshalMetrics(one))
	}
	return list
}

func marshalMetrics(p pmetric.Metrics) string {
	b, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}
