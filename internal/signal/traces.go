// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
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

// Marshal implements [Signal].
func (Traces) Marshal(b []byte, p ptrace.Traces) ([]byte, error) {
	var m ptrace.ProtoMarshaler
	encoded, err := m.MarshalTraces(p)
	return append(b, encoded...), err
}

// Unmarshal implements [Signal].
func (Traces) Unmarshal(b []byte) (ptrace.Traces, error) {
	var u ptrace.ProtoUnmarshaler
	p, err := u.UnmarshalTraces(b)
	if err == nil {
		pref.MarkPipelineOwnedTraces(p)
	}
	return p, err
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

// Subset implements [Signal].
func (Traces) Subset(err error) (ptrace.Traces, bool) {
	failed, ok := errors.AsType[consumererror.Traces](err)
	return failed.Data(), ok
}

// Cut implements [Signal].
func (Traces) Cut(p ptrace.Traces, m Measure) Cutter[ptrace.Traces] {
	return newCutter(p, p.SpanCount(), m, tracesTree, newTraces)
}

// Strip implements [Signal].
func (Traces) Strip(p ptrace.Traces) { tracesTree.strip(p) }

// AppendCopy implements [Signal].
func (Traces) AppendCopy(dst, src ptrace.Traces, from, to, seam int) {
	tracesTree.joinSome(dst, src, from, to, seam)
}

var tracesTree = func() *branch[ptrace.Traces, ptrace.ResourceSpans, ptrace.ResourceSpansSlice] {
	var m ptrace.ProtoMarshaler
	scope := newLeaf(copyScope[ptrace.ScopeSpans], ptrace.ScopeSpans.Spans, message[ptrace.ScopeSpans]{
		size: m.ScopeSpansSize, base: without(ptrace.ScopeSpans.Spans, ptrace.NewSpanSlice, m.ScopeSpansSize),
	}, m.SpanSize)
	resource := newBranch(copyResource[ptrace.ResourceSpans], ptrace.ResourceSpans.ScopeSpans, scope, message[ptrace.ResourceSpans]{
		size: m.ResourceSpansSize, base: without(ptrace.ResourceSpans.ScopeSpans, ptrace.NewScopeSpansSlice, m.ResourceSpansSize),
	})
	return newBranch(copyNothing[ptrace.Traces], ptrace.Traces.ResourceSpans, resource, message[ptrace.Traces]{})
}()

// Resource implements [Signal].
func (Traces) Resource(p ptrace.Traces, i int) pcommon.Resource {
	return p.ResourceSpans().At(i).Resource()
}

// ItemsOf implements [Signal].
func (Traces) ItemsOf(p ptrace.Traces, i int) int {
	return itemsOf(p.ResourceSpans().At(i).ScopeSpans(), func(s ptrace.ScopeSpans) int { return s.Spans().Len() })
}

// SizeOf implements [Signal].
func (Traces) SizeOf(p ptrace.Traces, i int) int {
	var m ptrace.ProtoMarshaler
	return delimited(m.ResourceSpansSize(p.ResourceSpans().At(i)))
}

// Divide implements [Signal].
func (Traces) Divide(p ptrace.Traces, of []int, n int) ([]ptrace.Traces, func(ptrace.Traces)) {
	return divide(p, of, n, ptrace.Traces.ResourceSpans, newTraces), nil
}

// DivideItems implements [ByItem].
func (Traces) DivideItems(p ptrace.Traces, of []int, n int) ([]ptrace.Traces, func(int, ptrace.Traces)) {
	return divideItems(p, of, n, tracesTree, newTraces)
}

// UniteItems implements [ByItem].
func (Traces) UniteItems(p ptrace.Traces, parts []ptrace.Traces, of []int) {
	uniteItems(p, parts, of, tracesTree)
}

// SizesOfItems implements [ByItem].
func (Traces) SizesOfItems(p ptrace.Traces, of []int, n int) []Measure {
	return sizesOfItems(p, of, n, tracesTree)
}

// newTraces makes a payload that is known to be a pipeline's: the graph's next consumer gives back no reference of it.
func newTraces() ptrace.Traces {
	p := ptrace.NewTraces()
	pref.MarkPipelineOwnedTraces(p)
	return p
}
