// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/testdata"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"pgregory.net/rapid"
)

// kind is a signal together with what the tests need to make and to compare its payloads.
type kind[P any] struct {
	Signal[P]

	draw func(t *rapid.T) P

	// flatten lists the items in order, each with the identity of all that it is in. A container without items is listed
	// too, in its place. So two payloads are the same telemetry exactly if their lists are equal, however each of them
	// groups its items.
	flatten func(p P) []string

	// wide makes a tree in which each container has as many children, and each leaf as many items, as count says for its
	// level; groups are metrics or profiles.
	wide func(count func(depth) int) P

	// exact spells out p with its containers: two payloads are the same exactly if these are equal.
	exact func(p P) string

	generate     func(items int) P // by pdata's testdata, one resource and one scope
	markReadOnly func(p P)
	size         func(t *testing.T, p P) int
}

var (
	traces = kind[ptrace.Traces]{
		Signal: Traces{}, draw: drawTraces, flatten: flattenTraces, wide: wideTraces, exact: exactTraces,
		generate:     testdata.GenerateTraces,
		markReadOnly: ptrace.Traces.MarkReadOnly,
		size: func(t *testing.T, p ptrace.Traces) int {
			b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(p)
			require.NoError(t, err)
			return len(b)
		},
	}
	logs = kind[plog.Logs]{
		Signal: Logs{}, draw: drawLogs, flatten: flattenLogs, wide: wideLogs, exact: exactLogs,
		generate:     testdata.GenerateLogs,
		markReadOnly: plog.Logs.MarkReadOnly,
		size: func(t *testing.T, p plog.Logs) int {
			b, err := (&plog.ProtoMarshaler{}).MarshalLogs(p)
			require.NoError(t, err)
			return len(b)
		},
	}
	metrics = kind[pmetric.Metrics]{
		Signal: Metrics{}, draw: drawMetrics, flatten: flattenMetrics, wide: wideMetrics, exact: exactMetrics,
		generate:     generateMetrics,
		markReadOnly: pmetric.Metrics.MarkReadOnly,
		size: func(t *testing.T, p pmetric.Metrics) int {
			b, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(p)
			require.NoError(t, err)
			return len(b)
		},
	}
	profiles = kind[pprofile.Profiles]{
		Signal: Profiles{}, draw: drawProfiles, flatten: flattenProfiles, wide: wideProfiles, exact: exactProfiles,
		generate:     testdata.GenerateProfiles,
		markReadOnly: pprofile.Profiles.MarkReadOnly,
		size: func(t *testing.T, p pprofile.Profiles) int {
			p.ResourceProfiles().At(0).Resource().Attributes().Clear() // so that encoding has nothing to turn into references
			b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(p)
			require.NoError(t, err)
			return len(b)
		},
	}
)

// generateMetrics makes the items of one gauge.
func generateMetrics(items int) pmetric.Metrics {
	p := testdata.GenerateMetrics(1)
	points := p.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).SetEmptyGauge().DataPoints()
	for i := range items {
		points.AppendEmpty().SetIntValue(int64(i))
	}
	return p
}

func TestCutLosesNothing(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { cutLosesNothing(t, traces) }) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { cutLosesNothing(t, logs) }) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { cutLosesNothing(t, metrics) }) })
	t.Run("profiles", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { cutLosesNothing(t, profiles) }) })
}

func cutLosesNothing[P any](t *rapid.T, k kind[P]) {
	p := k.draw(t)
	require.NoError(t, k.Check(p))
	want, rest := k.flatten(p), k.Items(p)
	most := rapid.IntRange(1, rest+2).Draw(t, "most")

	var heads []P
	var got []string
	cutter := k.Cut(p, Measure{})
	for len(heads) == 0 || rest > 0 {
		n := rapid.IntRange(1, most).Draw(t, "n")
		head := takeItems(cutter, n)
		require.Equal(t, min(n, rest), k.Items(head))
		require.NoError(t, k.Check(head))
		rest -= k.Items(head)
		got = append(got, k.flatten(head)...)
		heads = append(heads, head)
	}
	require.Equal(t, want, got)
	require.Zero(t, k.Items(p))
	require.Zero(t, k.Items(takeItems(cutter, 1)), "after the end")

	k.Merge(heads[0], heads[1:]...)
	require.Equal(t, want, k.flatten(heads[0]), "merged again")
}

func TestMergeKeepsOrderAndEmptiesSources(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { mergeKeepsOrder(t, traces) }) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { mergeKeepsOrder(t, logs) }) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { mergeKeepsOrder(t, metrics) }) })
	t.Run("profiles", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { mergeKeepsOrder(t, profiles) }) })
}

func mergeKeepsOrder[P any](t *rapid.T, k kind[P]) {
	dst := k.draw(t)
	want := k.flatten(dst)
	for range rapid.IntRange(1, 3).Draw(t, "merges") {
		src := make([]P, rapid.IntRange(0, 3).Draw(t, "sources"))
		for i := range src {
			src[i] = k.draw(t)
			require.NoError(t, k.Check(src[i]))
			want = append(want, k.flatten(src[i])...)
		}
		k.Merge(dst, src...)
		require.Equal(t, want, k.flatten(dst))
		require.NoError(t, k.Check(dst))
		for _, p := range src {
			require.Zero(t, k.Items(p))
		}
	}
}

func TestSignal(t *testing.T) {
	t.Run("traces", func(t *testing.T) { testSignal(t, traces) })
	t.Run("logs", func(t *testing.T) { testSignal(t, logs) })
	t.Run("metrics", func(t *testing.T) { testSignal(t, metrics) })
	t.Run("profiles", func(t *testing.T) { testSignal(t, profiles) })
}

func testSignal[P any](t *testing.T, k kind[P]) {
	t.Run("counts and sizes", func(t *testing.T) {
		p := k.generate(7)
		require.Equal(t, 7, k.Items(p))
		require.NoError(t, k.Check(p))
		require.Equal(t, k.size(t, p), k.Size(p))
	})
	t.Run("copies what is shared", func(t *testing.T) {
		p := k.generate(5)
		require.False(t, k.Shared(p))
		k.markReadOnly(p)
		require.True(t, k.Shared(p))
		want := k.flatten(p)
		own := k.Copy(p)
		require.False(t, k.Shared(own))
		require.Equal(t, want, k.flatten(own))
		require.Equal(t, 3, k.Items(takeItems(k.Cut(own, Measure{}), 3)))
		require.Equal(t, want, k.flatten(p))
	})
	t.Run("merges nothing for nothing", func(t *testing.T) {
		p := k.generate(1)
		require.Zero(t, testing.AllocsPerRun(10, func() { k.Merge(p) }))
	})
	t.Run("takes at least one", func(t *testing.T) {
		require.Panics(t, func() { takeItems(k.Cut(k.generate(1), Measure{}), 0) })
	})
	t.Run("checks only by reading", func(t *testing.T) {
		p := k.generate(2)
		k.markReadOnly(p)
		require.NoError(t, k.Check(p))
		require.Equal(t, 2, k.Items(p))
		require.Positive(t, k.Size(p))
	})
}

// With pooling, pdata clears and reuses a payload and all it still holds when the last reference is given back. Parts of
// it that are on their way must not notice.
func TestPartsOutliveTheirPayload(t *testing.T) {
	require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), true))
	t.Cleanup(func() {
		require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), false))
	})
	t.Run("traces", func(t *testing.T) { partsOutliveTheirPayload(t, traces) })
	t.Run("logs", func(t *testing.T) { partsOutliveTheirPayload(t, logs) })
	t.Run("metrics", func(t *testing.T) { partsOutliveTheirPayload(t, metrics) })
	t.Run("profiles", func(t *testing.T) { partsOutliveTheirPayload(t, profiles) })
}

func partsOutliveTheirPayload[P any](t *testing.T, k kind[P]) {
	for _, n := range []int{1, 4, 10, 11} {
		t.Run(fmt.Sprintf("cut=%d", n), func(t *testing.T) {
			p := k.generate(10)
			want := k.flatten(p)
			k.Ref(p)
			cutter := k.Cut(p, Measure{})
			var heads []P
			for taken := 0; taken < 10; taken += n {
				heads = append(heads, takeItems(cutter, n))
			}
			k.Unref(p)
			k.Unref(p)
			require.Panics(t, func() { k.Unref(p) }, "all references were given back")

			k.generate(100) // uses what is in the pools
			var got []string
			for _, head := range heads {
				got = append(got, k.flatten(head)...)
			}
			require.Equal(t, want, got)
		})
	}
	t.Run("merged", func(t *testing.T) {
		dst, src := k.generate(3), k.generate(4)
		want := append(k.flatten(dst), k.flatten(src)...)
		k.Merge(dst, src)
		k.Unref(src)
		k.generate(100)
		require.Equal(t, want, k.flatten(dst))
	})
}

func takeItems[P any](c Cutter[P], n int) P {
	part, _ := c.Take(Items(n))
	return part
}
