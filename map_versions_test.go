// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// version is a record of these tests. Those with the same id below equal resources are versions of one record, the newest
// of which is the one that is there at the greatest time.
type version struct {
	service string // of the resource; "": it has none
	host    string // of the resource
	id      int
	at      int
	value   int // tells it from all others
}

// resource is that of v, as text.
func (v version) resource() string { return v.service + "@" + v.host }

// versioned is a kind whose records are versions.
type versioned[P payload] struct {
	kind[P]
	make func(all ...version) P    // a resource for each row of versions that have it in common
	read func(p P) (r [][]version) // resource by resource
}

// logKeys leave out the service, so that log records of two services can be versions of one.
var logKeys = []string{"host", "item"}

var mapsByKey = map[string]func(*Config){mapResource: byResource, mapRecord: func(c *Config) {
	byRecord(c)
	c.Map.LogKeys = logKeys
}}

// rows are the versions of a payload, a resource each.
func rows(all []version) (rows [][]version) {
	for i, v := range all {
		if i == 0 || v.resource() != all[i-1].resource() {
			rows = append(rows, nil)
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], v)
	}
	return rows
}

// fillFrom fills in the resource of v, its attributes in one order or the other.
func fillFrom(v version, r pcommon.Resource) {
	host := func() { r.Attributes().PutStr("host", v.host) }
	if v.value%2 == 0 {
		host()
	}
	if v.service != "" {
		r.Attributes().PutStr("service.name", v.service)
	}
	if v.value%2 == 1 {
		host()
	}
}

func readFrom(r pcommon.Resource, id, at, value int) version {
	v := version{id: id, at: at, value: value}
	if name, ok := r.Attributes().Get("service.name"); ok {
		v.service = name.Str()
	}
	host, _ := r.Attributes().Get("host")
	v.host = host.Str()
	return v
}

var versionedTraces = versioned[ptrace.Traces]{
	kind: traces,
	make: func(all ...version) ptrace.Traces {
		p := ptrace.NewTraces()
		for _, row := range rows(all) {
			r := p.ResourceSpans().AppendEmpty()
			fillFrom(row[0], r.Resource())
			s := r.ScopeSpans().AppendEmpty()
			for _, v := range row {
				span := s.Spans().AppendEmpty()
				span.SetTraceID([16]byte{1})
				span.SetSpanID([8]byte{byte(v.id)})
				span.SetEndTimestamp(pcommon.Timestamp(v.at))
				span.Attributes().PutInt("value", int64(v.value))
			}
		}
		return p
	},
	read: func(p ptrace.Traces) (all [][]version) {
		for _, r := range p.ResourceSpans().All() {
			var row []version
			for _, s := range r.ScopeSpans().All() {
				for _, span := range s.Spans().All() {
					value, _ := span.Attributes().Get("value")
					row = append(row, readFrom(r.Resource(), int(span.SpanID()[0]), int(span.EndTimestamp()), int(value.Int())))
				}
			}
			all = append(all, row)
		}
		return all
	},
}

var versionedMetrics = versioned[pmetric.Metrics]{
	kind: metrics,
	make: func(all ...version) pmetric.Metrics {
		p := pmetric.NewMetrics()
		for _, row := range rows(all) {
			r := p.ResourceMetrics().AppendEmpty()
			fillFrom(row[0], r.Resource())
			sum := r.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptySum()
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for _, v := range row {
				point := sum.DataPoints().AppendEmpty()
				point.Attributes().PutInt("item", int64(v.id))
				point.SetTimestamp(pcommon.Timestamp(v.at))
				point.SetIntValue(int64(v.value))
			}
		}
		return p
	},
	read: func(p pmetric.Metrics) (all [][]version) {
		for _, r := range p.ResourceMetrics().All() {
			var row []version
			for _, s := range r.ScopeMetrics().All() {
				for _, m := range s.Metrics().All() {
					for _, point := range m.Sum().DataPoints().All() {
						id, _ := point.Attributes().Get("item")
						row = append(row, readFrom(r.Resource(), int(id.Int()), int(point.Timestamp()), int(point.IntValue())))
					}
				}
			}
			all = append(all, row)
		}
		return all
	},
}

var versionedLogs = versioned[plog.Logs]{
	kind: logs,
	make: func(all ...version) plog.Logs {
		p := plog.NewLogs()
		for _, row := range rows(all) {
			r := p.ResourceLogs().AppendEmpty()
			fillFrom(row[0], r.Resource())
			s := r.ScopeLogs().AppendEmpty()
			for _, v := range row {
				record := s.LogRecords().AppendEmpty()
				record.Attributes().PutInt("item", int64(v.id))
				record.SetTimestamp(pcommon.Timestamp(v.at))
				record.Body().SetInt(int64(v.value))
			}
		}
		return p
	},
	read: func(p plog.Logs) (all [][]version) {
		for _, r := range p.ResourceLogs().All() {
			var row []version
			for _, s := range r.ScopeLogs().All() {
				for _, record := range s.LogRecords().All() {
					id, _ := record.Attributes().Get("item")
					row = append(row, readFrom(r.Resource(), int(id.Int()), int(record.Timestamp()), int(record.Body().Int())))
				}
			}
			all = append(all, row)
		}
		return all
	},
}

// versions is what one call of the next consumer got.
type versions struct {
	key       string // the client's metadata
	resources [][]version
}

// combination is the key of a batch with these names and values in turn.
func combination(pairs ...string) string { return fmt.Sprint(everything(from(pairs...))) }

// begin starts a processor. What it sent since the last time is what sent returns.
func (k versioned[P]) begin(t *testing.T, set func(*Config), next func(ctx context.Context) error) (p *pipeline, sent func() []versions) {
	var all []versions
	p = newPipelineTo(t, k.kind, set, func(p *pipeline, ctx context.Context, payload P) error {
		got := versions{fmt.Sprint(everything(ctx)), k.read(payload)}
		if next != nil {
			if err := next(ctx); err != nil {
				return err
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		all = append(all, got)
		return nil
	}).begun(t)
	return p, func() (since []versions) {
		p.mu.Lock()
		defer p.mu.Unlock()
		since, all = all, nil
		return since
	}
}
