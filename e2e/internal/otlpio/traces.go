// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"encoding/binary"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func buildTraces(ids []int64) ptrace.Traces {
	td := ptrace.NewTraces()
	now := pcommon.NewTimestampFromTime(time.Now())
	for _, p := range places {
		here := p.at(ids)
		if len(here) == 0 {
			continue
		}
		rs := td.ResourceSpans().AppendEmpty()
		ss := rs.ScopeSpans().AppendEmpty()
		p.set(rs, rs.Resource(), ss, ss.Scope())
		for _, id := range here {
			s := ss.Spans().AppendEmpty()
			s.SetName(itemName(id))
			var tid pcommon.TraceID
			var sid pcommon.SpanID
			binary.BigEndian.PutUint64(tid[8:], uint64(id)+1) // all zero is no valid ID
			binary.BigEndian.PutUint64(sid[:], uint64(id)+1)
			s.SetTraceID(tid)
			s.SetSpanID(sid)
			s.SetStartTimestamp(now)
			s.SetEndTimestamp(now)
			putAttrs(s.Attributes(), id)
		}
	}
	return td
}

func visitTraces(td ptrace.Traces, f func(int64, error)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			at := found(rs, rs.Resource(), ss, ss.Scope())
			for _, s := range ss.Spans().All() {
				f(check(s.Attributes(), at, s.Name(), itemName))
			}
		}
	}
}
