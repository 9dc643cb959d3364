// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
	"pgregory.net/rapid"
)

// drawValue draws from so few values that equal ones occur, and from those that a careless encoding mistakes for each other.
func drawValue(t *rapid.T, v pcommon.Value, depth int) {
	kinds := 10
	if depth == 0 {
		kinds = 8
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0: // empty
	case 1:
		v.SetStr(rapid.SampledFrom([]string{"", "1", "1.0", "true", "\x00", "\x01a", "ab", "a", "\xff", "\xfe", `\xff`, "\ufffd"}).Draw(t, "string"))
	case 2:
		v.SetInt(rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64}).Draw(t, "int"))
	case 3:
		v.SetDouble(rapid.SampledFrom([]float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1)}).Draw(t, "double"))
	case 4:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case 5:
		v.SetEmptyBytes().FromRaw([]byte(rapid.SampledFrom([]string{"", "1", "a", "\x00", "\xff"}).Draw(t, "bytes")))
	case 6:
		v.SetEmptyMap()
	case 7:
		v.SetEmptySlice()
	case 8:
		drawMap(t, v.SetEmptyMap(), depth-1)
	case 9:
		s := v.SetEmptySlice()
		for range few(t, "elements") {
			drawValue(t, s.AppendEmpty(), depth-1)
		}
	}
}

func drawMap(t *rapid.T, m pcommon.Map, depth int) {
	for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"", "a", "b", "ab", "a\x00", "z"}), 0, 3, rapid.ID).Draw(t, "keys") {
		drawValue(t, m.PutEmpty(k), depth)
	}
}

// plain is the canonical form of a value as a reader would write it.
func plain(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeMap:
		return plainMap(v.Map())
	case pcommon.ValueTypeSlice:
		var all []string
		for _, e := range v.Slice().All() {
			all = append(all, plain(e))
		}
		return fmt.Sprintf("slice %q", all)
	default:
		return fmt.Sprintf("%s %q", v.Type(), fmt.Sprint(v.AsRaw()))
	}
}

func plainMap(m pcommon.Map) string {
	var all []string
	for k, v := range m.All() {
		all = append(all, fmt.Sprintf("%q is %q", k, plain(v)))
	}
	sort.Strings(all)
	return fmt.Sprintf("map %q", all)
}

// TestIdentityIsInjective: two things have one identity if, and only if, they are the same.
func TestIdentityIsInjective(t *testing.T) {
	var e Encoder // one for all: it forgets
	for name, draw := range map[string]func(t *rapid.T) (identity, form string){
		"attributes": func(t *rapid.T) (string, string) {
			m := pcommon.NewMap()
			drawMap(t, m, 2)
			return e.point(m, &Ignored{}, 0, false), plainMap(m)
		},
		"resource": func(t *rapid.T) (string, string) {
			rs := ptrace.NewResourceSpans()
			drawMap(t, rs.Resource().Attributes(), 0)
			rs.Resource().SetDroppedAttributesCount(uint32(some(t, "dropped")))
			refs := entity.ResourceEntityRefs(rs.Resource())
			form := plainMap(rs.Resource().Attributes()) + fmt.Sprint(rs.Resource().DroppedAttributesCount())
			for range some(t, "entities") {
				ref := refs.AppendEmpty()
				ref.SetType(text(t, "type"))
				ref.SetSchemaUrl(text(t, "schema"))
				for range some(t, "ids") {
					ref.IdKeys().Append(text(t, "id"))
				}
				for range some(t, "descriptions") {
					ref.DescriptionKeys().Append(text(t, "description"))
				}
				form += fmt.Sprintf("entity %q %q %q %q", ref.Type(), ref.SchemaUrl(), ref.IdKeys().AsRaw(), ref.DescriptionKeys().AsRaw())
			}
			rs.SetSchemaUrl(text(t, "schema"))
			e.reset()
			e.resource(rs.Resource(), rs.SchemaUrl())
			return e.string(), form + fmt.Sprintf("schema %q", rs.SchemaUrl())
		},
		"scope": func(t *rapid.T) (string, string) {
			ss := ptrace.NewScopeSpans()
			drawScope(t, ss.Scope())
			ss.SetSchemaUrl(text(t, "schema"))
			e.reset()
			e.scope(ss.Scope(), ss.SchemaUrl())
			s := ss.Scope()
			return e.string(), fmt.Sprintf("%q %q %s %d %q", s.Name(), s.Version(), plainMap(s.Attributes()), s.DroppedAttributesCount(), ss.SchemaUrl())
		},
		"metric": func(t *rapid.T) (string, string) {
			m := pmetric.NewMetric()
			m.SetName(text(t, "name"))
			m.SetUnit(text(t, "unit"))
			m.SetDescription(text(t, "description"))
			drawAttributes(t, m.Metadata())
			drawPoints(t, m, 0)
			form := fmt.Sprintf("%q %q %q %s %s", m.Name(), m.Unit(), m.Description(), plainMap(m.Metadata()), m.Type())
			switch m.Type() {
			case pmetric.MetricTypeSum:
				form += fmt.Sprint(m.Sum().AggregationTemporality(), m.Sum().IsMonotonic())
			case pmetric.MetricTypeHistogram:
				form += m.Histogram().AggregationTemporality().String()
			case pmetric.MetricTypeExponentialHistogram:
				form += m.ExponentialHistogram().AggregationTemporality().String()
			}
			e.reset()
			e.series(m)
			e.describe(m)
			return e.string(), form
		},
	} {
		t.Run(name, func(t *testing.T) {
			forms, identities := map[string]string{}, map[string]string{} // of all draws: the more there are, the likelier a clash
			rapid.Check(t, func(t *rapid.T) {
				id, form := draw(t)
				if other, ok := forms[id]; ok && other != form {
					t.Fatalf("%s\nand %s\nhave one identity, %q", form, other, id)
				}
				if other, ok := identities[form]; ok && other != id {
					t.Fatalf("%s has two identities, %q and %q", form, id, other)
				}
				forms[id], identities[form] = form, id
				for other := range forms {
					if other != id && strings.HasPrefix(other, id) {
						t.Fatalf("the identity %q is the beginning of %q", id, other)
					}
				}
			})
		})
	}
}

// TestIdentityForgetsTheOrderOfAttributes, at any depth, however many there are.
func TestIdentityForgetsTheOrderOfAttributes(t *testing.T) {
	var e Encoder
	one, other := pcommon.NewMap(), pcommon.NewMap()
	for i := range 40 {
		k, rev := fmt.Sprint("key", i), fmt.Sprint("key", 39-i)
		one.PutEmptyMap(k).PutStr("in", k)
		one.PutEmpty(k+"m").SetEmptyMap().PutInt("a", 1)
		other.PutEmpty(rev+"m").SetEmptyMap().PutInt("a", 1)
		other.PutEmptyMap(rev).PutStr("in", rev)
	}
	require.Equal(t, e.point(one, &Ignored{}, 0, false), e.point(other, &Ignored{}, 0, false))
}

func TestIdentityAllocatesItselfOnly(t *testing.T) {
	var e Encoder
	p := generateMetrics(10)
	r := p.ResourceMetrics().At(0).Resource()
	r.Attributes().PutStr("b", "x")
	r.Attributes().PutEmptyMap("a").PutStr("c", "d")
	e.point(r.Attributes(), &Ignored{}, 0, false)
	require.InDelta(t, 1, testing.AllocsPerRun(100, func() { e.point(r.Attributes(), &Ignored{}, 0, false) }), 0)
}

func BenchmarkIdentity(b *testing.B) {
	m := pcommon.NewMap()
	m.PutStr("service.name", "checkout")
	m.PutStr("service.namespace", "shop")
	m.PutStr("host.name", "worker-17")
	m.PutStr("container.id", "0123456789abcdef")
	m.PutInt("process.pid", 4711)
	var e Encoder
	b.ReportAllocs()
	for b.Loop() {
		e.point(m, &Ignored{}, 0, false)
	}
}

// TestEncoderRemembersAFew: what was returned before is returned again, of a bounded number and size.
func TestEncoderRemembersAFew(t *testing.T) {
	var e Encoder
	write := func(s string, above Name) Name {
		e.reset()
		e.text(s)
		return e.intern(above)
	}
	first := write("a", Name{})
	require.Zero(t, testing.AllocsPerRun(100, func() { write("a", Name{}) }))
	require.Equal(t, first, write("a", Name{}))
	for i := range 2 * maxRecent / recentEntry {
		write(fmt.Sprint(i), Name{})
		require.LessOrEqual(t, len(e.names.of), maxRecent/recentEntry)
	}
	require.Equal(t, first, write("a", Name{}))
	before := len(e.names.of)
	large := write(strings.Repeat("x", maxText+1), Name{})
	require.Equal(t, large, write(strings.Repeat("x", maxText+1), Name{}))
	below := write("b", large) // would keep the large one
	require.Equal(t, below, write("b", large))
	require.NotEqual(t, below, write("b", Name{}))
	require.Len(t, e.names.of, before+1)
}
