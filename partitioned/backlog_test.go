// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// positions is an index that knows where each item stands, and fails if it is told otherwise.
type positions struct {
	noIndex[int]
	t  *rapid.T
	at map[int]int
}

func (p *positions) moved(item, from, to int) {
	if at, ok := p.at[item]; !ok || at != from {
		p.t.Fatalf("item %d is said to move from %d, it stands at %d (%v)", item, from, at, ok)
	}
	delete(p.at, item)
	if to >= 0 {
		p.at[item] = to
	}
}

func (p *positions) swap() { clear(p.at) }

// modelEntry is an entry of the model, which is a plain slice of them.
type modelEntry struct {
	id     int // 0: a marker of Flush
	weight packedWeight
	urgent bool
	by     *completion
}

// newBacklog makes one whose batches are of 10 to 12 items, which can be split.
func newBacklog() *backlog[int] {
	b := &backlog[int]{index: noIndex[int]{}, tuned: &atomic.Pointer[tuning]{}, splits: true}
	b.drain.buffers = &buffers[int]{}
	b.tuned.Store((&QueueConfig[int]{BatchSize: Weight{Items: 10}, MaxBatchSize: Weight{Items: 12}}).tuning())
	return b
}

// backlogModel is a backlog beside a plain slice. The first drained entries of it were swapped out.
type backlogModel struct {
	b       *backlog[int]
	came    map[int]time.Time // when an item did, at the latest
	index   *positions
	model   []modelEntry
	drained int
	cutting bool
	nextID  int
	pushes  []*completion // that can be withdrawn, with what is left of them
}

func (m *backlogModel) append(t *rapid.T, n int) {
	allPlain := rapid.Bool().Draw(t, "plain") // so that there are buffers with notes and without, and some get theirs late
	for range n {
		m.nextID++
		e := modelEntry{id: m.nextID, weight: plain.weight}
		if !allPlain {
			e.weight, e.urgent = packedWeight{uint32(m.nextID%3 + 1), uint32(m.nextID % 5)}, m.nextID%4 == 0
		}
		var c *completion
		if e.urgent {
			c = newCompletion(1)
		}
		if m.b.contiguous {
			m.index.at[e.id] = m.b.active.len()
		}
		m.b.append(e.id, c, e.weight)
		m.came[e.id] = time.Now()
		m.model = append(m.model, e)
	}
}

// push appends n entries that can be withdrawn together.
func (m *backlogModel) push(n int) {
	c := newCompletion(n)
	c.stream, c.swaps = m, m.b.swaps
	for range n {
		m.nextID++
		e := modelEntry{id: m.nextID, weight: packedWeight{uint32(m.nextID%3 + 1), uint32(m.nextID % 5)}, urgent: true, by: c}
		m.b.append(e.id, c, e.weight)
		m.came[e.id] = time.Now()
		m.model = append(m.model, e)
		c.mu.left = c.mu.left.plus(e.weight.unpack(), 0)
	}
	m.pushes = append(m.pushes, c)
}

func (m *backlogModel) withdraw(t *rapid.T) {
	if len(m.pushes) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.pushes)-1).Draw(t, "withdrawn")
	c := m.pushes[i]
	m.pushes = slices.Delete(m.pushes, i, i+1)
	left, all := c.withdraw()
	want := share{}
	kept := m.model[:0:0]
	drained := m.drained
	for i, e := range m.model {
		if e.by != c {
			kept = append(kept, e)
			continue
		}
		want = want.plus(e.weight.unpack(), 0)
		if i < m.drained {
			drained--
		}
	}
	m.model, m.drained = kept, drained
	if left != want || all != (c.mu.claimed == 0) {
		t.Fatalf("%+v was left (all: %v), want %+v", left, all, want)
	}
	m.b.withdraw(c, left)
	m.b.compact()
	m.b.sweep(m.cutting)
	if d := &m.b.drain; !m.cutting && d.withdrawn > max(64, d.entries/2+1) {
		t.Fatalf("in the drain %d of %d are withdrawn", d.withdrawn, d.entries)
	}
	if most := max(64, (len(m.b.filled)*bufferSize+m.b.active.len())/2+1); m.b.withdrawn > most {
		t.Fatalf("of what was written %d are withdrawn, at most %d may be", m.b.withdrawn, most)
	}
}

func (m *backlogModel) flush() {
	flush := newCompletion(1)
	c := flush.marker(m, m.b.swaps)
	m.b.appendFlush(c)
	m.model = append(m.model, modelEntry{urgent: true, by: c})
	m.pushes = append(m.pushes, c)
}

func (m *backlogModel) swap() {
	if !m.cutting {
		m.b.swap()
		m.b.seal()
		m.drained = len(m.model)
	}
}

// cut consumes up to n entries, as a consumer does, and requeues up to back of them.
func (m *backlogModel) cut(t *rapid.T, n, back int) {
	if m.cutting {
		return
	}
	m.cutting = true
	var taken Weight
	var urgent int32
	var got []modelEntry
	skipped := 0
	for run := m.b.drain.run(); run != nil && n > 0; run = m.b.drain.run() {
		from := m.b.drain.cursor
		to := min(from+n, run.len())
		n -= to - from
		for at := from; at < to; at++ {
			e := run.entry(at)
			if e.completion == tombstone {
				continue
			}
			if !e.completion.claim(e.weight.unpack(), 0) {
				skipped++
				continue
			}
			taken = taken.plus(e.weight.unpack())
			got = append(got, seen(e))
			if e.completion.urgent() {
				urgent++
			}
		}
		run.clear(from, to)
		m.b.drain.consume(to - from)
	}
	if want := m.model[:len(got)]; !slices.Equal(got, want) {
		t.Fatalf("cut %v, want %v", got, want)
	}
	m.model = m.model[len(got):]
	m.drained -= len(got)
	if rapid.Bool().Draw(t, "evictWhileCutting") {
		m.evict(t)
	}
	if rapid.Bool().Draw(t, "withdrawWhileCutting") {
		m.drained += len(got) // of the model, as the drain is not looked at yet
		m.model = append(slices.Clone(got), m.model...)
		for i := range got {
			m.model[i].by = nil // a batch has it
		}
		m.withdraw(t)
		m.drained -= len(got)
		m.model = m.model[len(got):]
	}
	m.b.settleCut(taken, urgent, skipped)
	m.cutting = false
	if m.b.empty() {
		m.b.reset()
	}
	items := slices.DeleteFunc(slices.Clone(got), func(e modelEntry) bool { return e.id == 0 })
	m.putBack(t, items[:min(back, len(items))])
}

func (m *backlogModel) putBack(t *rapid.T, back []modelEntry) {
	if len(back) == 0 {
		return
	}
	var entries buffer[int]
	var w Weight
	for i := range back {
		back[i].urgent, back[i].by = false, nil
		entries.append(back[i].id, note{newForwarding(1), back[i].weight})
		w = w.plus(back[i].weight.unpack())
	}
	m.b.putBack(entries, m.came[back[0].id], w, 0)
	m.model = append(slices.Clone(back), m.model...)
	m.drained += len(back)
}

func (m *backlogModel) evict(t *rapid.T) {
	from := 0
	if m.cutting {
		from = m.drained
	}
	e, ok := m.b.evict(m.cutting)
	i := slices.IndexFunc(m.model[from:], func(e modelEntry) bool { return e.id != 0 })
	if ok != (i >= 0) || ok && e.item != m.model[from+i].id {
		t.Fatalf("evicted %d, %v; want the entry at %d of %v", e.item, ok, i, m.model[from:])
	}
	if !ok {
		return
	}
	if from+i < m.drained {
		m.drained--
	}
	e.completion.forgo(e.weight.unpack(), 0)
	m.model = slices.Delete(m.model, from+i, from+i+1)
	m.b.compact()
}

func (m *backlogModel) delete(t *rapid.T) {
	if !m.b.contiguous || len(m.index.at) == 0 {
		return
	}
	id := rapid.SampledFrom(slices.Sorted(mapKeys(m.index.at))).Draw(t, "deleted")
	if e := m.b.delete(m.index.at[id]); e.item != id {
		t.Fatalf("deleted %d, want %d", e.item, id)
	}
	m.model = slices.DeleteFunc(m.model, func(e modelEntry) bool { return e.id == id })
	m.b.compact()
}

func mapKeys(m map[int]int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// seen is e as an entry of the model.
func seen(e entry[int]) modelEntry {
	m := modelEntry{id: e.item, weight: e.weight, urgent: e.completion.urgent()}
	if e.completion != nil && e.completion.stream != nil {
		m.by = e.completion
	}
	return m
}

// check compares everything that can be seen of the backlog with the model.
func (m *backlogModel) check(t *rapid.T) {
	var got []modelEntry
	withdrawn, entries := 0, 0
	see := func(some buffer[int], from int) {
		entries += some.len() - from
		for at := from; at < some.len(); at++ {
			e := some.entry(at)
			if !e.completion.dead() {
				got = append(got, seen(e))
			} else if e.completion != tombstone {
				withdrawn++
			}
		}
	}
	for i, s := range m.b.drain.segments {
		if i == 0 {
			see(s.buffer, m.b.drain.cursor)
		} else {
			see(s.buffer, 0)
		}
	}
	if len(got) != m.drained {
		t.Fatalf("%d are in the drain, want %d", len(got), m.drained)
	}
	if d := &m.b.drain; d.entries != entries || d.withdrawn != withdrawn {
		t.Fatalf("in the drain %d of %d are withdrawn, it counts %d of %d", withdrawn, entries, d.withdrawn, d.entries)
	}
	withdrawn, entries = 0, 0
	for _, s := range m.b.filled {
		see(s.buffer, 0)
	}
	see(m.b.active, 0)
	if m.b.withdrawn != withdrawn {
		t.Fatalf("of what was written %d of %d are withdrawn, it counts %d", withdrawn, entries, m.b.withdrawn)
	}
	if !slices.Equal(got, m.model) {
		t.Fatalf("it holds %v\nwant     %v", got, m.model)
	}
	var weight, drained Weight
	urgent := 0
	for i, e := range m.model {
		weight = weight.plus(e.weight.unpack())
		if i < m.drained {
			drained = drained.plus(e.weight.unpack())
		}
		if e.urgent {
			urgent++
		}
	}
	if m.b.weight != weight || m.b.drain.weight != drained || int(m.b.urgent) != urgent {
		t.Fatalf("weight %v, of the drain %v, urgent %d; want %v, %v, %d", m.b.weight, m.b.drain.weight, m.b.urgent, weight, drained, urgent)
	}
	dead := 0
	for _, n := range m.b.active.notes {
		if n.completion == tombstone {
			dead++
		}
	}
	if i := slices.IndexFunc(m.model, func(e modelEntry) bool { return e.id != 0 }); i >= 0 && m.b.oldest().After(m.came[m.model[i].id]) {
		t.Fatalf("I6: %d came %v ago, it says %v", m.model[i].id, time.Since(m.came[m.model[i].id]), time.Since(m.b.oldest()))
	}
	if known := m.b.marks.all[m.b.marks.first:]; !slices.IsSortedFunc(known, func(a, b mark) int { return cmp.Compare(a.pos, b.pos) }) {
		t.Fatalf("I6: marks are out of order: %v", known)
	}
	if m.b.empty() != (len(m.model) == 0) {
		t.Fatalf("empty: %v, with %d", m.b.empty(), len(m.model))
	}
	if int(m.b.tombstones) != dead || dead > max(64, m.b.active.len()/2+1) {
		t.Fatalf("%d tombstones of %d, it counts %d", dead, m.b.active.len(), m.b.tombstones)
	}
	for id, at := range m.index.at {
		if m.b.active.items[at] != id {
			t.Fatalf("item %d is not at %d", id, at)
		}
	}
}

// TestBacklogIsASlice: whatever is done to a backlog, it holds what a plain slice would.
func TestBacklogIsASlice(t *testing.T) {
	for name, contiguous := range map[string]bool{"queue": false, "map": true} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := &backlogModel{b: newBacklog(), index: &positions{t: t, at: map[int]int{}}, came: map[int]time.Time{}}
				if m.b.contiguous = contiguous; contiguous {
					m.b.index = m.index
					m.b.tuned.Store((&QueueConfig[int]{Adaptive: true}).tuning())
				}
				for range rapid.IntRange(1, 40).Draw(t, "steps") {
					switch rapid.IntRange(0, 8).Draw(t, "step") {
					case 0:
						m.append(t, rapid.IntRange(1, 3).Draw(t, "few"))
					case 1:
						m.append(t, rapid.SampledFrom([]int{70, bufferSize - 1, bufferSize, 2*bufferSize + 1}).Draw(t, "many"))
					case 2:
						m.flush()
					case 3:
						m.swap()
					case 4:
						m.cut(t, rapid.SampledFrom([]int{1, 5, 100, 3 * bufferSize}).Draw(t, "cut"), rapid.IntRange(0, 3).Draw(t, "back"))
					case 5:
						for range rapid.SampledFrom([]int{1, 3, 80, bufferSize, 3 * bufferSize}).Draw(t, "evicted") {
							m.evict(t)
						}
					case 6:
						m.delete(t)
					case 7:
						if !contiguous {
							m.push(rapid.SampledFrom([]int{1, 2, 70, bufferSize}).Draw(t, "pushed"))
						}
					case 8:
						for range rapid.SampledFrom([]int{1, 1, 5, 100}).Draw(t, "withdrawals") {
							m.withdraw(t)
						}
						if m.b.empty() {
							m.b.reset()
						}
					}
					m.check(t)
				}
			})
		})
	}
}

// TestMarksOfWhatIsGoneMoveAlong: a sweep left the marks of withdrawn entries where the next entry would come. The next sweep moved that
// place, and not the marks. What came then was marked before them.
func TestMarksOfWhatIsGoneMoveAlong(t *testing.T) {
	one := packedWeight{items: 1}
	b := newBacklog()
	push := func(n int) *completion {
		c := newCompletion(n)
		c.stream, c.swaps = b, b.swaps
		for range n {
			b.append(1, c, one)
			c.mu.left = c.mu.left.plus(one.unpack(), 0)
		}
		return c
	}
	first, second := push(65), push(70)
	for _, c := range []*completion{second, first} {
		left, _ := c.withdraw()
		b.withdraw(c, left)
		b.sweep(false)
	}
	push(30)
	if known := b.marks.all; !slices.IsSortedFunc(known, func(a, b mark) int { return cmp.Compare(a.pos, b.pos) }) {
		t.Errorf("I6: marks are out of order: %v", known)
	}
}

// TestAgeOfWhatComesBackBeforeEvictedEntries: it stood at positions of entries that were evicted, and got the age of what was swept
// together there.
func TestAgeOfWhatComesBackBeforeEvictedEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := packedWeight{items: 1}
		b := newBacklog()
		begin := time.Now()
		b.append(1, nil, one)
		b.append(2, nil, one)
		b.swap()
		time.Sleep(time.Second)
		c := newCompletion(70)
		c.stream, c.swaps = b, b.swaps
		for range 70 {
			b.append(3, c, one)
			c.mu.left = c.mu.left.plus(one.unpack(), 0)
		}
		consume := func(n int) {
			b.drain.run().clear(b.drain.cursor, b.drain.cursor+n)
			b.drain.consume(n)
		}
		consume(2)
		e, _ := b.evict(true)
		e.completion.forgo(one.unpack(), 0)
		b.settleCut(Weight{Items: 2}, 0, 0)
		b.putBack(buffer[int]{items: []int{1, 2}}, begin, Weight{Items: 2}, 0)
		time.Sleep(time.Second)
		b.append(4, nil, one)
		left, _ := c.withdraw()
		b.withdraw(c, left)
		b.sweep(false)
		consume(1)
		b.settleCut(Weight{Items: 1}, 0, 0)
		if age := time.Since(b.oldest()); age != 2*time.Second {
			t.Errorf("I6: it came 2s ago, and counts as %v old", age)
		}
	})
}

// wrongBacklogs looks at every entry that no consumer has, and returns what the streams of q count wrongly of them; "": all is right.
func wrongBacklogs[T any](q *Queue[T]) (wrong string) {
	q.life.Lock() // no Update is on its way
	defer q.life.Unlock()
	for _, p := range q.partitions {
		p.mu.Lock()
		if !p.mu.dead {
			p.all(func(s *stream[T]) { wrong += s.wrongBacklog() })
		}
		p.mu.Unlock()
	}
	return wrong
}

func (s *stream[T]) wrongBacklog() string {
	b := &s.backlog
	if s.state == cutting {
		return "" // the drain is the consumer's
	}
	var weight Weight
	var urgent, markers int32
	for i, segment := range slices.Concat(b.drain.segments, b.filled, []segment[T]{{buffer: b.active}}) {
		from := 0
		if i == 0 && len(b.drain.segments) > 0 {
			from = b.drain.cursor
		}
		for at := from; at < segment.len(); at++ {
			e := segment.note(at)
			if e.completion.dead() {
				continue
			}
			weight = weight.plus(e.weight.unpack())
			if e.completion.urgent() {
				urgent++
			}
			if e.completion != nil && e.completion.flush {
				markers++
			}
		}
	}
	if s.state == timed && s.due() {
		return fmt.Sprintf("stream %q is due, and nobody was told\n", s.key)
	}
	if weight == b.weight && urgent == b.urgent && markers == b.markers {
		return ""
	}
	return fmt.Sprintf("stream %q holds %+v, %d urgent entries and %d markers, and counts %+v, %d and %d\n",
		s.key, weight, urgent, markers, b.weight, b.urgent, b.markers)
}
