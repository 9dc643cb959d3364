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

// thing is what the chaos test pushes: units from..to of a numbered push.
type thing struct {
	id       int
	key      string
	byCall   bool // pushed by PushKey, which says so in place of Key
	producer int
	from, to int
}

func splitThing(t thing, room Weight) (head, tail thing, ok bool) {
	if t.to-t.from <= room.Items {
		return t, t, false
	}
	head, tail = t, t
	head.to = t.from + room.Items
	tail.from = head.to
	return head, tail, true
}

// chaos is one run: what is drawn, and what was seen.
type chaos struct {
	ledger    // its mu guards what was seen
	cfg       QueueConfig[thing]
	producers int
	pushes    int // of each producer
	keys      int
	behaviour []behaviour
	waiting   bool // producers use PushWait at times
	cancels   bool // producers give up at times
	impatient bool // and soon
	flushes   bool // somebody flushes
	pushKeys  bool // producers use PushKey at times
	updates   bool // somebody updates
	pauses    bool // somebody pauses keys, or all
	expires   bool // some pushes expire
	seed      uint64

	accepted map[int]int // units, by push
	refused  map[int]bool
	taken    map[int]bool // some of the push was in a call
	gaveUp   map[int]bool // its caller did, so some of it may have been taken back
	named    map[int]bool // some of the push failed with errNamed
	settled  map[int]int  // units that a call returned with, not as a Rest
	inFlight map[string]int
	last     map[string]thing // by key and producer: the last that was seen
	calls    int
	dropped  map[int]int          // units that Dropped told of, by push
	began    map[string]time.Time // the last call, by key
	tries    map[int]int          // calls that returned a push as a Rest
	back     map[int]bool         // pushes of which something was in a Rest
	resumes  map[string]time.Time // when the After of a call that failed is over, by key
}

type behaviour int

const (
	takes behaviour = iota
	takesSlowly
	fails
	panics
	returnsRest
	returnsRestLater
	takesSome
	namesFailed
	hangs
)

// line is which things t must stay in order with: those of its producer, with its key or, in one stream, with any.
func (c *chaos) line(t thing) string {
	if c.oneLane() && (c.keys == 0 || c.cfg.OrderOnlyByPartition) {
		return fmt.Sprint(t.producer)
	}
	return fmt.Sprint(t.key, "/", t.producer)
}

func (c *chaos) oneLane() bool { return c.cfg.Partitions == 1 || c.keys == 0 && c.cfg.Partitions == 0 }

func drawChaos(t *rapid.T) *chaos {
	c := &chaos{
		ledger: ledger{
			shutdown: time.Duration(rapid.IntRange(0, 3000).Draw(t, "shutdown")) * time.Millisecond,
			deadline: time.Duration(rapid.SampledFrom([]int{0, 10, 1000, 3_600_000}).Draw(t, "deadline")) * time.Millisecond,
		},
		producers: rapid.IntRange(1, 6).Draw(t, "producers"),
		pushes:    rapid.IntRange(1, 30).Draw(t, "pushes"),
		keys:      rapid.SampledFrom([]int{0, 0, 1, 3, 20}).Draw(t, "keys"),
		behaviour: rapid.SliceOfN(rapid.SampledFrom([]behaviour{takes, takes, takesSlowly, fails, panics, returnsRest, returnsRestLater, takesSome, namesFailed, hangs}), 1, 4).Draw(t, "behaviour"),
		waiting:   rapid.Bool().Draw(t, "waiting"),
		cancels:   rapid.Bool().Draw(t, "cancels"),
		impatient: rapid.Bool().Draw(t, "impatient"),
		flushes:   rapid.Bool().Draw(t, "flushes"),
		pushKeys:  rapid.Bool().Draw(t, "pushKeys"),
		updates:   rapid.Bool().Draw(t, "updates"),
		pauses:    rapid.Bool().Draw(t, "pauses"),
		expires:   rapid.Bool().Draw(t, "expires"),
		seed:      rapid.Uint64().Draw(t, "seed"),
		accepted:  map[int]int{},
		refused:   map[int]bool{},
		taken:     map[int]bool{},
		gaveUp:    map[int]bool{},
		named:     map[int]bool{},
		settled:   map[int]int{},
		inFlight:  map[string]int{},
		last:      map[string]thing{},
		dropped:   map[int]int{},
		began:     map[string]time.Time{},
		tries:     map[int]int{},
		back:      map[int]bool{},
		resumes:   map[string]time.Time{},
	}
	c.cfg = QueueConfig[thing]{
		Process:    c.process,
		Partitions: rapid.IntRange(0, 4).Draw(t, "partitions"),
		Consumers:  rapid.IntRange(0, 4).Draw(t, "consumers"),
		Interval:   time.Duration(rapid.SampledFrom([]int{0, 1, 50, 500}).Draw(t, "interval")) * time.Millisecond,
		BatchSize:  Weight{Items: rapid.SampledFrom([]int{0, 1, 7, 40}).Draw(t, "size")},
		Weigh:      func(t thing) Weight { return Weight{Items: t.to - t.from} },
		Capacity:   rapid.SampledFrom([]int64{0, 1, 20, 100}).Draw(t, "capacity"),
		Unit:       rapid.SampledFrom([]Unit{UnitItems, UnitRequests}).Draw(t, "unit"),
		Overflow:   rapid.SampledFrom([]Overflow{OverflowWait, OverflowRefuse, OverflowDropOldest}).Draw(t, "overflow"),
		Adaptive:   rapid.Bool().Draw(t, "adaptive"),
		Reuse:      rapid.Bool().Draw(t, "reuse"),
	}
	if rapid.Bool().Draw(t, "observed") {
		c.witness = newWitness()
		c.cfg.Observer = &c.witness.Observer
	}
	if rapid.Bool().Draw(t, "capped") {
		c.cfg.MaxBatchSize.Items = c.cfg.BatchSize.Items + rapid.SampledFrom([]int{1, 5}).Draw(t, "over")
		c.cfg.Split = splitThing
	}
	if c.keys > 0 {
		c.cfg.Key = func(t thing) string {
			if t.byCall {
				return "PushKey says otherwise"
			}
			return t.key
		}
		c.cfg.OrderOnlyByPartition = rapid.Bool().Draw(t, "perLane")
	}
	if c.keys > 0 && !c.cfg.OrderOnlyByPartition {
		c.cfg.MaxKeys = rapid.SampledFrom([]int{0, 2}).Draw(t, "maxKeys")
		c.cfg.KeyCapacity = rapid.SampledFrom([]int64{0, 1, 10}).Draw(t, "keyCapacity")
		c.cfg.StallTimeout = rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 100 * time.Millisecond}).Draw(t, "stallTimeout")
	}
	if rapid.Bool().Draw(t, "limited") {
		c.cfg.Limiter = &chaosLimiter{seed: c.seed}
	}
	if rapid.Bool().Draw(t, "paced") {
		c.cfg.MinInterval = time.Duration(rapid.SampledFrom([]int{1, 30, 300}).Draw(t, "minInterval")) * time.Millisecond
	}
	if rapid.Bool().Draw(t, "linger") {
		c.cfg.Linger = time.Duration(rapid.SampledFrom([]int{1, 30, 1000}).Draw(t, "linger")) * time.Millisecond
	}
	sensible(&c.cfg)
	if rapid.Bool().Draw(t, "timeout") {
		c.cfg.ProcessTimeout = 100 * time.Millisecond
	}
	c.cfg.Dropped = c.drop
	if c.expires {
		c.cfg.Expired = func(t thing, _ time.Time) bool {
			expired, panics := c.expired(t.id)
			if panics {
				panic(errChaos)
			}
			return expired
		}
	}
	c.capacity = c.cfg.Capacity
	if c.cfg.MaxKeys > 0 { // a single push may bring more keys
		c.maxKeys = max(c.cfg.MaxKeys, 5)
	}
	return c
}

// chaosLimiter says anything, and pauses at times.
type chaosLimiter struct {
	seed  uint64
	asked uint64
	limit Limit
}

func (l *chaosLimiter) Limit() Limit { return l.limit }

func (l *chaosLimiter) Begin(now time.Time, _ int) { l.End(now, Call{}) }

func (l *chaosLimiter) End(now time.Time, _ Call) {
	l.asked++
	rng := rand.New(rand.NewPCG(l.seed, 3_000_000+l.asked))
	l.limit = Limit{Calls: rng.IntN(5) - 1}
	if rng.IntN(5) == 0 {
		l.limit.Pause = now.Add(time.Duration(rng.IntN(100)) * time.Millisecond)
	}
}

var errChaos = errors.New("chaos")

// expired reports whether a push expires, and whether Expired panics instead.
func (c *chaos) expired(id int) (expired, panics bool) { return id%4 == 1, id%16 == 2 }

// drop is the Dropped.
func (c *chaos) drop(t thing, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[t.id] += t.to - t.from
	expired, panics := c.expired(t.id)
	switch evicted := errors.Is(reason, ErrEvicted); {
	case evicted && c.cfg.Overflow != OverflowDropOldest, errors.Is(reason, ErrExpired) && !expired, isPanic(reason) && !panics:
		c.fault("%+v was dropped for %v", t, reason)
	}
}

// process is the next consumer: it checks what it gets, and behaves as drawn.
func (c *chaos) process(ctx context.Context, b Batch[thing]) (v Verdict[thing]) {
	c.mu.Lock()
	if c.over && ctx.Err() == nil { // one that was on its last step into Process has a context that is done
		c.fault("a call began after Shutdown returned")
	}
	c.checkPaused(b.Key, b.Closing)
	weight := Weight{}
	for _, t := range b.Items {
		weight.Items += t.to - t.from
		if c.refused[t.id] {
			c.fault("I1: refused or withdrawn, but delivered: %+v", t)
		}
		if expired, panics := c.expired(t.id); c.expires && (expired || panics) {
			c.fault("expired, but delivered: %+v", t)
		}
		c.taken[t.id] = true
	}
	if weight != b.Weight {
		c.fault("weight is %+v, stated as %+v", weight, b.Weight)
	}
	if limit := c.cfg.MaxBatchSize.Items; limit > 0 && weight.Items > limit+chaosUpdate {
		c.fault("I6: batch of %d, cap is %d", weight.Items, limit)
	} else if limit > 0 && weight.Items > limit && !c.updates {
		c.fault("I6: batch of %d, cap is %d", weight.Items, limit)
	}
	again := slices.ContainsFunc(b.Items, func(t thing) bool { return c.back[t.id] })
	if age := time.Since(b.Oldest); b.Reason == ReasonTimeout && !again && !c.updates && (c.cfg.Interval == 0 || age < c.cfg.Interval) {
		c.fault("I6: a batch after %v, with Interval %v", age, c.cfg.Interval)
	}
	partition := b.Key
	if c.cfg.OrderOnlyByPartition || c.keys == 0 {
		partition = "any"
	}
	ordered := c.keys > 0 && !c.cfg.OrderOnlyByPartition || c.oneLane() && (c.keys > 0 || c.cfg.Consumers <= 1)
	if c.inFlight[partition]++; ordered && c.inFlight[partition] > 1 {
		c.fault("I2: %d batches of %q in flight", c.inFlight[partition], partition)
	}
	if began, seen := c.began[partition]; seen && (ordered || c.oneLane() && c.keys == 0) && c.cfg.MaxKeys == 0 && !b.Closing && time.Since(began) < c.cfg.MinInterval {
		c.fault("a batch of %q after %v, with MinInterval %v", partition, time.Since(began), c.cfg.MinInterval)
	}
	c.began[partition] = time.Now()
	byKey := c.keys > 0 || c.cfg.Partitions > 1 || c.cfg.Consumers <= 1 // whoever has the same key stays in order
	for _, t := range b.Items {
		if c.keys > 0 && !c.cfg.OrderOnlyByPartition && b.Key != t.key {
			c.fault("%+v in a batch of %q", t, b.Key)
		}
		if ordered || byKey && t.key != "" {
			name := c.line(t)
			if l, seen := c.last[name]; seen && (t.id < l.id || t.id == l.id && t.from < l.to) {
				c.fault("I2: %+v came after %+v", t, l)
			}
			c.last[name] = t
		}
	}
	if ordered && c.cfg.MaxKeys == 0 && !b.Closing && time.Now().Before(c.resumes[partition]) {
		c.fault("a batch of %q %v too early for the After of the last one", partition, time.Until(c.resumes[partition]))
	}
	items := slices.Clone(b.Items)
	c.calls++
	rng := rand.New(rand.NewPCG(c.seed, uint64(c.calls)))
	how := c.behaviour[rng.IntN(len(c.behaviour))]
	if how == returnsRest || how == returnsRestLater {
		if c.tries[items[0].id]++; c.tries[items[0].id] > 3 {
			how = takes
		}
	}
	c.mu.Unlock()

	delay := time.Duration(rng.IntN(200)) * time.Millisecond
	var rest []thing
	took := 0 // of a failed batch
	switch how {
	case takes:
	case takesSlowly:
		time.Sleep(delay)
	case fails:
		v.Err, v.After = errChaos, delay
		c.mu.Lock()
		c.resumes[partition] = time.Now().Add(delay)
		c.mu.Unlock()
	case panics:
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
	case takesSome:
		v.Err = errChaos
		took = rng.IntN(weight.Items + 1)
		v.Taken = took
	case namesFailed:
		v.Errs = nameFailed(rng, len(items))
		c.mu.Lock()
		for i, t := range items {
			if v.Errs[i] == nil {
				took += t.to - t.from
			} else {
				c.named[t.id] = true
			}
		}
		c.mu.Unlock()
	case hangs:
		select {
		case <-ctx.Done():
			v.Err = context.Cause(ctx)
		case <-time.After(10 * delay):
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight[partition]--
	for _, t := range items[:len(items)-len(rest)] {
		c.settled[t.id] += t.to - t.from
		if v.Err == nil && how != panics && how != namesFailed {
			c.ok += int64(t.to - t.from)
		}
	}
	c.ok += int64(took)
	for i := len(rest) - 1; i >= 0; i-- { // they come again
		c.last[c.line(rest[i])] = thing{id: rest[i].id, to: rest[i].from}
		c.back[rest[i].id] = true
	}
	if how == panics {
		panic(errChaos)
	}
	return v
}

func (c *chaos) produce(q *Queue[thing], producer int) {
	rng := rand.New(rand.NewPCG(c.seed, 1_000_000+uint64(producer)))
	for i := range c.pushes {
		var things []thing
		units := 0
		id := producer*1000 + i
		for range 1 + rng.IntN(5)*rng.IntN(2) {
			n := 1 + rng.IntN(12)
			t := thing{id: id, producer: producer, from: units, to: units + n}
			if c.keys > 0 {
				t.key = fmt.Sprint("key", rng.IntN(c.keys))
			}
			units += n
			things = append(things, t)
		}
		byCall := c.pushKeys && rng.IntN(3) == 0
		for i := range things {
			if byCall {
				things[i].key, things[i].byCall = fmt.Sprint("key", id%3), true
			}
		}
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if c.cancels && rng.IntN(3) == 0 {
			patience := 300
			if c.impatient {
				patience = 10
			}
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(patience))*time.Millisecond)
		}
		wait := c.waiting && rng.IntN(2) == 0 && !byCall
		c.mu.Lock()
		c.accepted[id] = units // before the push: process may see it before the push returns
		c.mu.Unlock()
		var err error
		switch {
		case wait:
			err = q.PushWait(ctx, things...)
		case byCall:
			err = q.PushKey(ctx, things[0].key, things...)
		default:
			err = q.Push(ctx, things...)
		}
		cancel()
		accepted := err == nil || wait && (errors.Is(err, ErrAbandoned) || errors.Is(err, ErrWithdrawn) || errors.Is(err, ErrDropped) || errors.Is(err, ErrEvicted) || errors.Is(err, ErrExpired) || errors.Is(err, errChaos) || isPanic(err) || isTimeout(c, err))
		c.mu.Lock()
		rests := slices.Contains(c.behaviour, returnsRest) || slices.Contains(c.behaviour, returnsRestLater)
		if wait && !rests && errors.Is(err, errNamed) != c.named[id] && (err == nil || !c.named[id]) { // a Rest without From is anybody's
			c.fault("push %d got %v, and has items that are named as failed: %v", id, err, c.named[id])
		}
		if wait && err == nil && c.settled[id] != units {
			c.fault("the PushWait of push %d returned nil when %d of %d were delivered", id, c.settled[id], units)
		}
		if c.gaveUp[id] = errors.Is(err, ErrAbandoned); errors.Is(err, ErrWithdrawn) {
			c.gaveUp[id], c.refused[id] = true, true
			if c.taken[id] {
				c.fault("push %d got %v, but some of it was in a call", id, err)
			}
		}
		if !accepted {
			delete(c.accepted, id)
			c.refused[id] = true
			if c.settled[id] > 0 {
				c.fault("I1: push %d got %v, but %d of it were delivered", id, err, c.settled[id])
			}
		}
		c.mu.Unlock()
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
	}
}

// errNamed is the error of what nameFailed names.
var errNamed = fmt.Errorf("named: %w", errChaos)

// nameFailed returns Errs for a batch of n items, of which about a third fail.
func nameFailed(rng *rand.Rand, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		if rng.IntN(3) == 0 {
			errs[i] = errNamed
		}
	}
	return errs
}

func isPanic(err error) bool {
	var p *PanicError
	return errors.As(err, &p)
}

// isTimeout tells the ProcessTimeout's error, or Shutdown's cancellation, that the call returned from that of the push.
func isTimeout(_ *chaos, err error) bool {
	return !errors.Is(err, ErrClosed) && !errors.Is(err, ErrFull) && !errors.Is(err, ErrTooManyKeys) && !isGaveUp(err)
}

func isGaveUp(err error) bool {
	return err != nil && len(err.Error()) > 30 && err.Error()[:30] == "partitioned: nothing accepted,"
}

func (c *chaos) run() {
	q, err := NewUnstarted(c.cfg)
	if err != nil {
		c.fault("NewUnstarted: %v", err)
		return
	}
	if err := q.Start(); err != nil {
		c.fault("Start: %v", err)
	}
	var wg sync.WaitGroup
	for p := range c.producers {
		wg.Go(func() { c.produce(q, p) })
	}
	stop := make(chan struct{})
	wg.Go(func() { // I1 and I5, all the time
		for {
			select {
			case <-stop:
				return
			case <-time.After(7 * time.Millisecond):
			}
			c.check(q.Stats())
			c.checkBooks(wrongRanking(q) + wrongBacklogs(q))
		}
	})
	if c.updates {
		wg.Go(func() { c.update(q, stop) })
	}
	if c.pauses {
		var keys []string
		for k := range c.keys {
			keys = append(keys, fmt.Sprint("key", k))
		}
		if !q.byKey() {
			keys = nil // a partition has many
		}
		wg.Go(func() { c.pause(q, keys, c.seed, stop) })
	}
	if c.flushes {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_ = q.Flush(ctx)
				cancel()
			}
		})
	}
	st := c.end(q, len(q.partitions), stop, &wg)
	accepted, back := 0, 0
	for id, n := range c.accepted {
		accepted += n
		if c.gaveUp[id] {
			back += n - c.settled[id] - c.dropped[id]
		}
		if c.settled[id]+c.dropped[id] > n {
			c.fault("I1: push %d had %d, %d were delivered", id, n, c.settled[id])
		}
		if st.Lost == 0 && c.settled[id]+c.dropped[id] != n && !c.gaveUp[id] {
			c.fault("I1: push %d had %d, %d were delivered, and %d were dropped", id, n, c.settled[id], c.dropped[id])
		}
	}
	if w := c.witness; w != nil && st.Lost == 0 && st.Returned != w.sum.Returned+int64(back) {
		c.fault("I1: %d were taken back and %d failed, the queue says %d", back, w.sum.Returned, st.Returned)
	}
	dropped := 0
	for _, n := range c.dropped {
		dropped += n
	}
	if st.Evicted+st.Expired+st.Stalled != int64(dropped) {
		c.fault("I1: Dropped heard of %d, the queue says %d evicted, %d expired, %d stalled", dropped, st.Evicted, st.Expired, st.Stalled)
	}
	if st.Accepted != int64(accepted) {
		c.fault("I1: %d were accepted, the queue says %d", accepted, st.Accepted)
	}
	if err := q.Push(context.Background(), thing{to: 1}); !errors.Is(err, ErrClosed) {
		c.fault("I7: Push after Shutdown: %v", err)
	}
}

// chaosUpdate is how far an Update goes beyond the sizes drawn.
const chaosUpdate = 5

// update changes the queue until stop.
func (c *chaos) update(q *Queue[thing], stop chan struct{}) {
	rng := rand.New(rand.NewPCG(c.seed, 2_000_000))
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(200)) * time.Millisecond):
		}
		more := rng.IntN(chaosUpdate + 1)
		size, limit := c.cfg.BatchSize, c.cfg.MaxBatchSize
		size.Items = rng.IntN(size.Items + more + 1)
		if limit.Items > 0 {
			limit.Items += more
		}
		interval := c.cfg.Interval * time.Duration(rng.IntN(3))
		timeout := c.cfg.ProcessTimeout * time.Duration(1+rng.IntN(2))
		most := 5
		if n := len(q.partitions); n > 1 && c.cfg.Key == nil || c.cfg.OrderOnlyByPartition {
			most = min(most, n)
		}
		consumers := 1 + rng.IntN(most)
		change := Change{Consumers: &consumers, BatchSize: &size, MaxBatchSize: &limit, ProcessTimeout: &timeout}
		if rng.IntN(2) == 0 {
			change.Interval = &interval
		}
		if err := q.Update(change); err != nil {
			c.mu.Lock()
			c.fault("Update: %v", err)
			c.mu.Unlock()
		}
	}
}

// TestChaos runs random scripts, against the invariants I1, I2, I5, I6 and I7. A run that cannot end fails by synctest's
// own check for deadlock.
func TestChaos(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := drawChaos(rt)
		synctest.Test(t, func(*testing.T) { c.run() })
		if len(c.faults) > 0 {
			rt.Fatalf("%d faults, first ones:\n%s", len(c.faults), c.faults[:min(5, len(c.faults))])
		}
	})
}

// drawGroups divides n items of a Rest into groups, all or some of them, or none.
func drawGroups(rng *rand.Rand, n int) (groups []int) {
	for n > 0 && rng.IntN(4) > 0 {
		groups = append(groups, 1+rng.IntN(n))
		n -= groups[len(groups)-1]
	}
	return groups
}

// lastOf is the From of a Rest that is the last n of so many items.
func lastOf(items, n int) (from []int) {
	for i := range n {
		from = append(from, items-n+i)
	}
	return from
}
