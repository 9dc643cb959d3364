// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Position is where an item stands in a payload: indices, each in the container above.
type Position struct {
	Resource, Scope int
	Group           int // of its metric or profile; 0 for spans and log records
	Index           int // of the item itself; below 0: it is a profile without samples
}

// Item is one item of a payload with what stands above it, to be read.
type Item struct {
	Position
	ScopeNumber int             // of its scope, counted from 0 over the whole payload
	Trace       pcommon.TraceID // empty: it has none

	own, scope, resource pcommon.Map
	sample               sample // instead of own, for profiles
}

// Own returns an attribute of the item itself.
func (i *Item) Own(name string) (pcommon.Value, bool) {
	if i.sample.known {
		return i.sample.get(name)
	}
	return i.own.Get(name)
}

// OfScope returns an attribute of the item's scope.
func (i *Item) OfScope(name string) (pcommon.Value, bool) { return i.scope.Get(name) }

// ResourceAttributes are those of the item's resource.
func (i *Item) ResourceAttributes() pcommon.Map { return i.resource }

// Each implements [ByItem].
func (Traces) Each(p ptrace.Traces, it *Item, f func(*Item) bool) {
	*it = Item{}
	resources := p.ResourceSpans()
	for it.Resource = range resources.Len() {
		r := resources.At(it.Resource)
		it.resource = r.Resource().Attributes()
		scopes := r.ScopeSpans()
		for it.Scope = range scopes.Len() {
			s := scopes.At(it.Scope)
			it.scope = s.Scope().Attributes()
			spans := s.Spans()
			for it.Index = range spans.Len() {
				span := spans.At(it.Index)
				it.own, it.Trace = span.Attributes(), span.TraceID()
				if !f(it) {
					return
				}
			}
			it.ScopeNumber++
		}
	}
}

// Each implements [ByItem].
func (Logs) Each(p plog.Logs, it *Item, f func(*Item) bool) {
	*it = Item{}
	resources := p.ResourceLogs()
	for it.Resource = range resources.Len() {
		r := resources.At(it.Resource)
		it.resource = r.Resource().Attributes()
		scopes := r.ScopeLogs()
		for it.Scope = range scopes.Len() {
			s := scopes.At(it.Scope)
			it.scope = s.Scope().Attributes()
			records := s.LogRecords()
			for it.Index = range records.Len() {
				record := records.At(it.Index)
				it.own, it.Trace = record.Attributes(), record.TraceID()
				if !f(it) {
					return
				}
			}
			it.ScopeNumber++
		}
	}
}

// Each implements [ByItem].
func (Metrics) Each(p pmetric.Metrics, it *Item, f func(*Item) bool) {
	*it = Item{}
	resources := p.ResourceMetrics()
	for it.Resource = range resources.Len() {
		r := resources.At(it.Resource)
		it.resource = r.Resource().Attributes()
		scopes := r.ScopeMetrics()
		for it.Scope = range scopes.Len() {
			s := scopes.At(it.Scope)
			it.scope = s.Scope().Attributes()
			metrics := s.Metrics()
			for it.Group = range metrics.Len() {
				if !eachPoint(metrics.At(it.Group), it, f) {
					return
				}
			}
			it.ScopeNumber++
		}
	}
}

// eachPoint is Each for one metric; false: f wants no more.
func eachPoint(m pmetric.Metric, it *Item, f func(*Item) bool) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return eachOf(m.Gauge().DataPoints(), it, f)
	case pmetric.MetricTypeSum:
		return eachOf(m.Sum().DataPoints(), it, f)
	case pmetric.MetricTypeHistogram:
		return eachOf(m.Histogram().DataPoints(), it, f)
	case pmetric.MetricTypeExponentialHistogram:
		return eachOf(m.ExponentialHistogram().DataPoints(), it, f)
	case pmetric.MetricTypeSummary:
		return eachOf(m.Summary().DataPoints(), it, f)
	default:
		return true
	}
}

func eachOf[D dataPoint, S interface {
	Len() int
	At(i int) D
}](points S, it *Item, f func(*Item) bool) bool {
	for it.Index = range points.Len() {
		it.own = points.At(it.Index).Attributes()
		if !f(it) {
			return false
		}
	}
	return true
}

// Each implements [ByItem]. The attributes of a sample itself are its own, else those of its profile.
func (Profiles) Each(p pprofile.Profiles, it *Item, f func(*Item) bool) {
	*it = Item{}
	it.sample = sample{known: true, dictionary: p.Dictionary()}
	for i, r := range p.ResourceProfiles().All() {
		it.Resource, it.resource = i, r.Resource().Attributes()
		for j, s := range r.ScopeProfiles().All() {
			it.Scope, it.scope = j, s.Scope().Attributes()
			for k, profile := range s.Profiles().All() {
				it.Group, it.Index, it.sample.profile = k, -1, profile.AttributeIndices()
				it.sample.own, it.Trace = pcommon.NewInt32Slice(), pcommon.TraceID{}
				if profile.Samples().Len() == 0 && !f(it) {
					return
				}
				for l, one := range profile.Samples().All() {
					it.Index, it.sample.own = l, one.AttributeIndices()
					it.Trace = it.sample.trace(one.LinkIndex())
					if !f(it) {
						return
					}
				}
			}
			it.ScopeNumber++
		}
	}
}

// sample is where the attributes of a profile's sample are. What the dictionary does not have, it has not.
type sample struct {
	known        bool
	own, profile pcommon.Int32Slice
	dictionary   pprofile.ProfilesDictionary
}

func (s *sample) get(name string) (pcommon.Value, bool) {
	if v, ok := s.find(s.own, name); ok {
		return v, true
	}
	return s.find(s.profile, name)
}

func (s *sample) find(indices pcommon.Int32Slice, name string) (pcommon.Value, bool) {
	attributes, texts := s.dictionary.AttributeTable(), s.dictionary.StringTable()
	for i := range indices.Len() {
		at := int(indices.At(i))
		if at <= 0 || at >= attributes.Len() {
			continue
		}
		a := attributes.At(at)
		if key := int(a.KeyStrindex()); key > 0 && key < texts.Len() && texts.At(key) == name {
			return a.Value(), true
		}
	}
	return pcommon.Value{}, false
}

func (s *sample) trace(link int32) pcommon.TraceID {
	if links := s.dictionary.LinkTable(); link > 0 && int(link) < links.Len() {
		return links.At(int(link)).TraceID()
	}
	return pcommon.TraceID{}
}
