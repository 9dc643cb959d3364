// SPDX-License-Identifier: Apache-2.0

// Package otlpio sends telemetry whose items can be told apart, and reads what a collector made of it.
package otlpio

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Signal is a kind of telemetry, by its name in a collector's config.
type Signal string

// The signals.
const (
	Traces   Signal = "traces"
	Metrics  Signal = "metrics"
	Logs     Signal = "logs"
	Profiles Signal = "profiles"
)

var (
	// Stable are the signals that telemetrygen and every collector know.
	Stable = []Signal{Traces, Metrics, Logs}
	// All are also those that a collector knows only with the feature gate service.profilesSupport.
	All = []Signal{Traces, Metrics, Logs, Profiles}
)

// Payload is one request or one batch. The field that Signal names is set, the others are not.
type Payload struct {
	Signal   Signal
	Traces   ptrace.Traces
	Metrics  pmetric.Metrics
	Logs     plog.Logs
	Profiles pprofile.Profiles
}

// Build makes a payload of one item for each ID. Everything about an item follows from its ID: its content, its resource and
// its scope. So whoever reads it can tell whether it is still what was sent.
func Build(signal Signal, ids []int64) Payload {
	switch signal {
	case Traces:
		return Payload{Signal: signal, Traces: buildTraces(ids)}
	case Metrics:
		return Payload{Signal: signal, Metrics: buildMetrics(ids)}
	case Logs:
		return Payload{Signal: signal, Logs: buildLogs(ids)}
	case Profiles:
		return Payload{Signal: signal, Profiles: buildProfiles(ids)}
	}
	panic("unknown signal " + signal)
}

// Len is the number of items: spans, data points, log records or samples.
func (p Payload) Len() int {
	switch p.Signal {
	case Traces:
		return p.Traces.SpanCount()
	case Metrics:
		return p.Metrics.DataPointCount()
	case Logs:
		return p.Logs.LogRecordCount()
	default:
		return p.Profiles.SampleCount()
	}
}

// Visit calls f for each item that Build made, with its ID and with what is wrong about it, if anything. An item without an ID
// is an error too; its ID is given as -1.
func (p Payload) Visit(f func(id int64, err error)) {
	switch p.Signal {
	case Traces:
		visitTraces(p.Traces, f)
	case Metrics:
		visitMetrics(p.Metrics, f)
	case Logs:
		visitLogs(p.Logs, f)
	case Profiles:
		visitProfiles(p.Profiles, f)
	}
}

const (
	idKey   = "e2e.id"
	echoKey = "e2e.echo"
	homeKey = "e2e.resource"
)

// A place is a resource and a scope. Items are spread over a few of them, by ID.
type place struct{ resource, scope int64 }

var places = []place{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 1}}

func placeOf(id int64) place { return places[id%int64(len(places))] }

// ResourceOf gives the resource that Build puts an item in.
func ResourceOf(id int64) int64 { return placeOf(id).resource }

func (p place) resourceName() string { return fmt.Sprintf("resource-%d", p.resource) }
func (p place) scopeName() string    { return fmt.Sprintf("scope-%d", p.scope) }
func (p place) resourceURL() string {
	return fmt.Sprintf("https://example.com/resource/%d", p.resource)
}
func (p place) scopeURL() string { return fmt.Sprintf("https://example.com/scope/%d", p.scope) }

// at gives those of the ids whose place is p.
func (p place) at(ids []int64) []int64 {
	var here []int64
	for _, id := range ids {
		if placeOf(id) == p {
			here = append(here, id)
		}
	}
	return here
}

// A holder is a ResourceSpans, ScopeSpans or one of their kin.
type holder interface {
	SchemaUrl() string
	SetSchemaUrl(string)
}

func (p place) set(resourceHolder holder, r pcommon.Resource, scopeHolder holder, s pcommon.InstrumentationScope) {
	resourceHolder.SetSchemaUrl(p.resourceURL())
	r.Attributes().PutStr(homeKey, p.resourceName())
	scopeHolder.SetSchemaUrl(p.scopeURL())
	s.SetName(p.scopeName())
}

// where describes the place at which an item was found.
type where struct {
	resource, resourceURL, scope, scopeURL string
}

func found(resourceHolder holder, r pcommon.Resource, scopeHolder holder, s pcommon.InstrumentationScope) where {
	name, _ := r.Attributes().Get(homeKey)
	return where{name.AsString(), resourceHolder.SchemaUrl(), s.Name(), scopeHolder.SchemaUrl()}
}

func (p place) where() where {
	return where{p.resourceName(), p.resourceURL(), p.scopeName(), p.scopeURL()}
}

func itemName(id int64) string { return fmt.Sprintf("item-%d", id) }

// echo is long enough to show bytes that were overwritten by those of another item.
func echo(id int64) string { return strings.Repeat(fmt.Sprintf("%08d.", id%1e8), 8) }

func putAttrs(m pcommon.Map, id int64) {
	m.PutInt(idKey, id)
	m.PutStr(echoKey, echo(id))
}

// check finds an item's ID and compares the rest with what Build gave to that ID.
func check(m pcommon.Map, at where, name string, wantName func(id int64) string) (int64, error) {
	v, ok := m.Get(idKey)
	if !ok || v.Type() != pcommon.ValueTypeInt || v.Int() < 0 {
		return -1, fmt.Errorf("an item has no ID: %v", m.AsRaw())
	}
	id := v.Int()
	if got, _ := m.Get(echoKey); got.AsString() != echo(id) {
		return id, fmt.Errorf("item %d: %s is %q", id, echoKey, got.AsString())
	}
	if want := wantName(id); name != want {
		return id, fmt.Errorf("item %d: name is %q, want %q", id, name, want)
	}
	if want := placeOf(id).where(); at != want {
		return id, fmt.Errorf("item %d: found at %+v, want %+v", id, at, want)
	}
	return id, nil
}
