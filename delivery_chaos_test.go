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
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// deliveryChaos is one run: settings and a next consumer at random, and what was seen.
type deliveryChaos struct {
	rng     *rand.Rand // of the settings; the next consumer and the producers have their own
	seed    uint64
	cfg     *Config
	answers []string
	tenants int
	ordered bool // the delivered items of a producer keep their order
	limit   int  // items, above which a batch is too large; 0: none

	mu        sync.Mutex
	faults    []string
	ids       map[string]int // of each item, by how it is listed
	delivered map[int]int    // how often
	last      map[string]int // delivered, by producer
	accepted  map[int]bool   // requests, by their first item, whose push returned nil
	refused   map[int]bool   // of which nothing was accepted
	pushed    map[int]int    // items
	inFlight  map[string]int
	over      bool
}

func (c *deliveryChaos) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func newDeliveryChaos(seed uint64) *deliveryChaos {
	c := &deliveryChaos{
		rng: rand.New(rand.NewPCG(seed, 0)), seed: seed,
		ids: map[string]int{}, delivered: map[int]int{}, last: map[string]int{}, inFlight: map[string]int{},
		accepted: map[int]bool{}, refused: map[int]bool{}, pushed: map[int]int{},
	}
	r := c.rng
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	cfg.WaitForResult = pick(r, true, false)
	cfg.SplitOnTooLarge = pick(r, true, false)
	if pick(r, true, false) {
		retries(cfg)
		cfg.RetryOnFailure.MaxElapsedTime = pick(r, 0, 10*time.Second, time.Minute)
	}
	cfg.Timeout = pick(r, 0, ms, 50*ms, time.Hour)
	cfg.SendBatchSize = pick[int64](r, 0, 1, 7, 40)
	if pick(r, true, false) {
		cfg.SendBatchMaxSize = cfg.SendBatchSize + pick[int64](r, 1, 5)
	}
	cfg.MinInterval = pick(r, 0, 0, ms, 50*ms, 300*ms)
	if cfg.WaitForResult && cfg.SendBatchSize > 0 {
		cfg.WaitLinger = min(cfg.Timeout, pick(r, 0, ms, 50*ms, 300*ms))
	}
	cfg.NumConsumers = pick[int64](r, 0, 1, 3)
	if cfg.NumConsumers > 1 {
		cfg.AdaptiveConcurrency.Enabled = pick(r, true, false)
	}
	cfg.QueueSize = 2*cfg.SendBatchSize + pick[int64](r, 1, 20, 1000)
	cfg.BlockOnOverflow = pick(r, true, true, false)
	cfg.ExportTimeout = pick(r, 0, 0, 100*ms)
	cfg.ShutdownTimeout = pick(r, 10*ms, time.Second, time.Hour)
	if c.tenants = pick(r, 0, 0, 1, 5); c.tenants > 0 {
		cfg.MetadataKeys = []string{"tenant"}
		cfg.MetadataCardinalityLimit = pick[int64](r, 0, 3)
		cfg.AdaptiveConcurrency.Enabled = false
	}
	c.cfg = cfg
	for range 1 + r.IntN(4) {
		c.answers = append(c.answers, pick(r, "takes", "takes", "slow", "fails", "rejects", "partly", "partly rejects", "panics", "hangs"))
	}
	c.limit = pick(r, 0, 0, 1, 5)
	partly := slices.Contains(c.answers, "partly") // and the rest of it comes later
	c.ordered = (c.tenants > 0 || cfg.NumConsumers < 2) && (!partly || !cfg.RetryOnFailure.Enabled)
	return c
}

// next is the next consumer.
func (c *deliveryChaos) next(a *answer) error {
	c.mu.Lock()
	key := fmt.Sprint(c.tenants > 0, client.FromContext(a.ctx).Metadata.Get("tenant"))
	if c.inFlight[key]++; c.ordered && c.inFlight[key] > 1 {
		c.fault("I2: %d calls for %s at once", c.inFlight[key], key)
	}
	if c.over && a.ctx.Err() == nil { // one may have been on its last step
		c.fault("I7: a call after Shutdown")
	}
	if limit := int(c.cfg.SendBatchMaxSize); limit > 0 && len(a.items) > limit {
		c.fault("I6: %d items, the limit is %d", len(a.items), limit)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight[key]--
	}()
	rng := rand.New(rand.NewPCG(c.seed, uint64(a.call)))
	if c.limit > 0 && len(a.items) > c.limit {
		return errTooLarge
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
		return errNext
	case "rejects":
		return consumererror.NewPermanent(errNext)
	case "partly":
		c.deliver(key, a.items[:from], a.items[to:])
		return a.partly(errNext, from, to)
	case "partly rejects":
		c.deliver(key, a.items[:from], a.items[to:])
		return a.partly(consumererror.NewPermanent(errNext), from, to)
	case "panics":
		panic(errNext)
	case "hangs":
		select {
		case <-a.ctx.Done():
			return a.ctx.Err()
		case <-time.After(10 * delay):
		}
	}
	c.deliver(key, a.items)
	return nil
}

func (c *deliveryChaos) deliver(key string, runs ...[]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, item := range slices.Concat(runs...) {
		id, ok := c.ids[item]
		if !ok {
			c.fault("I1: delivered what was never pushed: %s", item)
		}
		if c.delivered[id]++; c.delivered[id] > 1 {
			c.fault("I1: %d was delivered %d times", id, c.delivered[id])
		}
		producer := fmt.Sprint(key, "/", id/1_000_000)
		if last, seen := c.last[producer]; seen && c.ordered && id <= last {
			c.fault("I2: %d came after %d", id, last)
		}
		c.last[producer] = id
	}
}

func (c *deliveryChaos) produce(k anyKind, p *pipeline, producer int) {
	rng := rand.New(rand.NewPCG(c.seed, 1_000_000+uint64(producer)))
	first := producer * 1_000_000
	for range 1 + rng.IntN(12) {
		n := 1 + rng.IntN(12)
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if c.tenants > 0 {
			ctx = from("tenant", fmt.Sprint(rng.IntN(c.tenants)))
		}
		if rng.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(300))*ms)
		}
		c.mu.Lock()
		for i, item := range k.list(first, n) {
			c.ids[item] = first + i
		}
		c.pushed[first] = n
		c.mu.Unlock()
		err := p.push(ctx, first, n)
		cancel()
		c.mu.Lock()
		if err == nil {
			c.accepted[first] = true
		} else if !c.cfg.WaitForResult {
			c.refused[first] = true
			if consumererror.IsPermanent(err) {
				c.fault("refused with %v", err)
			}
		}
		c.mu.Unlock()
		first += n
		time.Sleep(time.Duration(rng.IntN(60)) * ms)
	}
}

func (c *deliveryChaos) run(t *testing.T, k anyKind) {
	p := k.answered(t, func(cfg *Config) { *cfg = *c.cfg }, c.next)
	if err := p.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	var producers sync.WaitGroup
	for producer := range 1 + c.rng.IntN(5) {
		producers.Go(func() { c.produce(k, p, producer) })
	}
	for range 20 { // I1 and I5, at any time
		time.Sleep(time.Duration(c.rng.IntN(100)) * ms)
		c.check(p.stats())
	}
	begin := time.Now()
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
	if st.Queued != 0 || st.InFlight != 0 || st.Used != 0 {
		c.fault("after Shutdown: %+v", st)
	}
	if n := len(p.losses()); err != nil || n > 1 || (n == 1) != (st.Lost > 0) {
		c.fault("I7: Shutdown returned %v, %d were dropped, and that was logged %d times", err, st.Lost, n)
	}
	delivered, pushed := 0, int64(0)
	for first, n := range c.pushed {
		pushed += int64(n)
		arrived := 0
		for id := first; id < first+n; id++ {
			arrived += c.delivered[id]
		}
		delivered += arrived
		if c.refused[first] && arrived > 0 {
			c.fault("I1: request %d was refused, %d of it arrived", first, arrived)
		}
		if c.cfg.WaitForResult && c.accepted[first] && arrived != n {
			c.fault("request %d was said to be delivered, %d of %d arrived", first, arrived, n)
		}
	}
	if st.Accepted+st.Refused != pushed {
		c.fault("I1: %d pushed, %+v", pushed, st)
	}
	if st.Forwarded > int64(delivered) || st.Lost == 0 && st.Forwarded != int64(delivered) {
		c.fault("I1: %d arrived, %+v", delivered, st)
	}
}

func (c *deliveryChaos) check(st partitioned.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.Accepted != st.Forwarded+st.Returned+st.Failed+st.Lost+st.Queued+st.InFlight {
		c.fault("I1: %+v", st)
	}
	if st.Used >= c.cfg.QueueSize+12 {
		c.fault("I5: %d pending, the queue has room for %d", st.Used, c.cfg.QueueSize)
	}
}

// TestDeliveryChaos runs random settings between random producers and a random next consumer, against I1, I2, I5, I6 and I7.
// A run that does not end fails by synctest's check for deadlock.
func TestDeliveryChaos(t *testing.T) {
	const seeds = 2000
	for seed := range uint64(seeds) {
		k := anyLogs // the quickest
		if seed%8 == 0 {
			k = kinds[seed/8%uint64(len(kinds))]
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newDeliveryChaos(seed)
			synctest.Test(t, func(t *testing.T) { c.run(t, k) })
			if len(c.faults) > 0 {
				t.Errorf("%s, %d faults with %+v, answers %q, limit %d; the first ones:\n%q", k.name, len(c.faults), c.cfg, c.answers, c.limit, c.faults[:min(5, len(c.faults))])
			}
		})
	}
}
