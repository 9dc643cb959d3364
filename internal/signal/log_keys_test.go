// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"
)

// TestLogIdentitiesAreValues: records have the same identity if, and only if, each key has the same value for both, wherever it was found, and however
// long it is.
func TestLogIdentitiesAreValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "attributes.a", "scope.attributes.b", "resource.attributes.a", "scope.name", "event_name"}), 1, 4).Draw(t, "keys")
		var keys RecordKeys
		for _, name := range names {
			key, _ := ParseLogKey(name)
			keys.Log = append(keys.Log, key)
		}
		value := rapid.SampledFrom([]string{"", "x", strings.Repeat("x", 60), strings.Repeat("x", 70), strings.Repeat("y", 70), strings.Repeat("x", 300)})
		fill := func(m pcommon.Map) {
			for _, name := range []string{"a", "b"} {
				if rapid.IntRange(0, 2).Draw(t, "has") > 0 {
					m.PutStr(name, value.Draw(t, "value"))
				}
			}
		}
		type found struct {
			id   ID
			want string // the values; "": one is missing
		}
		var all []found
		var e Encoder
		for range 2 {
			p := plog.NewLogs()
			for range rapid.IntRange(1, 2).Draw(t, "resources") {
				r := p.ResourceLogs().AppendEmpty()
				fill(r.Resource().Attributes())
				for range rapid.IntRange(1, 2).Draw(t, "scopes") {
					s := r.ScopeLogs().AppendEmpty()
					s.Scope().SetName(value.Draw(t, "name"))
					fill(s.Scope().Attributes())
					for range rapid.IntRange(0, 3).Draw(t, "records") {
						record := s.LogRecords().AppendEmpty()
						record.SetEventName(value.Draw(t, "event"))
						fill(record.Attributes())
						all = append(all, found{want: valuesOf(names, r.Resource().Attributes(), s.Scope(), record)})
					}
				}
			}
			n := len(all) - p.LogRecordCount()
			Logs{}.Records(&e, p, keys, func(id ID, _ LogRecord) { all[n].id, n = id, n+1 })
		}
		for i, one := range all {
			require.Equal(t, one.want == "", one.id.Group == Name{})
			for _, other := range all[:i] {
				same := one.id.Group == other.id.Group && one.id.Record == other.id.Record
				require.Equal(t, one.want == other.want, same, "%q and %q", one.want, other.want)
			}
		}
	})
}

// valuesOf lists the values of keys; "": one is missing.
func valuesOf(names []string, resource pcommon.Map, scope pcommon.InstrumentationScope, record plog.LogRecord) (values string) {
	for _, name := range names {
		var v pcommon.Value
		ok := true
		switch name {
		case "scope.name":
			v = pcommon.NewValueStr(scope.Name())
		case "event_name":
			v = pcommon.NewValueStr(record.EventName())
		case "attributes.a":
			v, ok = record.Attributes().Get("a")
		case "scope.attributes.b":
			v, ok = scope.Attributes().Get("b")
		case "resource.attributes.a":
			v, ok = resource.Get("a")
		default:
			if v, ok = record.Attributes().Get(name); !ok {
				v, ok = scope.Attributes().Get(name)
			}
			if !ok {
				v, ok = resource.Get(name)
			}
		}
		if !ok {
			return ""
		}
		values += fmt.Sprintf("%q ", v.Str())
	}
	return values
}

// TestCostOfLogIdentities: what records inherit is not written for each of them, whichever keys name it: twice the input takes at most 2.2 times the
// memory (I10).
func TestCostOfLogIdentities(t *testing.T) {
	const n = 1000
	build := func(n int) plog.Logs {
		p := plog.NewLogs()
		r := p.ResourceLogs().AppendEmpty()
		r.Resource().Attributes().PutStr("inherited", strings.Repeat("x", 10*n))
		s := r.ScopeLogs().AppendEmpty()
		s.Scope().SetName(strings.Repeat("y", 10*n))
		s.Scope().Attributes().PutStr("of", strings.Repeat("z", 10*n))
		for i := range n {
			s.LogRecords().AppendEmpty().Attributes().PutInt("own", int64(i))
		}
		return p
	}
	for _, names := range [][]string{
		{"resource.attributes"},
		{"scope.attributes"},
		{"scope.name"},
		{"resource.attributes.inherited"},
		{"scope.attributes.of"},
		{"inherited"},
		{"of"},
		{"own", "inherited"},
		{"inherited", "own", "of"},
	} {
		t.Run(strings.Join(names, ","), func(t *testing.T) {
			var keys RecordKeys
			for _, name := range names {
				key, ok := ParseLogKey(name)
				require.True(t, ok)
				keys.Log = append(keys.Log, key)
			}
			of := func(n int) cost {
				p := build(n)
				c := measure(func() (int, any) {
					var e Encoder
					ids := make([]ID, 0, n)
					Logs{}.Records(&e, p, keys, func(id ID, _ LogRecord) { ids = append(ids, id) })
					require.NotEqual(t, Name{}, ids[n-1].Group)
					return e.walk.steps, ids
				})
				runtime.KeepAlive(p)
				return c
			}
			of(n)
			small, large := of(n), of(16*n)
			require.LessOrEqual(t, float64(large.bytes), math.Pow(2.2, 4)*float64(small.bytes))
			require.LessOrEqual(t, float64(large.kept), math.Pow(2.2, 4)*float64(small.kept+64<<10))
		})
	}
}
