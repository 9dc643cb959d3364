// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// randomValue is of any type that an attribute may have, but for an empty one, which OTTL does not tell from a missing one; nil: there is none.
func randomValue(r *rand.Rand, depth int) any {
	switch r.IntN(11 - 2*depth) {
	case 0:
		return nil
	case 1:
		return ""
	case 2:
		return []string{"1", "a", "true", "[1]"}[r.IntN(4)]
	case 3:
		return fmt.Sprint("tenant ", r.IntN(4))
	case 4:
		return r.Int64N(3)
	case 5:
		return []float64{0, 1, 1.5, math.Inf(1), math.NaN()}[r.IntN(5)]
	case 6:
		return r.IntN(2) == 0
	case 7:
		return []byte{byte(r.IntN(2))}
	case 8:
		return []any{"a", int64(r.IntN(2))}
	case 9:
		return map[string]any{"a": randomValue(r, 1)}
	default:
		return []any{randomValue(r, 1), map[string]any{}}
	}
}

// TestExpressionsLikeAttributes: an expression that is an attribute makes the same batches as attribute_keys, and on the resource as resource_keys.
func TestExpressionsLikeAttributes(t *testing.T) {
	t.Run("traces", func(t *testing.T) { expressionsLikeAttributes(t, spans) })
	t.Run("metrics", func(t *testing.T) { expressionsLikeAttributes(t, points) })
	t.Run("logs", func(t *testing.T) { expressionsLikeAttributes(t, records) })
}

func expressionsLikeAttributes[P any](t *testing.T, k kind[P]) {
	for _, test := range []struct {
		expressions map[string]any
		like        map[string]any
	}{
		{map[string]any{"own": `attributes["own"]`}, map[string]any{"attribute_keys": []any{"own"}}},
		{map[string]any{"of": `scope.attributes["of"]`}, map[string]any{"attribute_keys": []any{"of"}}},
		{map[string]any{"tenant": `resource.attributes["tenant"]`}, map[string]any{"resource_keys": []any{"tenant"}}},
		{
			map[string]any{"own": `attributes["own"]`, "of": `scope.attributes["of"]`, "tenant": `resource.attributes["tenant"]`},
			map[string]any{"attribute_keys": []any{"own", "of"}, "resource_keys": []any{"tenant"}},
		},
	} {
		for seed := range uint64(30) {
			run := func(keys map[string]any, buffer string) map[string][]string {
				section := map[string]any{"buffer": buffer}
				for name, value := range keys {
					section[name] = value
				}
				s, push, end := begin(t, k, section)
				r := rand.New(rand.NewPCG(seed, 1))
				for i := range 3 {
					resources, items := make([]string, 1+r.IntN(3)), make([]string, 1+r.IntN(8))
					for j := range items {
						items[j] = fmt.Sprint(i, " ", j)
					}
					push(context.Background(), k.payload(resources, items, func(resource, scope, own pcommon.Map) {
						for _, to := range []struct {
							name string
							m    pcommon.Map
						}{{"own", own}, {"of", scope}, {"tenant", resource}} {
							// Few values, so that items share them. What is of a resource or scope is set once.
							v := randomValue(rand.New(rand.NewPCG(seed, uint64(r.IntN(20)))), 0)
							if _, set := to.m.Get(to.name); v != nil && !set {
								require.NoError(t, to.m.PutEmpty(to.name).FromRaw(v))
							}
						}
					}))
				}
				end()
				for _, items := range s.items { // "1" and 1 are two keys, and are the same in the metadata
					slices.Sort(items)
				}
				return s.items
			}
			require.Equal(t, run(test.like, "queue"), run(map[string]any{"key_expressions": test.expressions}, "queue"), "seed %d", seed)
		}
	}
}

// Receivers push payloads that others read too, all at once.
func TestExpressionsOfManyCallers(t *testing.T) {
	const callers, payloads = 4, 20
	s, push, end := begin(t, records, map[string]any{"key_expressions": map[string]any{
		"own": `ToUpperCase(attributes["text"])`, "list": `Sort(attributes["list"])`, "of": `scope.attributes["of"]`, "tenant": `Split(resource.attributes["service.name"], "-")[0]`,
	}})
	ld := records.payload([]string{"r", "s"}, []string{"i", "j"}, with)
	ld.MarkReadOnly()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range payloads {
				push(context.Background(), ld)
			}
		})
	}
	wg.Wait()
	end()
	require.Len(t, s.items, 1)
	require.Len(t, s.items[`list=["[1]"] of=["scope"] own=["A-B"] tenant=["acme"]`], callers*payloads*4)
}
