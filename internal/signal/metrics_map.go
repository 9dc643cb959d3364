// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var _ Groups[pmetric.Metrics] = Metrics{}

// Resources implements [Signal] and [Groups].
func (Metrics) Resources(p pmetric.Metrics) int { return p.ResourceMetrics().Len() }

// Group implements [Groups].
func (Metrics) Group(e *Encoder, p pmetric.Metrics, at int) (resource string, g Group[pmetric.Metrics]) {
	g = Group[pmetric.Metrics]{Payload: p, At: at}
	r := p.ResourceMetrics().At(at)
	e.reset()
	e.resource(r.Resource(), r.SchemaUrl())
	e.end()
	scopes := r.ScopeMetrics()
	for i := range scopes.Len() {
		s := scopes.At(i)
		begin := len(e.buf)
		e.scope(s.Scope(), s.SchemaUrl())
		scope := len(e.buf) - begin
		e.end()
		metrics := s.Metrics()
		for j := range metrics.Len() {
			m := metrics.At(j)
			g.Items += pointsIn(m)
			e.buf = append(e.buf, e.buf[begin:begin+scope]...)
			e.series(m)
			e.describe(m)
			e.end()
		}
	}
	resource, g.names = e.finish()
	return resource, g
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
	if g.names.twin {
		foldMetrics.unify(&g)
	}
	return extract(g, pmetric.Metrics.ResourceMetrics, newMetrics)
}

func scopesOfMetrics(g *Group[pmetric.Metrics]) pmetric.ScopeMetricsSlice {
	return g.Payload.ResourceMetrics().At(g.At).ScopeMetrics()
}

func foldNamedMetrics(index map[string]int32, dst, src pmetric.ScopeMetricsSlice, n names) {
	var start int32
	for i := range src.Len() {
		from := src.At(i)
		to, made := place(index, dst, n.next(&start))
		if made {
			moveScope(to, from)
		}
		for j := range from.Metrics().Len() {
			m := from.Metrics().At(j)
			held, made := place(index, to.Metrics(), n.next(&start))
			if made {
				m.MoveTo(held)
			} else {
				movePoints(held, m)
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
