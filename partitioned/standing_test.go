// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// bundle is what comes again of a batch: one entry for several records, under a key that is none of theirs.
type bundle struct{ records []int }

// bundled is a Map of bundles whose Process answers at random, and what became of each record.
type bundled struct {
	rng *rand.Rand // of Process
	m   *Map[string, bundle]

	mu        sync.Mutex   // guards the next two: an eviction runs beside Process
	delivered map[int]bool // records
	dropped   map[int]bool
}

func (b *bundled) book(became map[int]bool, records []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range records {
		became[r] = true
	}
}

func (b *bundled) process(_ context.Context, batch MapBatch[string, bundle]) (v MapVerdict[string, bundle]) {
	var all []int
	for _, e := range batch.Items {
		all = append(all, e.Value.records...)
	}
	switch b.rng.IntN(6) {
	case 0:
		v.Err = errTest
		b.book(b.dropped, all)
		return v
	case 1, 2, 3:
		parts := 1 + b.rng.IntN(min(len(all), 3))
		for i := range parts {
			some := all[i*len(all)/parts : (i+1)*len(all)/parts]
			v.Rest = append(v.Rest, Entry[string, bundle]{Key: "again", Value: bundle{some}})
			if b.rng.IntN(2) == 0 {
				v.Groups = append(v.Groups, 1)
			}
		}
		v.After = time.Duration(b.rng.IntN(3)) * time.Second
		return v
	}
	b.book(b.delivered, all)
	return v
}

// TestRestUnderAnotherKey: whatever becomes of it, in whatever parts, a version is remembered only if its record was delivered, and no
// version is pending in the end. Dropped records go out if they are put once more.
func TestRestUnderAnotherKey(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		limit := rapid.SampledFrom([]int{0, 1, 3}).Draw(rt, "limit")
		capacity := rapid.SampledFrom([]int64{0, 6}).Draw(rt, "capacity")
		expires := rapid.Bool().Draw(rt, "expires")
		fault := ""
		synctest.Test(t, func(t *testing.T) {
			b := &bundled{rng: rand.New(rand.NewPCG(seed, 0)), delivered: map[int]bool{}, dropped: map[int]bool{}}
			cfg := MapQueueConfig[string, bundle]{Remember: time.Hour}
			cfg.Process, cfg.Interval, cfg.Partitions = b.process, 100*time.Millisecond, 1
			cfg.Weigh = func(e Entry[string, bundle]) Weight { return Weight{Items: len(e.Value.records)} }
			if cfg.MaxBatchSize.Items = limit; limit > 0 {
				cfg.Split = func(e Entry[string, bundle], room Weight) (head, tail Entry[string, bundle], ok bool) {
					if head, tail = e, e; room.Items < 1 || room.Items >= len(e.Value.records) {
						return e, e, false
					}
					head.Value.records, tail.Value.records = e.Value.records[:room.Items], e.Value.records[room.Items:]
					return head, tail, true
				}
			}
			if cfg.Capacity = capacity; capacity > 0 {
				cfg.Overflow = OverflowDropOldest
			}
			cfg.Dropped = func(e Entry[string, bundle], _ error) { b.book(b.dropped, e.Value.records) }
			if expires {
				cfg.Expired = func(Entry[string, bundle], time.Time) bool { return b.rng.IntN(10) == 0 }
			}
			b.m = startMap(t, cfg)
			rng := rand.New(rand.NewPCG(seed, 1))
			for r := range 20 {
				if err := b.m.PutNewer(bg, fmt.Sprint(r), bundle{[]int{r}}, 5); err != nil { // all is in flight
					b.book(b.dropped, []int{r})
				}
				time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			}
			time.Sleep(time.Hour / 2)
			b.m.Shutdown(bg)
			pending := 0
			for _, mem := range b.m.memory {
				pending += len(mem.pending)
			}
			if st := b.m.Stats(); pending > 0 || st.Lost > 0 {
				fault = fmt.Sprintf("%d versions are pending: %+v", pending, st)
			}
			for r := range 20 {
				key := fmt.Sprint(r)
				_, known := b.m.memory[0].version(key)
				switch {
				case known && b.dropped[r]:
					fault = fmt.Sprintf("%d was dropped, and is remembered", r)
				case !b.dropped[r] && !b.delivered[r]:
					fault = fmt.Sprintf("%d is nowhere", r)
				}
			}
			if len(b.dropped) == 0 && len(b.m.memory[0].delivered) != 20 {
				fault = fmt.Sprintf("all was delivered, and %d are remembered", len(b.m.memory[0].delivered))
			}
			conserved(t, b.m.Stats())
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}
