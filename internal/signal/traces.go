// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// Traces is the [Signal] whose items are spans.
type Traces struct{}

var _ Signal[ptrace.Traces] = Traces{}

// Items counts spans.
func (Traces) Items(p ptrace.Traces) int { return p.SpanCount() }

// Size implements [Signal].
func (Traces) Size(p ptrace.Traces) int {
	var m ptrace.ProtoMarshaler
	return m.TracesSize(p)
}

// Check returns nil: any traces can be merged and cut.
func (Traces) Check(ptrace.Traces) error { return nil }

// Ref implements [Signal].
func (Traces) Ref(p ptrace.Traces) { pref.RefTraces(p) }

// Unref implements [Signal].
func (Traces) Unref(p ptrace.Traces) { pref.UnrefTraces(p) }

// Shared implements [Signal].
func (Traces) Shared(p ptrace.Traces) bool { return p.IsReadOnly() }

// Copy implements [Signal].
func (Traces) Copy(p ptrace.Traces) ptrace.Traces {
	own := newTraces()
	p.CopyTo(own)
	return own
}

// Merge implements [Signal].
func (Traces) Merge(dst ptrace.Traces, src ...ptrace.Traces) {
	merge(dst, src, ptrace.Traces.ResourceSpans)
}

// Cut implements [Signal].
func (Traces) Cut(p ptrace.Traces) Cutter[ptrace.Traces] {
	scope := newLeaf(copyScopeSpans, ptrace.ScopeSpans.Spans)
	resource := newBranch(copyResourceSpans, ptrace.ResourceSpans.ScopeSpans, scope)
	payload := newBranch(copyTraces, ptrace.Traces.ResourceSpans, resource)
	return newCutter(p, payload, newTraces)
}

// copyTraces has nothing to do: a payload has no fields beside its resources.
func copyTraces(_, _ ptrace.Traces) {}

func copyResourceSpans(dst, src ptrace.ResourceSpans) {
	src.Resource().CopyTo(dst.Resource())
	dst.SetSchemaUrl(src.SchemaUrl())
}

func copyScopeSpans(dst, src ptrace.ScopeSpans) {
	src.Scope().CopyTo(dst.Scope())
	dst.SetSchemaUrl(src.SchemaUrl())
}

// newTraces makes a payload that is known to be a pipeline's: the graph's next consumer gives back no reference of it.
func newTraces() ptrace.Traces {
	p := ptrace.NewTraces()
	pref.MarkPipelineOwnedTraces(p)
	return p
}
