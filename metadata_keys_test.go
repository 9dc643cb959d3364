// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
)

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
