// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"math"
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

// TestCutIsLinear counts what a cut does, by items and by bytes: in proportion to items and containers, whatever the shape and
// the number of parts. Items are measured again only in resources that a part ends in.
func TestCutIsLinear(t *testing.T) {
	const items = 20_000
	for _, shape := range []shape{
		{1, 1, 1, items},
		{1, items, 1, 1},
		{items, 1, 1, 1},
		{20, 100, 1, 10},
		{2, 10, 1, 1000},
	} {
		for _, n := range []int{1, 7, 100, 1000, 7000, items - 1, items} {
			for _, bytes := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d of %d of %d/cap=%d/bytes=%t", shape.resources, shape.scopes, shape.items, n, bytes), func(t *testing.T) {
					c := newCountedTree(shape)
					containers := shape.resources * (1 + shape.scopes)
					m, q := Measure{}, Items(n)
					// Per item and container: looked at, moved, appended, dropped; per container also counted, from each level
					// above it. Per part: a look at one resource and scope, and its own resource and scope.
					per, perPart := 4, 6
					if bytes {
						m = c.measure()
						q = Quota{math.MaxInt, n*delimited(1) + 3*delimited(1000)} // about n items, of one resource and scope
						per += 3                                                   // measured with the scope, the resource, and itself
						perPart += 10
					}
					c.work, c.measured = 0, 0
					parts := 0
					for cutter := newCutter(c.payload, items, m, c.root(), c.newPayload); cutter.Left().Items > 0; parts++ {
						if _, took := cutter.Take(q); took.Items == 0 {
							cutter.Take(Items(1))
						}
					}
					require.LessOrEqual(t, c.work, per*items+2*per*containers+perPart*parts)
					require.LessOrEqual(t, c.measured, 2*min(items, parts*items/shape.resources))
				})
			}
		}
	}
}

// countedTree is a payload that counts the work that is done with it.
type countedTree struct {
	work     int
	measured int // items
	payload  *countedPayload
}

type (
	countedScope    = container[*item]
	countedResource = container[*countedScope]
	countedPayload  = container[*countedResource]
)

func newCountedTree(s shape) *countedTree {
	c := &countedTree{}
	c.payload = c.newPayload()
	for range s.resources {
		r := c.payload.children.AppendEmpty()
		for range s.scopes {
			scope := r.children.AppendEmpty()
			for range s.items {
				scope.children.AppendEmpty()
			}
		}
	}
	return c
}

func (c *countedTree) newPayload() *countedPayload {
	newItem := func() *item { return &item{&c.work} }
	newScope := func() *countedScope { return &countedScope{counted[*item]{work: &c.work, new: newItem}} }
	newResource := func() *countedResource { return &countedResource{counted[*countedScope]{work: &c.work, new: newScope}} }
	return &countedPayload{counted[*countedResource]{work: &c.work, new: newResource}}
}

// An item has one byte, a container none of its own.
func sizeOfAll[E any](c *counted[E], size func(E) int) (n int) {
	for i := range c.Len() {
		n += delimited(size(c.At(i)))
	}
	return n
}

func (c *countedTree) sizeOfItem(*item) int {
	c.measured++
	return 1
}

func (c *countedTree) sizeOfScope(s *countedScope) int { return sizeOfAll(&s.children, c.sizeOfItem) }

func (c *countedTree) sizeOfResource(r *countedResource) int {
	return sizeOfAll(&r.children, c.sizeOfScope)
}

func (c *countedTree) measure() (m Measure) {
	for _, r := range c.payload.children.list {
		m.Add(delimited(c.sizeOfResource(r)))
	}
	return m
}

func (c *countedTree) root() *branch[*countedPayload, *countedResource, *counted[*countedResource]] {
	scope := newLeaf(func(_, _ *countedScope) {}, func(s *countedScope) *counted[*item] { return &s.children },
		message[*countedScope]{c.sizeOfScope, func(*countedScope) int { return 0 }}, c.sizeOfItem)
	resource := newBranch(func(_, _ *countedResource) {}, func(r *countedResource) *counted[*countedScope] { return &r.children }, scope,
		message[*countedResource]{c.sizeOfResource, func(*countedResource) int { return 0 }})
	return newBranch(func(_, _ *countedPayload) {}, func(p *countedPayload) *counted[*countedResource] { return &p.children }, resource,
		message[*countedPayload]{})
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
			cutter := k.Cut(payloads[0], Measure{})
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

// Nothing is kept of the containers that go as a whole, whatever a cap counts.
func TestCutKeepsNothingOfResources(t *testing.T) {
	for _, bytes := range []bool{false, true} {
		t.Run(fmt.Sprintf("bytes=%t", bytes), func(t *testing.T) {
			const resources, n, perCut = 20_000, 1000, 60
			payloads := make([]ptrace.Traces, 2) // AllocsPerRun runs once more than it measures
			for i := range payloads {
				payloads[i] = ptrace.NewTraces()
				for range resources {
					payloads[i].ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
				}
			}
			m, q := Measure{}, Items(n)
			if bytes {
				m = MeasureOf(Traces{}, payloads[0])
				q = Quota{resources, m.Bytes / resources * n}
			}
			parts := 0
			allocs := testing.AllocsPerRun(1, func() {
				parts = 0
				for cutter := (Traces{}).Cut(payloads[0], m); cutter.Left().Items > 0; parts++ {
					cutter.Take(q)
				}
				payloads = payloads[1:]
			})
			require.Equal(t, resources/n, parts)
			require.LessOrEqual(t, allocs, float64(2*resources+resources/n*perCut))
		})
	}
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
				cutter := k.Cut(p, Measure{})
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
