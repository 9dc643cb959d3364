// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"pgregory.net/rapid"
)

func TestDivideKeepsEachResourceWhole(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideKeepsResources(t, traces) }) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideKeepsResources(t, logs) }) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideKeepsResources(t, metrics) }) })
	t.Run("profiles", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { divideKeepsResources(t, profiles) }) })
}

func divideKeepsResources[P any](t *rapid.T, k kind[P]) {
	p := k.draw(t)
	const parts = 3
	of := make([]int, k.Resources(p))
	var want [parts][]string
	var items [parts]int
	var all []string
	total := 0
	for i := range of {
		of[i] = rapid.IntRange(-1, parts-1).Draw(t, "part")
		only := make([]int, len(of))
		for j := range only {
			only[j] = -1
		}
		only[i] = 0
		one := k.Divide(k.Copy(p), only, 1)[0]
		require.Equal(t, k.Resource(p, i).Attributes().AsRaw(), k.Resource(one, 0).Attributes().AsRaw())
		require.Equal(t, k.Items(one), k.ItemsOf(p, i))
		total += k.ItemsOf(p, i)
		all = append(all, k.flatten(one)...)
		if of[i] >= 0 {
			want[of[i]] = append(want[of[i]], k.flatten(one)...)
			items[of[i]] += k.ItemsOf(p, i)
		}
	}
	require.Equal(t, k.flatten(p), all, "one by one")
	require.Equal(t, k.Items(p), total)

	for i, part := range k.Divide(p, of, parts) {
		require.Equal(t, want[i], k.flatten(part))
		require.Equal(t, items[i], k.Items(part))
		require.NoError(t, k.Check(part))
		if profiles, ok := any(part).(pprofile.Profiles); ok {
			u := &usage{}
			u.profiles(profiles)
			require.Equal(t, u.used(), u.entries(profiles.Dictionary()), "entries that nothing refers to")
		}
	}
}

// With pooling, parts must not notice that the payload that they come from is cleared and used again.
func TestDividedPartsOutliveTheirPayload(t *testing.T) {
	require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), true))
	t.Cleanup(func() {
		require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), false))
	})
	t.Run("traces", func(t *testing.T) { dividedOutlive(t, traces) })
	t.Run("logs", func(t *testing.T) { dividedOutlive(t, logs) })
	t.Run("metrics", func(t *testing.T) { dividedOutlive(t, metrics) })
	t.Run("profiles", func(t *testing.T) { dividedOutlive(t, profiles) })
}

func dividedOutlive[P any](t *testing.T, k kind[P]) {
	p, other := k.generate(3), k.generate(4)
	want := append(k.flatten(p), k.flatten(other)...)
	k.Merge(p, other)
	k.Ref(p)
	parts := k.Divide(p, []int{1, 0}, 2)
	k.Unref(p)
	k.Unref(p)
	require.Panics(t, func() { k.Unref(p) }, "all references were given back")
	k.generate(100) // uses what is in the pools
	require.Equal(t, want, append(k.flatten(parts[1]), k.flatten(parts[0])...))
}
