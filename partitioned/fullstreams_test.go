// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// servedBefore is the order of fullStreams, in plain words: those that hold nothing, without a caller that waits for the whole first; then
// those below KeyCapacity, by what they would hold with their first caller's part; then the others.
func servedBefore(a, b *stream[parcel], keyCapacity int64) bool {
	group := func(s *stream[parcel]) int {
		switch {
		case s.waits.held == 0 && s.waits.promoted == nil:
			return 0
		case s.waits.held == 0:
			return 1
		case s.waits.held < keyCapacity:
			return 2
		default:
			return 3
		}
	}
	holds := func(s *stream[parcel]) int64 { return s.waits.held + s.waits.list.first.part(s).units }
	switch {
	case group(a) != group(b):
		return group(a) < group(b)
	case group(a) == 2 && holds(a) != holds(b):
		return holds(a) < holds(b)
	default:
		return a.waits.rank.joined < b.waits.rank.joined
	}
}

// wrongOrder compares the first of the full streams of q with the one that a look at each of them finds. The wait list's lock is held.
func wrongOrder(q *Queue[parcel]) (wrong string) {
	full := &q.waitList.mu.full
	var first *stream[parcel]
	for _, s := range full.heap.all {
		if first == nil || servedBefore(s, first, q.cfg.KeyCapacity) {
			first = s
		}
	}
	if got := full.first(); got != first {
		return fmt.Sprintf("%+v is first, want %+v", got.waits.rank, first.waits.rank)
	}
	return ""
}

// TestFullStreamsAreServedInTheirOrder: whatever comes, leaves and changes, the first is the one that a look at all of them finds.
func TestFullStreamsAreServedInTheirOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		q, err := NewUnstarted(QueueConfig[parcel]{
			Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) { return v }, Key: parcelKey, Capacity: 1000, KeyCapacity: 8,
		})
		if err != nil {
			rt.Fatal(err)
		}
		streams := make([]*stream[parcel], 8)
		for i := range streams {
			if streams[i], err = q.partitions[0].openUnderLock(fmt.Sprint(i)); err != nil {
				rt.Fatal(err)
			}
		}
		var waiting []*waiter[parcel]
		for range 100 {
			s := rapid.SampledFrom(streams).Draw(rt, "stream")
			switch op := rapid.IntRange(0, 5).Draw(rt, "operation"); {
			case op < 2:
				units := rapid.Int64Range(1, 5).Draw(rt, "units")
				held := rapid.Int64Range(0, 9).Draw(rt, "held")
				w := &waiter[parcel]{parts: []part[parcel]{{stream: s, units: units, held: held}}, units: units}
				q.join(w, s)
				waiting = append(waiting, w)
			case op == 2:
				q.setHeld(s, rapid.Int64Range(0, 9).Draw(rt, "held"))
			case op == 3 && s.waits.list.first != nil && s.waits.promoted == nil:
				w := s.waits.list.first // is promoted
				s.waits.promoted = w
				q.leaveList(w)
				w.from = s
				q.join(w, nil)
			case len(waiting) > 0:
				i := rapid.IntRange(0, len(waiting)-1).Draw(rt, "leaves")
				q.leaveList(waiting[i])
				waiting = slices.Delete(waiting, i, i+1)
			}
			if wrong := wrongOrder(q); wrong != "" {
				rt.Fatal(wrong)
			}
			for _, s := range streams {
				if has, in := s.waits.list.first != nil, s.waits.rank.place >= 0; has != in {
					rt.Fatalf("%s has a list: %v, and is one of the full streams: %v", s.key, has, in)
				}
			}
		}
	})
}

// openUnderLock is open for a test. A stream with a wait list is blocked, so that it is not forgotten.
func (p *partition[T]) openUnderLock(key string) (*stream[T], error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open(key)
}

// TestWhoWaitsIsAtItsShare but for one push, after it was looked who may be served: nobody is held up by those before it in fullStreams
// (I8). Callers of several keys come and give up, and batches end, at random.
func TestWhoWaitsIsAtItsShare(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)) // rapid's own draws are small, and few callers would wait
		keys, largest := 1+rng.IntN(12), 1+rng.IntN(12)
		cfg := QueueConfig[parcel]{
			Key: parcelKey, Weigh: weighParcel, Partitions: 1 + 2*rng.IntN(2), Consumers: 1 + rng.IntN(6),
			Capacity: int64((4 + rng.IntN(36)) * largest), MaxBatchSize: Weight{Items: 2 * largest * rng.IntN(2)}, Interval: time.Hour,
		}
		if rng.IntN(2) == 0 {
			cfg.KeyCapacity = int64(4 * largest)
		}
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = waitAtRandom(t, cfg, rng, keys, largest) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// waitAtRandom has callers come and give up, and batches end, and returns what notAtItsShare finds wrong first.
func waitAtRandom(t *testing.T, cfg QueueConfig[parcel], rng *rand.Rand, keys, largest int) (wrong string) {
	hold := make(chan struct{})
	cfg.Process = func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
		<-hold
		return v
	}
	q := start(t, cfg)
	var callers []context.CancelFunc
	for range 100 {
		switch op := rng.IntN(6); {
		case op < 4:
			ctx, cancel := context.WithCancel(bg)
			callers = append(callers, cancel)
			var items []parcel
			for first, n := rng.IntN(keys), 1+rng.IntN(min(keys, 3)); len(items) < n; {
				items = append(items, parcel{key: fmt.Sprint((first + len(items)) % keys), n: 1 + rng.IntN(largest)})
			}
			go func() {
				if err := q.Push(ctx, items...); err != nil && ctx.Err() == nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
			}()
		case op == 4:
			select {
			case hold <- struct{}{}:
			default:
			}
		case len(callers) > 0:
			callers[rng.IntN(len(callers))]()
		}
		synctest.Wait()
		if wrong = notAtItsShare(q, int64(3*largest)); wrong != "" {
			break
		}
	}
	for _, cancel := range callers {
		cancel()
	}
	close(hold)
	synctest.Wait()
	q.Shutdown(bg)
	nothingLeft(t, q)
	if n := len(q.waitList.mu.full.heap.all); n > 0 {
		t.Errorf("%d streams have a wait list at the end", n)
	}
	return wrong
}

// notAtItsShare serves, as whoever gives units back, and returns which stream could then take the part of its first caller with room for one
// push more, or "". largest: of all pushes.
func notAtItsShare(q *Queue[parcel], largest int64) string {
	q.waitList.mu.Lock()
	defer q.unlockWaits()
	q.serve()
	used, capacity := q.gate.used(), q.gate.capacity
	for _, s := range q.waitList.mu.full.heap.all {
		s.partition.mu.Lock()
		held := s.reserved
		s.partition.mu.Unlock()
		if held != s.waits.held {
			return fmt.Sprintf("%q holds %d, and is known to hold %d", s.key, held, s.waits.held)
		}
		holds := held + s.waits.list.first.part(s).units
		fits := holds*(1+q.stuck.Load()) <= capacity-used-largest && held < q.cfg.KeyCapacity
		if held == 0 {
			fits = used < capacity
		}
		if fits {
			return fmt.Sprintf("%q would hold %d, of %d free units and %d stuck streams: its first caller waits", s.key, holds, capacity-used, q.stuck.Load())
		}
	}
	return wrongOrder(q)
}

// TestServingLooksAtFewStreams: to serve twice as many callers of twice as many keys takes little more than twice the steps.
func TestServingLooksAtFewStreams(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     func(keys int) QueueConfig[parcel]
		callers int // of each key
		both    bool
	}{
		"KeyCapacity": {func(keys int) QueueConfig[parcel] {
			return QueueConfig[parcel]{Capacity: int64(100 * keys), KeyCapacity: 1}
		}, 4, false},
		"shares": {func(keys int) QueueConfig[parcel] {
			return QueueConfig[parcel]{Capacity: int64(12 * keys)}
		}, 9, false},
		"shares and small batches": {func(keys int) QueueConfig[parcel] {
			return QueueConfig[parcel]{Capacity: int64(12 * keys), MaxBatchSize: Weight{Items: 1}}
		}, 9, false},
		"the whole": {func(keys int) QueueConfig[parcel] {
			return QueueConfig[parcel]{Capacity: int64(keys)}
		}, 3, false},
		"two keys, and stalls": {func(keys int) QueueConfig[parcel] {
			return QueueConfig[parcel]{Capacity: int64(100 * keys), KeyCapacity: 1, StallTimeout: 30 * time.Second}
		}, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(keys int) (steps, waited int) {
				synctest.Test(t, func(t *testing.T) {
					hold := make(chan struct{})
					cfg := c.cfg(keys)
					cfg.Process = func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
						<-hold
						time.Sleep(time.Millisecond)
						return v
					}
					cfg.Key, cfg.Weigh, cfg.Consumers, cfg.Interval = parcelKey, weighParcel, 1, time.Hour
					q := start(t, cfg)
					var wg sync.WaitGroup
					for i := range c.callers * keys {
						us := []parcel{{key: fmt.Sprint(i % keys), n: 1 + i%3}}
						if c.both {
							us = append(us, parcel{key: fmt.Sprint((i + 1) % keys)})
						}
						wg.Go(func() {
							if err := q.Push(bg, us...); err != nil && !errors.Is(err, ErrFull) {
								t.Error(err)
							}
						})
						if i%keys == keys-1 {
							synctest.Wait()
						}
					}
					waited = int(q.Stats().Callers)
					close(hold)
					wg.Wait()
					q.waitList.mu.Lock()
					steps = q.waitList.mu.full.steps
					q.waitList.mu.Unlock()
					q.Shutdown(bg)
					nothingLeft(t, q)
				})
				return steps, waited
			}
			once, waited := cost(100)
			twice, more := cost(200)
			t.Logf("%d steps for %d callers, then %d for %d", once, waited, twice, more)
			if waited < 30 || more < 2*waited*9/10 {
				t.Errorf("%d and %d callers waited", waited, more)
			}
			if perCaller := float64(once) / float64(waited); float64(twice)/float64(more) > 1.3*perCaller {
				t.Errorf("%d steps for %d callers, and then %d for %d", once, waited, twice, more)
			}
		})
	}
}
