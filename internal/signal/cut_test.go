// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The same tree as in a payload, but counting: whatever is looked at, moved or shifted is one unit of work.
type (
	counted[E any] struct {
		list []E
		work *int
		new  func() E
	}
	container[E movable[E]] struct{ children counted[E] }
	item                    struct{ work *int }
)

func (c *counted[E]) Len() int           { return len(c.list) }
func (c *counted[E]) EnsureCapacity(int) {}

func (c *counted[E]) At(i int) E {
	*c.work++
	return c.list[i]
}

func (c *counted[E]) AppendEmpty() E {
	*c.work++
	c.list = append(c.list, c.new())
	return c.list[len(c.list)-1]
}

func (c *counted[E]) RemoveIf(f func(E) bool) {
	*c.work += len(c.list)
	var kept []E
	for _, e := range c.list {
		if !f(e) {
			kept = append(kept, e)
		}
	}
	c.list = kept
}

func (c *container[E]) MoveTo(dst *container[E]) {
	*c.children.work++
	dst.children.list, c.children.list = c.children.list, nil
}

func (c *container[E]) CopyTo(*container[E]) { panic("cutting copies no container") }

func (i *item) MoveTo(*item) { *i.work++ }
func (i *item) CopyTo(*item) { panic("cutting copies no item") }

func TestCutIsLinear(t *testing.T) {
	type (
		scope    = container[*item]
		resource = container[*scope]
		payload  = container[*resource]
	)
	const items = 20_000
	for _, shape := range []struct{ resources, scopes, items int }{
		{1, 1, items},
		{1, items, 1},
		{items, 1, 1},
		{20, 100, 10},
		{2, 10, 1000},
	} {
		for _, n := range []int{1, 7, 100, 1000, 7000, items - 1, items} {
			t.Run(fmt.Sprintf("%d of %d of %d/cap=%d", shape.resources, shape.scopes, shape.items, n), func(t *testing.T) {
				work := 0
				newItem := func() *item { return &item{&work} }
				newScope := func() *scope { return &scope{counted[*item]{work: &work, new: newItem}} }
				newResource := func() *resource { return &resource{counted[*scope]{work: &work, new: newScope}} }
				newPayload := func() *payload { return &payload{counted[*resource]{work: &work, new: newResource}} }

				p := newPayload()
				for range shape.resources {
					r := p.children.AppendEmpty()
					for range shape.scopes {
						s := r.children.AppendEmpty()
						for range shape.items {
							s.children.AppendEmpty()
						}
					}
				}
				containers := shape.resources * (1 + shape.scopes)
				cuts := (items + n - 1) / n

				work = 0
				cutter := newCutter(p, items, 0,
					newBranch(func(_, _ *payload) {}, func(p *payload) *counted[*resource] { return &p.children },
						newBranch(func(_, _ *resource) {}, func(r *resource) *counted[*scope] { return &r.children },
							newLeaf(func(_, _ *scope) {}, func(s *scope) *counted[*item] { return &s.children }, message[*scope]{}, nil),
							message[*resource]{}), message[*payload]{}),
					newPayload)
				for range cuts {
					takeItems(cutter, n)
				}
				// Per item and container: looked at, moved, appended, dropped; per container also counted, from each level
				// above it. Per cut: a look at one resource and scope, and a head's resource and scope.
				require.LessOrEqual(t, work, 4*items+8*containers+6*cuts)
			})
		}
	}
}

// Smaller cuts must not cost more allocations than the containers that they repeat.
func TestCutAllocatesOncePerItem(t *testing.T) {
	t.Run("traces", func(t *testing.T) { cutAllocatesOncePerItem(t, traces) })
	t.Run("logs", func(t *testing.T) { cutAllocatesOncePerItem(t, logs) })
	t.Run("metrics", func(t *testing.T) { cutAllocatesOncePerItem(t, metrics) })
}

func cutAllocatesOncePerItem[P any](t *testing.T, k kind[P]) {
	const items, perHead, perCut = 20_000, 30, 30
	for _, n := range []int{100, 1000, items} {
		payloads := []P{k.generate(items), k.generate(items)} // AllocsPerRun runs once more than it measures
		allocs := testing.AllocsPerRun(1, func() {
			cutter := k.Cut(payloads[0], 0)
			payloads = payloads[1:]
			for range items / n {
				takeItems(cutter, n)
			}
		})
		if n == items {
			require.LessOrEqual(t, allocs, float64(perCut), "moved as a whole")
		} else {
			require.LessOrEqual(t, allocs, float64(items+perCut+items/n*perHead), "cap=%d", n)
		}
	}
}

// Whoever has no cap in bytes does not pay for one: nothing is kept of the containers that go as a whole.
func TestCutByItemsKeepsNothingOfResources(t *testing.T) {
	const resources, n, perCut = 20_000, 1000, 60
	payloads := make([]ptrace.Traces, 2) // AllocsPerRun runs once more than it measures
	for i := range payloads {
		payloads[i] = ptrace.NewTraces()
		for range resources {
			payloads[i].ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		}
	}
	allocs := testing.AllocsPerRun(1, func() {
		cutter := Traces{}.Cut(payloads[0], 0)
		payloads = payloads[1:]
		for range resources / n {
			takeItems(cutter, n)
		}
	})
	require.LessOrEqual(t, allocs, float64(2*resources+resources/n*perCut))
}

func TestMergeAllocatesOnce(t *testing.T) {
	t.Run("traces", func(t *testing.T) { mergeAllocatesOnce(t, traces) })
	t.Run("logs", func(t *testing.T) { mergeAllocatesOnce(t, logs) })
	t.Run("metrics", func(t *testing.T) { mergeAllocatesOnce(t, metrics) })
}

func mergeAllocatesOnce[P any](t *testing.T, k kind[P]) {
	for _, sources := range []int{1, 2, 1000} {
		var src [2][]P
		dst := []P{k.generate(1), k.generate(1)}
		for i := range src {
			for range sources {
				src[i] = append(src[i], k.generate(1))
			}
		}
		run := 0
		require.LessOrEqual(t, testing.AllocsPerRun(1, func() {
			k.Merge(dst[run], src[run]...)
			run++
		}), 1.0, "sources=%d", sources)
		require.Equal(t, 1+sources, k.Items(dst[1]))
	}
}

func BenchmarkCut(b *testing.B) {
	b.Run("traces", func(b *testing.B) { benchmarkCut(b, traces) })
	b.Run("logs", func(b *testing.B) { benchmarkCut(b, logs) })
	b.Run("metrics", func(b *testing.B) { benchmarkCut(b, metrics) })
	b.Run("profiles", func(b *testing.B) { benchmarkCut(b, profiles) })
}

func benchmarkCut[P any](b *testing.B, k kind[P]) {
	const records = 200_000
	shared := k.generate(records)
	k.markReadOnly(shared)
	for _, n := range []int{100, 8192, records} {
		b.Run(fmt.Sprintf("records=%d/cap=%d", records, n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				p := k.Copy(shared)
				b.StartTimer()
				cutter := k.Cut(p, 0)
				for left := records; left > 0; left -= n {
					takeItems(cutter, n)
				}
			}
			b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "items/s")
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	b.Run("traces", func(b *testing.B) { benchmarkMerge(b, traces) })
	b.Run("logs", func(b *testing.B) { benchmarkMerge(b, logs) })
	b.Run("metrics", func(b *testing.B) { benchmarkMerge(b, metrics) })
	b.Run("profiles", func(b *testing.B) { benchmarkMerge(b, profiles) })
}

func benchmarkMerge[P any](b *testing.B, k kind[P]) {
	const sources = 100
	shared := k.generate(100)
	k.markReadOnly(shared)
	b.Run(fmt.Sprintf("sources=%d/records=100", sources), func(b *testing.B) {
		src := make([]P, sources)
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			dst := k.Copy(shared)
			for i := range src {
				src[i] = k.Copy(shared)
			}
			b.StartTimer()
			k.Merge(dst, src...)
		}
	})
}
