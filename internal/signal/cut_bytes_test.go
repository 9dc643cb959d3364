// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// TestCutBytesIsExact compares what a Cutter says with the marshaller, for random trees with empty containers, random quotas, and
// strings around the length at which a length takes a second byte.
func TestCutBytesIsExact(t *testing.T) {
	t.Run("traces", func(t *testing.T) { cutBytesIsExact(t, traces) })
	t.Run("logs", func(t *testing.T) { cutBytesIsExact(t, logs) })
	t.Run("metrics", func(t *testing.T) { cutBytesIsExact(t, metrics) })
}

func cutBytesIsExact[P any](t *testing.T, k kind[P]) {
	rapid.Check(t, func(rt *rapid.T) {
		p := k.draw(rt)
		total := Quota{k.Items(p), k.Size(p)}
		if total.Items == 0 {
			return
		}
		original := k.flatten(p)
		m := MeasureOf(k.Signal, p)
		require.Equal(rt, total.Bytes, m.Bytes)
		if rapid.Bool().Draw(rt, "nobody knows the resources") {
			m = Measure{Bytes: total.Bytes}
		}
		cutter := k.Cut(p, m)
		require.Equal(rt, total, cutter.Left())
		var got []string
		for cutter.Left().Items > 0 {
			left := cutter.Left()
			q := Quota{rapid.IntRange(1, total.Items+1).Draw(rt, "items"), rapid.IntRange(0, total.Bytes+2).Draw(rt, "bytes")}
			part, took := cutter.Take(q)
			if took.Items == 0 {
				require.Equal(rt, left, cutter.Left(), "nothing was taken")
				part, took = cutter.Take(Items(1))
				q = Items(1)
				require.Equal(rt, 1, took.Items)
			}
			require.LessOrEqual(rt, took.Items, q.Items)
			require.LessOrEqual(rt, took.Bytes, q.Bytes)
			require.Equal(rt, Quota{k.Items(part), k.size(t, part)}, took, "of the part")
			require.Equal(rt, left.Items-took.Items, cutter.Left().Items)
			got = append(got, k.flatten(part)...)
			if rapid.IntRange(0, 5).Draw(rt, "all") == 0 && cutter.Left().Items > 0 {
				left := cutter.Left()
				part, took = cutter.Take(Items(math.MaxInt))
				require.Equal(rt, left, took)
				require.Equal(rt, Quota{k.Items(part), k.size(t, part)}, left, "of the rest")
				got = append(got, k.flatten(part)...)
			}
		}
		require.Equal(rt, original, got)
	})
}

// TestCutBytesFills: one item more would not have fitted, for any number of bytes.
func TestCutBytesFills(t *testing.T) {
	t.Run("traces", func(t *testing.T) { cutBytesFills(t, traces) })
	t.Run("logs", func(t *testing.T) { cutBytesFills(t, logs) })
	t.Run("metrics", func(t *testing.T) { cutBytesFills(t, metrics) })
}

func cutBytesFills[P any](t *testing.T, k kind[P]) {
	const items = 40
	var sizes []int // of parts with 1, 2, ... items
	for n := 1; n <= items; n++ {
		p := k.generate(items)
		sizes = append(sizes, k.Size(takeItems(k.Cut(p, Measure{}), n)))
	}
	for room := range sizes[items-1] + 3 {
		p := k.generate(items)
		_, took := k.Cut(p, MeasureOf(k.Signal, p)).Take(Quota{items, room})
		want := 0
		for want < items && sizes[want] <= room {
			want++
		}
		require.Equal(t, want, took.Items, "room for %d bytes", room)
	}
}

// TestCutBytesOfASumAroundALength: a metric's points stand in a message of their own, whose length takes a second byte too.
func TestCutBytesOfASumAroundALength(t *testing.T) {
	for n := range 300 {
		p := pmetric.NewMetrics()
		sum := p.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for range 3 {
			sum.DataPoints().AppendEmpty().Attributes().PutStr("k", strings.Repeat("x", n))
		}
		cutter := Metrics{}.Cut(p, MeasureOf(Metrics{}, p))
		for cutter.Left().Items > 0 {
			part, took := cutter.Take(Items(1))
			require.Equal(t, Metrics{}.Size(part), took.Bytes)
		}
	}
}

// TestCutBytesLeavesNoEmptyContainerAlone: where an empty scope does not fit behind the items before it, one of them stays with
// it, so that no resource is repeated for the sake of it.
func TestCutBytesLeavesNoEmptyContainerAlone(t *testing.T) {
	generate := func() plog.Logs {
		p := plog.NewLogs()
		r := p.ResourceLogs().AppendEmpty()
		records := r.ScopeLogs().AppendEmpty().LogRecords()
		for range 3 {
			records.AppendEmpty().Body().SetStr("text")
		}
		r.ScopeLogs().AppendEmpty().Scope().SetName(strings.Repeat("empty", 20))
		p.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		return p
	}
	without := generate()
	without.ResourceLogs().At(0).ScopeLogs().RemoveIf(func(s plog.ScopeLogs) bool { return s.LogRecords().Len() == 0 })
	without.ResourceLogs().RemoveIf(func(r plog.ResourceLogs) bool { return r.ScopeLogs().At(0).LogRecords().Len() == 1 })
	p := generate()
	cutter := Logs{}.Cut(p, MeasureOf(Logs{}, p))
	part, took := cutter.Take(Quota{10, Logs{}.Size(without)}) // room for the three records, and for no more
	require.Equal(t, 2, took.Items)
	require.Equal(t, 1, part.ResourceLogs().At(0).ScopeLogs().Len())
	part, _ = cutter.Take(Items(10))
	require.Equal(t, 2, part.LogRecordCount())
	require.Equal(t, 2, part.ResourceLogs().At(0).ScopeLogs().Len())
}

// TestCutBytesMeasuresOnce: however small the parts, each record of what is cut is measured once.
func TestCutBytesMeasuresOnce(t *testing.T) {
	const items = 1000
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range items {
		records.AppendEmpty().Body().SetStr("text")
	}
	measured := 0
	var m plog.ProtoMarshaler
	scope := newLeaf(copyScope[plog.ScopeLogs], plog.ScopeLogs.LogRecords, message[plog.ScopeLogs]{
		size: m.ScopeLogsSize, base: without(plog.ScopeLogs.LogRecords, plog.NewLogRecordSlice, m.ScopeLogsSize),
	}, func(r plog.LogRecord) int { measured++; return m.LogRecordSize(r) })
	resource := newBranch(copyResource[plog.ResourceLogs], plog.ResourceLogs.ScopeLogs, scope, message[plog.ResourceLogs]{
		size: m.ResourceLogsSize, base: without(plog.ResourceLogs.ScopeLogs, plog.NewScopeLogsSlice, m.ResourceLogsSize),
	})
	payload := newBranch(copyNothing[plog.Logs], plog.Logs.ResourceLogs, resource, message[plog.Logs]{})
	cutter := newCutter(logs, items, MeasureOf(Logs{}, logs), payload, newLogs)
	for cutter.Left().Items > 0 {
		cutter.Take(Quota{items, 100})
	}
	require.LessOrEqual(t, measured, items)
	require.Greater(t, measured, items-10, "those of the last part are not, as it goes as a whole")
}

// TestCutKeepsTogetherWhatWouldBeRepeated: what is too large without any item keeps all its items, and its neighbours go on
// without it (I6).
func TestCutKeepsTogetherWhatWouldBeRepeated(t *testing.T) {
	const most = 500
	long := strings.Repeat("x", most)
	for name, test := range map[string]struct {
		in    func(p pmetric.Metrics) // what becomes too large of 3 resources of 2 scopes of 2 metrics of 3 points
		items int                     // the most of a part
		want  []int
	}{
		"a resource": {
			func(p pmetric.Metrics) { p.ResourceMetrics().At(1).Resource().Attributes().PutStr("x", long) },
			100,
			[]int{12, 12, 12},
		},
		"a resource, and a cap in items": {
			func(p pmetric.Metrics) { p.ResourceMetrics().At(1).Resource().Attributes().PutStr("x", long) },
			5,
			[]int{5, 5, 2, 5, 5, 2, 5, 5, 2},
		},
		"a scope": {
			func(p pmetric.Metrics) { p.ResourceMetrics().At(1).ScopeMetrics().At(0).Scope().SetName(long) },
			100,
			[]int{12, 6, 18},
		},
		"a resource and its scope": {
			func(p pmetric.Metrics) {
				p.ResourceMetrics().At(1).Resource().Attributes().PutStr("x", long[:most/2])
				p.ResourceMetrics().At(1).ScopeMetrics().At(0).Scope().SetName(long[:most/2])
			},
			100,
			[]int{12, 6, 18},
		},
		"a metric": {
			func(p pmetric.Metrics) {
				p.ResourceMetrics().At(1).ScopeMetrics().At(1).Metrics().At(0).SetDescription(long)
			},
			100,
			[]int{18, 3, 15},
		},
		"a point": {
			func(p pmetric.Metrics) {
				p.ResourceMetrics().At(1).ScopeMetrics().At(1).Metrics().At(0).Gauge().DataPoints().At(1).Attributes().PutStr("x", long)
			},
			100,
			[]int{19, 1, 16},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := pmetric.NewMetrics()
			for range 3 {
				r := p.ResourceMetrics().AppendEmpty()
				for range 2 {
					s := r.ScopeMetrics().AppendEmpty()
					for range 2 {
						points := s.Metrics().AppendEmpty().SetEmptyGauge().DataPoints()
						for range 3 {
							points.AppendEmpty()
						}
					}
				}
			}
			test.in(p)
			want := flattenMetrics(p)
			var sizes []int
			var got []string
			for cutter := (Metrics{}).Cut(p, MeasureOf(Metrics{}, p)); cutter.Left().Items > 0; {
				q := Quota{test.items, most}
				part, took := cutter.Take(q)
				if took.Items == 0 {
					part, took = cutter.Take(Items(min(test.items, cutter.Together(most))))
					require.Greater(t, took.Bytes, most)
				}
				sizes = append(sizes, took.Items)
				got = append(got, flattenMetrics(part)...)
			}
			require.Equal(t, test.want, sizes)
			require.Equal(t, want, got)
		})
	}
}

func TestStripLeavesTheItems(t *testing.T) {
	t.Run("traces", func(t *testing.T) { stripLeavesTheItems(t, traces) })
	t.Run("logs", func(t *testing.T) { stripLeavesTheItems(t, logs) })
	t.Run("metrics", func(t *testing.T) { stripLeavesTheItems(t, metrics) })
	t.Run("profiles", func(t *testing.T) { stripLeavesTheItems(t, profiles) })
}

func stripLeavesTheItems[P any](t *testing.T, k kind[P]) {
	rapid.Check(t, func(t *rapid.T) {
		p := k.wide(shape{4, 4, 4, 2}.random(rapid.Uint64().Draw(t, "seed")))
		before := k.flatten(p)
		k.Strip(p)
		after := k.flatten(p)
		require.Len(t, after, k.Items(p))
		require.Subset(t, before, after)
	})
}

// TestCutBytesOfExtremes: what nobody should send, and somebody does.
func TestCutBytesOfExtremes(t *testing.T) {
	huge := strings.Repeat("x", 20<<20)
	logs := plog.NewLogs()
	r := logs.ResourceLogs().AppendEmpty()
	r.Resource().Attributes().PutStr("huge", huge)
	records := r.ScopeLogs().AppendEmpty().LogRecords()
	records.AppendEmpty().Body().SetStr("small")
	records.AppendEmpty().Body().SetStr(huge)
	records.AppendEmpty().Body().SetStr("small")
	cutter := Logs{}.Cut(logs, MeasureOf(Logs{}, logs))
	for _, most := range []int{0, 1, 2, 3, 4 << 20} { // below an empty envelope, and below the resource
		_, took := cutter.Take(Quota{10, most})
		require.Zero(t, took.Items)
	}
	for _, want := range []int{20, 40, 20} { // MiB: the record alone, with its resource
		part, took := cutter.Take(Items(1))
		require.Equal(t, want, took.Bytes>>20)
		require.Equal(t, took.Bytes, Logs{}.Size(part))
	}
}

func BenchmarkCutBytes(b *testing.B) {
	for _, shape := range []struct {
		name             string
		resources, items int
	}{{"one resource of 200000", 1, 200_000}, {"200000 resources of one", 200_000, 1}, {"1000 resources of 200", 1000, 200}} {
		for _, bytes := range []bool{false, true} {
			name := shape.name + "/items"
			if bytes {
				name = shape.name + "/bytes"
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					p := ptrace.NewTraces()
					for range shape.resources {
						r := p.ResourceSpans().AppendEmpty()
						r.Resource().Attributes().PutStr("service.name", "benchmark")
						spans := r.ScopeSpans().AppendEmpty().Spans()
						spans.EnsureCapacity(shape.items)
						for range shape.items {
							s := spans.AppendEmpty()
							s.SetName("GET /")
							s.Attributes().PutStr("http.method", "GET")
						}
					}
					m, q := Measure{}, Items(1000)
					b.StartTimer()
					if bytes {
						m = MeasureOf(Traces{}, p)
						q = Quota{math.MaxInt, m.Bytes / 200}
					}
					for cutter := (Traces{}).Cut(p, m); cutter.Left().Items > 0; {
						cutter.Take(q)
					}
				}
			})
		}
	}
}
