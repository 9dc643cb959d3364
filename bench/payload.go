// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/binary"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Request is the shape of a payload, the same for every signal.
type Request struct {
	Resources []Resource
}

// Resource is a resource and its scopes. Name goes into its attributes.
type Resource struct {
	Name, Schema string
	Scopes       []Scope
}

// Scope holds groups of items. A group is one metric with so many data points; for spans and log records only the sum
// matters.
type Scope struct {
	Name, Version, Schema string
	Groups                []int
}

// Flat is a request as a small SDK sends it: one resource, one scope; metrics have two points each.
func Flat(items int) Request {
	groups := make([]int, 0, (items+1)/2)
	for left := items; left > 0; left -= 2 {
		groups = append(groups, min(left, 2))
	}
	return Request{Resources: []Resource{{
		Name:   "checkout",
		Schema: "https://opentelemetry.io/schemas/1.37.0",
		Scopes: []Scope{{Name: "github.com/example/instrumentation", Version: "1.2.3", Groups: groups}},
	}}}
}

// Items counts the request's items.
func (r Request) Items() int {
	n := 0
	for _, res := range r.Resources {
		for _, sc := range res.Scopes {
			n += sc.items()
		}
	}
	return n
}

func (s Scope) items() int {
	n := 0
	for _, g := range s.Groups {
		n += g
	}
	return n
}

func fillResource(r Resource, dst pcommon.Resource) {
	dst.Attributes().EnsureCapacity(3)
	dst.Attributes().PutStr("service.name", r.Name)
	dst.Attributes().PutStr("service.namespace", "shop")
	dst.Attributes().PutStr("host.name", "worker-17")
	dst.SetDroppedAttributesCount(uint32(len(r.Name)))
}

func fillScope(s Scope, dst pcommon.InstrumentationScope) {
	dst.SetName(s.Name)
	dst.SetVersion(s.Version)
	dst.SetDroppedAttributesCount(uint32(len(s.Version)))
}

func makeTraces(r Request, first int) ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().EnsureCapacity(len(r.Resources))
	for _, res := range r.Resources {
		rs := td.ResourceSpans().AppendEmpty()
		fillResource(res, rs.Resource())
		rs.SetSchemaUrl(res.Schema)
		for _, sc := range res.Scopes {
			ss := rs.ScopeSpans().AppendEmpty()
			fillScope(sc, ss.Scope())
			ss.SetSchemaUrl(sc.Schema)
			n := sc.items()
			ss.Spans().EnsureCapacity(n)
			for range n {
				sp := ss.Spans().AppendEmpty()
				var id [16]byte
				binary.BigEndian.PutUint64(id[8:], uint64(first)+1)
				sp.SetTraceID(id)
				sp.SetSpanID([8]byte(id[8:]))
				sp.SetName("POST /cart")
				sp.SetKind(ptrace.SpanKindServer)
				sp.SetStartTimestamp(pcommon.Timestamp(first))
				sp.SetEndTimestamp(pcommon.Timestamp(first + 1000))
				sp.Attributes().PutInt("item", int64(first))
				first++
			}
		}
	}
	return td
}

func makeLogs(r Request, first int) plog.Logs {
	ld := plog.NewLogs()
	ld.ResourceLogs().EnsureCapacity(len(r.Resources))
	for _, res := range r.Resources {
		rl := ld.ResourceLogs().AppendEmpty()
		fillResource(res, rl.Resource())
		rl.SetSchemaUrl(res.Schema)
		for _, sc := range res.Scopes {
			sl := rl.ScopeLogs().AppendEmpty()
			fillScope(sc, sl.Scope())
			sl.SetSchemaUrl(sc.Schema)
			n := sc.items()
			sl.LogRecords().EnsureCapacity(n)
			for range n {
				lr := sl.LogRecords().AppendEmpty()
				lr.SetTimestamp(pcommon.Timestamp(first))
				lr.SetSeverityNumber(plog.SeverityNumberInfo)
				lr.Body().SetStr("order accepted")
				lr.Attributes().PutInt("item", int64(first))
				first++
			}
		}
	}
	return ld
}

func makeMetrics(r Request, first int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	md.ResourceMetrics().EnsureCapacity(len(r.Resources))
	for _, res := range r.Resources {
		rm := md.ResourceMetrics().AppendEmpty()
		fillResource(res, rm.Resource())
		rm.SetSchemaUrl(res.Schema)
		for _, sc := range res.Scopes {
			sm := rm.ScopeMetrics().AppendEmpty()
			fillScope(sc, sm.Scope())
			sm.SetSchemaUrl(sc.Schema)
			sm.Metrics().EnsureCapacity(len(sc.Groups))
			for i, n := range sc.Groups {
				fillMetric(sm.Metrics().AppendEmpty(), i, n, first)
				first += n
			}
		}
	}
	return md
}

// fillMetric makes the five types take turns.
func fillMetric(m pmetric.Metric, i, n, first int) {
	m.SetName("http.server.requests")
	m.SetDescription("requests served")
	m.SetUnit("{request}")
	switch i % 5 {
	case 0:
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		fillPoints(s.DataPoints(), n, first, pmetric.NumberDataPoint.SetIntValue)
	case 1:
		fillPoints(m.SetEmptyGauge().DataPoints(), n, first, pmetric.NumberDataPoint.SetIntValue)
	case 2:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		fillPoints(h.DataPoints(), n, first, func(p pmetric.HistogramDataPoint, v int64) { p.SetCount(uint64(v)) })
	case 3:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		fillPoints(h.DataPoints(), n, first, func(p pmetric.ExponentialHistogramDataPoint, v int64) { p.SetCount(uint64(v)) })
	case 4:
		fillPoints(m.SetEmptySummary().DataPoints(), n, first, func(p pmetric.SummaryDataPoint, v int64) { p.SetCount(uint64(v)) })
	}
}

// fillPoints works for the four types of data points, which share these methods but no interface.
func fillPoints[P interface {
	SetTimestamp(pcommon.Timestamp)
	Attributes() pcommon.Map
}, S interface {
	EnsureCapacity(int)
	AppendEmpty() P
}](dst S, n, first int, set func(P, int64)) {
	dst.EnsureCapacity(n)
	for v := first; v < first+n; v++ {
		p := dst.AppendEmpty()
		p.SetTimestamp(pcommon.Timestamp(v))
		p.Attributes().PutInt("item", int64(v))
		set(p, int64(v))
	}
}
