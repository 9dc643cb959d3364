// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"
)

const noLimit = 1 << 20

func textOf(t require.TestingT, v pcommon.Value) string {
	text, ok := AppendText([]byte("before "), v, noLimit)
	require.True(t, ok)
	after, ok := strings.CutPrefix(string(text), "before ")
	require.True(t, ok)
	return after
}

func valueOf(t require.TestingT, raw any) pcommon.Value {
	v := pcommon.NewValueEmpty()
	require.NoError(t, v.FromRaw(raw))
	return v
}

// TestTextIsInjective: two values of one type have one text if, and only if, they have one identity, NaN being one value.
func TestTextIsInjective(t *testing.T) {
	var e Encoder
	identityOf := func(v pcommon.Value) string {
		e.reset()
		e.value(v)
		return e.string()
	}
	texts, identities := map[string]string{}, map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		v := pcommon.NewValueEmpty()
		drawValue(t, v, 3)
		text, identity := v.Type().String()+textOf(t, v), identityOf(v)
		if other, ok := texts[text]; ok && other != identity {
			t.Fatalf("%q and %q have one text, %s", other, identity, text)
		}
		if other, ok := identities[identity]; ok && other != text {
			t.Fatalf("%s and %s are of one value", other, text)
		}
		texts[text], identities[identity] = identity, text
	})
}

// TestTextIsJSON where JSON can say it, and what AsString says of all others.
func TestTextIsJSON(t *testing.T) {
	for _, raw := range []any{
		nil, "", "a", "\xff", true, int64(-7), 1.0, -1.5, 1e21, 1e-7, 1.25e-10, math.NaN(), math.Inf(1), math.Inf(-1),
		[]byte{1, 2},
		[]any{},
		map[string]any{},
		[]any{nil, "a", true, false, int64(1), -1.5, 1e300, 1e-9},
		[]any{"<&>", "\u2028\u2029", "\x00\x1f\b\f\n\r\t\"\\\x7f", "ü€𝄞\ufffd"},
		map[string]any{"b": []any{[]any{}}, "a": map[string]any{"": "x", "\"": int64(math.MinInt64)}},
	} {
		v := valueOf(t, raw)
		require.Equal(t, v.AsString(), textOf(t, v))
	}
	for want, raw := range map[string]any{
		`[1,1.0,-0.0]`:               []any{int64(1), 1.0, math.Copysign(0, -1)},
		`[NaN,Infinity,-Infinity]`:   []any{math.NaN(), math.Inf(1), math.Inf(-1)},
		`["AQI=",b"AQI=",b""]`:       []any{"AQI=", []byte{1, 2}, []byte{}},
		`{"\\xff":0,"\xff":"a\xc3"}`: map[string]any{"\xff": "a\xc3", `\xff`: int64(0)},
	} {
		require.Equal(t, want, textOf(t, valueOf(t, raw)))
	}
	var again any
	require.NoError(t, json.Unmarshal([]byte(textOf(t, valueOf(t, map[string]any{"k": []any{1.0}}))), &again))
	require.Equal(t, map[string]any{"k": []any{1.0}}, again)
}

// TestTextHasALimit: a text of so many bytes is taken, and no longer one, of whatever type; nor is it written to its end.
func TestTextHasALimit(t *testing.T) {
	const long = 1 << 20
	for name, raw := range map[string]any{
		"text": strings.Repeat("x", long), "bytes": make([]byte, long), "list": []any{strings.Repeat("x", long)},
		"bytes in a list": []any{make([]byte, long)}, "elements": make([]any, long), "key": map[string]any{strings.Repeat("\x01", long): 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := valueOf(t, raw)
			whole, ok := AppendText(nil, v, 10*long)
			require.True(t, ok)
			exact, ok := AppendText([]byte("before"), v, len(whole))
			require.True(t, ok)
			require.Equal(t, "before"+string(whole), string(exact))
			_, ok = AppendText(nil, v, len(whole)-1)
			require.False(t, ok)
			part, ok := AppendText(nil, v, 100)
			require.False(t, ok)
			require.Less(t, len(part), 200)
		})
	}
}

// FuzzText: see TestTextIsInjective, for lists of two texts, and what JSON says of them.
func FuzzText(f *testing.F) {
	f.Add("a", "b", "", "\xff")
	f.Add("a\",\"", "", "a", "\",\"")
	f.Add("\ufffd", "\\xff", "\xff", "\\\xff")
	f.Add("\xef\x83", "\x97", "0", "0") // valid only together
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		one, other := valueOf(t, []any{a, b}), valueOf(t, []any{c, d})
		require.Equal(t, a == c && b == d, textOf(t, one) == textOf(t, other))
		if utf8.ValidString(a) && utf8.ValidString(b) {
			require.Equal(t, one.AsString(), textOf(t, one))
		}
	})
}
