// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// shape is the most that a container of each level has.
type shape struct{ resources, scopes, groups, items int }

// depth is what count is asked for: a level of the tree.
type depth int

const (
	resourceDepth depth = iota
	scopeDepth
	groupDepth
	itemDepth
)

// fixed is a tree of exactly this shape.
func (s shape) fixed(d depth) int { return [...]int{s.resources, s.scopes, s.groups, s.items}[d] }

// random is a tree of at most this shape, in which every container may have none.
func (s shape) random(seed uint64) func(depth) int {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(d depth) int { return r.IntN(s.fixed(d) + 1) }
}

// name is often around the length from which the lengths of all that it is in take a byte more.
func name(i int) string { return strings.Repeat("n", i%3*60) + fmt.Sprint(i) }

func wideTraces(count func(depth) int) ptrace.Traces {
	p := ptrace.NewTraces()
	for i := range count(resourceDepth) {
		r := p.ResourceSpans().AppendEmpty()
		r.Resource().Attributes().PutStr("host", name(i))
		for j := range count(scopeDepth) {
			s := r.ScopeSpans().AppendEmpty()
			s.Scope().SetName(name(j))
			for k := range count(groupDepth) * count(itemDepth) {
				s.Spans().AppendEmpty().SetName(name(k))
			}
		}
	}
	return p
}

func wideLogs(count func(depth) int) plog.Logs {
	p := plog.NewLogs()
	for i := range count(resourceDepth) {
		r := p.ResourceLogs().AppendEmpty()
		r.Resource().Attributes().PutStr("host", name(i))
		for j := range count(scopeDepth) {
			s := r.ScopeLogs().AppendEmpty()
			s.Scope().SetName(name(j))
			for k := range count(groupDepth) * count(itemDepth) {
				s.LogRecords().AppendEmpty().Body().SetStr(name(k))
			}
		}
	}
	return p
}

func wideMetrics(count func(depth) int) pmetric.Metrics {
	p := pmetric.NewMetrics()
	for i := range count(resourceDepth) {
		r := p.ResourceMetrics().AppendEmpty()
		r.Resource().Attributes().PutStr("host", name(i))
		for j := range count(scopeDepth) {
			s := r.ScopeMetrics().AppendEmpty()
			s.Scope().SetName(name(j))
			for k := range count(groupDepth) {
				m := s.Metrics().AppendEmpty()
				m.SetName(name(k))
				points := count(itemDepth)
				switch k % 6 {
				case 0:
					m.SetEmptyGauge()
					for range points {
						m.Gauge().DataPoints().AppendEmpty().SetIntValue(1)
					}
				case 1:
					m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
					m.Sum().SetIsMonotonic(true)
					for range points {
						m.Sum().DataPoints().AppendEmpty().Attributes().PutStr("point", name(k))
					}
				case 2:
					m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
					for range points {
						m.Histogram().DataPoints().AppendEmpty().SetCount(1)
					}
				case 3:
					m.SetEmptyExponentialHistogram()
					for range points {
						m.ExponentialHistogram().DataPoints().AppendEmpty().SetScale(2)
					}
				case 4:
					m.SetEmptySummary()
					for range points {
						m.Summary().DataPoints().AppendEmpty().SetSum(1)
					}
				case 5: // of no type
					m.SetUnit("without points")
				}
			}
		}
	}
	return p
}

func wideProfiles(count func(depth) int) pprofile.Profiles {
	p := pprofile.NewProfiles()
	d := p.Dictionary()
	fillZeroEntries(d)
	for i := range 5 {
		d.LinkTable().AppendEmpty().SetSpanID([8]byte{byte(i + 1)})
	}
	for i := range count(resourceDepth) {
		r := p.ResourceProfiles().AppendEmpty()
		r.Resource().Attributes().PutStr("host", name(i))
		for j := range count(scopeDepth) {
			s := r.ScopeProfiles().AppendEmpty()
			s.Scope().SetName(name(j))
			for k := range count(groupDepth) {
				g := s.Profiles().AppendEmpty()
				g.SetTime(1)
				for l := range count(itemDepth) {
					sample := g.Samples().AppendEmpty()
					sample.Values().Append(int64(l))
					sample.SetLinkIndex(int32(k % 6))
				}
			}
		}
	}
	return p
}

func exactTraces(p ptrace.Traces) string {
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func exactLogs(p plog.Logs) string {
	b, err := (&plog.ProtoMarshaler{}).MarshalLogs(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func exactMetrics(p pmetric.Metrics) string {
	b, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(p)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// exactProfiles leaves open where in a dictionary an entry stands.
func exactProfiles(p pprofile.Profiles) string {
	b := []byte(strings.Join(flattenProfiles(p), "\n"))
	for _, r := range p.ResourceProfiles().All() {
		b = binary.AppendUvarint(b, uint64(r.ScopeProfiles().Len()))
		for _, s := range r.ScopeProfiles().All() {
			b = binary.AppendUvarint(b, uint64(s.Profiles().Len()))
			for _, g := range s.Profiles().All() {
				b = binary.AppendUvarint(b, uint64(g.Samples().Len()))
			}
		}
	}
	return string(b)
}

// TestCutIsFull cuts trees, wide and narrow, by random quotas of items, of bytes, and of both: every part but the last has no
// room for one item more, has what the Cutter says, and the copies of all, joined, are the original.
func TestCutIsFull(t *testing.T) {
	t.Run("traces", func(t *testing.T) { cutIsFull(t, traces, true) })
	t.Run("logs", func(t *testing.T) { cutIsFull(t, logs, true) })
	t.Run("metrics", func(t *testing.T) { cutIsFull(t, metrics, true) })
	t.Run("profiles", func(t *testing.T) { cutIsFull(t, profiles, false) })
}

func cutIsFull[P any](t *testing.T, k kind[P], bytes bool) {
	t.Run("1000 resources of 100 groups", func(t *testing.T) {
		big := shape{1000, 1, 100, 1}
		cutAll(t, k, k.wide(big.fixed), false, func() Quota { return Items(8192) })
		if bytes {
			cutAll(t, k, k.wide(big.fixed), true, func() Quota { return Quota{math.MaxInt, 100_000} })
			cutAll(t, k, k.wide(big.fixed), true, func() Quota { return Quota{3000, 100_000} })
		}
	})
	t.Run("20 scopes of 30 groups", func(t *testing.T) {
		cutAll(t, k, k.wide(shape{1, 20, 30, 1}.fixed), false, func() Quota { return Items(50) })
	})
	t.Run("random", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := rapid.SampledFrom([]shape{{3, 3, 3, 3}, {10, 12, 3, 3}, {3, 12, 12, 4}, {1, 2, 3, 100}, {100, 1, 2, 2}}).Draw(t, "shape")
			p := k.wide(s.random(rapid.Uint64().Draw(t, "seed")))
			most := Quota{max(1, k.Items(p)), 1}
			if bytes {
				most.Bytes = k.Size(p) + 1
			}
			same := rapid.Bool().Draw(t, "the same quota each time")
			drawn := Quota{}
			draw := func(items, sizes bool) func() Quota {
				return func() Quota {
					if drawn.Items > 0 && same {
						return drawn
					}
					drawn = Quota{math.MaxInt, math.MaxInt}
					if items {
						drawn.Items = rapid.IntRange(1, most.Items).Draw(t, "items")
					}
					if sizes {
						drawn.Bytes = rapid.IntRange(0, most.Bytes).Draw(t, "bytes")
					}
					return drawn
				}
			}
			switch mode := rapid.SampledFrom([]string{"items", "bytes", "both"}).Draw(t, "mode"); {
			case mode == "items" || !bytes:
				cutAll(t, k, p, false, draw(true, false))
			case mode == "bytes":
				cutAll(t, k, p, true, draw(false, true))
			default:
				cutAll(t, k, p, true, draw(true, true))
			}
		})
	})
}

// cutAll cuts p, by next, until nothing is left.
func cutAll[P any](t require.TestingT, k kind[P], p P, bytes bool, next func() Quota) {
	want, m := k.exact(p), Measure{}
	if bytes {
		m = MeasureOf(k.Signal, p)
	}
	var parts []P
	var quotas []Quota // of each part, if it was not forced
	var seams []int    // before each part
	cutter := k.Cut(p, m)
	for seam := 0; len(parts) == 0 || cutter.Left().Items > 0; seam = cutter.Seam() {
		q, left := next(), cutter.Left()
		part, took := cutter.Take(q)
		if took.Items == 0 && (left.Items > 0 || left.Bytes > q.Bytes) { // not even the next item fits, or all where there is none
			require.Equal(t, left, cutter.Left())
			q = Quota{1, math.MaxInt}
			part, took = cutter.Take(q)
		}
		require.Equal(t, k.Items(part), took.Items)
		require.LessOrEqual(t, took.Items, q.Items)
		if bytes {
			require.Equal(t, k.Size(part), took.Bytes)
			require.LessOrEqual(t, took.Bytes, q.Bytes)
		}
		parts, quotas, seams = append(parts, part), append(quotas, q), append(seams, seam)
	}
	require.Zero(t, cutter.Seam(), "at the end")

	joined := k.Copy(parts[0])
	for i, part := range parts[1:] {
		k.AppendCopy(joined, part, 0, k.Resources(part), seams[i+1])
	}
	if k.exact(joined) != want { // nobody reads a difference of a megabyte
		require.Fail(t, "the parts joined again are not what was cut")
	}

	for i, part := range parts[:len(parts)-1] {
		if took := k.Items(part); took == quotas[i].Items {
			continue
		}
		require.True(t, bytes, "part %d has %d of %d items", i, k.Items(part), quotas[i].Items)
		one := takeItems(k.Cut(k.Copy(parts[i+1]), Measure{}), 1)
		k.AppendCopy(part, one, 0, k.Resources(one), seams[i+1])
		require.Greater(t, k.Size(part), quotas[i].Bytes, "with one more item")
	}
}
