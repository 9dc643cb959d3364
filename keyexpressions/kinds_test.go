// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
)

// kind is what the tests have to know about one kind of telemetry.
type kind[P any] struct {
	create func(processor.Settings, component.Config, func(context.Context, P) error) (component.Component, func(context.Context, P) error, error)

	// payload makes one with an item for each of items, which have their texts as values or names, below each of resources. set may add to
	// everything. Not for profiles.
	payload func(resources, items []string, set func(resource, scope, own pcommon.Map)) P

	items func(P) []string // the texts of the items
}

var factory = NewFactory()

var spans = kind[ptrace.Traces]{
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, ptrace.Traces) error) (component.Component, func(context.Context, ptrace.Traces) error, error) {
		c, _ := consumer.NewTraces(next)
		p, err := factory.CreateTraces(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeTraces, nil
	},
	payload: func(resources, items []string, set func(resource, scope, own pcommon.Map)) ptrace.Traces {
		p := ptrace.NewTraces()
		for i, resource := range resources {
			r := p.ResourceSpans().AppendEmpty()
			r.SetSchemaUrl("v1")
			r.Resource().Attributes().PutStr("resource", resource)
			s := r.ScopeSpans().AppendEmpty()
			s.Scope().SetName("scope " + resource)
			for j, item := range items {
				span := s.Spans().AppendEmpty()
				span.SetName(item)
				span.SetKind(ptrace.SpanKindServer)
				span.SetTraceID(pcommon.TraceID{byte(i*16 + j), 1})
				span.SetSpanID(pcommon.SpanID{byte(j), 1})
				span.SetStartTimestamp(1_000_000_000)
				span.SetEndTimestamp(3_500_000_000)
				set(r.Resource().Attributes(), s.Scope().Attributes(), span.Attributes())
			}
		}
		return p
	},
	items: func(p ptrace.Traces) (all []string) {
		for _, r := range p.ResourceSpans().All() {
			for _, s := range r.ScopeSpans().All() {
				for _, span := range s.Spans().All() {
					all = append(all, span.Name())
				}
			}
		}
		return all
	},
}

var records = kind[plog.Logs]{
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, plog.Logs) error) (component.Component, func(context.Context, plog.Logs) error, error) {
		c, _ := consumer.NewLogs(next)
		p, err := factory.CreateLogs(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeLogs, nil
	},
	payload: func(resources, items []string, set func(resource, scope, own pcommon.Map)) plog.Logs {
		p := plog.NewLogs()
		for _, resource := range resources {
			r := p.ResourceLogs().AppendEmpty()
			r.Resource().Attributes().PutStr("resource", resource)
			s := r.ScopeLogs().AppendEmpty()
			s.Scope().SetName("scope " + resource)
			for _, item := range items {
				record := s.LogRecords().AppendEmpty()
				record.Body().SetStr(item)
				record.SetSeverityText("INFO")
				set(r.Resource().Attributes(), s.Scope().Attributes(), record.Attributes())
			}
		}
		return p
	},
	items: func(p plog.Logs) (all []string) {
		for _, r := range p.ResourceLogs().All() {
			for _, s := range r.ScopeLogs().All() {
				for _, record := range s.LogRecords().All() {
					all = append(all, record.Body().Str())
				}
			}
		}
		return all
	},
}

// points makes each point a gauge of its own, but for every second one, which is a histogram's.
var points = kind[pmetric.Metrics]{
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, pmetric.Metrics) error) (component.Component, func(context.Context, pmetric.Metrics) error, error) {
		c, _ := consumer.NewMetrics(next)
		p, err := factory.CreateMetrics(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeMetrics, nil
	},
	payload: func(resources, items []string, set func(resource, scope, own pcommon.Map)) pmetric.Metrics {
		p := pmetric.NewMetrics()
		for _, resource := range resources {
			r := p.ResourceMetrics().AppendEmpty()
			r.Resource().Attributes().PutStr("resource", resource)
			s := r.ScopeMetrics().AppendEmpty()
			s.Scope().SetName("scope " + resource)
			for i, item := range items {
				m := s.Metrics().AppendEmpty()
				m.SetName(item)
				var own pcommon.Map
				if i%2 == 0 {
					own = m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes()
				} else {
					own = m.SetEmptyHistogram().DataPoints().AppendEmpty().Attributes()
				}
				set(r.Resource().Attributes(), s.Scope().Attributes(), own)
			}
		}
		return p
	},
	items: func(p pmetric.Metrics) (all []string) {
		for _, r := range p.ResourceMetrics().All() {
			for _, s := range r.ScopeMetrics().All() {
				for _, m := range s.Metrics().All() {
					all = append(all, m.Name())
				}
			}
		}
		return all
	},
}

// samples has the index of a sample in all payloads as its value.
var samples = kind[pprofile.Profiles]{
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, pprofile.Profiles) error) (component.Component, func(context.Context, pprofile.Profiles) error, error) {
		c, _ := xconsumer.NewProfiles(next)
		p, err := factory.CreateProfiles(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeProfiles, nil
	},
	items: func(p pprofile.Profiles) (all []string) {
		for _, r := range p.ResourceProfiles().All() {
			for _, s := range r.ScopeProfiles().All() {
				for _, profile := range s.Profiles().All() {
					if profile.Samples().Len() == 0 {
						all = append(all, "none")
					}
					for _, sample := range profile.Samples().All() {
						all = append(all, fmt.Sprint(sample.Values().At(0)))
					}
				}
			}
		}
		return all
	},
}

func nothing(_, _, _ pcommon.Map) {}

// profiles makes a profile with so many samples, and one without any. The first sample has the attribute x.
func profiles(n int) pprofile.Profiles {
	p := pprofile.NewProfiles()
	d := p.Dictionary()
	d.StringTable().Append("", "x", "of the sample")
	d.AttributeTable().AppendEmpty()
	x := d.AttributeTable().AppendEmpty()
	x.SetKeyStrindex(1)
	x.Value().SetStr("of the sample")
	d.MappingTable().AppendEmpty()
	d.LocationTable().AppendEmpty()
	d.FunctionTable().AppendEmpty()
	d.LinkTable().AppendEmpty()
	d.StackTable().AppendEmpty()
	r := p.ResourceProfiles().AppendEmpty()
	r.Resource().Attributes().PutStr("resource", "r")
	list := r.ScopeProfiles().AppendEmpty().Profiles()
	one := list.AppendEmpty()
	one.SetProfileID(pprofile.ProfileID{0xab})
	for i := range n {
		one.Samples().AppendEmpty().Values().Append(int64(i))
	}
	one.Samples().At(0).AttributeIndices().Append(1)
	list.AppendEmpty().SetProfileID(pprofile.ProfileID{0xcd})
	return p
}

// sent is what a processor has sent on.
type sent struct {
	mu    sync.Mutex
	items map[string][]string // by the client metadata of their batches, in order

	telemetry *componenttest.Telemetry
}

func (s *sent) took(ctx context.Context, items []string) {
	metadata, pairs := client.FromContext(ctx).Metadata, []string{}
	for _, name := range slices.Sorted(metadata.Keys()) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, metadata.Get(name)))
	}
	key := strings.Join(pairs, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[key] = append(s.items[key], items...)
}

// failures is the metric key_expression_errors, by key.
func (s *sent) failures(t *testing.T) map[string]int64 {
	t.Helper()
	m, err := s.telemetry.GetMetric("otelcol_processor_partitionedbuffer_key_expression_errors")
	require.NoError(t, err)
	return sums(m)
}

// begin starts a processor with a section of configuration. Its end has to be waited for by end.
func begin[P any](t *testing.T, k kind[P], section map[string]any) (s *sent, push func(context.Context, P), end func()) {
	t.Helper()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(section).Unmarshal(cfg))
	s = &sent{items: map[string][]string{}, telemetry: componenttest.NewTelemetry()}
	set := processortest.NewNopSettings(factory.Type())
	set.TelemetrySettings = s.telemetry.NewTelemetrySettings()
	c, consume, err := k.create(set, cfg, func(ctx context.Context, p P) error {
		s.took(ctx, k.items(p))
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Start(context.Background(), componenttest.NewNopHost()))
	push = func(ctx context.Context, p P) { require.NoError(t, consume(ctx, p)) }
	end = func() {
		require.NoError(t, c.Shutdown(context.Background()))
		t.Cleanup(func() { require.NoError(t, s.telemetry.Shutdown(context.Background())) })
	}
	return s, push, end
}

// values sends a payload through a processor with one expression, and returns the items by the value of that, which is in brackets.
func values[P any](ctx context.Context, t *testing.T, k kind[P], text string, p P) map[string][]string {
	t.Helper()
	s, push, end := begin(t, k, map[string]any{"key_expressions": map[string]any{"key": text}})
	push(ctx, p)
	end()
	require.Equal(t, map[string]int64{"key": 0}, s.failures(t), text)
	return maps.Clone(s.items)
}
