// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"pgregory.net/rapid"
)

func TestDivideItemsAndBack(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideItemsKeepsThem(t, traces) }) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideItemsKeepsThem(t, logs) }) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideItemsKeepsThem(t, metrics) }) })
	t.Run("profiles", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideItemsKeepsThem(t, profiles) }) })
}

// Each part has the items that belong to it, in their order, each below all that it stood below, and nothing else. What is united is as it was.
func divideItemsKeepsThem[P any](t *rapid.T, k kind[P]) {
	p := k.draw(t)
	whole, stripped := k.flatten(p), k.Copy(p)
	k.Strip(stripped)
	_, ofProfiles := any(p).(pprofile.Profiles)
	n := rapid.IntRange(1, 4).Draw(t, "parts")
	of := rapid.SliceOfN(rapid.IntRange(0, n-1), k.Items(p), k.Items(p)).Draw(t, "of")
	want := make([][]string, n)
	if len(of) > 0 {
		for i, one := range k.flatten(stripped) {
			want[of[i]] = append(want[of[i]], one)
		}
	}
	var measures []Measure
	if !ofProfiles {
		measures = k.SizesOfItems(p, of, n)
		require.Equal(t, whole, k.flatten(p), "was only read")
	}

	parts, finish := k.DivideItems(p, of, n)
	order := rapid.Permutation(upTo(n)).Draw(t, "order of finishing")
	for _, i := range order {
		finish(i, parts[i])
		require.NoError(t, k.Check(parts[i]))
		require.Equal(t, len(want[i]), k.Items(parts[i]))
		require.Equal(t, want[i], k.flatten(parts[i]))
		if !ofProfiles {
			require.Equal(t, MeasureOf(k.Signal, parts[i]), measures[i])
		}
	}
	if ofProfiles {
		return
	}
	// As after an error: some were cut, or joined other payloads' batches, before they come back.
	for i := range parts {
		if rapid.Bool().Draw(t, "cut") && len(want[i]) > 1 {
			c := k.Cut(parts[i], Measure{})
			head, _ := c.Take(Items(len(want[i]) / 2))
			tail, _ := c.Take(Items(len(want[i])))
			k.Merge(head, tail)
			parts[i] = head
		}
	}
	k.UniteItems(p, parts, of)
	require.Equal(t, whole, k.flatten(p))
}

// Nothing of a part that is not finished has fields, and it can be put back all the same.
func TestUniteItemsThatAreNotFinished(t *testing.T) {
	p := metrics.generate(9)
	want := metrics.flatten(p)
	of := []int{0, 1, 2, 0, 1, 2, 2, 2, 0}
	parts, _ := metrics.DivideItems(p, of, 3)
	require.Empty(t, parts[0].ResourceMetrics().At(0).Resource().Attributes().AsRaw())
	metrics.UniteItems(p, parts, of)
	require.Equal(t, want, metrics.flatten(p))
}

// TestDivideItemsIsLinear: a request of twice the items below a resource of twice the attributes, each item a part of its own, takes twice
// the allocations and memory to be divided, and to be routed and measured. What each part repeats is only there when that is finished (I10).
func TestDivideItemsIsLinear(t *testing.T) {
	build := func(n int) (plog.Logs, []int) {
		p := logs.generate(n)
		r := p.ResourceLogs().At(0)
		attributes := make(map[string]any, n)
		for i := range n {
			attributes[fmt.Sprint(i)] = int64(i)
		}
		require.NoError(t, r.Resource().Attributes().FromRaw(attributes))
		require.NoError(t, r.ScopeLogs().At(0).Scope().Attributes().FromRaw(attributes))
		return p, upTo(n)
	}
	for name, run := range map[string]func(p plog.Logs, of []int) any{
		"divide": func(p plog.Logs, of []int) any {
			parts, finish := Logs{}.DivideItems(p, of, len(of))
			return []any{parts, finish}
		},
		"unite": func(p plog.Logs, of []int) any {
			parts, _ := Logs{}.DivideItems(p, of, len(of))
			Logs{}.UniteItems(p, parts, of)
			return nil
		},
		"measure": func(p plog.Logs, of []int) any { return Logs{}.SizesOfItems(p, of, len(of)) },
	} {
		t.Run(name, func(t *testing.T) {
			of := func(n int) cost {
				p, of := build(n)
				return measure(func() (int, any) { return 0, run(p, of) })
			}
			of(500)
			small, large := of(500), of(8000)
			require.LessOrEqual(t, large.allocs, 20*small.allocs+100)
			require.LessOrEqual(t, large.bytes, 24*small.bytes+64<<10)
		})
	}
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
