// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var _ Groups[ptrace.Traces] = Traces{}

// Resources implements [Signal] and [Groups].
func (Traces) Resources(p ptrace.Traces) int { return p.ResourceSpans().Len() }

// Group implements [Groups].
func (Traces) Group(e *Encoder, p ptrace.Traces, at int) (resource Name, g Group[ptrace.Traces]) {
	g = Group[ptrace.Traces]{Payload: p, At: at}
	r := p.ResourceSpans().At(at)
	scopes := r.ScopeSpans()
	e.begin(scopes.Len(), nil)
	e.resource(r.Resource(), r.SchemaUrl())
	e.end()
	for i := range scopes.Len() {
		s := scopes.At(i)
		g.Items += s.Spans().Len()
		e.scope(s.Scope(), s.SchemaUrl())
		e.end()
	}
	g.outline = e.outline()
	return g.outline.resource, g
}

var foldTraces = folderOf(scopesOfTraces, ptrace.NewScopeSpansSlice, ptrace.ScopeSpans.Spans)

// Fold implements [Groups].
func (Traces) Fold(held *Group[ptrace.Traces], added []*Group[ptrace.Traces]) {
	foldTraces.fold(held, added)
}

// Extract implements [Groups].
func (Traces) Extract(g Group[ptrace.Traces]) ptrace.Traces {
	if g.outline.twins() {
		foldTraces.unify(&g)
	}
	return extract(g, ptrace.Traces.ResourceSpans, newTraces)
}

func scopesOfTraces(g *Group[ptrace.Traces]) ptrace.ScopeSpansSlice {
	return g.Payload.ResourceSpans().At(g.At).ScopeSpans()
}
