// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/plog"
)

var _ Groups[plog.Logs] = Logs{}

// Resources implements [Signal] and [Groups].
func (Logs) Resources(p plog.Logs) int { return p.ResourceLogs().Len() }

// Group implements [Groups].
func (Logs) Group(e *Encoder, p plog.Logs, at int) (resource Name, g Group[plog.Logs]) {
	g = Group[plog.Logs]{Payload: p, At: at}
	r := p.ResourceLogs().At(at)
	scopes := r.ScopeLogs()
	e.begin(scopes.Len(), nil)
	e.resource(r.Resource(), r.SchemaUrl())
	e.end()
	for i := range scopes.Len() {
		s := scopes.At(i)
		g.Items += s.LogRecords().Len()
		e.scope(s.Scope(), s.SchemaUrl())
		e.end()
	}
	g.outline = e.outline()
	return g.outline.resource, g
}

var foldLogs = folderOf(scopesOfLogs, plog.NewScopeLogsSlice, plog.ScopeLogs.LogRecords)

// Fold implements [Groups].
func (Logs) Fold(held *Group[plog.Logs], added []*Group[plog.Logs]) {
	foldLogs.fold(held, added)
}

// Extract implements [Groups].
func (Logs) Extract(g Group[plog.Logs]) plog.Logs {
	if g.outline.twins() {
		foldLogs.unify(&g)
	}
	return extract(g, plog.Logs.ResourceLogs, newLogs)
}

func scopesOfLogs(g *Group[plog.Logs]) plog.ScopeLogsSlice {
	return g.Payload.ResourceLogs().At(g.At).ScopeLogs()
}
