// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumererror/xconsumererror"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/processor"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

type payload interface {
	MarkReadOnly()
	IsReadOnly() bool
}

// kind is what the tests have to know about one kind of telemetry.
type kind[P payload] struct {
	signal.Signal[P]

	// payload makes one with the items first, first+1, ... first+n-1, under a resource and a scope of their own.
	payload func(first, n int) P

	// items lists what is in p: each item with all that it stands under.
	items func(p P) []string

	// own marks p as a collector's graph does, which owns a payload from its first consumer on: true if it was not owned yet.
	own func(p P) bool

	partial func(err error, failed P) error

	create func(processor.Settings, component.Config, func(context.Context, P) error, ...consumer.Option) (component.Component, func(context.Context, P) error, error)
}

// mutates is what the next consumers of most tests do: they move what they get.
var mutates = consumer.WithCapabilities(consumer.Capabilities{MutatesData: true})

// third is an attribute of each item: one in three has the same.
func third(item int) string { return fmt.Sprint("third ", item%3) }

// resources makes a payload with n items under each of several resources, whose service.name is "service" and the first.
func (k kind[P]) resources(n int, firsts ...int) P {
	p := k.payload(firsts[0], n)
	for _, first := range firsts[1:] {
		k.Merge(p, k.payload(first, n))
	}
	return p
}

func fillResource(r pcommon.Resource, first int) {
	r.Attributes().PutStr("service.name", fmt.Sprint("service ", first))
	r.SetDroppedAttributesCount(uint32(first + 1))
}

func fillScope(s pcommon.InstrumentationScope, first int) {
	s.SetName(fmt.Sprint("scope ", first))
	s.SetVersion("v1")
	s.Attributes().PutInt("scope", int64(first))
}

func above(r pcommon.Resource, resourceSchema string, s pcommon.InstrumentationScope, scopeSchema string) string {
	return fmt.Sprint(r.Attributes().AsRaw(), r.DroppedAttributesCount(), resourceSchema, " / ",
		s.Name(), s.Version(), s.Attributes().AsRaw(), scopeSchema, " / ")
}

var traces = kind[ptrace.Traces]{
	Signal: signal.Traces{},
	payload: func(first, n int) ptrace.Traces {
		p := ptrace.NewTraces()
		r := p.ResourceSpans().AppendEmpty()
		fillResource(r.Resource(), first)
		r.SetSchemaUrl("https://resource")
		s := r.ScopeSpans().AppendEmpty()
		fillScope(s.Scope(), first)
		s.SetSchemaUrl("https://scope")
		for i := range n {
			span := s.Spans().AppendEmpty()
			span.SetName(fmt.Sprint("span ", first+i))
			span.Attributes().PutInt("item", int64(first+i))
			span.Attributes().PutStr("third", third(first+i))
			span.Events().AppendEmpty().SetName("event")
		}
		return p
	},
	items: func(p ptrace.Traces) (list []string) {
		for _, r := range p.ResourceSpans().All() {
			for _, s := range r.ScopeSpans().All() {
				for _, span := range s.Spans().All() {
					list = append(list, above(r.Resource(), r.SchemaUrl(), s.Scope(), s.SchemaUrl())+
						fmt.Sprint(span.Name(), span.Attributes().AsRaw(), span.Events().At(0).Name()))
				}
			}
		}
		return list
	},
	own:     pref.MarkPipelineOwnedTraces,
	partial: consumererror.NewTraces,
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, ptrace.Traces) error, options ...consumer.Option) (component.Component, func(context.Context, ptrace.Traces) error, error) {
		c, err := consumer.NewTraces(next, append([]consumer.Option{mutates}, options...)...)
		if err != nil {
			return nil, nil, err
		}
		p, err := testFactory().CreateTraces(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeTraces, nil
	},
}

var logs = kind[plog.Logs]{
	Signal: signal.Logs{},
	payload: func(first, n int) plog.Logs {
		p := plog.NewLogs()
		r := p.ResourceLogs().AppendEmpty()
		fillResource(r.Resource(), first)
		r.SetSchemaUrl("https://resource")
		s := r.ScopeLogs().AppendEmpty()
		fillScope(s.Scope(), first)
		s.SetSchemaUrl("https://scope")
		for i := range n {
			record := s.LogRecords().AppendEmpty()
			record.Body().SetStr(fmt.Sprint("record ", first+i))
			record.Attributes().PutInt("item", int64(first+i))
			record.Attributes().PutStr("third", third(first+i))
		}
		return p
	},
	items: func(p plog.Logs) (list []string) {
		for _, r := range p.ResourceLogs().All() {
			for _, s := range r.ScopeLogs().All() {
				for _, record := range s.LogRecords().All() {
					list = append(list, above(r.Resource(), r.SchemaUrl(), s.Scope(), s.SchemaUrl())+
						fmt.Sprint(record.Body().Str(), record.Attributes().AsRaw()))
				}
			}
		}
		return list
	},
	own:     pref.MarkPipelineOwnedLogs,
	partial: consumererror.NewLogs,
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, plog.Logs) error, options ...consumer.Option) (component.Component, func(context.Context, plog.Logs) error, error) {
		c, err := consumer.NewLogs(next, append([]consumer.Option{mutates}, options...)...)
		if err != nil {
			return nil, nil, err
		}
		p, err := testFactory().CreateLogs(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeLogs, nil
	},
}

var metrics = kind[pmetric.Metrics]{
	Signal: signal.Metrics{},
	payload: func(first, n int) pmetric.Metrics {
		p := pmetric.NewMetrics()
		r := p.ResourceMetrics().AppendEmpty()
		fillResource(r.Resource(), first)
		r.SetSchemaUrl("https://resource")
		s := r.ScopeMetrics().AppendEmpty()
		fillScope(s.Scope(), first)
		s.SetSchemaUrl("https://scope")
		m := s.Metrics().AppendEmpty()
		m.SetName(fmt.Sprint("metric ", first))
		m.SetUnit("By")
		m.SetDescription("description")
		m.Metadata().PutStr("metadata", "value")
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		m.Sum().SetIsMonotonic(true)
		for i := range n {
			point := m.Sum().DataPoints().AppendEmpty()
			point.SetIntValue(int64(first + i))
			point.Attributes().PutStr("third", third(first+i))
		}
		return p
	},
	items: func(p pmetric.Metrics) (list []string) {
		for _, r := range p.ResourceMetrics().All() {
			for _, s := range r.ScopeMetrics().All() {
				for _, m := range s.Metrics().All() {
					for _, point := range m.Sum().DataPoints().All() {
						list = append(list, above(r.Resource(), r.SchemaUrl(), s.Scope(), s.SchemaUrl())+
							fmt.Sprint(m.Name(), m.Unit(), m.Description(), m.Metadata().AsRaw(),
								m.Sum().AggregationTemporality(), m.Sum().IsMonotonic(), point.IntValue(), point.Attributes().AsRaw()))
					}
				}
			}
		}
		return list
	},
	own:     pref.MarkPipelineOwnedMetrics,
	partial: consumererror.NewMetrics,
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, pmetric.Metrics) error, options ...consumer.Option) (component.Component, func(context.Context, pmetric.Metrics) error, error) {
		c, err := consumer.NewMetrics(next, append([]consumer.Option{mutates}, options...)...)
		if err != nil {
			return nil, nil, err
		}
		p, err := testFactory().CreateMetrics(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeMetrics, nil
	},
}

var profiles = kind[pprofile.Profiles]{
	Signal:  signal.Profiles{},
	payload: newProfiles,
	items:   listProfiles,
	own:     pref.MarkPipelineOwnedProfiles,
	partial: xconsumererror.NewProfiles,
	create: func(set processor.Settings, cfg component.Config, next func(context.Context, pprofile.Profiles) error, options ...consumer.Option) (component.Component, func(context.Context, pprofile.Profiles) error, error) {
		c, err := xconsumer.NewProfiles(next, append([]consumer.Option{mutates}, options...)...)
		if err != nil {
			return nil, nil, err
		}
		p, err := testFactory().CreateProfiles(context.Background(), set, cfg, c)
		if err != nil {
			return nil, nil, err
		}
		return p, p.ConsumeProfiles, nil
	},
}

// newProfiles makes one profile whose samples have a function and two attributes each: five entries of the dictionary for
// each, beside ten that all share.
func newProfiles(first, n int) pprofile.Profiles {
	p := pprofile.NewProfiles()
	d := p.Dictionary()
	d.StringTable().Append("", "cpu", "item", "third")
	d.AttributeTable().AppendEmpty()
	d.MappingTable().AppendEmpty()
	d.LinkTable().AppendEmpty()
	d.FunctionTable().AppendEmpty()
	d.LocationTable().AppendEmpty()
	d.StackTable().AppendEmpty()
	r := p.ResourceProfiles().AppendEmpty()
	fillResource(r.Resource(), first)
	r.SetSchemaUrl("https://resource")
	s := r.ScopeProfiles().AppendEmpty()
	fillScope(s.Scope(), first)
	s.SetSchemaUrl("https://scope")
	if n == 0 {
		return p // a profile without samples would be an item
	}
	profile := s.Profiles().AppendEmpty()
	profile.SampleType().SetTypeStrindex(1)
	for i := range n {
		d.StringTable().Append(fmt.Sprint("function ", first+i))
		d.FunctionTable().AppendEmpty().SetNameStrindex(int32(d.StringTable().Len() - 1))
		d.LocationTable().AppendEmpty().Lines().AppendEmpty().SetFunctionIndex(int32(d.FunctionTable().Len() - 1))
		d.StackTable().AppendEmpty().LocationIndices().Append(int32(d.LocationTable().Len() - 1))
		attribute := d.AttributeTable().AppendEmpty()
		attribute.SetKeyStrindex(2)
		attribute.Value().SetInt(int64(first + i))
		group := d.AttributeTable().AppendEmpty()
		group.SetKeyStrindex(3)
		group.Value().SetStr(third(first + i))
		sample := profile.Samples().AppendEmpty()
		sample.SetStackIndex(int32(d.StackTable().Len() - 1))
		sample.AttributeIndices().Append(int32(d.AttributeTable().Len()-2), int32(d.AttributeTable().Len()-1))
		sample.Values().Append(int64(first + i))
	}
	return p
}

// listProfiles follows each sample into the dictionary.
func listProfiles(p pprofile.Profiles) (list []string) {
	d := p.Dictionary()
	for _, r := range p.ResourceProfiles().All() {
		for _, s := range r.ScopeProfiles().All() {
			for _, profile := range s.Profiles().All() {
				for _, sample := range profile.Samples().All() {
					location := d.StackTable().At(int(sample.StackIndex())).LocationIndices().At(0)
					function := d.LocationTable().At(int(location)).Lines().At(0).FunctionIndex()
					attribute := d.AttributeTable().At(int(sample.AttributeIndices().At(0)))
					list = append(list, above(r.Resource(), r.SchemaUrl(), s.Scope(), s.SchemaUrl())+fmt.Sprint(
						d.StringTable().At(int(profile.SampleType().TypeStrindex())),
						d.StringTable().At(int(d.FunctionTable().At(int(function)).NameStrindex())),
						d.StringTable().At(int(attribute.KeyStrindex())), attribute.Value().AsString(), sample.Values().AsRaw()))
				}
			}
		}
	}
	return list
}
