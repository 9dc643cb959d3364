// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// wrongRanking looks at every stream, and returns what the rankings of q say wrongly of them; "": all is right.
func wrongRanking[T any](q *Queue[T]) (wrong string) {
	for _, p := range q.partitions {
		p.mu.Lock()
		if r := p.ranking; r != nil {
			wrong += r.check(p)
		}
		p.mu.Unlock()
	}
	return wrong
}

func (r *ranking[T]) check(p *partition[T]) (wrong string) {
	var kept, droppable, timedOnes int64
	var most, mostTimed int64
	p.all(func(s *stream[T]) {
		kept += s.reserved - s.evictable()
		if s.evictable() > 0 {
			droppable++
			most = max(most, s.reserved)
		}
		if s.state == timed {
			timedOnes++
			mostTimed = max(mostTimed, s.reserved)
		}
	})
	if kept != r.kept {
		wrong += fmt.Sprintf("partition %d: %d units are kept, not %d\n", p.number, kept, r.kept)
	}
	for _, h := range []struct {
		*heap[stream[T]]
		what       string
		want, most int64
	}{{&r.droppable, "droppable", droppable, most}, {&r.timed, "timed", timedOnes, mostTimed}} {
		if int64(len(h.all)) != h.want || h.want > 0 && h.top().reserved != h.most {
			wrong += fmt.Sprintf("partition %d: %d streams are %s and hold %d at most, ranked are %d\n", p.number, h.want, h.what, h.most, len(h.all))
		}
	}
	return wrong
}

// TestDropOldestLooksAtFewStreams: the same number of pushes without capacity takes no longer, or hardly so, with twice the keys, or
// twice the partitions. The locks of all partitions are taken once for a push, and counted too.
func TestDropOldestLooksAtFewStreams(t *testing.T) {
	const pushes = 100
	for name, c := range map[string]struct {
		cfg  func(n int) QueueConfig[int]
		push func(q *Queue[int], i, n int) error
	}{
		"keys": {
			func(int) QueueConfig[int] { return QueueConfig[int]{Key: strconv.Itoa, Partitions: 4} },
			func(q *Queue[int], i, n int) error { return q.Push(bg, n+i) },
		},
		"partitions": {
			func(n int) QueueConfig[int] { return QueueConfig[int]{Partitions: n} },
			func(q *Queue[int], i, _ int) error { return q.Push(bg, i) },
		},
		"items to many partitions": { // one by one, as their batches are bounded in bytes
			func(n int) QueueConfig[int] {
				return QueueConfig[int]{Partitions: n, Weigh: func(int) Weight { return Weight{1, 1} }, MaxBatchSize: Weight{1 << 20, 1 << 30}}
			},
			func(q *Queue[int], _, n int) error { return q.Push(bg, make([]int, n/2)...) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) (steps int) {
				cfg := c.cfg(n)
				began, hold := make(chan struct{}, n), make(chan struct{})
				defer close(hold)
				cfg.Process = func(context.Context, Batch[int]) (v Verdict[int]) {
					began <- struct{}{}
					<-hold
					return v
				}
				cfg.Consumers, cfg.BatchSize, cfg.Interval, cfg.Capacity, cfg.Overflow = 1, Weight{Items: 1 << 20}, time.Hour, int64(n), OverflowDropOldest
				q := start(t, cfg)
				fill := func(from, to int) {
					for i := from; i < to; i++ {
						if err := q.Push(bg, i); err != nil {
							t.Fatal(err)
						}
					}
				}
				fill(0, 1)
				ctx, cancel := context.WithCancel(bg)
				flushed := make(chan struct{})
				go func() {
					defer close(flushed)
					q.Flush(ctx)
				}()
				<-began // the one consumer takes no other batch while steps are counted
				cancel()
				<-flushed // and nothing is marked any more
				fill(1, n)
				before := q.rankingSteps()
				for i := range pushes {
					if err := c.push(q, i, n); err != nil {
						t.Fatal(err)
					}
				}
				if st := q.Stats(); st.Evicted < pushes-1 {
					t.Errorf("%+v", st)
				}
				return q.rankingSteps() - before + pushes*len(q.partitions)
			}
			once, twice := cost(1000), cost(2000)
			t.Logf("%d steps, then %d", once, twice)
			if float64(twice) > 2.2*float64(once) {
				t.Errorf("%d steps, and with twice as many %d", once, twice)
			}
		})
	}
}

func (q *Queue[T]) rankingSteps() (steps int) {
	for _, p := range q.partitions {
		p.mu.Lock()
		steps += p.ranking.steps
		p.mu.Unlock()
	}
	return steps
}
