// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// steady is a load of equal pushes at equal times, and how batches are made of it.
type steady struct {
	size, limit int // trigger and cap
	splits      bool
	interval    time.Duration
	items       int // of a push
	every       time.Duration
	pushes      int
}

// sent is a batch: when, since the beginning, and how many items.
type sent struct {
	at    time.Duration
	items int
	age   time.Duration // of its first item
}

// plain is what a list of items with their exact ages does.
func (l steady) plain() (all []sent) {
	type piece struct {
		items int
		came  time.Duration
	}
	var pending []piece
	total := 0
	send := func(now time.Duration) {
		b := sent{at: now, age: now - pending[0].came}
		for len(pending) > 0 && b.items < l.size {
			p := &pending[0]
			n := p.items
			if l.limit > 0 && b.items+n > l.limit {
				if l.splits {
					n = l.limit - b.items
				} else if b.items > 0 {
					break
				}
			}
			b.items += n
			if p.items -= n; p.items == 0 {
				pending = pending[1:]
			}
			if b.items == l.limit {
				break
			}
		}
		total -= b.items
		all = append(all, b)
	}
	for i := range l.pushes + 1 {
		now := time.Duration(i) * l.every
		if i == l.pushes {
			now += time.Hour
		}
		for len(pending) > 0 && pending[0].came+l.interval < now {
			send(pending[0].came + l.interval)
		}
		if i == l.pushes {
			break
		}
		pending = append(pending, piece{l.items, now})
		for total += l.items; total >= l.size; {
			send(now)
		}
	}
	return all
}

// queue is what a Queue does.
func (l steady) queue(t *testing.T) (all []sent) {
	begin := time.Now()
	r := &recorder{}
	cfg := QueueConfig[parcel]{
		Process: r.process, Weigh: weighParcel, Interval: l.interval,
		BatchSize: Weight{Items: l.size}, MaxBatchSize: Weight{Items: l.limit},
	}
	if l.splits {
		cfg.Split = splitParcel
	}
	q := start(t, cfg)
	for range l.pushes {
		if err := q.Push(bg, parcel{n: l.items}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(l.every)
	}
	time.Sleep(time.Hour)
	q.Shutdown(bg)
	for i, b := range r.batches {
		all = append(all, sent{r.at[i].Sub(begin), b.Weight.Items, r.at[i].Sub(b.Oldest)})
	}
	nothingLeft(t, q)
	return all
}

// TestBatchesGoWhenTheirFirstItemIsDue: at a steady rate, between half a batch and two an interval, no batch goes before its time,
// none later, and each says how old it is (I6).
func TestBatchesGoWhenTheirFirstItemIsDue(t *testing.T) {
	check := func(l steady) string {
		var got []sent
		synctest.Test(t, func(t *testing.T) { got = l.queue(t) })
		want := l.plain()
		for i := range want {
			// What completes a batch by itself has no time of its own: its batch is due anyway.
			if i < len(got) && l.items >= l.size && got[i].age >= want[i].age {
				got[i].age = want[i].age
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("%+v\n got %v\nwant %v", l, got, want)
		}
		return ""
	}
	for _, l := range []steady{
		{8192, 8192, true, 200 * time.Millisecond, 500, 11 * time.Millisecond, 400},
		{100, 100, true, 200 * time.Millisecond, 30, 55 * time.Millisecond, 600},
		{100, 0, false, 200 * time.Millisecond, 30, 55 * time.Millisecond, 600},
	} {
		if fault := check(l); fault != "" {
			t.Error(fault)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		l := steady{interval: 200*time.Millisecond + time.Microsecond, pushes: 60}
		l.size = rapid.IntRange(1, 100).Draw(rt, "size")
		if rapid.Bool().Draw(rt, "capped") {
			l.limit = l.size + rapid.SampledFrom([]int{0, 1, 30}).Draw(rt, "over")
			l.splits = rapid.Bool().Draw(rt, "splits")
		}
		l.items = rapid.IntRange(1, 3*l.size).Draw(rt, "items")
		perBatch := max(float64(l.items)/float64(l.size), 0.01) // of a push
		rate := rapid.Float64Range(0.5, 2).Draw(rt, "batches an interval")
		l.every = max(time.Duration(float64(l.interval)*perBatch/rate).Truncate(time.Millisecond), time.Millisecond)
		if fault := check(l); fault != "" {
			rt.Fatal(fault)
		}
	})
}

// TestCalmIsWhatExpectSays: the short way of an append ends where the long one does, whatever limits a batch.
func TestCalmIsWhatExpectSays(t *testing.T) {
	limit := rapid.Custom(func(t *rapid.T) Weight {
		return Weight{rapid.SampledFrom([]int{0, 1, 2, 5, 10}).Draw(t, "items"), rapid.SampledFrom([]int{0, 1, 7, 20}).Draw(t, "bytes")}
	})
	rapid.Check(t, func(t *rapid.T) {
		b := newBacklog()
		b.splits = rapid.Bool().Draw(t, "splits")
		cfg := QueueConfig[int]{BatchSize: limit.Draw(t, "size"), MaxBatchSize: limit.Draw(t, "limit"), Adaptive: rapid.Bool().Draw(t, "adaptive")}
		b.tuned.Store(cfg.tuning())
		for range rapid.IntRange(1, 30).Draw(t, "appended") {
			w := packedWeight{rapid.Uint32Range(0, 4).Draw(t, "items"), rapid.Uint32Range(0, 9).Draw(t, "bytes")}
			if rapid.IntRange(0, 9).Draw(t, "swapped") == 0 {
				b.swap()
				b.seal()
			}
			if complete, begins := b.expect(w.unpack()); b.calm(w) && (begins || complete != b.complete) {
				t.Fatalf("%+v, %v of %v are complete: %v is not calm", cfg, b.complete, b.weight, w)
			}
			b.append(0, nil, w)
		}
	})
}

// chunks is a push of so many items, of ten bytes each. Each part of it has some more, as the parts of a payload repeat what they stand under.
type chunks struct {
	key   string
	first int // item
	n     int
	over  int // bytes of each part
}

func (p chunks) weight() Weight { return Weight{p.n, p.over + 10*p.n} }

func (p chunks) split(room Weight) (head, tail chunks, ok bool) {
	n := min(room.Items, (room.Bytes-p.over)/10)
	if n < 1 || n >= p.n {
		return p, p, false
	}
	head, tail = p, p
	head.n, tail.first, tail.n = n, p.first+n, p.n-n
	return head, tail, true
}

// uneven is a load of pushes of any size at any time.
type uneven struct {
	size, limit Weight
	over        int           // see chunks
	most        int           // items of a push
	pause       time.Duration // between two, at most
	slow        time.Duration // that a call takes, at most
	keys        int
	interval    time.Duration
	seed        uint64
}

// timedCall is a call, and when it began and ended.
type timedCall struct {
	at, end time.Time
	batch   Batch[chunks]
	weight  Weight
}

// run returns the calls by key, and when each item came.
func (l uneven) run(t *testing.T) (calls map[string][]*timedCall, came []time.Time) {
	calls = map[string][]*timedCall{}
	var mu sync.Mutex
	rng, ofCalls := rand.New(rand.NewPCG(l.seed, 0)), rand.New(rand.NewPCG(l.seed, 1))
	q := start(t, QueueConfig[chunks]{
		Key: func(p chunks) string { return p.key }, Consumers: l.keys, Weigh: chunks.weight, Split: chunks.split,
		Interval: l.interval, BatchSize: l.size, MaxBatchSize: l.limit,
		Process: func(_ context.Context, b Batch[chunks]) (v Verdict[chunks]) {
			c := &timedCall{at: time.Now(), batch: b}
			for _, p := range b.Items {
				c.weight = c.weight.plus(p.weight())
			}
			mu.Lock()
			calls[b.Key] = append(calls[b.Key], c)
			took := time.Duration(ofCalls.Int64N(int64(l.slow) + 1))
			mu.Unlock()
			time.Sleep(took)
			c.end = time.Now()
			return v
		},
	})
	for range 60 {
		p := chunks{fmt.Sprint(rng.IntN(l.keys)), len(came), 1 + rng.IntN(l.most), l.over}
		for range p.n {
			came = append(came, time.Now())
		}
		if err := q.Push(bg, p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.Int64N(int64(l.pause))).Truncate(time.Millisecond) + time.Millisecond)
	}
	time.Sleep(time.Hour)
	q.Shutdown(bg)
	nothingLeft(t, q)
	return calls, came
}

// full reports whether a call was due by its size: it reaches a trigger, or the item behind it, which was there, does not fit.
func (l uneven) full(c, next *timedCall, came []time.Time) bool {
	size := l.size
	if size.Items == 0 {
		size.Items = l.limit.Items
	}
	if size.Bytes == 0 {
		size.Bytes = l.limit.Bytes
	}
	if c.weight.reaches(size) {
		return true
	}
	if next == nil || came[next.batch.Items[0].first].After(c.at) {
		return false
	}
	return c.weight.plus(Weight{1, 10 + l.over}).exceeds(l.limit)
}

// TestNoBatchIsEarlyOrLate: whatever comes when, a batch that is not full goes when its first item has waited for Interval, or when the call
// before it ends later than that; also where it is known only by the cut which item that is (I6).
func TestNoBatchIsEarlyOrLate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := uneven{interval: 200*time.Millisecond + time.Microsecond, seed: rapid.Uint64().Draw(rt, "seed")}
		l.size.Items = rapid.SampledFrom([]int{0, 5, 20, 100}).Draw(rt, "size")
		if l.size.Items > 0 && rapid.Bool().Draw(rt, "limited") {
			l.limit.Items = l.size.Items + rapid.SampledFrom([]int{0, 3, 20}).Draw(rt, "above")
		}
		l.limit.Bytes = rapid.SampledFrom([]int{60, 150, 400, 2000}).Draw(rt, "bytes")
		if rapid.Bool().Draw(rt, "size in bytes") {
			l.size.Bytes = l.limit.Bytes - rapid.SampledFrom([]int{0, 1, 20}).Draw(rt, "below")
		}
		l.over = rapid.SampledFrom([]int{0, 3, 20, 49}).Draw(rt, "over")
		l.slow = rapid.SampledFrom([]time.Duration{0, 0, 50 * time.Millisecond, 300 * time.Millisecond}).Draw(rt, "slow")
		l.keys = rapid.SampledFrom([]int{1, 3}).Draw(rt, "keys")
		l.most = rapid.SampledFrom([]int{1, 10, 50, 300}).Draw(rt, "most")
		l.pause = rapid.SampledFrom([]time.Duration{time.Millisecond, 10 * time.Millisecond, 150 * time.Millisecond}).Draw(rt, "pause")
		var calls map[string][]*timedCall
		var came []time.Time
		synctest.Test(t, func(t *testing.T) { calls, came = l.run(t) })
		for key, all := range calls {
			var before *timedCall
			for i, c := range all {
				var next *timedCall
				if i+1 < len(all) {
					next = all[i+1]
				}
				due := came[c.batch.Items[0].first].Add(l.interval)
				if c.at.Before(due) && !l.full(c, next, came) {
					rt.Fatalf("%s: batch %d, of %v, goes %v early", key, i, c.weight, due.Sub(c.at))
				}
				if c.at.After(due) && (before == nil || c.at.After(before.end)) {
					rt.Fatalf("%s: batch %d, of %v, goes %v late", key, i, c.weight, c.at.Sub(due))
				}
				before = c
			}
		}
	})
}
