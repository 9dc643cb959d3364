// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlprofilesample"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
)

func ofTraces(set component.TelemetrySettings, text string) (expression[ptrace.Traces], error) {
	return contexts[ptrace.Traces, *ottlspan.TransformContext]{
		resource: func(p ptrace.Traces, at position) resource { return p.ResourceSpans().At(at.Resource) },
		scope: func(p ptrace.Traces, at position) scope {
			return p.ResourceSpans().At(at.Resource).ScopeSpans().At(at.Scope)
		},
		item: func(p ptrace.Traces, at position) *ottlspan.TransformContext {
			r := p.ResourceSpans().At(at.Resource)
			s := r.ScopeSpans().At(at.Scope)
			return ottlspan.NewTransformContext(r, s, s.Spans().At(at.Index))
		},
		parser: ottlspan.NewParser,
	}.compile(set, text)
}

func ofLogs(set component.TelemetrySettings, text string) (expression[plog.Logs], error) {
	return contexts[plog.Logs, *ottllog.TransformContext]{
		resource: func(p plog.Logs, at position) resource { return p.ResourceLogs().At(at.Resource) },
		scope:    func(p plog.Logs, at position) scope { return p.ResourceLogs().At(at.Resource).ScopeLogs().At(at.Scope) },
		item: func(p plog.Logs, at position) *ottllog.TransformContext {
			r := p.ResourceLogs().At(at.Resource)
			s := r.ScopeLogs().At(at.Scope)
			return ottllog.NewTransformContext(r, s, s.LogRecords().At(at.Index))
		},
		parser: ottllog.NewParser,
	}.compile(set, text)
}

func ofMetrics(set component.TelemetrySettings, text string) (expression[pmetric.Metrics], error) {
	return contexts[pmetric.Metrics, *ottldatapoint.TransformContext]{
		resource: func(p pmetric.Metrics, at position) resource { return p.ResourceMetrics().At(at.Resource) },
		scope: func(p pmetric.Metrics, at position) scope {
			return p.ResourceMetrics().At(at.Resource).ScopeMetrics().At(at.Scope)
		},
		item: func(p pmetric.Metrics, at position) *ottldatapoint.TransformContext {
			r := p.ResourceMetrics().At(at.Resource)
			s := r.ScopeMetrics().At(at.Scope)
			m := s.Metrics().At(at.Group)
			return ottldatapoint.NewTransformContext(r, s, m, pointOf(m, at.Index))
		},
		parser: ottldatapoint.NewParser,
	}.compile(set, text)
}

// pointOf returns a data point as OTTL takes it.
func pointOf(m pmetric.Metric, i int) any {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().At(i)
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().At(i)
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().At(i)
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().At(i)
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().At(i)
	default:
		return nil
	}
}

func ofProfiles(set component.TelemetrySettings, text string) (expression[pprofile.Profiles], error) {
	return contexts[pprofile.Profiles, *ottlprofilesample.TransformContext]{
		resource: func(p pprofile.Profiles, at position) resource { return p.ResourceProfiles().At(at.Resource) },
		scope: func(p pprofile.Profiles, at position) scope {
			return p.ResourceProfiles().At(at.Resource).ScopeProfiles().At(at.Scope)
		},
		item: func(p pprofile.Profiles, at position) *ottlprofilesample.TransformContext {
			r := p.ResourceProfiles().At(at.Resource)
			s := r.ScopeProfiles().At(at.Scope)
			profile := s.Profiles().At(at.Group)
			return ottlprofilesample.NewTransformContext(r, s, profile, sampleOf(profile, at.Index), p.Dictionary())
		},
		parser: ottlprofilesample.NewParser,
	}.compile(set, text)
}

// sampleOf returns a sample of a profile, or an empty one if it has none.
func sampleOf(profile pprofile.Profile, i int) pprofile.Sample {
	if i < 0 {
		return pprofile.NewSample()
	}
	return profile.Samples().At(i)
}
