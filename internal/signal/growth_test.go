// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"hash/maphash"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// nested puts a value into m that is so many levels deep: lists, maps, or maps whose keys are in the wrong order.
func nested(v pcommon.Value, kind string, levels int) {
	for range levels {
		switch kind {
		case "lists":
			v = v.SetEmptySlice().AppendEmpty()
		case "maps":
			v = v.SetEmptyMap().PutEmpty("k")
		case "unsorted maps":
			m := v.SetEmptyMap()
			m.EnsureCapacity(2)
			m.PutInt("z", 1)
			v = m.PutEmpty("a")
		}
	}
	v.SetInt(1)
}

var nestings = []string{"lists", "maps", "unsorted maps"}

// foreign are requests that are dear to whoever repeats what stands above, or visits a value more than once: a request of twice
// the size has twice of everything in it.
var foreign = map[string]func(n int) pmetric.Metrics{
	"metrics below a long scope": func(n int) pmetric.Metrics {
		return manyMetrics(n, func(_ pcommon.Map, s pcommon.Map) { s.PutStr("long", strings.Repeat("x", 8*n)) })
	},
	"metrics of a long resource": func(n int) pmetric.Metrics {
		return manyMetrics(n, func(r pcommon.Map, _ pcommon.Map) { r.PutStr("long", strings.Repeat("x", 8*n)) })
	},
	"scopes of a long resource": func(n int) pmetric.Metrics {
		p := pmetric.NewMetrics()
		r := p.ResourceMetrics().AppendEmpty()
		r.Resource().Attributes().PutStr("long", strings.Repeat("x", 8*n))
		for i := range n {
			s := r.ScopeMetrics().AppendEmpty()
			s.Scope().SetName(fmt.Sprint("scope", i))
			s.Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
		}
		return p
	},
	"points of a long metric": func(n int) pmetric.Metrics {
		p := pmetric.NewMetrics()
		m := p.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(strings.Repeat("x", 4*n))
		m.SetDescription(strings.Repeat("y", 4*n))
		m.SetEmptyGauge()
		for i := range n {
			m.Gauge().DataPoints().AppendEmpty().Attributes().PutInt("i", int64(i))
		}
		return p
	},
	"deltas of one series":  deltasOf(func(_ int, p pmetric.HistogramDataPoint) { p.Attributes().PutInt("i", 1) }),
	"deltas of many series": deltasOf(func(i int, p pmetric.HistogramDataPoint) { p.Attributes().PutInt("i", int64(i)) }),
	"deltas of two bounds":  deltasOf(func(i int, p pmetric.HistogramDataPoint) { p.ExplicitBounds().Append(float64(i % 2)) }),
	"deltas of many bounds": deltasOf(func(i int, p pmetric.HistogramDataPoint) { p.ExplicitBounds().Append(float64(i)) }),
	"many attributes in the wrong order": func(n int) pmetric.Metrics {
		return manyMetrics(1, func(r pcommon.Map, _ pcommon.Map) {
			all := make(map[string]any, n)
			for i := range n {
				all[fmt.Sprint(i)] = map[string]any{"z": "z"}
			}
			_ = r.FromRaw(all) // in any order; Put would look through all that are there each time
		})
	},
	"nested lists":         deepMetrics("lists"),
	"nested maps":          deepMetrics("maps"),
	"nested unsorted maps": deepMetrics("unsorted maps"),
}

// deltasOf has points of one metric, whose name is as long as they are.
func deltasOf(fill func(i int, p pmetric.HistogramDataPoint)) func(n int) pmetric.Metrics {
	return func(n int) pmetric.Metrics {
		p := pmetric.NewMetrics()
		m := p.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(strings.Repeat("x", 4*n))
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for i := range n {
			fill(i, h.DataPoints().AppendEmpty())
		}
		return p
	}
}

func manyMetrics(n int, fill func(resource, scope pcommon.Map)) pmetric.Metrics {
	p := pmetric.NewMetrics()
	r := p.ResourceMetrics().AppendEmpty()
	s := r.ScopeMetrics().AppendEmpty()
	fill(r.Resource().Attributes(), s.Scope().Attributes())
	for i := range n {
		m := s.Metrics().AppendEmpty()
		m.SetName(fmt.Sprint("metric", i))
		m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	}
	return p
}

func deepMetrics(kind string) func(n int) pmetric.Metrics {
	return func(n int) pmetric.Metrics {
		return manyMetrics(1, func(r, _ pcommon.Map) {
			r.PutStr("z", "")
			nested(r.PutEmpty("deep"), kind, n) // in the wrong order here, too
		})
	}
}

// cost is what something takes.
type cost struct{ allocs, bytes, kept, steps uint64 }

// settled collects what nobody has any more, until no more than least, and a little, is left, and returns what is. What package unique has of a
// Name dies after a collection, in a goroutine of its own, which may be late on a busy machine: if it died while something is measured, that
// would seem to keep less.
func settled(least uint64) uint64 {
	const collections, little = 50, 16 << 10
	var m runtime.MemStats
	for range collections {
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc <= least+little {
			break
		}
		runtime.Gosched()
	}
	return m.HeapAlloc
}

// measure runs f, which returns the steps that it took and what it would leave pending.
func measure(f func() (steps int, pending any)) (c cost) {
	var before, after, left runtime.MemStats
	for range 4 { // what others left: a Name dies before that above it, a pool's content after two
		runtime.GC()
	}
	runtime.ReadMemStats(&before)
	steps, pending := f()
	runtime.ReadMemStats(&after)
	runtime.GC()
	runtime.ReadMemStats(&left)
	runtime.KeepAlive(pending)
	c = cost{after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc, 0, uint64(steps)}
	if left.HeapAlloc > before.HeapAlloc {
		c.kept = left.HeapAlloc - before.HeapAlloc
	}
	return c
}

// attempts is how often memory is measured, at most, until the figure is as it should be. Code that is at fault is so each time.
const attempts = 10

// TestCostGrowsWithTheInput, and no faster: twice the input takes at most 2.2 times the allocations, memory and steps (I10).
func TestCostGrowsWithTheInput(t *testing.T) {
	const n = 1000
	for name, build := range foreign {
		for how, run := range map[string]func(p pmetric.Metrics) (int, any){
			"resource": func(p pmetric.Metrics) (int, any) {
				var e Encoder
				resource, g := Metrics{}.Group(&e, p, 0)
				return e.walk.steps, []any{resource, g}
			},
			"record": func(p pmetric.Metrics) (int, any) {
				var e Encoder
				ids, records := make([]ID, 0, p.DataPointCount()), make([]Point, 0, p.DataPointCount())
				Metrics{}.Records(&e, p, RecordKeys{Points: PointKeys{SumDeltas: true}}, func(id ID, r Point) { ids, records = append(ids, id), append(records, r) })
				return e.walk.steps, []any{ids, records}
			},
			"hash": func(p pmetric.Metrics) (int, any) {
				return 0, HashAttributes(maphash.MakeSeed(), p.ResourceMetrics().At(0).Resource().Attributes())
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				least := uint64(math.MaxInt64)
				of := func(n int) cost {
					least = settled(least)
					p := build(n)
					c := measure(func() (int, any) { return run(p) })
					runtime.KeepAlive(p)
					return c
				}
				of(n)
				small, large := of(n), of(16*n) // four times twice the input, as slices grow in leaps
				most := func(small, spare uint64) float64 { return math.Pow(2.2, 4) * float64(small+spare) }
				check := func(what string, small, large, spare uint64) {
					require.LessOrEqual(t, float64(large), most(small, spare), "%s of %d and 16 times %d", what, n, n)
				}
				check("steps", small.steps, large.steps, 10)
				check("allocations", small.allocs, large.allocs, 100)
				check("bytes", small.bytes*3/2, large.bytes, 16<<10) // append adds less to large slices, and so copies them more often
				const spare = 64 << 10
				for i := 1; i < attempts && float64(large.kept) > most(small.kept, spare); i++ {
					small.kept, large.kept = max(small.kept, of(n).kept), min(large.kept, of(16*n).kept)
				}
				check("bytes kept", small.kept, large.kept, spare)
			})
		}
	}
}

// TestDeepValues: what walks through a value needs no stack, however deep it is nested.
func TestDeepValues(t *testing.T) {
	const levels = 20_000
	for _, kind := range nestings {
		t.Run(kind, func(t *testing.T) {
			m := pcommon.NewMap()
			nested(m.PutEmpty("deep"), kind, levels)
			v, _ := m.Get("deep")
			defer debug.SetMaxStack(debug.SetMaxStack(512 << 10)) // beyond it the process ends
			var e Encoder
			id := e.point(m, &Ignored{}, 0, false)
			require.Equal(t, id, e.point(m, &Ignored{}, 0, false))
			require.Greater(t, len(id), 2*levels)
			seed := maphash.MakeSeed()
			hash := HashAttributes(seed, m)
			require.Equal(t, hash, HashAttributes(seed, m))
			text, ok := AppendText(nil, v, 1<<30)
			require.True(t, ok)
			require.Equal(t, levels, strings.Count(string(text), "]")+strings.Count(string(text), "}"))
			_, ok = AppendText(nil, v, 16<<10)
			require.False(t, ok)
		})
	}
}

// TestNamesAreForgotten when nobody has them any more: a resource's identity is in none of those that remain.
func TestNamesAreForgotten(t *testing.T) {
	const n = 2000
	var e Encoder
	for name, use := range map[string]func(i int){
		"resource": func(i int) { Logs{}.Group(&e, oneLog(i), 0) },
		"record":   func(i int) { Logs{}.Records(&e, oneLog(i), RecordKeys{}, func(ID, LogRecord) {}) },
		"spans":    func(i int) { Traces{}.Group(&e, oneSpan(i), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			all := func(from int) cost {
				return measure(func() (int, any) {
					for i := range n {
						use(from + i)
					}
					runtime.GC()
					runtime.GC()
					return 0, nil
				})
			}
			all(0)
			const most = 2 << 20 // of 16 MB that are seen each time
			c := all(n)
			for i := 2; i <= attempts && c.kept >= most; i++ {
				c = all(i * n)
			}
			require.Less(t, c.kept, uint64(most), "%+v", c)
		})
	}
}

func oneLog(i int) plog.Logs {
	p := plog.NewLogs()
	r := p.ResourceLogs().AppendEmpty()
	r.Resource().Attributes().PutStr("long", fmt.Sprint(i, strings.Repeat("x", 2*maxText)))
	r.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	return p
}

func oneSpan(i int) ptrace.Traces {
	p := ptrace.NewTraces()
	r := p.ResourceSpans().AppendEmpty()
	r.Resource().Attributes().PutStr("long", fmt.Sprint(i, strings.Repeat("x", 2*maxText)))
	r.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	return p
}
