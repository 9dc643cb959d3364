// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var _ Groups[pmetric.Metrics] = Metrics{}

// Resources implements [Signal] and [Groups].
func (Metrics) Resources(p pmetric.Metrics) int { return p.ResourceMetrics().Len() }

// Group implements [Groups].
func (Metrics) Group(e *Encoder, p pmetric.Metrics, at int) (resource Name, g Group[pmetric.Metrics]) {
	g = Group[pmetric.Metrics]{Payload: p, At: at}
	r := p.ResourceMetrics().At(at)
	scopes := r.ScopeMetrics()
	e.begin(scopes.Len(), func(i int) int { return scopes.At(i).Metrics().Len() })
	e.resource(r.Resource(), r.SchemaUrl())
	e.end()
	for i := range scopes.Len() {
		s := scopes.At(i)
		e.scope(s.Scope(), s.SchemaUrl())
		e.end()
		for _, m := range s.Metrics().All() {
			g.Items += pointsIn(m)
			e.series(m)
			e.describe(m)
			e.end()
		}
	}
	g.outline = e.outline()
	return g.outline.resource, g
}

// Fold implements [Groups].
func (Metrics) Fold(held *Group[pmetric.Metrics], added []*Group[pmetric.Metrics]) {
	foldMetrics.fold(held, added)
}

var foldMetrics = folder[pmetric.Metrics, pmetric.ScopeMetricsSlice, pmetric.ScopeMetrics]{
	below: scopesOfMetrics, empty: pmetric.NewScopeMetricsSlice, named: foldNamedMetrics,
	alike: func(dst pmetric.ScopeMetricsSlice, added []*Group[pmetric.Metrics]) {
		for _, g := range added {
			src := scopesOfMetrics(g)
			for i := range src.Len() {
				to, from := dst.At(i).Metrics(), src.At(i).Metrics()
				for j := range from.Len() {
					movePoints(to.At(j), from.At(j))
				}
			}
		}
	},
}

// Extract implements [Groups].
func (Metrics) Extract(g Group[pmetric.Metrics]) pmetric.Metrics {
	if g.outline.twins() {
		foldMetrics.unify(&g)
	}
	return extract(g, pmetric.Metrics.ResourceMetrics, newMetrics)
}

func scopesOfMetrics(g *Group[pmetric.Metrics]) pmetric.ScopeMetricsSlice {
	return g.Payload.ResourceMetrics().At(g.At).ScopeMetrics()
}

func foldNamedMetrics(index map[place]int, dst, src pmetric.ScopeMetricsSlice, from *outline) {
	for i := range src.Len() {
		names := from.scopes[i]
		scope, made := find(index, dst, place{noScope, names.name})
		if made {
			moveScope(dst.At(scope), src.At(i))
		}
		metrics := dst.At(scope).Metrics()
		for j, m := range src.At(i).Metrics().All() {
			at, made := find(index, metrics, place{scope, names.metrics[j]})
			if made {
				m.MoveTo(metrics.At(at))
			} else {
				movePoints(metrics.At(at), m)
			}
		}
	}
}

// movePoints moves the points of src behind those of dst, which is of the same type.
func movePoints(dst, src pmetric.Metric) {
	switch src.Type() {
	case pmetric.MetricTypeGauge:
		src.Gauge().DataPoints().MoveAndAppendTo(dst.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		src.Sum().DataPoints().MoveAndAppendTo(dst.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		src.Histogram().DataPoints().MoveAndAppendTo(dst.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		src.ExponentialHistogram().DataPoints().MoveAndAppendTo(dst.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		src.Summary().DataPoints().MoveAndAppendTo(dst.Summary().DataPoints())
	}
}
