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
		one := divided(k, k.Copy(p), only, 1)[0]
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

	for i, part := range divided(k, p, of, parts) {
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
	parts := divided(k, p, []int{1, 0}, 2)
	k.Unref(p)
	k.Unref(p)
	require.Panics(t, func() { k.Unref(p) }, "all references were given back")
	k.generate(100) // uses what is in the pools
	require.Equal(t, want, append(k.flatten(parts[1]), k.flatten(parts[0])...))
}

// divided returns the parts of p, finished.
func divided[P any](k kind[P], p P, of []int, n int) []P {
	parts, finish := k.Divide(p, of, n)
	if finish != nil {
		for _, part := range parts {
			finish(part)
		}
	}
	return parts
}

// TestProfilesDivideCopiesNothingForAllAtOnce: a stack that all tenants share is copied for one when that is finished.
func TestProfilesDivideCopiesNothingForAllAtOnce(t *testing.T) {
	const tenants, locations = 100, 10_000
	shared := func() pprofile.Profiles {
		p := pprofile.NewProfiles()
		d := p.Dictionary()
		fillZeroEntries(d)
		stack := d.StackTable().AppendEmpty()
		for i := range locations {
			d.LocationTable().AppendEmpty().SetAddress(uint64(i + 1))
			stack.LocationIndices().Append(int32(i + 1))
		}
		for range tenants {
			p.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty().Samples().AppendEmpty().SetStackIndex(1)
		}
		return p
	}
	of := make([]int, tenants)
	for i := range of {
		of[i] = i
	}
	payloads := []pprofile.Profiles{shared(), shared()} // AllocsPerRun runs once more than it measures
	var parts []pprofile.Profiles
	var finish func(pprofile.Profiles)
	require.LessOrEqual(t, testing.AllocsPerRun(1, func() {
		parts, finish = Profiles{}.Divide(payloads[0], of, tenants)
		payloads = payloads[1:]
	}), float64(20*tenants))
	for _, part := range parts[:3] {
		finish(part)
		require.Equal(t, 1+locations, part.Dictionary().LocationTable().Len())
	}
}
