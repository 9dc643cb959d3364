// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// Whatever the values contain, two combinations never share a key, and each is found again in its own.
func TestKeysAreInjective(t *testing.T) {
	// Values that could be taken for lengths, separators or the end of others.
	value := rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "b", "ab", "\x00", "\x01", "\x01a", "\x00\x00", ",", ";", "=", "a,b", strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("x", 300)}),
		rapid.StringN(0, 3, 8),
	)
	names := []string{"a", "b", "c"}
	values := rapid.Custom(func(t *rapid.T) map[string][]string {
		drawn := map[string][]string{}
		for _, name := range names {
			if list := rapid.SliceOfN(value, 0, 3).Draw(t, name); len(list) > 0 {
				drawn[name] = list // an empty list and none are the same to client.Metadata
			}
		}
		return drawn
	})
	attribute := rapid.Custom(func(t *rapid.T) any {
		return rapid.SampledFrom([]any{
			nil, "", "0", "1", "true", "a", "\x01", int64(0), int64(1), -1.5, 1.0, true, false,
			[]any{"1"},
			[]any{int64(1)},
			map[string]any{"a": "b"},
			[]any{1.0},
			[]any{math.NaN()},
			[]any{math.Inf(1)},
			[]any{math.Inf(-1)},
			[]any{"\xff"},
			[]any{"\xfe"},
			[]any{"AQ=="},
			[]any{[]byte{1}},
			[]byte{1},
			"AQ==",
			map[string]any{"a": math.NaN()},
			map[string]any{"a": "\xff"},
			map[string]any{"\xff": "a"},
			map[string]any{"\xfe": "a"},
			map[string]any{},
			[]any{},
		}).Draw(t, "attribute")
	})
	k := newKeyer(names, []string{"r1", "r2"}, nil, nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		one, other := values.Draw(t, "one"), values.Draw(t, "other")
		if rapid.Bool().Draw(t, "close") { // differs by where one list ends and the next begins
			other = maps.Clone(one)
			if all := slices.Concat(one["a"], one["b"]); len(all) > 0 {
				at := rapid.IntRange(0, len(all)).Draw(t, "at")
				other["a"], other["b"] = all[:at], all[at:]
				maps.DeleteFunc(other, func(_ string, list []string) bool { return len(list) == 0 })
			}
		}
		resource := [2]pcommon.Map{pcommon.NewMap(), pcommon.NewMap()}
		var raw [2]string // what is in them, exactly
		for i, r := range resource {
			for _, name := range []string{"r1", "r2", "other"} {
				v := attribute.Draw(t, name)
				if v != nil {
					require.NoError(t, r.PutEmpty(name).FromRaw(v))
				}
				if name != "other" {
					raw[i] += fmt.Sprintf("%#v;", v)
				}
			}
		}
		keyOf := func(values map[string][]string, r pcommon.Map) string {
			ctx := client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(values)})
			key, err := k.appendResource(k.appendClient(ctx, nil), r)
			require.NoError(t, err)
			return string(key)
		}
		same := reflect.DeepEqual(one, other) && raw[0] == raw[1]
		want := maps.Clone(one)
		for _, name := range []string{"r1", "r2"} {
			if v, ok := resource[0].Get(name); ok {
				text, _ := signal.AppendText(nil, v, maxKeyText)
				want[name] = []string{string(text)}
			}
		}
		require.Equal(t, same, keyOf(one, resource[0]) == keyOf(other, resource[1]))
		require.Equal(t, want, metadataOf(k.context(context.Background(), keyOf(one, resource[0]))))
	})
}

// metadataOf returns all client metadata in ctx.
func metadataOf(ctx context.Context) map[string][]string {
	all := map[string][]string{}
	metadata := client.FromContext(ctx).Metadata
	for name := range metadata.Keys() {
		all[name] = metadata.Get(name)
	}
	return all
}

// TestKeyHasALimit: the error is permanent, and names the attribute and the limit, of whatever type the value is and however deep.
func TestKeyHasALimit(t *testing.T) {
	k := newKeyer(nil, []string{"first", "tenant"}, nil, nil, nil)
	for name, raw := range map[string]any{
		"text": strings.Repeat("x", maxKeyText+1), "bytes": make([]byte, maxKeyText), "list": []any{strings.Repeat("x", maxKeyText)},
		"map": map[string]any{strings.Repeat("x", maxKeyText): 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := pcommon.NewMap()
			require.NoError(t, r.PutEmpty("tenant").FromRaw(raw))
			_, err := k.appendResource(nil, r)
			require.ErrorContains(t, err, `resource_keys: attribute "tenant" has more than 16384 bytes`)
			require.True(t, consumererror.IsPermanent(err))
		})
	}
	r := pcommon.NewMap()
	r.PutStr("tenant", strings.Repeat("x", maxKeyText))
	_, err := k.appendResource(nil, r)
	require.NoError(t, err)
}
