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

// piece is n items of a request.
type piece struct{ id, n int }

// reference is the cut, in the words of the design: add requests until a trigger is reached, then emit min(cap, what is
// there) until below every trigger; the rest stays in front. What stays in the end goes as one batch.
func reference(requests []int, trigger, limit int) (batches [][]piece) {
	var there []piece
	total := 0
	emit := func(n int) {
		var batch []piece
		total -= n
		for n > 0 {
			p := &there[0]
			m := min(n, p.n)
			batch = append(batch, piece{p.id, m})
			n -= m
			if p.n -= m; p.n == 0 {
				there = there[1:]
			}
		}
		batches = append(batches, batch)
	}
	for id, n := range requests {
		there = append(there, piece{id, n})
		for total += n; total >= trigger; {
			if limit > 0 {
				emit(min(limit, total))
			} else {
				emit(total)
			}
		}
	}
	if total > 0 {
		emit(total)
	}
	return batches
}

// pieces is what a queue cut.
func pieces(batches []Batch[parcel]) (all [][]piece) {
	for _, b := range batches {
		var batch []piece
		for _, u := range b.Items {
			batch = append(batch, piece{u.id, u.n})
		}
		all = append(all, batch)
	}
	return all
}

func sizes(batches [][]piece) (all []int) {
	for _, b := range batches {
		n := 0
		for _, p := range b {
			n += p.n
		}
		all = append(all, n)
	}
	return all
}

func TestUpToOneCapBatchesExact(t *testing.T) {
	for _, c := range []struct {
		name           string
		trigger, limit int
		requests, want []int
	}{
		{"none", 10, 15, nil, nil},
		{"below the trigger", 10, 15, []int{3, 4}, []int{7}},
		{"the trigger", 10, 15, []int{3, 7}, []int{10}},
		{"between trigger and cap", 10, 15, []int{8, 6}, []int{14}},
		{"the cap", 10, 15, []int{8, 7}, []int{15}},
		{"one over the cap", 10, 15, []int{8, 8}, []int{15, 1}},
		{"the rest stays in front", 10, 15, []int{8, 8, 8, 8}, []int{15, 15, 2}},
		{"a rest at the trigger", 10, 15, []int{8, 17, 1}, []int{15, 10, 1}},
		{"a rest below the trigger takes the next", 10, 15, []int{8, 16, 1}, []int{15, 10}},
		{"many caps", 10, 15, []int{100}, []int{15, 15, 15, 15, 15, 15, 10}},
		{"trigger and cap are one", 10, 10, []int{25, 5, 3}, []int{10, 10, 10, 3}},
		{"no cap", 10, 0, []int{8, 100, 9, 1}, []int{108, 10}},
		{"one by one", 1, 0, []int{5, 1, 7}, []int{5, 1, 7}},
		{"one by one, capped", 1, 4, []int{5, 1, 8}, []int{4, 1, 1, 4, 4}},
		{"single items", 1, 1, []int{3, 1}, []int{1, 1, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sizes(reference(c.requests, c.trigger, c.limit)); !slices.Equal(got, c.want) {
				t.Fatalf("the reference itself: %v, want %v", got, c.want)
			}
			l := &recorder{}
			cfg := QueueConfig[parcel]{
				Process: l.process, Weigh: weighParcel, Interval: time.Hour,
				BatchSize: Weight{Items: c.trigger}, MaxBatchSize: Weight{Items: c.limit},
			}
			if c.limit > 0 {
				cfg.Split = splitParcel
			}
			q := start(t, cfg)
			for id, n := range c.requests {
				if err := q.Push(bg, parcel{id: id, n: n}); err != nil {
					t.Fatal(err)
				}
			}
			if err := q.Shutdown(bg); err != nil {
				t.Fatal(err)
			}
			if got := sizes(pieces(l.batches)); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			nothingLeft(t, q)
		})
	}
}

// TestCutDoesNotDependOnSwaps: whenever requests come, one by one or in bulk, while the consumer works or not, the batches
// are those of the reference.
func TestCutDoesNotDependOnSwaps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		requests := rapid.SliceOfN(rapid.IntRange(1, 30), 0, 40).Draw(rt, "requests")
		trigger := rapid.IntRange(1, 20).Draw(rt, "trigger")
		limit := 0
		if rapid.Bool().Draw(rt, "capped") {
			limit = trigger + rapid.IntRange(0, 10).Draw(rt, "over")
		}
		const each = 10 // bytes of an item
		cfg := QueueConfig[parcel]{
			Weigh: func(u parcel) Weight { return Weight{Items: u.n, Bytes: u.n * each} },
			Split: func(u parcel, room Weight) (head, tail parcel, ok bool) {
				room.Items = min(room.Items, room.Bytes/each)
				if room.Items == 0 {
					return u, u, false
				}
				return splitParcel(u, room)
			},
			Interval: time.Hour, BatchSize: Weight{Items: trigger}, MaxBatchSize: Weight{Items: limit},
		}
		if rapid.Bool().Draw(rt, "bytes") {
			cfg.BatchSize = Weight{Bytes: trigger*each - rapid.IntRange(0, each-1).Draw(rt, "less")}
			cfg.MaxBatchSize = Weight{Bytes: limit * each}
		}
		if limit == 0 {
			cfg.Split = nil
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		var got [][]piece
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			l := &recorder{answer: func(Batch[parcel]) (v Verdict[parcel]) {
				time.Sleep(time.Duration(rng.IntN(3)) * time.Second) // one consumer: nobody else has rng
				return v
			}}
			cfg.Process = l.process
			q := start(t, cfg)
			pusher := rand.New(rand.NewPCG(seed, 1))
			for id := 0; id < len(requests); {
				var bulk []parcel
				for range 1 + pusher.IntN(3)*pusher.IntN(2) {
					if id < len(requests) {
						bulk = append(bulk, parcel{id: id, n: requests[id]})
						id++
					}
				}
				if err := q.Push(bg, bulk...); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(pusher.IntN(3)*pusher.IntN(2)) * time.Second)
			}
			time.Sleep(30 * time.Minute) // all that is due has gone, the rest is not due yet
			synctest.Wait()
			if err := q.Shutdown(bg); err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, q)
			got = pieces(l.batches)
		})
		if want := reference(requests, trigger, limit); fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("%v\nwant %v", got, want)
		}
	})
}

// FuzzCut asserts I1, I2 and I6 for whatever is pushed: each byte is an item, of which every fifth cannot be split, and each
// split makes an item heavier.
func FuzzCut(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 255, 0}, uint8(10), uint8(3), uint8(100), uint8(0))
	f.Add([]byte{5, 10, 15}, uint8(0), uint8(0), uint8(7), uint8(1))
	f.Add([]byte{255, 254, 253}, uint8(20), uint8(0), uint8(0), uint8(9))
	f.Fuzz(func(t *testing.T, items []byte, size, over, sizeBytes, overBytes uint8) {
		limit := Weight{Items: int(size) + int(over), Bytes: int(sizeBytes) + int(overBytes)}
		whole := func(u parcel) bool { return u.id%5 == 4 }
		var mu sync.Mutex
		seen := make([]int, len(items))
		last, alone := 0, int64(0)
		q := start(t, QueueConfig[parcel]{
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				mu.Lock()
				defer mu.Unlock()
				var w Weight
				for _, u := range b.Items {
					w = w.plus(weighParcel(u))
					seen[u.id] += u.n
					if u.id < last {
						t.Errorf("I2: %d came after %d", u.id, last)
					}
					last = u.id
				}
				if w != b.Weight || len(b.Items) == 0 {
					t.Errorf("weight %+v, stated as %+v", w, b.Weight)
				}
				if w.exceeds(limit) {
					if alone++; len(b.Items) != 1 {
						t.Errorf("I6: %+v, limit %+v", w, limit)
					}
				}
				return v
			},
			Weigh: weighParcel,
			Split: func(u parcel, room Weight) (head, tail parcel, ok bool) {
				const overhead = 2 // bytes, of the part that is cut off
				n := min(room.Items, u.n-1, room.Bytes-overhead)
				if n < 1 || whole(u) {
					return head, tail, false
				}
				head, tail = u, u
				head.n, tail.n = n, u.n-n
				head.size = min(n, u.size-1) + overhead
				tail.size = u.size - head.size + overhead
				return head, tail, true
			},
			Interval: time.Hour, BatchSize: Weight{int(size), int(sizeBytes)}, MaxBatchSize: limit, Unit: Unit(len(items) % 2),
		})
		for id, n := range items {
			if err := q.Push(bg, parcel{id: id, n: int(n) + 1, size: int(n) + 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Shutdown(bg); err != nil {
			t.Fatal(err)
		}
		for id, n := range items {
			if seen[id] != int(n)+1 {
				t.Errorf("I1: item %d had %d, %d were delivered", id, int(n)+1, seen[id])
			}
		}
		if st := q.Stats(); st.Oversized < alone {
			t.Errorf("%d batches over the limit, %d are counted", alone, st.Oversized)
		}
		nothingLeft(t, q)
	})
}

// TestHeadHoldsRoom: the same for the head of a split item, whose tail was settled before it.
func TestHeadHoldsRoom(t *testing.T) {
	for _, unit := range []Unit{UnitItems, UnitRequests} {
		synctest.Test(t, func(t *testing.T) {
			first := true
			var mu sync.Mutex
			q := start(t, QueueConfig[parcel]{
				Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
					mu.Lock()
					f := first
					first = false
					mu.Unlock()
					if f {
						time.Sleep(time.Minute)
						v.Rest = slices.Clone(b.Items)
					}
					return v
				},
				Weigh: weighParcel, Split: splitParcel, Unit: unit, Consumers: 2,
				Interval: time.Second, BatchSize: Weight{Items: 5}, MaxBatchSize: Weight{Items: 5},
			})
			if err := q.Push(bg, parcel{n: 9}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second) // the tail is gone
			if st := q.Stats(); st.Used == 0 {
				t.Errorf("unit %d: in flight, but no room is taken: %+v", unit, st)
			}
			if err := q.Shutdown(bg); err != nil {
				t.Errorf("unit %d: Shutdown: %v", unit, err)
			}
		})
	}
}
