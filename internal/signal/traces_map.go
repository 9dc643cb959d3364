// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var _ Groups[ptrace.Traces] = Traces{}

// Resources implements [Signal] and [Groups].
func (Traces) Resources(p ptrace.Traces) int { return p.ResourceSpans().Len() }

// Group implements [Groups].
func (Traces) Group(e *Encoder, p ptrace.Traces, at int) (resource string, g Group[ptrace.Traces]) {
	g = Group[ptrace.Traces]{Payload: p, At: at}
	r := p.ResourceSpans().At(at)
	e.reset()
	e.resource(r.Resource(), r.SchemaUrl())
	e.end()
	scopes := r.ScopeSpans()
	for i := range scopes.Len() {
		s := scopes.At(i)
		g.Items += s.Spans().Len()
		e.scope(s.Scope(), s.SchemaUrl())
		e.end()
	}
	resource, g.names = e.finish()
	return resource, g
}

var foldTraces = folderOf(scopesOfTraces, ptrace.NewScopeSpansSlice, ptrace.ScopeSpans.Spans)

// Fold implements [Groups].
func (Traces) Fold(held *Group[ptrace.Traces], added []*Group[ptrace.Traces]) {
	foldTraces.fold(held, added)
}

// Extract implements [Groups].
func (Traces) Extract(g Group[ptrace.Traces]) ptrace.Traces {
	if g.names.twin {
		foldTraces.unify(&g)
	}
	return extract(g, ptrace.Traces.ResourceSpans, newTraces)
}

func scopesOfTraces(g *Group[ptrace.Traces]) ptrace.ScopeSpansSlice {
	return g.Payload.ResourceSpans().At(g.At).ScopeSpans()
}
