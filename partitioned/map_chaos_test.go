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

// load is the value that the Map's chaos test writes. Keys are of a kind, by their first letter: n is written with versions,
// p plainly and each by one producer, m by Merge, v by Merge of what adds up to nothing now and then. Their second letter is their stream, where there are several.
type load struct {
	key     string
	id      int // of the write, from 1
	version int64
	units   int // that it weighs
	sum     int // of v
}

type loadEntry = Entry[string, load]

func mergeLoads(held, added loadEntry) load {
	v := held.Value
	v.id = added.Value.id
	v.sum += added.Value.sum
	v.units += added.Value.units
	return v
}

func splitLoad(e loadEntry, room Weight) (head, tail loadEntry, ok bool) {
	if e.Value.units <= room.Items {
		return e, e, false
	}
	head, tail = e, e
	head.Value.units = room.Items
	tail.Value.units -= room.Items
	tail.Value.sum = 0
	return head, tail, true
}

// mapChaos is one run: what is drawn, and what was seen.
type mapChaos struct {
	ledger    // its mu guards what was seen
	cfg       MapQueueConfig[string, load]
	producers int
	writes    int // of each producer
	behaviour []behaviour
	cancels   bool
	flushes   bool
	updates   bool
	pauses    bool
	deletes   bool
	seed      uint64

	accepted int64           // units
	merged   int64           // units, of m
	added    map[string]int  // the sum of what was accepted, of v
	written  map[string]load // the last accepted of each key
	version  map[string]load // the newest version that was delivered
	last     map[string]load // delivered last
	inFlight map[string]int  // by key
	arrived  int64           // units of m that a call returned with, not as a Rest
	sums     map[string]int  // of v, of what a call returned with likewise
	calls    int
	tries    map[int]int
}

func drawMapChaos(t *rapid.T) *mapChaos {
	c := &mapChaos{
		ledger: ledger{
			shutdown: time.Duration(rapid.IntRange(0, 3000).Draw(t, "shutdown")) * time.Millisecond,
			deadline: time.Duration(rapid.SampledFrom([]int{0, 10, 1000, 3_600_000}).Draw(t, "deadline")) * time.Millisecond,
		},
		producers: rapid.IntRange(1, 5).Draw(t, "producers"),
		writes:    rapid.IntRange(1, 40).Draw(t, "writes"),
		behaviour: rapid.SliceOfN(rapid.SampledFrom([]behaviour{takes, takes, takesSlowly, fails, panics, returnsRest, returnsRestLater, namesFailed, hangs}), 1, 4).Draw(t, "behaviour"),
		cancels:   rapid.Bool().Draw(t, "cancels"),
		flushes:   rapid.Bool().Draw(t, "flushes"),
		updates:   rapid.Bool().Draw(t, "updates"),
		pauses:    rapid.Bool().Draw(t, "pauses"),
		deletes:   rapid.Bool().Draw(t, "deletes"),
		seed:      rapid.Uint64().Draw(t, "seed"),
		written:   map[string]load{},
		version:   map[string]load{},
		last:      map[string]load{},
		inFlight:  map[string]int{},
		added:     map[string]int{},
		sums:      map[string]int{},
		tries:     map[int]int{},
	}
	c.cfg = MapQueueConfig[string, load]{
		QueueConfig: QueueConfig[loadEntry]{
			Process:    c.process,
			Partitions: rapid.IntRange(0, 3).Draw(t, "partitions"),
			Consumers:  rapid.IntRange(0, 4).Draw(t, "consumers"),
			Interval:   time.Duration(rapid.SampledFrom([]int{0, 1, 50, 500, 5000}).Draw(t, "interval")) * time.Millisecond,
			BatchSize:  Weight{Items: rapid.SampledFrom([]int{0, 1, 7, 40}).Draw(t, "size")},
			Weigh:      func(e loadEntry) Weight { return Weight{Items: e.Value.units} },
			Capacity:   rapid.SampledFrom([]int64{0, 1, 20, 100}).Draw(t, "capacity"),
			Unit:       rapid.SampledFrom([]Unit{UnitItems, UnitRequests}).Draw(t, "unit"),
			Overflow:   rapid.SampledFrom([]Overflow{OverflowWait, OverflowRefuse, OverflowDropOldest}).Draw(t, "overflow"),
		},
		Merge:    mergeLoads,
		Void:     func(v load) bool { return v.key[0] == 'v' && v.sum == 0 },
		Remember: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 3600}).Draw(t, "remember")) * time.Second,
	}
	if rapid.Bool().Draw(t, "capped") {
		c.cfg.MaxBatchSize.Items = c.cfg.BatchSize.Items + rapid.SampledFrom([]int{1, 5}).Draw(t, "over")
		if rapid.Bool().Draw(t, "split") {
			c.cfg.Split = splitLoad
		}
	}
	if rapid.Bool().Draw(t, "byKey") {
		c.cfg.Key = func(e loadEntry) string { return e.Key[1:2] }
		c.cfg.MaxKeys = rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "maxKeys")
		c.cfg.KeyCapacity = rapid.SampledFrom([]int64{0, 1, 10}).Draw(t, "keyCapacity")
	}
	if rapid.Bool().Draw(t, "expires") {
		c.cfg.Expired = func(_ loadEntry, now time.Time) bool { return now.UnixMilli()/50%3 == 0 }
	}
	if rapid.Bool().Draw(t, "paced") {
		c.cfg.MinInterval = time.Duration(rapid.SampledFrom([]int{1, 30, 300}).Draw(t, "minInterval")) * time.Millisecond
		c.cfg.Linger = c.cfg.MinInterval
	}
	sensible(&c.cfg.QueueConfig)
	if c.cfg.Key == nil && c.cfg.Partitions == 1 {
		c.cfg.Consumers = min(c.cfg.Consumers, 1)
	}
	if rapid.Bool().Draw(t, "timeout") {
		c.cfg.ProcessTimeout = 100 * time.Millisecond
	}
	if rapid.Bool().Draw(t, "observed") {
		c.witness = newWitness()
		c.cfg.Observer = &c.witness.Observer
	}
	c.capacity = c.cfg.Capacity
	if c.cfg.MaxKeys > 0 { // a single push may bring more keys
		c.maxKeys = max(c.cfg.MaxKeys, 5)
	}
	return c
}

// process checks what it gets, and behaves as drawn.
func (c *mapChaos) process(ctx context.Context, b Batch[loadEntry]) (v Verdict[loadEntry]) {
	c.mu.Lock()
	if c.over && ctx.Err() == nil { // one that was on its last step into Process has a context that is done
		c.fault("a call began after Shutdown returned")
	}
	c.checkPaused(b.Key, b.Closing)
	units := 0
	seen := map[string]bool{}
	for _, e := range b.Items {
		units += e.Value.units
		c.checkEntry(e)
		if seen[e.Key] {
			if c.cfg.Split == nil { // else both parts of one may have come back
				c.fault("I3: a batch has %s twice", e.Key)
			}
			continue
		}
		seen[e.Key] = true
		if c.inFlight[e.Key]++; c.inFlight[e.Key] > 1 {
			c.fault("I2: %s is in %d calls", e.Key, c.inFlight[e.Key])
		}
	}
	if units != b.Weight.Items {
		c.fault("weight is %d, stated as %+v", units, b.Weight)
	}
	if limit := c.cfg.MaxBatchSize.Items; limit > 0 && units > limit && (c.cfg.Split != nil || len(b.Items) > 1) {
		c.fault("I6: batch of %d, cap is %d", units, limit)
	}
	items := slices.Clone(b.Items)
	c.calls++
	rng := rand.New(rand.NewPCG(c.seed, uint64(c.calls)))
	how := c.behaviour[rng.IntN(len(c.behaviour))]
	if how == returnsRest || how == returnsRestLater {
		if c.tries[items[0].Value.id]++; c.tries[items[0].Value.id] > 3 {
			how = takes
		}
	}
	c.mu.Unlock()

	delay := time.Duration(rng.IntN(200)) * time.Millisecond
	var rest []loadEntry
	switch how {
	case takesSlowly:
		time.Sleep(delay)
	case fails:
		v.Err = errChaos
	case namesFailed:
		v.Errs = nameFailed(rng, len(items))
	case returnsRest, returnsRestLater:
		rest = items[rng.IntN(len(items)):]
		v.Rest = rest
		v.Groups = drawGroups(rng, len(rest))
		if rng.IntN(2) == 0 {
			v.From = lastOf(len(items), len(rest))
		}
		if how == returnsRestLater {
			v.After = delay
		}
		if rng.IntN(2) == 0 {
			v.Err = errChaos
		}
	case hangs:
		select {
		case <-ctx.Done():
			v.Err = context.Cause(ctx)
		case <-time.After(10 * delay):
		}
	default: // takes, panics
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range seen {
		c.inFlight[key]--
	}
	for i, e := range items {
		if i >= len(items)-len(rest) {
			continue
		}
		switch e.Key[0] {
		case 'm':
			c.arrived += int64(e.Value.units)
		case 'v':
			c.sums[e.Key] += e.Value.sum
		}
		if v.Err == nil && how != panics && (len(v.Errs) == 0 || v.Errs[i] == nil) {
			c.ok += int64(e.Value.units)
			if e.Key[0] == 'n' { // what was not delivered may come again, and so may what is older
				c.version[e.Key] = e.Value
			}
		}
	}
	if how == panics {
		panic(errChaos)
	}
	return v
}

// checkEntry looks at one that is delivered, for the first time or again.
func (c *mapChaos) checkEntry(e loadEntry) {
	if e.Value.key != e.Key || e.Updates < 0 {
		c.fault("%s has the value of %+v", e.Key, e)
	}
	switch e.Key[0] {
	case 'n':
		if e.Version != e.Value.version {
			c.fault("I3: version %d with the value of %d", e.Version, e.Value.version)
		}
		before := c.version[e.Key]
		older := e.Version < before.version || e.Version == before.version && e.Value.id != before.id
		if older && c.cfg.Remember > time.Minute && c.cfg.Split == nil { // of what Split divided, a part may be dropped
			c.fault("I3: %+v came after %+v", e.Value, before)
		}
	case 'v':
		if e.Value.sum == 0 && c.cfg.Split == nil {
			c.fault("%+v is void", e)
		}
	case 'p':
		if e.Value.id < c.last[e.Key].id {
			c.fault("I2: %+v came after %+v", e.Value, c.last[e.Key])
		}
	}
	c.last[e.Key] = e.Value
}

func (c *mapChaos) produce(m *Map[string, load], producer int) {
	rng := rand.New(rand.NewPCG(c.seed, 1_000_000+uint64(producer)))
	for i := range c.writes {
		id := 1 + producer*1000 + i
		kind := "npmv"[rng.IntN(4)]
		var entries []loadEntry
		var units int64
		for range 1 + rng.IntN(4)*rng.IntN(2) {
			v := load{id: id, units: 1 + rng.IntN(9), key: fmt.Sprintf("%c%c%d", kind, 'a'+rng.IntN(3), rng.IntN(3))}
			e := loadEntry{Value: v}
			switch kind {
			case 'p':
				e.Value.key += fmt.Sprint("/", producer)
			case 'n':
				e.Version = int64(1+rng.IntN(1000))*10_000 + int64(id) // no two are equal, but in one push
				e.Value.version = e.Version
			case 'v':
				e.Value.sum = rng.IntN(3) - 1
			}
			e.Key = e.Value.key
			entries = append(entries, e)
			units += int64(v.units)
		}
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if c.cancels && rng.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
		}
		waited, err := c.write(ctx, m, rng, kind, entries)
		cancel()
		c.mu.Lock()
		if !isRefused(err) {
			c.accepted += units
			if kind == 'm' {
				c.merged += units
			}
			for _, e := range entries {
				c.added[e.Key] += e.Value.sum
				c.written[e.Key] = e.Value
			}
		}
		if err != nil && !waited && !isRefused(err) {
			c.fault("a write got %v", err)
		}
		c.mu.Unlock()
		key := entries[0].Key
		if v, ok := m.Get(key); ok && v.key != key {
			c.mu.Lock()
			c.fault("Get(%s) is %+v", key, v)
			c.mu.Unlock()
		}
		if c.deletes && rng.IntN(4) == 0 {
			m.Delete(key)
		}
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
	}
}

func (c *mapChaos) write(ctx context.Context, m *Map[string, load], rng *rand.Rand, kind byte, entries []loadEntry) (waited bool, err error) {
	e := entries[0]
	switch {
	case kind == 'p' && len(entries) == 1:
		return false, m.Put(ctx, e.Key, e.Value)
	case kind == 'p':
		return false, m.PutAll(ctx, entries...)
	case kind == 'n' && len(entries) == 1:
		return false, m.PutNewer(ctx, e.Key, e.Value, e.Version)
	case kind == 'n':
		return false, m.PutAllNewer(ctx, entries...)
	case rng.IntN(2) == 0:
		return true, m.MergeAllWait(ctx, entries...)
	case rng.IntN(3) == 0:
		for i := range entries {
			entries[i].Version = Merged
		}
		return false, m.PutAllNewer(ctx, entries...)
	case len(entries) == 1:
		return false, m.Merge(ctx, e.Key, e.Value)
	default:
		return false, m.MergeAll(ctx, entries...)
	}
}

func isRefused(err error) bool {
	return errors.Is(err, ErrClosed) || errors.Is(err, ErrFull) || errors.Is(err, ErrTooManyKeys) || isGaveUp(err)
}

func (c *mapChaos) run() {
	m, err := NewUnstartedMap(c.cfg)
	if err != nil {
		c.fault("NewUnstartedMap: %v", err)
		return
	}
	if err := m.Start(); err != nil {
		c.fault("Start: %v", err)
	}
	var wg sync.WaitGroup
	for p := range c.producers {
		wg.Go(func() { c.produce(m, p) })
	}
	stop := make(chan struct{})
	every := func(d time.Duration, f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(d):
					f()
				}
			}
		})
	}
	every(7*time.Millisecond, func() {
		c.check(m.Stats())
		c.checkBooks(wrongRanking(&m.queue) + wrongBacklogs(&m.queue))
	})
	if c.pauses {
		var keys []string
		if c.cfg.Key != nil {
			keys = []string{"a", "b", "c"}
		}
		wg.Go(func() { c.pause(m, keys, c.seed, stop) })
	}
	if c.flushes {
		every(100*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = m.Flush(ctx)
		})
	}
	if c.updates {
		rng := rand.New(rand.NewPCG(c.seed, 2_000_000))
		every(90*time.Millisecond, func() {
			size := c.cfg.BatchSize
			size.Items = rng.IntN(size.Items + 1)
			interval := c.cfg.Interval * time.Duration(rng.IntN(3))
			if err := m.Update(Change{BatchSize: &size, Interval: &interval}); err != nil {
				c.mu.Lock()
				c.fault("Update: %v", err)
				c.mu.Unlock()
			}
		})
	}
	st := c.end(m, len(m.queue.partitions), stop, &wg)
	if st.Accepted != c.accepted {
		c.fault("I1: %d were accepted, the map says %d", c.accepted, st.Accepted)
	}
	if st.Lost+st.Evicted+st.Expired > 0 || c.deletes {
		return
	}
	if c.arrived != c.merged {
		c.fault("I1: %d units were merged, %d arrived", c.merged, c.arrived)
	}
	for key, sum := range c.added {
		if c.sums[key] != sum {
			c.fault("I1: %s adds up to %d, %d arrived", key, sum, c.sums[key])
		}
	}
	for key, w := range c.written {
		if key[0] == 'p' && c.last[key].id != w.id {
			c.fault("the last of %s is %+v, delivered last is %+v", key, w, c.last[key])
		}
	}
}

// TestMapChaos runs random scripts, against the invariants I1, I2, I3, I5, I6 and I7.
func TestMapChaos(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := drawMapChaos(rt)
		synctest.Test(t, func(*testing.T) { c.run() })
		if len(c.faults) > 0 {
			rt.Fatalf("%d faults, first ones:\n%s", len(c.faults), c.faults[:min(5, len(c.faults))])
		}
	})
}
