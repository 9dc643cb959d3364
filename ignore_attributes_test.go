// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// Two replicas of an agent report the same series, and one of each goes out, with the attributes of the replica whose point is newer, in any
// partition.
func TestIgnoreAttributesOfReplicas(t *testing.T) {
	for _, partitions := range []int64{1, 4} {
		t.Run(fmt.Sprintf("partitions=%d", partitions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const series = 50
				var got []string
				p := newPipelineTo(t, metrics, func(c *Config) {
					byRecord(c)
					c.Partitions = partitions
					c.Map.LogKeys, c.Map.IgnoreAttributes = nil, []string{"replica", "port"}
				}, func(p *pipeline, _ context.Context, md pmetric.Metrics) error {
					p.mu.Lock()
					defer p.mu.Unlock()
					for _, r := range md.ResourceMetrics().All() {
						replica, _ := r.Resource().Attributes().Get("replica")
						for _, m := range r.ScopeMetrics().At(0).Metrics().All() {
							for _, point := range m.Gauge().DataPoints().All() {
								port, _ := point.Attributes().Get("port")
								got = append(got, fmt.Sprint(replica.Str(), " ", m.Name(), " ", port.Int()))
							}
						}
					}
					return nil
				}).begun(t)
				var want []string
				for i, replica := range []string{"a", "b"} {
					md := pmetric.NewMetrics()
					r := md.ResourceMetrics().AppendEmpty()
					r.Resource().Attributes().PutStr("replica", replica)
					r.Resource().Attributes().PutStr("service.name", "agent")
					list := r.ScopeMetrics().AppendEmpty().Metrics()
					for n := range series {
						m := list.AppendEmpty()
						m.SetName(fmt.Sprint("m", n))
						point := m.SetEmptyGauge().DataPoints().AppendEmpty()
						point.Attributes().PutInt("port", int64(i))
						at := i
						if n%2 == 0 { // of these a's is newer
							at = 1 - i
						}
						point.SetTimestamp(pcommon.Timestamp(10 + at))
						if at == 1 {
							want = append(want, fmt.Sprint(replica, " ", m.Name(), " ", i))
						}
					}
					require.NoError(t, send(context.Background(), p, md))
				}
				later(time.Second)
				require.EqualValues(t, series, p.metric(t, "items_superseded", ""))
				p.mu.Lock()
				defer p.mu.Unlock()
				require.ElementsMatch(t, want, got)
			})
		})
	}
}

// What is named is left out of resources, scopes and fields; what is not named tells spans apart.
func TestIgnoreOfSpans(t *testing.T) {
	for _, c := range []struct {
		name             string
		attributes       []string
		fields           []string
		change           func(r ptrace.ResourceSpans, s ptrace.ScopeSpans)
		apart, otherwise int
	}{
		{"resource", []string{"pod"}, nil, func(r ptrace.ResourceSpans, _ ptrace.ScopeSpans) { r.Resource().Attributes().PutStr("pod", "2") }, 1, 2},
		{"scope", []string{"pod"}, nil, func(_ ptrace.ResourceSpans, s ptrace.ScopeSpans) { s.Scope().Attributes().PutStr("pod", "2") }, 1, 2},
		{"lacking", []string{"pod"}, nil, func(r ptrace.ResourceSpans, _ ptrace.ScopeSpans) { r.Resource().Attributes().Clear() }, 1, 2},
		{"another", []string{"pod"}, nil, func(r ptrace.ResourceSpans, _ ptrace.ScopeSpans) { r.Resource().Attributes().PutStr("pods", "2") }, 2, 2},
		{"schema", nil, []string{signal.IgnoreSchema}, func(r ptrace.ResourceSpans, s ptrace.ScopeSpans) { r.SetSchemaUrl("2"); s.SetSchemaUrl("2") }, 1, 2},
		{"dropped", nil, []string{signal.IgnoreDropped}, func(r ptrace.ResourceSpans, s ptrace.ScopeSpans) {
			r.Resource().SetDroppedAttributesCount(2)
			s.Scope().SetDroppedAttributesCount(2)
		}, 1, 2},
		{"dropped, not schema", nil, []string{signal.IgnoreDropped}, func(r ptrace.ResourceSpans, _ ptrace.ScopeSpans) { r.SetSchemaUrl("2") }, 2, 2},
	} {
		for _, ignores := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", c.name, ignores), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPipelineTo(t, traces, func(cfg *Config) {
						byRecord(cfg)
						cfg.Map.LogKeys = nil
						if ignores {
							cfg.Map.IgnoreAttributes, cfg.Map.IgnoreFields = c.attributes, c.fields
						}
					}, func(*pipeline, context.Context, ptrace.Traces) error { return nil }).begun(t)
					for i := range 2 {
						td := ptrace.NewTraces()
						r := td.ResourceSpans().AppendEmpty()
						r.Resource().Attributes().PutStr("pod", "1")
						s := r.ScopeSpans().AppendEmpty()
						s.Scope().Attributes().PutStr("pod", "1")
						span := s.Spans().AppendEmpty()
						span.SetTraceID([16]byte{1})
						span.SetSpanID([8]byte{1})
						if i == 1 {
							c.change(r, s)
						}
						require.NoError(t, send(context.Background(), p, td))
					}
					later(time.Second)
					want := c.otherwise
					if ignores {
						want = c.apart
					}
					require.EqualValues(t, want, p.metric(t, "items_forwarded", ""))
				})
			})
		}
	}
}

// A name is that of an attribute of a record, its scope or its resource. What is within the value of such an attribute is ignored with it,
// whatever it is; and a value of the same name that is within one that is not ignored tells records apart.
func TestIgnoreOfNestedValues(t *testing.T) {
	nested := func(m pcommon.Map, outer, inner string, v int) {
		m.PutEmptyMap(outer).PutEmptySlice("list").AppendEmpty().SetEmptyMap().PutInt(inner, int64(v))
	}
	for _, c := range []struct {
		name   string
		ignore []string
		change func(m pcommon.Map, v int)
		want   int
	}{
		{"within what is ignored", []string{"pod"}, func(m pcommon.Map, v int) { nested(m, "pod", "uid", v) }, 1},
		{"of another type", []string{"pod"}, func(m pcommon.Map, v int) {
			if nested(m, "pod", "uid", v); v == 1 {
				m.PutStr("pod", "1")
			}
		}, 1},
		{"below another", []string{"uid"}, func(m pcommon.Map, v int) { nested(m, "pod", "uid", v) }, 2},
		{"a path is no name", []string{"pod.list", "pod.list.uid", "list"}, func(m pcommon.Map, v int) { nested(m, "pod", "uid", v) }, 2},
		{"beside what differs", []string{"pod"}, func(m pcommon.Map, v int) { nested(m, "pod", "uid", v); nested(m, "node", "pod", v) }, 2},
	} {
		for _, where := range []string{"resource", "scope", "point"} {
			t.Run(c.name+"/"+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var last map[string]any
					p := newPipelineTo(t, metrics, func(cfg *Config) {
						byRecord(cfg)
						cfg.Map.LogKeys, cfg.Map.IgnoreAttributes = nil, c.ignore
					}, func(p *pipeline, _ context.Context, md pmetric.Metrics) error {
						p.mu.Lock()
						defer p.mu.Unlock()
						r := md.ResourceMetrics().At(md.ResourceMetrics().Len() - 1)
						s := r.ScopeMetrics().At(r.ScopeMetrics().Len() - 1)
						points := s.Metrics().At(0).Gauge().DataPoints()
						last = map[string]map[string]any{
							"resource": r.Resource().Attributes().AsRaw(), "scope": s.Scope().Attributes().AsRaw(), "point": points.At(points.Len() - 1).Attributes().AsRaw(),
						}[where]
						return nil
					}).begun(t)
					want := pcommon.NewMap()
					for v := range 2 {
						md := pmetric.NewMetrics()
						r := md.ResourceMetrics().AppendEmpty()
						s := r.ScopeMetrics().AppendEmpty()
						point := s.Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
						point.SetTimestamp(pcommon.Timestamp(10 + v))
						c.change(map[string]pcommon.Map{"resource": r.Resource().Attributes(), "scope": s.Scope().Attributes(), "point": point.Attributes()}[where], v)
						require.NoError(t, send(context.Background(), p, md))
						want.Clear()
						c.change(want, v)
					}
					later(time.Second)
					require.EqualValues(t, c.want, p.metric(t, "items_forwarded", ""))
					p.mu.Lock()
					defer p.mu.Unlock()
					require.Equal(t, want.AsRaw(), last, "what is sent has those of the newer")
				})
			})
		}
	}
}

// All attributes together can tell log records apart, but for those that are ignored.
func TestLogKeysNameAllAttributes(t *testing.T) {
	for _, c := range []struct {
		keys, ignore []string
		want         int
	}{
		{[]string{"attributes"}, nil, 3},
		{[]string{"attributes"}, []string{"n"}, 2},
		{[]string{"attributes"}, []string{"n", "odd"}, 1},
		{[]string{"resource.attributes"}, nil, 6},
		{[]string{"resource.attributes"}, []string{"all"}, 1},
		{[]string{"scope.attributes", "scope.name"}, nil, 1},
		{[]string{"scope.version"}, nil, 6},
		{[]string{"severity_number"}, nil, 2},
	} {
		t.Run(fmt.Sprint(c.keys, " without ", c.ignore), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipelineTo(t, logs, func(cfg *Config) {
					byRecord(cfg)
					cfg.Map.LogKeys, cfg.Map.IgnoreAttributes = c.keys, c.ignore
				}, func(*pipeline, context.Context, plog.Logs) error { return nil }).begun(t)
				for i := range 6 {
					ld := plog.NewLogs()
					r := ld.ResourceLogs().AppendEmpty()
					r.Resource().Attributes().PutInt("all", int64(i))
					s := r.ScopeLogs().AppendEmpty()
					s.Scope().SetVersion(fmt.Sprint(i))
					record := s.LogRecords().AppendEmpty()
					record.SetSeverityNumber(plog.SeverityNumber(9 + i%2))
					if i%2 == 1 {
						record.Attributes().PutBool("odd", true)
					}
					record.Attributes().PutInt("n", int64(i%2*(i/4)))
					require.NoError(t, send(context.Background(), p, ld))
				}
				later(time.Second)
				require.EqualValues(t, c.want, p.metric(t, "items_forwarded", ""))
			})
		})
	}
}

func TestIgnoringMetricsAreNotSpreadByTrace(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	byRecord(cfg)
	cfg.Map.IgnoreAttributes, cfg.Partitions, cfg.PartitionBy = []string{"a"}, 2, partitionByTrace
	require.NoError(t, cfg.Validate())
	_, _, err := metrics.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(context.Context, pmetric.Metrics) error { return nil })
	require.ErrorContains(t, err, `partition_by is "trace"; with map.ignore_attributes`)
}
