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
	"pgregory.net/rapid"
)

// attributesOf returns attributes with these keys, as they stand. A key may be there twice, which a sender can do and pdata does not.
func attributesOf(t require.TestingT, keys []string) pcommon.Map {
	p := pmetric.NewMetrics()
	m := p.ResourceMetrics().AppendEmpty().Resource().Attributes()
	var named []string
	for i, key := range keys {
		m.PutEmpty(fmt.Sprint("key", i))
		named = append(named, fmt.Sprintf(`"key":"key%d"`, i), `"key":"`+key+`"`)
	}
	var j pmetric.JSONMarshaler
	text, err := j.MarshalMetrics(p)
	require.NoError(t, err)
	var u pmetric.JSONUnmarshaler
	p, err = u.UnmarshalMetrics([]byte(strings.NewReplacer(named...).Replace(string(text))))
	require.NoError(t, err)
	return p.ResourceMetrics().At(0).Resource().Attributes()
}

// canonical is the canonical form of attributes as a reader would write it: those of one key stay in their order.
func canonical(m pcommon.Map) string {
	type attribute struct{ key, value string }
	var all []attribute
	for k, v := range m.All() {
		value := plain(v)
		if v.Type() == pcommon.ValueTypeDouble {
			value = fmt.Sprint("bits ", math.Float64bits(v.Double()))
		}
		all = append(all, attribute{k, value})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].key < all[j].key })
	return fmt.Sprintf("%q", all)
}

// TestRememberedOrderOfKeys: whatever an Encoder has sorted before, attributes have the identity that they have alone, and two have the same one
// if, and only if, they are the same.
func TestRememberedOrderOfKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SampledFrom([]string{"", "a", "b", "ab", "z", "a b", "k", "key", "ke", "y", "0", "00", "A", "B", "Z", "é"})
		var shapes [][]string
		for range rapid.IntRange(1, 3).Draw(t, "shapes") {
			shape := rapid.SliceOfN(keys, 0, fewPairs+2).Draw(t, "shape")
			shapes = append(shapes, shape, rapid.Permutation(shape).Draw(t, "permuted"))
			if n := len(shape); n > 0 {
				shapes = append(shapes, shape[:n-1])
			}
		}
		ignore := Ignored{}
		if rapid.IntRange(0, 4).Draw(t, "ignore") == 0 {
			ignore.Attributes = map[string]struct{}{"nothing has this": {}}
		}
		var e Encoder
		forms, texts := map[string]string{}, map[string]string{}
		shape := 0
		for range rapid.IntRange(2, 12).Draw(t, "points") {
			if rapid.IntRange(0, 2).Draw(t, "another") == 0 {
				shape = rapid.IntRange(0, len(shapes)-1).Draw(t, "of")
			}
			m := attributesOf(t, shapes[shape])
			for _, v := range m.All() {
				switch rapid.IntRange(0, 5).Draw(t, "how") {
				case 0:
					v.SetDouble(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(0x7ff8000000000099)}).Draw(t, "double"))
				case 1:
					drawValue(t, v, 2)
				default:
					v.SetInt(int64(some(t, "value")))
				}
			}
			before, form := exactAttributes(m), canonical(m)
			text := e.point(m, &ignore, 0, false)
			require.Equal(t, before, exactAttributes(m))
			var alone Encoder
			require.Equal(t, alone.point(m, &Ignored{}, 0, false), text)
			for other, as := range forms {
				require.Equal(t, as == form, other == text, "%s\n%s", as, form)
			}
			forms[text], texts[form] = form, text
			require.Len(t, texts, len(forms))
		}
	})
}

// exactAttributes is all of attributes, as they stand.
func exactAttributes(m pcommon.Map) string {
	p := pmetric.NewMetrics()
	m.CopyTo(p.ResourceMetrics().AppendEmpty().Resource().Attributes())
	return exactMetrics(p)
}

// TestSortedOncePerMetric: what has the keys of the point before it is written without being sorted, and keeps nothing of it.
func TestSortedOncePerMetric(t *testing.T) {
	var e Encoder
	m := attributesOf(t, []string{"b", "a", "c"})
	e.sorted(m)
	require.True(t, e.sameOrder(m))
	require.False(t, e.sameOrder(attributesOf(t, []string{"a", "b", "c"})))
	require.False(t, e.sameOrder(attributesOf(t, []string{"b", "a"})))
	e.sorted(attributesOf(t, []string{"b", strings.Repeat("x", maxText)}))
	require.Empty(t, e.order.text, "a long text is not kept")
	require.False(t, e.sameOrder(m))
}
