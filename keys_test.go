// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"
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
		return rapid.SampledFrom([]any{nil, "", "0", "1", "true", "a", "\x01", int64(0), int64(1), -1.5, 1.0, true, false, []any{"1"}, []any{int64(1)}, map[string]any{"a": "b"}}).Draw(t, "attribute")
	})
	k := newKeyer(names, []string{"r1", "r2"})
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
		for _, r := range resource {
			for _, name := range []string{"r1", "r2", "other"} {
				if v := attribute.Draw(t, name); v != nil {
					require.NoError(t, r.PutEmpty(name).FromRaw(v))
				}
			}
		}
		keyOf := func(values map[string][]string, r pcommon.Map) string {
			ctx := client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(values)})
			return string(k.appendResource(k.appendClient(ctx, nil), r))
		}
		same := reflect.DeepEqual(one, other)
		want := maps.Clone(one)
		for _, name := range []string{"r1", "r2"} {
			v, ok := resource[0].Get(name)
			w, okToo := resource[1].Get(name)
			same = same && ok == okToo && (!ok || v.Equal(w) || v.Type() == w.Type() && v.AsString() == w.AsString())
			if ok {
				want[name] = []string{v.AsString()}
			}
		}
		require.Equal(t, same, keyOf(one, resource[0]) == keyOf(other, resource[1]))
		require.Equal(t, want, everything(k.context(context.Background(), keyOf(one, resource[0]))))
	})
}

func everything(ctx context.Context) map[string][]string {
	all := map[string][]string{}
	metadata := client.FromContext(ctx).Metadata
	for name := range metadata.Keys() {
		all[name] = metadata.Get(name)
	}
	return all
}

type authData struct{}

func (authData) GetAttribute(string) any     { return "secret" }
func (authData) GetAttributeNames() []string { return []string{"secret"} }

// Nothing of any one client may be taken for that of the batch, but what all of its origins share.
func TestBatchContextHasTheKeysValuesAndNothingElse(t *testing.T) {
	type foreign struct{}
	info := client.Info{
		Addr: &net.IPAddr{IP: net.IPv4(1, 2, 3, 4)},
		Auth: authData{},
		Metadata: client.NewMetadata(map[string][]string{
			"X-Tenant": {"one", "two"}, "region": {""}, "authorization": {"Bearer token"},
		}),
	}
	for name, test := range map[string]struct {
		keys []string
		want map[string][]string
	}{
		"no keys":       {nil, map[string][]string{}},
		"several":       {[]string{"x-TENANT", "Region", "missing"}, map[string][]string{"x-tenant": {"one", "two"}, "region": {""}}},
		"missing alone": {[]string{"missing"}, map[string][]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var value any
				p := anyLogs.start(t, func(c *Config) { c.MetadataKeys = test.keys }, func(ctx context.Context, _ int) error {
					_, hasDeadline := ctx.Deadline()
					require.False(t, hasDeadline)
					value = ctx.Value(foreign{})
					return nil
				})
				ctx, cancel := context.WithCancel(context.WithValue(client.NewContext(context.Background(), info), foreign{}, 1))
				require.NoError(t, p.push(ctx, 0, 1))
				cancel() // as a receiver's is, when its call returned
				require.NoError(t, p.Shutdown(context.Background()))
				require.Len(t, p.batches(), 1)
				got := p.batches()[0].info
				require.Nil(t, got.Addr)
				require.Nil(t, got.Auth)
				require.Equal(t, test.want, everything(client.NewContext(context.Background(), got)))
				require.Nil(t, value)
			})
		})
	}
}

func TestOneBatchPerCombination(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, func(c *Config) { c.MetadataKeys = []string{"Tenant", "region"} }, nil)
				origins := []context.Context{
					from("tenant", "a"),
					from("tenant", "b"),
					from("tenant", ""), // empty
					from(),             // unset
					from("region", "a"),
					from("tenant", "a", "region", "a"),
					from("tenant", "a", "tenant", "a"),
					context.Background(), // unset too
					from("TENANT", "a", "other", "ignored"),
				}
				for i, ctx := range origins {
					require.NoError(t, p.push(ctx, i, 1))
				}
				require.NoError(t, p.Shutdown(context.Background()))
				var got [][]string
				for _, b := range p.batches() {
					got = append(got, b.items)
				}
				require.ElementsMatch(t, [][]string{
					slices.Concat(k.list(0, 1), k.list(8, 1)),
					k.list(1, 1),
					k.list(2, 1),
					slices.Concat(k.list(3, 1), k.list(7, 1)),
					k.list(4, 1),
					k.list(5, 1),
					k.list(6, 1),
				}, got)
			})
		})
	}
}
