// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// deliveryChaos is one run: settings and a next consumer at random, and what was seen.
type deliveryChaos struct {
	deliverySettings
	seed uint64

	mu        sync.Mutex
	faults    []string
	ids       map[string]int // of each item, by how it is listed
	pushes    map[int]int    // of each item
	delivered map[int]int    // how often
	last      map[string]int // delivered, by producer and what keeps an order
	requests  []chaosRequest // whose push has returned
	inFlight  map[string]int // calls, by what keeps an order
	closedAt  time.Time      // when Shutdown began; zero: it has not
	over      bool           // it has returned
	late      map[int]bool   // delivered since Shutdown began
	given     map[int]bool   // it may have been given up after an answer
	entries   map[int]string // of each item, the name of what leaves the storage at once
	left      *leftBehind    // this is the run after it, on the same disk; nil: it is the first
}

// chaosRequest is one push, and the error that it got.
type chaosRequest struct {
	first, n int
	err      error
}

// largest is the number of items of a request, at most.
const largest = 12

func (c *deliveryChaos) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func newDeliveryChaos(seed uint64, kind anyKind) *deliveryChaos {
	return &deliveryChaos{
		deliverySettings: drawDelivery(rand.New(rand.NewPCG(seed, 0)), kind), seed: seed,
		ids: map[string]int{}, pushes: map[int]int{}, delivered: map[int]int{}, last: map[string]int{}, inFlight: map[string]int{}, late: map[int]bool{},
		given: map[int]bool{}, entries: map[int]string{},
	}
}

// next is the next consumer.
func (c *deliveryChaos) next(a *answer) error {
	c.mu.Lock()
	groups := c.groupsOf(a)
	for _, g := range groups {
		if c.inFlight[g]++; c.serial && c.inFlight[g] > 1 {
			c.fault("I2: %d calls for %s at once", c.inFlight[g], g)
		}
	}
	if c.over && a.ctx.Err() == nil { // one may have been on its last step
		c.fault("I7: a call after Shutdown")
	}
	c.checkBatch(a)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, g := range groups {
			c.inFlight[g]--
		}
	}()
	if c.left != nil {
		c.deliver(a, a.items)
		return nil
	}
	err := c.answer(a)
	if err != nil {
		c.failedTogether(a)
	}
	return err
}

// fails notes that items failed with err, which it returns.
func (c *deliveryChaos) fails(items []string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	comes := c.cfg.RetryOnFailure.Enabled && c.cfg.RetryOnFailure.MaxElapsedTime == 0 || c.disk != nil && c.closes()
	for _, item := range items {
		c.given[c.ids[item]] = consumererror.IsPermanent(err) || !comes
	}
	return err
}

// closes reports whether the processor knows that Shutdown has begun: some time has passed since. mu is held.
func (c *deliveryChaos) closes() bool { return !c.closedAt.IsZero() && time.Now().After(c.closedAt) }

// answer is what becomes of a batch.
func (c *deliveryChaos) answer(a *answer) error {
	rng := rand.New(rand.NewPCG(c.seed, uint64(a.call)))
	if c.limit > 0 && len(a.items) > c.limit {
		return c.fails(a.items, errTooLarge)
	}
	c.mu.Lock()
	down := c.down && !c.closedAt.IsZero()
	c.mu.Unlock()
	if down {
		return c.fails(a.items, errNext)
	}
	delay := time.Duration(rng.IntN(200)) * ms
	from := rng.IntN(len(a.items))
	to := from + 1 + rng.IntN(len(a.items)-from)
	if rng.IntN(2) == 0 {
		defer a.spoil()
	}
	switch pick(rng, c.answers...) {
	case "slow":
		time.Sleep(delay)
	case "fails":
		return c.fails(a.items, errNext)
	case "rejects":
		return c.fails(a.items, consumererror.NewPermanent(errNext))
	case "partly":
		c.deliver(a, a.items[:from], a.items[to:])
		return a.partly(c.fails(a.items[from:to], errNext), from, to)
	case "partly rejects":
		c.deliver(a, a.items[:from], a.items[to:])
		return a.partly(c.fails(a.items[from:to], consumererror.NewPermanent(errNext)), from, to)
	case "panics":
		panic(c.fails(a.items, consumererror.NewPermanent(errNext)))
	case "hangs":
		select {
		case <-a.ctx.Done():
			return c.fails(a.items, a.ctx.Err())
		case <-time.After(10 * delay):
		}
	}
	c.deliver(a, a.items)
	return nil
}

// groupsOf names what is kept in order of which a batch has something, each once. mu is held.
func (c *deliveryChaos) groupsOf(a *answer) (all []string) {
	for _, item := range a.items {
		if g := c.groupOf(a, c.ids[item]); !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

// groupOf names what is kept in order that an item is of: that of its tenant, or one third of the items.
func (c *deliveryChaos) groupOf(a *answer, id int) string {
	tenant := fmt.Sprint(c.tenants > 0, client.FromContext(a.ctx).Metadata.Get("tenant"))
	if c.thirds {
		return tenant + third(id)
	}
	return tenant
}

// checkBatch checks a batch by itself. mu is held.
func (c *deliveryChaos) checkBatch(a *answer) {
	if most := int(c.cfg.SendBatchMaxSize); most > 0 && len(a.items) > most {
		c.fault("I6: %d items, the limit is %d", len(a.items), most)
	}
	if most := int(c.cfg.SendBatchMaxSizeBytes); most > 0 && len(a.items) > 1 && a.size() > most {
		c.fault("I6: %d items of %d bytes, the limit is %d", len(a.items), a.size(), most)
	}
	for _, item := range a.items {
		key := client.FromContext(a.ctx).Metadata.Get("third")
		if want := third(c.ids[item]); len(c.cfg.AttributeKeys) > 0 && !slices.Equal(key, []string{want}) {
			c.fault("the key %q has an item of %q", key, want)
		}
	}
}

func (c *deliveryChaos) deliver(a *answer, runs ...[]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, item := range slices.Concat(runs...) {
		id, ok := c.ids[item]
		if !ok {
			c.fault("I1: delivered what was never pushed: %s", item)
		}
		if c.delivered[id]++; c.delivered[id] > c.pushes[id] && (c.left == nil || !c.left.twice(c.entries[id], id)) {
			c.fault("I1: %d was delivered %d times", id, c.delivered[id])
		}
		if c.left != nil && c.left.refused[id] {
			c.fault("I1: %d was refused, and arrived from the storage", id)
		}
		if !c.closedAt.IsZero() {
			c.late[id] = true
		}
		producer := fmt.Sprint(c.groupOf(a, id), "/", id/1_000_000)
		if last, seen := c.last[producer]; seen && c.ordered && id <= last {
			c.fault("I2: %d came after %d", id, last)
		}
		c.last[producer] = id
	}
}

func (c *deliveryChaos) produce(p *pipeline, producer int) {
	rng := rand.New(rand.NewPCG(c.seed, 1_000_000+uint64(producer)))
	first := producer * 1_000_000
	for range 1 + rng.IntN(12) {
		n := 1 + rng.IntN(largest)
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if c.tenants > 0 {
			ctx = from("tenant", fmt.Sprint(rng.IntN(c.tenants)))
		}
		if rng.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(300))*ms)
		}
		c.mu.Lock()
		for i, item := range c.kind.list(first, n) {
			c.ids[item] = first + i
			c.pushes[first+i]++
			if c.entries[first+i] = fmt.Sprint(first); len(c.cfg.AttributeKeys) > 0 { // thirds may share a partition, and an entry
				c.entries[first+i] += third(first + i)
			}
		}
		c.mu.Unlock()
		err := p.push(ctx, first, n)
		cancel()
		c.mu.Lock()
		c.requests = append(c.requests, chaosRequest{first, n, err})
		c.mu.Unlock()
		if !c.repeats || rng.IntN(2) == 0 {
			first += n
		}
		time.Sleep(time.Duration(rng.IntN(60)) * ms)
	}
}

func (c *deliveryChaos) run(t *testing.T) {
	p := c.kind.answered(t, func(cfg *Config) { *cfg = *c.cfg }, c.next)
	if err := p.Start(context.Background(), c.host()); err != nil {
		t.Fatal(err)
	}
	c.failDisk()
	var producers sync.WaitGroup
	for producer := range 1 + c.rng.IntN(5) {
		producers.Go(func() { c.produce(p, producer) })
	}
	for range 20 { // I1 and I5, at any time
		time.Sleep(time.Duration(c.rng.IntN(100)) * ms)
		c.check(p.stats())
	}
	var left *leftBehind
	if c.crash {
		left = c.crashes()
	}
	begin := time.Now()
	c.mu.Lock()
	c.closedAt = begin
	c.mu.Unlock()
	err := p.Shutdown(context.Background())
	c.mu.Lock()
	if took := time.Since(begin); took > c.cfg.ShutdownTimeout {
		c.fault("I7: Shutdown took %v", took)
	}
	c.over = true
	c.mu.Unlock()
	producers.Wait()
	time.Sleep(time.Minute) // calls that went on meanwhile end, and change nothing
	synctest.Wait()
	st := p.stats()
	c.check(st)
	lost := st.Lost
	if c.disk != nil {
		lost -= p.metric(t, "items_kept", "")
	}
	if n := len(p.losses()); err != nil || n > 1 || (n == 1) != (lost > 0) {
		c.fault("I7: Shutdown returned %v, %d were dropped, and that was logged %d times", err, lost, n)
	}
	c.checkRequests(&st)
	if c.disk == nil {
		return
	}
	if left == nil {
		left = c.leaves(p, &st, lost)
	}
	left.dropped = st.Evicted + st.Expired + st.Stalled + lost
	c.runAgain(t, left)
}

// dropped counts what was given up, but not that at Shutdown.
func dropped(st *partitioned.Stats) int64 { return st.Failed + st.Evicted + st.Expired + st.Stalled }

// checkRequests compares what the pushes were told with what arrived, after Shutdown.
func (c *deliveryChaos) checkRequests(st *partitioned.Stats) {
	if st.Queued != 0 || st.InFlight != 0 || st.Used != 0 {
		c.fault("after Shutdown: %+v", st)
	}
	delivered, pushed, accepted := int64(0), int64(0), int64(0)
	for _, n := range c.delivered {
		delivered += int64(n)
	}
	for _, r := range c.requests {
		pushed += int64(r.n)
		arrived := 0
		for id := r.first; id < r.first+r.n; id++ {
			arrived += c.delivered[id]
		}
		switch {
		case r.err == nil:
			accepted += int64(r.n)
			if c.cfg.WaitForResult && arrived != r.n {
				c.fault("request %d was said to be delivered, %d of %d arrived", r.first, arrived, r.n)
			}
		case c.cfg.WaitForResult, c.repeats, c.disk != nil && maybeAccepted(r.err):
		case arrived > 0:
			c.fault("I1: request %d was refused, %d of it arrived: %v", r.first, arrived, r.err)
		case consumererror.IsPermanent(r.err):
			c.fault("refused with %v", r.err)
		}
	}
	if c.disk == nil && st.Accepted+st.Refused != pushed || !c.cfg.WaitForResult && c.disk == nil && st.Accepted != accepted || st.Accepted < accepted {
		c.fault("I1: %d pushed, %d accepted, %+v", pushed, accepted, st)
	}
	if st.Forwarded > delivered || st.Lost == 0 && st.Forwarded != delivered {
		c.fault("I1: %d arrived, %+v", delivered, st)
	}
}

func (c *deliveryChaos) check(st partitioned.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkConserved(&st)
	if most := c.grows * (c.cfg.QueueSize + c.request); st.Used >= most {
		c.fault("I5: %d pending, the queue has room for %d", st.Used, c.cfg.QueueSize)
	}
	if most := c.grows * (c.cfg.QueueSize/2 + c.request); c.shares && st.Fullest > most {
		c.fault("I5: one key has %d pending, its share is at most %d", st.Fullest, most)
	}
}

func (c *deliveryChaos) checkConserved(st *partitioned.Stats) {
	if st.Accepted != st.Forwarded+st.Returned+st.Superseded+dropped(st)+st.Lost+st.Queued+st.InFlight {
		c.fault("I1: %+v", st)
	}
}

// TestDeliveryChaos runs random settings between random producers and a random next consumer, against I1, I2, I5, I6 and I7.
// A run that does not end fails by synctest's check for deadlock.
func TestDeliveryChaos(t *testing.T) {
	const seeds = 300
	for seed := range uint64(seeds) {
		k := anyLogs // the quickest
		if seed%8 == 0 {
			k = kinds[seed/8%uint64(len(kinds))]
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newDeliveryChaos(seed, k)
			synctest.Test(t, func(t *testing.T) { c.run(t) })
			if len(c.faults) > 0 {
				t.Errorf("%s, %d faults with %+v, answers %q, limit %d; the first ones:\n%q", k.name, len(c.faults), c.cfg, c.answers, c.limit, c.faults[:min(5, len(c.faults))])
			}
		})
	}
}
