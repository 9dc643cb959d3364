// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// withoutEmpty removes containers without items, which nobody promises to keep in a Map.
func withoutEmptyTraces(p ptrace.Traces) {
	p.ResourceSpans().RemoveIf(func(r ptrace.ResourceSpans) bool {
		r.ScopeSpans().RemoveIf(func(s ptrace.ScopeSpans) bool { return s.Spans().Len() == 0 })
		return r.ScopeSpans().Len() == 0
	})
}

func withoutEmptyLogs(p plog.Logs) {
	p.ResourceLogs().RemoveIf(func(r plog.ResourceLogs) bool {
		r.ScopeLogs().RemoveIf(func(s plog.ScopeLogs) bool { return s.LogRecords().Len() == 0 })
		return r.ScopeLogs().Len() == 0
	})
}

func withoutEmptyMetrics(p pmetric.Metrics) {
	p.ResourceMetrics().RemoveIf(func(r pmetric.ResourceMetrics) bool {
		r.ScopeMetrics().RemoveIf(func(s pmetric.ScopeMetrics) bool {
			s.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				return pointsIn(m) == 0
			})
			return s.Metrics().Len() == 0
		})
		return r.ScopeMetrics().Len() == 0
	})
}

// twinTraces and the like give each container of a level a twin behind it. number gives each item a number of its own.
func twinTraces(p ptrace.Traces, level int) {
	for _, r := range p.ResourceSpans().All() {
		if level == 2 {
			twin(r.ScopeSpans())
		}
	}
	if level == 1 {
		twin(p.ResourceSpans())
	}
}

func twinLogs(p plog.Logs, level int) {
	for _, r := range p.ResourceLogs().All() {
		if level == 2 {
			twin(r.ScopeLogs())
		}
	}
	if level == 1 {
		twin(p.ResourceLogs())
	}
}

func twinMetrics(p pmetric.Metrics, level int) {
	for _, r := range p.ResourceMetrics().All() {
		for _, s := range r.ScopeMetrics().All() {
			if level == 2 {
				twin(s.Metrics())
			}
		}
		if level == 1 {
			twin(r.ScopeMetrics())
		}
	}
}

func twin[E interface{ CopyTo(dst E) }, S slice[E]](s S) {
	for i := range s.Len() {
		s.At(i).CopyTo(s.AppendEmpty())
	}
}

func numberTraces(p ptrace.Traces, serial *int) {
	for _, r := range p.ResourceSpans().All() {
		for _, s := range r.ScopeSpans().All() {
			for _, span := range s.Spans().All() {
				*serial++
				span.SetStartTimestamp(pcommon.Timestamp(*serial))
			}
		}
	}
}

func numberLogs(p plog.Logs, serial *int) {
	for _, r := range p.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			for _, record := range s.LogRecords().All() {
				*serial++
				record.SetObservedTimestamp(pcommon.Timestamp(*serial))
			}
		}
	}
}

func numberMetrics(p pmetric.Metrics, serial *int) {
	for _, r := range p.ResourceMetrics().All() {
		for _, s := range r.ScopeMetrics().All() {
			for _, m := range s.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					numberPoints(m.Gauge().DataPoints(), serial)
				case pmetric.MetricTypeSum:
					numberPoints(m.Sum().DataPoints(), serial)
				case pmetric.MetricTypeHistogram:
					numberPoints(m.Histogram().DataPoints(), serial)
				case pmetric.MetricTypeExponentialHistogram:
					numberPoints(m.ExponentialHistogram().DataPoints(), serial)
				case pmetric.MetricTypeSummary:
					numberPoints(m.Summary().DataPoints(), serial)
				}
			}
		}
	}
}

func numberPoints[E interface{ SetTimestamp(pcommon.Timestamp) }, S slice[E]](points S, serial *int) {
	for i := range points.Len() {
		*serial++
		points.At(i).SetTimestamp(pcommon.Timestamp(*serial))
	}
}

// TestFoldLosesNothing: what was folded has the items of what came in, each below its own resource, scope and metric, and
// in the order in which they came. None of these is there twice, though they were in what came.
func TestFoldLosesNothing(t *testing.T) {
	t.Run("traces", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { foldLosesNothing(t, traces, Traces{}, withoutEmptyTraces, twinTraces, numberTraces) })
	})
	t.Run("logs", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { foldLosesNothing(t, logs, Logs{}, withoutEmptyLogs, twinLogs, numberLogs) })
	})
	t.Run("metrics", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			foldLosesNothing(t, metrics, Metrics{}, withoutEmptyMetrics, twinMetrics, numberMetrics)
		})
	})
}

func foldLosesNothing[P any](t *rapid.T, k kind[P], sig Groups[P], prune func(P), twins func(P, int), number func(P, *int)) {
	var e Encoder
	var want []string
	held, added := map[Name]*Group[P]{}, map[Name][]*Group[P]{}
	var order []Name
	serial := 0
	fold := func(name Name) {
		sig.Fold(held[name], added[name])
		delete(added, name)
	}
	first := k.draw(t)
	twins(first, some(t, "twins"))
	for range few(t, "payloads") {
		p := k.Copy(first) // mostly what comes from a resource looks alike
		if rapid.Bool().Draw(t, "other") {
			p = k.draw(t)
		}
		number(p, &serial)
		copied := k.Copy(p)
		prune(copied)
		want = append(want, k.flatten(copied)...)
		for i := range k.Resources(p) {
			name, g := sig.Group(&e, p, i)
			if held[name] != nil {
				added[name] = append(added[name], &g)
				if rapid.Bool().Draw(t, "fold") {
					fold(name)
				}
			} else if g.Items > 0 {
				held[name] = &g
				order = append(order, name)
			}
		}
	}
	var got []string
	for _, name := range order {
		fold(name)
		p := sig.Extract(*held[name])
		prune(p)
		require.Equal(t, held[name].Items, k.Items(p))
		got = append(got, k.flatten(p)...)
		require.Equal(t, 1, k.Resources(p))
		again, g := sig.Group(&e, p, 0)
		require.Equal(t, name, again)
		require.False(t, g.outline.twins(), "a scope or metric is there twice")
	}
	require.Equal(t, byContainer(t, want), byContainer(t, got))
}

// byContainer lists items, in their order, by all that they stand below.
func byContainer(t require.TestingT, items []string) map[string][]string {
	all := map[string][]string{}
	for _, item := range items {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(item), &fields))
		removeItems(fields)
		container, err := json.Marshal(fields)
		require.NoError(t, err)
		all[string(container)] = append(all[string(container)], item)
	}
	return all
}

// removeItems removes the items from a payload in JSON.
func removeItems(in any) {
	switch in := in.(type) {
	case map[string]any:
		for _, name := range []string{"spans", "logRecords", "dataPoints"} {
			delete(in, name)
		}
		for _, v := range in {
			removeItems(v)
		}
	case []any:
		for _, v := range in {
			removeItems(v)
		}
	}
}

// TestAssembleIsTheInverse of Records: all items, in order within what they stand below.
func TestAssembleIsTheInverse(t *testing.T) {
	t.Run("traces", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			assembleIsTheInverse(t, traces, Traces{}, withoutEmptyTraces, twinTraces, numberTraces)
		})
	})
	t.Run("logs", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { assembleIsTheInverse(t, logs, Logs{}, withoutEmptyLogs, twinLogs, numberLogs) })
	})
	t.Run("metrics", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			assembleIsTheInverse(t, metrics, Metrics{}, withoutEmptyMetrics, twinMetrics, numberMetrics)
		})
	})
}

func assembleIsTheInverse[P, R any](t *rapid.T, k kind[P], sig interface {
	Records[P, R]
	Groups[P]
}, prune func(P), twins func(P, int), number func(P, *int),
) {
	var e Encoder
	serial := 0
	var want []string
	var records []R
	first := k.draw(t)
	twins(first, some(t, "twins"))
	for range few(t, "payloads") {
		p := k.Copy(first) // mostly what comes from a resource looks alike
		if rapid.Bool().Draw(t, "other") {
			p = k.draw(t)
		}
		number(p, &serial)
		copied := k.Copy(p)
		prune(copied)
		want = append(want, k.flatten(copied)...)
		before := k.flatten(p)
		sig.Records(&e, p, RecordKeys{}, func(_ ID, r R) { records = append(records, r) })
		require.Equal(t, before, k.flatten(p), "Records only reads")
	}
	require.Len(t, records, len(want))
	p := sig.Assemble(records)
	require.Equal(t, byContainer(t, want), byContainer(t, k.flatten(p)))
	seen := map[Name]bool{}
	for i := range k.Resources(p) {
		name, g := sig.Group(&e, p, i)
		require.False(t, seen[name], "a resource is there twice")
		require.False(t, g.outline.twins(), "a scope or metric is there twice")
		seen[name] = true
	}
}

// metricIDs returns the identities of the points of a metric, as if each were the first of its payload.
func metricIDs(build func(m pmetric.Metric)) (ids []ID) {
	p := pmetric.NewMetrics()
	m := p.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("m")
	build(m)
	var e Encoder
	Metrics{}.Records(&e, p, RecordKeys{}, func(id ID, _ Point) {
		id.Item = 0
		ids = append(ids, id)
	})
	return ids
}

// TestSeries: what makes two points of one series, and what does not.
func TestSeries(t *testing.T) {
	sum := func(temporality pmetric.AggregationTemporality, starts ...pcommon.Timestamp) func(m pmetric.Metric) {
		return func(m pmetric.Metric) {
			m.SetEmptySum().SetAggregationTemporality(temporality)
			for i, start := range starts {
				p := m.Sum().DataPoints().AppendEmpty()
				p.SetStartTimestamp(start)
				p.SetTimestamp(pcommon.Timestamp(i + 10))
				p.Attributes().PutStr("a", "b")
			}
		}
	}
	t.Run("a cumulative sum's points are one series", func(t *testing.T) {
		ids := metricIDs(sum(pmetric.AggregationTemporalityCumulative, 1, 1))
		require.Equal(t, ids[0].Group, ids[1].Group)
		require.Equal(t, ids[0].Record, ids[1].Record)
		require.Less(t, ids[0].Version, ids[1].Version)
	})
	t.Run("a reset leaves both points", func(t *testing.T) {
		ids := metricIDs(sum(pmetric.AggregationTemporalityCumulative, 1, 2))
		require.NotEqual(t, ids[0].Record, ids[1].Record)
	})
	t.Run("a gauge has no reset", func(t *testing.T) {
		ids := metricIDs(func(m pmetric.Metric) {
			m.SetEmptyGauge().DataPoints().AppendEmpty().SetStartTimestamp(1)
			m.Gauge().DataPoints().AppendEmpty().SetStartTimestamp(2)
		})
		require.Equal(t, ids[0], ids[1])
	})
	t.Run("NoRecordedValue is a value", func(t *testing.T) {
		ids := metricIDs(func(m pmetric.Metric) {
			m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
			m.Gauge().DataPoints().AppendEmpty().SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		})
		require.Equal(t, ids[0], ids[1])
	})
	t.Run("a change of the description is none of the series", func(t *testing.T) {
		change := func(m pmetric.Metric) {
			sum(pmetric.AggregationTemporalityCumulative, 1)(m)
			m.SetDescription("another")
		}
		require.Equal(t, metricIDs(sum(pmetric.AggregationTemporalityCumulative, 1)), metricIDs(change))
	})
	for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityUnspecified} {
		t.Run(fmt.Sprint(temporality, " has no identity"), func(t *testing.T) {
			require.Zero(t, metricIDs(sum(temporality, 1))[0].Group)
		})
	}
}

// TestLogIdentity: keys in the record, else in the resource, and what is the version.
func TestLogIdentity(t *testing.T) {
	id := func(keys RecordKeys, build func(resource pcommon.Map, r plog.LogRecord)) (id ID) {
		p := plog.NewLogs()
		rl := p.ResourceLogs().AppendEmpty()
		build(rl.Resource().Attributes(), rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
		var e Encoder
		Logs{}.Records(&e, p, keys, func(got ID, _ LogRecord) { id = got })
		return id
	}
	keys := RecordKeys{Log: []LogKey{{anyAttribute, "uid"}, {anyAttribute, "node"}}}
	both := func(resource pcommon.Map, r plog.LogRecord) {
		r.Attributes().PutStr("uid", "u")
		resource.PutStr("node", "n")
		resource.PutStr("uid", "of the resource")
	}
	known := id(keys, both)
	require.NotZero(t, known.Group)
	require.Equal(t, known, id(keys, func(resource pcommon.Map, r plog.LogRecord) {
		r.Attributes().PutStr("node", "n")
		r.Attributes().PutStr("other", "x")
		resource.PutStr("uid", "u")
	}), "record and resource are alike, the rest does not matter")
	require.Zero(t, id(keys, func(_ pcommon.Map, r plog.LogRecord) { r.Attributes().PutStr("uid", "u") }).Group, "a key is missing")

	require.Zero(t, known.Version, "no time")
	observed := func(resource pcommon.Map, r plog.LogRecord) { both(resource, r); r.SetObservedTimestamp(7) }
	require.EqualValues(t, 7, id(keys, observed).Version)
	timed := func(resource pcommon.Map, r plog.LogRecord) { observed(resource, r); r.SetTimestamp(5) }
	require.EqualValues(t, 5, id(keys, timed).Version)

	keys.Version = "rv"
	require.Zero(t, id(keys, timed).Group, "times and versions cannot be compared")
	versioned := func(set func(pcommon.Map)) func(resource pcommon.Map, r plog.LogRecord) {
		return func(resource pcommon.Map, r plog.LogRecord) { timed(resource, r); set(r.Attributes()) }
	}
	require.Zero(t, id(keys, versioned(func(m pcommon.Map) { m.PutStr("rv", "v12") })).Group)
	require.Equal(t, id(keys, versioned(func(m pcommon.Map) { m.PutInt("rv", 13) })), id(keys, func(resource pcommon.Map, r plog.LogRecord) {
		timed(resource, r)
		resource.PutStr("rv", "13")
	}))
}

// TestVersionsOfAnyType: integers, whole doubles and text are compared as the numbers that they are, without a sign too.
func TestVersionsOfAnyType(t *testing.T) {
	of := func(raw any) (uint64, bool) {
		v := pcommon.NewValueEmpty()
		require.NoError(t, v.FromRaw(raw))
		return version(v)
	}
	const exact = 1 << 53 // the last number with an equal double
	last := uint64(0)
	for _, equal := range [][]any{
		{int64(-negatives), "-4294967296", float64(-negatives)},
		{-7, "-7", -7.0},
		{-1, "-1", -1.0},
		{0, "0", "-0", "000", 0.0, math.Copysign(0, -1)},
		{1, "1", "+1", 1.0},
		{12, "12", 12.0},
		{int64(exact), "9007199254740992", float64(exact)},
		{int64(math.MaxInt64 - 1)},
		{int64(math.MaxInt64), "9223372036854775807"},
		{"9223372036854775808", math.Ldexp(1, 63)},
		{"18446744069414584317"},
		{"18446744069414584318", "18446744073709551614", "18446744073709551615"},
	} {
		first, ok := of(equal[0])
		require.True(t, ok, equal[0])
		require.Greater(t, first, last, equal[0])
		last = first
		for _, raw := range equal {
			v, ok := of(raw)
			require.True(t, ok, raw)
			require.Equal(t, first, v, raw)
		}
	}
	for _, none := range []any{nil, true, "", "v12", "1.0", "1e3", " 1", "18446744073709551616", 1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.Ldexp(1, 64), int64(-negatives - 1), int64(math.MinInt64), "-99999999999", -1e300, []any{1}} {
		_, ok := of(none)
		require.False(t, ok, none)
	}
}

// TestSpansWithoutAnIDHaveNoIdentity: two of them are not copies of one.
func TestSpansWithoutAnIDHaveNoIdentity(t *testing.T) {
	for _, ids := range [][2]byte{{0, 0}, {0, 1}, {1, 0}, {1, 1}} {
		p := ptrace.NewTraces()
		span := p.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID([16]byte{ids[0]})
		span.SetSpanID([8]byte{ids[1]})
		var e Encoder
		Traces{}.Records(&e, p, RecordKeys{}, func(id ID, _ Span) {
			require.Equal(t, ids == [2]byte{1, 1}, id.Group != (Name{}), ids)
		})
	}
}

// TestRecordKeepsNoOtherAlive: a superseded record is garbage, though others of its request are held.
func TestRecordKeepsNoOtherAlive(t *testing.T) {
	var e Encoder
	const large = 1 << 20
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var first Point
	func() { // whose payload nothing holds afterwards
		p := generateMetrics(1000)
		gauge := p.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty().SetEmptyGauge()
		for range 32 {
			gauge.DataPoints().AppendEmpty().Attributes().PutEmptyBytes("large").FromRaw(make([]byte, large))
		}
		Metrics{}.Records(&e, p, RecordKeys{}, func(_ ID, r Point) {
			if first.above == nil {
				first = r
			}
		})
	}()
	after := heap()
	for i := 1; i < attempts && after >= before+16*large; i++ {
		after = heap()
	}
	require.Less(t, after, before+16*large)
	require.Equal(t, 1, Metrics{}.Assemble([]Point{first}).DataPointCount())
}
