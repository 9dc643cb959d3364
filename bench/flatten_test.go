// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// flat is a payload as a list of its items in order, each with all that stands above it: the ordinals of its resource,
// scope and metric in the payload, and their contents. Two payloads with equal lists have the same items in the same
// structure. Containers without items have no ordinal: a batch may keep or lose them.
type flat []string

// path numbers the non-empty containers of a payload.
type path struct {
	resource, scope, metric int
	above                   string
}

func (p *path) enterResource(r pcommon.Resource, schema string) {
	p.resource++
	p.scope, p.metric = 0, 0
	p.above = fmt.Sprintf("resource %v dropped %d schema %q", r.Attributes().AsRaw(), r.DroppedAttributesCount(), schema)
}

func (p *path) enterScope(s pcommon.InstrumentationScope, schema string) string {
	p.scope++
	p.metric = 0
	return fmt.Sprintf("%s, scope %q %q %v dropped %d schema %q", p.above, s.Name(), s.Version(), s.Attributes().AsRaw(),
		s.DroppedAttributesCount(), schema)
}

func (p *path) item(above, what string, at pcommon.Timestamp, attributes pcommon.Map) string {
	return fmt.Sprintf("%d.%d.%d: %s, %s at %d %v", p.resource, p.scope, p.metric, above, what, at, attributes.AsRaw())
}

func flattenTraces(td ptrace.Traces) flat {
	var out flat
	var p path
	for _, rs := range td.ResourceSpans().All() {
		entered := false
		for _, ss := range rs.ScopeSpans().All() {
			if ss.Spans().Len() == 0 {
				continue
			}
			if !entered {
				p.enterResource(rs.Resource(), rs.SchemaUrl())
				entered = true
			}
			above := p.enterScope(ss.Scope(), ss.SchemaUrl())
			for _, sp := range ss.Spans().All() {
				what := fmt.Sprintf("span %s %s %q %s until %d", sp.TraceID(), sp.SpanID(), sp.Name(), sp.Kind(), sp.EndTimestamp())
				out = append(out, p.item(above, what, sp.StartTimestamp(), sp.Attributes()))
			}
		}
	}
	return out
}

func flattenLogs(ld plog.Logs) flat {
	var out flat
	var p path
	for _, rl := range ld.ResourceLogs().All() {
		entered := false
		for _, sl := range rl.ScopeLogs().All() {
			if sl.LogRecords().Len() == 0 {
				continue
			}
			if !entered {
				p.enterResource(rl.Resource(), rl.SchemaUrl())
				entered = true
			}
			above := p.enterScope(sl.Scope(), sl.SchemaUrl())
			for _, lr := range sl.LogRecords().All() {
				what := fmt.Sprintf("record %s %s", lr.SeverityNumber(), lr.Body().AsString())
				out = append(out, p.item(above, what, lr.Timestamp(), lr.Attributes()))
			}
		}
	}
	return out
}

func flattenMetrics(md pmetric.Metrics) flat {
	var out flat
	var p path
	for _, rm := range md.ResourceMetrics().All() {
		entered := false
		for _, sm := range rm.ScopeMetrics().All() {
			above := ""
			for _, m := range sm.Metrics().All() {
				points, kind := pointsOf(m)
				if len(points) == 0 {
					continue
				}
				if !entered {
					p.enterResource(rm.Resource(), rm.SchemaUrl())
					entered = true
				}
				if above == "" {
					above = p.enterScope(sm.Scope(), sm.SchemaUrl())
				}
				p.metric++
				for _, pt := range points {
					what := fmt.Sprintf("metric %q %q %q %s value %v", m.Name(), m.Description(), m.Unit(), kind, pt.value)
					out = append(out, p.item(above, what, pt.at, pt.attributes))
				}
			}
		}
	}
	return out
}

type point struct {
	at         pcommon.Timestamp
	attributes pcommon.Map
	value      any
}

// pointsOf returns a metric's points, and its type with what belongs to it.
func pointsOf(m pmetric.Metric) (points []point, kind string) {
	kind = m.Type().String()
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			points = append(points, point{p.Timestamp(), p.Attributes(), p.IntValue()})
		}
	case pmetric.MetricTypeSum:
		kind += fmt.Sprintf(" %s monotonic %t", m.Sum().AggregationTemporality(), m.Sum().IsMonotonic())
		for _, p := range m.Sum().DataPoints().All() {
			points = append(points, point{p.Timestamp(), p.Attributes(), p.IntValue()})
		}
	case pmetric.MetricTypeHistogram:
		kind += " " + m.Histogram().AggregationTemporality().String()
		for _, p := range m.Histogram().DataPoints().All() {
			points = append(points, point{p.Timestamp(), p.Attributes(), p.Count()})
		}
	case pmetric.MetricTypeExponentialHistogram:
		kind += " " + m.ExponentialHistogram().AggregationTemporality().String()
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			points = append(points, point{p.Timestamp(), p.Attributes(), p.Count()})
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			points = append(points, point{p.Timestamp(), p.Attributes(), p.Count()})
		}
	case pmetric.MetricTypeEmpty:
	}
	return points, kind
}
