// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var _ Records[ptrace.Traces, Span] = Traces{}

// Span is a span outside of its payload.
type Span struct {
	above *aboveSpans
	span  ptrace.Span
}

type aboveSpans = above[ptrace.ResourceSpans, ptrace.ScopeSpans]

// Records implements [Records]: a span is known by its resource, scope, trace, ID and kind, as the two sides of a call that
// Zipkin reports share the ID; its version is its end. Without a trace or an ID it has no identity: nothing says that two such
// spans are copies of one.
func (Traces) Records(e *Encoder, p ptrace.Traces, keys RecordKeys, f func(ID, Span)) {
	item := 0
	for at, rs := range p.ResourceSpans().All() {
		var resource ptrace.ResourceSpans
		var under names
		for _, ss := range rs.ScopeSpans().All() {
			if ss.Spans().Len() == 0 {
				continue
			}
			if under == (names{}) {
				resource = ptrace.NewResourceSpans()
				copyResource(resource, rs)
				under = e.resourceNames(rs.Resource(), rs.SchemaUrl(), &keys.Ignore)
			}
			scope := e.scopeNames(ss.Scope(), ss.SchemaUrl(), under, &keys.Ignore)
			a := &aboveSpans{resourceName: under.whole, scopeName: scope.whole, resource: resource, scope: ptrace.NewScopeSpans()}
			copyScope(a.scope, ss)
			for _, span := range ss.Spans().All() {
				id := ID{Version: uint64(span.EndTimestamp()), Resource: at, Item: item}
				item++
				if !span.TraceID().IsEmpty() && !span.SpanID().IsEmpty() {
					id.Group, id.Record = scope.id, spanID(e, span.TraceID(), span.SpanID(), int32(span.Kind()))
				}
				f(id, Span{a, span})
			}
		}
	}
}

// notedSpan returns the attributes and the start of a span.
func notedSpan(s Span) (pcommon.Map, pcommon.Timestamp) {
	return s.span.Attributes(), s.span.StartTimestamp()
}

// Assemble implements [Records].
func (Traces) Assemble(records []Span) ptrace.Traces {
	p := newTraces()
	var made assembly[ptrace.ResourceSpans, ptrace.ScopeSpans]
	for i := range records {
		a := records[i].above
		to := made.in(a.scopeName, a.resourceName, func() ptrace.ResourceSpans {
			r := p.ResourceSpans().AppendEmpty()
			copyResource(r, a.resource)
			return r
		}, func(r ptrace.ResourceSpans) ptrace.ScopeSpans {
			s := r.ScopeSpans().AppendEmpty()
			copyScope(s, a.scope)
			return s
		})
		records[i].span.MoveTo(to.Spans().AppendEmpty())
	}
	return p
}
