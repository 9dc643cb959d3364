// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestStuckStreamsLeaveTheirPart: whatever the order in which n streams get stuck, and whatever others push meanwhile, they leave
// capacity / (n + 1), less n requests.
func TestStuckStreamsLeaveTheirPart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "n")
		largest := rapid.IntRange(1, 20).Draw(rt, "largest")
		capacity := rapid.IntRange(1, 200).Draw(rt, "requests") * largest
		partitions := rapid.SampledFrom([]int{1, 4}).Draw(rt, "partitions")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		inTurn := rapid.Bool().Draw(rt, "one after another")
		var left int64
		synctest.Test(t, func(t *testing.T) {
			stuck := make(chan struct{})
			q := start(t, QueueConfig[parcel]{
				Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
					if strings.HasPrefix(b.Key, "stuck") {
						<-stuck
					}
					return v
				},
				Key: parcelKey, Weigh: weighParcel, Partitions: partitions, Consumers: n + 1, Capacity: int64(capacity), Overflow: OverflowRefuse,
			})
			refused := map[string]int{}
			for steps := 0; len(refused) < n && steps < 20*n*capacity; steps++ {
				key := fmt.Sprint("stuck", rng.IntN(n))
				if inTurn {
					key = fmt.Sprint("stuck", len(refused))
				}
				if rng.IntN(4) == 0 {
					key = fmt.Sprint("well", rng.IntN(5))
				}
				err := q.Push(bg, parcel{key: key, n: 1 + rng.IntN(largest)})
				if err != nil && strings.HasPrefix(key, "stuck") {
					refused[key]++
				}
				if rng.IntN(3) == 0 {
					synctest.Wait()
				}
			}
			for range 50 * n { // they take what they can
				_ = q.Push(bg, parcel{key: fmt.Sprint("stuck", rng.IntN(n)), n: 1 + rng.IntN(largest)})
				synctest.Wait()
			}
			left = int64(capacity) - q.Stats().Used
			close(stuck)
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
		if want := int64(capacity/(n+1) - n*largest); left < want {
			rt.Fatalf("%d streams that are stuck leave %d of %d, want %d at least", n, left, capacity, want)
		}
	})
}

// crowd is callers that push without end: requests of one to five keys, of which some are slow, some fail, and some hang.
type crowd struct {
	keys, callers, capacity, consumers int
	slow, fail                         int // so many of keys, the first ones and the last ones
	hang                               int // so many more keys, each of which holds a consumer until the end
	partitions                         int
	seed                               uint64
}

// TestNobodyWaitsForEver: whatever the others do, a caller has its turn: after those ahead of it in each of its wait lists, and
// a constant number of others (I9). So the longest wait is bounded by what is pending and the number of lists, and not by how many
// callers there are, nor for how long they go on. Callers with a key that hangs wait for that key; they hold up nobody else.
func TestNobodyWaitsForEver(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := crowd{
			keys: rapid.IntRange(1, 8).Draw(rt, "keys"), callers: rapid.IntRange(2, 24).Draw(rt, "callers"),
			capacity: rapid.IntRange(200, 800).Draw(rt, "capacity"), consumers: rapid.IntRange(1, 4).Draw(rt, "consumers"),
			partitions: rapid.SampledFrom([]int{1, 3}).Draw(rt, "partitions"), seed: rapid.Uint64().Draw(rt, "seed"),
		}
		c.slow = rapid.IntRange(0, c.keys/2).Draw(rt, "slow")
		c.fail = rapid.IntRange(0, c.keys/2).Draw(rt, "fail")
		c.hang = rapid.IntRange(0, c.consumers-1).Draw(rt, "hang")
		var longest time.Duration
		var pushes, full int64
		synctest.Test(t, func(t *testing.T) { longest, pushes, full = c.run(t) })
		// All that is pending is sent in one round of calls of all keys.
		round := 100*time.Millisecond*time.Duration(c.slow) + time.Millisecond*time.Duration(c.keys)
		if bound := time.Duration(8*(1+c.hang)) * round; longest > bound { // at most six lists
			rt.Fatalf("a caller waited for %v, the bound is %v", longest, bound)
		}
		if pushes == 0 || full > pushes {
			rt.Fatalf("%d pushes, %d refused", pushes, full)
		}
	})
}

// largest is what a part has at most: what keys that hang hold must leave something (I8).
func (c crowd) largest() int {
	most := c.capacity / c.callers
	if c.hang > 0 {
		most = min(most, c.capacity/(5*(c.hang+1)*(c.hang+1)))
	}
	return most
}

func (c crowd) run(t *testing.T) (longest time.Duration, pushes, full int64) {
	number := func(key string) (n int) {
		fmt.Sscan(key, &n)
		return n
	}
	back := make(chan struct{})
	q := start(t, QueueConfig[parcel]{
		Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
			time.Sleep(time.Millisecond)
			switch n := number(b.Key); {
			case n < c.slow:
				time.Sleep(99 * time.Millisecond)
			case n >= c.keys:
				<-back
			case n >= c.keys-c.fail:
				v.Err = errTest
			}
			return v
		},
		Key: parcelKey, Weigh: weighParcel, Partitions: c.partitions, Consumers: c.consumers, Capacity: int64(c.capacity),
		BatchSize: Weight{Items: 100_000}, Interval: time.Hour,
	})
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(bg, 4*time.Second)
	defer cancel()
	for i := range c.callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
			largest := 1 + rng.IntN(max(c.largest(), 1))
			for ctx.Err() == nil {
				var us []parcel
				for _, k := range rng.Perm(c.keys)[:1+rng.IntN(min(5, c.keys))] {
					us = append(us, parcel{key: fmt.Sprint(k), n: 1 + rng.IntN(largest)})
				}
				hangs := c.hang > 0 && rng.IntN(4) == 0
				if hangs { // with some others
					us[0].key = fmt.Sprint(c.keys + rng.IntN(c.hang))
				}
				begin := time.Now()
				err := q.Push(ctx, us...)
				mu.Lock()
				pushes++
				switch wait := time.Since(begin); {
				case errors.Is(err, ErrFull):
					full++
				case ctx.Err() == nil && err != nil:
					t.Error(err)
				case !hangs:
					longest = max(longest, wait)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	close(back)
	q.Shutdown(bg)
	nothingLeft(t, q)
	return longest, pushes, full
}

// TestRequestOfTwoBusyKeysHasItsTurn: it used to wait for ever next to callers of one of its keys each.
func TestRequestOfTwoBusyKeysHasItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := start(t, QueueConfig[parcel]{
			Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
				time.Sleep(10 * time.Millisecond)
				return v
			},
			Key: parcelKey, Weigh: weighParcel, Consumers: 2, Capacity: 1000, KeyCapacity: 10, BatchSize: Weight{Items: 10}, Interval: time.Hour,
		})
		ctx, cancel := context.WithCancel(bg)
		var wg sync.WaitGroup
		var others atomic.Int64
		for i := range 20 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := q.Push(bg, parcel{key: []string{"a", "b"}[i%2], n: 10}); err != nil {
						t.Error(err)
					}
					others.Add(1)
				}
			})
		}
		time.Sleep(time.Second)
		before := others.Load()
		if err := q.Push(bg, parcel{key: "a", n: 10}, parcel{key: "b", n: 10}); err != nil {
			t.Error(err)
		}
		if passed := others.Load() - before; passed > 60 { // ten ahead of it in each list, and as many times others of the other key
			t.Errorf("%d others were served meanwhile", passed)
		}
		cancel()
		wg.Wait()
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestWhatWaitsIsBounded by the capacity once more, and a stuck key's callers leave room for those of others (I5).
func TestWhatWaitsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[parcel]{
			Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
				<-hold
				return v
			},
			Key: parcelKey, Weigh: weighParcel, Consumers: 1, Capacity: 100,
		})
		push := func(key string) {
			go func() {
				if err := q.Push(bg, parcel{key: key, n: 10}); err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		for range 50 {
			push("a")
		}
		if st := q.Stats(); st.Used != 50 || st.Callers != 5 || st.RefusedBy.Key != 400 || st.Refused != 400 {
			t.Errorf("one key: %+v", st)
		}
		for range 10 {
			for i := range 20 {
				push(fmt.Sprint(i))
			}
		}
		if st := q.Stats(); st.Used > 110 || st.Callers > 10 || st.Callers < 9 || st.RefusedBy.Full == 0 {
			t.Errorf("more keys: %+v", st)
		}
		close(hold)
		synctest.Wait()
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestRefusedPushMakesItsStreamDue: a Capacity below BatchSize, and a consumer that is idle: nothing is refused for long.
func TestRefusedPushMakesItsStreamDue(t *testing.T) {
	for name, cfg := range map[string]QueueConfig[parcel]{
		"refuse":     {Overflow: OverflowRefuse},
		"drop":       {Overflow: OverflowDropOldest},
		"keys":       {Overflow: OverflowRefuse, Key: parcelKey},
		"partitions": {Overflow: OverflowRefuse, Partitions: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{}
				cfg.Process, cfg.Capacity, cfg.BatchSize, cfg.Interval = l.process, 6, Weight{Items: 100}, time.Hour
				q := start(t, cfg)
				for id := range 60 {
					_ = q.Push(bg, parcel{key: fmt.Sprint(id % 2), id: id})
					synctest.Wait()
				}
				if st := q.Stats(); st.Forwarded < 36 || st.Refused+st.Evicted > 24 {
					t.Errorf("%+v", st)
				}
				q.Shutdown(bg)
				nothingLeft(t, q)
			})
		})
	}
}

// TestKeySlotIsTakenWithTheUnits: nobody is refused for a slot that another push takes and gives back, as it finds no capacity.
func TestKeySlotIsTakenWithTheUnits(t *testing.T) {
	hold := make(chan struct{})
	q := start(t, QueueConfig[parcel]{
		Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
			<-hold
			return v
		},
		Key: parcelKey, Weigh: weighParcel, MaxKeys: 2, Capacity: 10, Overflow: OverflowRefuse, Partitions: 4,
	})
	if err := q.Push(bg, parcel{key: "a", n: 10}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 3000 {
				if err := q.Push(bg, parcel{key: fmt.Sprint("b", i)}); !errors.Is(err, ErrFull) {
					t.Errorf("one of two keys is pending, and nothing of another fits: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(hold)
	q.Shutdown(bg)
	nothingLeft(t, q)
}

// TestMoreKeysThanMaxKeysInOnePush are admitted when nothing else is pending by key, and else refused.
func TestMoreKeysThanMaxKeysInOnePush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, MaxKeys: 2})
		many := []parcel{{key: "a"}, {key: "b"}, {key: "c"}, {key: "a"}}
		if err := q.Push(bg, many...); err != nil {
			t.Fatal(err)
		}
		if err := q.Push(bg, parcel{key: "d"}); !errors.Is(err, ErrTooManyKeys) {
			t.Error(err)
		}
		if err := q.Push(bg, parcel{key: "a"}, parcel{key: "b"}); err != nil {
			t.Errorf("keys that are pending: %v", err)
		}
		if st := q.Stats(); st.Keys != 3 || st.RefusedBy.Keys != 1 {
			t.Errorf("%+v", st)
		}
		close(l.hold)
		synctest.Wait()
		if err := q.Push(bg, many...); err != nil {
			t.Error(err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestFillOfTheFullestKey: it grows with what the key holds, and is at most all that the key may hold, also if it is stuck.
func TestFillOfTheFullestKey(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  QueueConfig[parcel]
		want int64 // what one key may hold, while nothing of the others is pending
	}{
		"shares":      {QueueConfig[parcel]{Key: parcelKey}, 50},
		"a key's own": {QueueConfig[parcel]{Key: parcelKey, KeyCapacity: 20}, 20},
		"no keys":     {QueueConfig[parcel]{}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hold := make(chan struct{})
				c.cfg.Process = func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
					<-hold
					return v
				}
				c.cfg.Capacity, c.cfg.Overflow, c.cfg.Partitions, c.cfg.Consumers = 100, OverflowRefuse, 1, 4
				q := start(t, c.cfg)
				if st := q.Stats(); st.Fullest != 0 || st.Share != c.want {
					t.Errorf("empty: %d of %d, want 0 of %d", st.Fullest, st.Share, c.want)
				}
				for n := int64(1); q.Push(bg, parcel{key: "a"}) == nil; n++ {
					if st := q.Stats(); st.Fullest != n || st.Share != c.want {
						t.Errorf("with %d: %d of %d, want %d", n, st.Fullest, st.Share, c.want)
					}
				}
				if st := q.Stats(); st.Fullest != c.want || st.Share != c.want {
					t.Errorf("full: %d of %d, want %d", st.Fullest, st.Share, c.want)
				}
				for range 5 { // there is less for all
					_ = q.Push(bg, parcel{key: "b"})
				}
				if st := q.Stats(); st.Fullest != c.want || st.Share != c.want {
					t.Errorf("full, beside another: %d of %d, want %d", st.Fullest, st.Share, c.want)
				}
				close(hold)
			})
		})
	}
}
