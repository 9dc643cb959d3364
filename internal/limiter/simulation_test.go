// SPDX-License-Identifier: Apache-2.0

package limiter

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The backend of the tests has room for so many calls, each of which takes 20 ms ± 10 %. Above that calls share it, and above twice that it
// refuses after 1 ms. Time advances by a millisecond.

// backend is what a simulation calls.
type backend struct {
	capacity func(at time.Duration) int
	work     func(at time.Duration, rng *rand.Rand, size int) float64 // of a call, in ms when it is alone; nil: 20 ± 10 %
	errors   float64                                                  // part of the calls that is refused for nothing
	patient  bool                                                     // it never refuses
}

// client makes calls, as many as its limiter allows, or as fixed says.
type client struct {
	limiter *Limiter
	fixed   int
	from    time.Duration // when it begins
	rate    float64       // calls a ms; 0: as many as it may
	size    func(at time.Duration, rng *rand.Rand) int

	calls  []*simCall
	saved  float64 // calls that rate allows
	taken  []int   // by second
	denied []int
	limits []int // by ms
}

type simCall struct {
	begin   time.Duration
	left    float64
	size    int
	refused bool
}

var simStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// simulate runs clients against b.
func simulate(b backend, seed uint64, length time.Duration, clients ...*client) {
	rng := rand.New(rand.NewPCG(seed, 1))
	if b.work == nil {
		b.work = func(_ time.Duration, rng *rand.Rand, _ int) float64 { return 18 + 4*rng.Float64() }
	}
	for at := time.Duration(0); at < length; at += time.Millisecond {
		capacity, active := b.capacity(at), 0
		for _, c := range clients {
			for _, call := range c.calls {
				if !call.refused {
					active++
				}
			}
		}
		speed := min(1, float64(capacity)/float64(max(active, 1)))
		order := rng.Perm(len(clients))
		for _, i := range order {
			clients[i].finish(at, speed)
		}
		for _, i := range order {
			clients[i].begin(at, &b, capacity, &active, rng)
		}
	}
}

// finish ends the calls that are over.
func (c *client) finish(at time.Duration, speed float64) {
	for len(c.taken) <= int(at/time.Second) {
		c.taken, c.denied = append(c.taken, 0), append(c.denied, 0)
	}
	c.calls = slices.DeleteFunc(c.calls, func(call *simCall) bool {
		if call.left -= speed; call.left > 0 && !call.refused {
			return false
		}
		outcome := Taken
		if call.refused {
			outcome = Refused
			c.denied[at/time.Second]++
		} else {
			c.taken[at/time.Second]++
		}
		if c.limiter != nil {
			c.limiter.End(simStart.Add(at), Call{Outcome: outcome, Duration: at - call.begin, Size: call.size})
		}
		return true
	})
}

// begin makes as many calls as may be.
func (c *client) begin(at time.Duration, b *backend, capacity int, active *int, rng *rand.Rand) {
	limit := c.fixed
	if c.limiter != nil {
		limit = c.limiter.Limit()
	}
	c.limits = append(c.limits, limit)
	if at < c.from {
		return
	}
	c.saved = min(c.saved+c.rate, 10)
	for len(c.calls) < limit && (c.rate == 0 || c.saved >= 1) {
		c.saved--
		size := 100
		if c.size != nil {
			size = c.size(at, rng)
		}
		call := &simCall{begin: at, left: b.work(at, rng, size), size: size}
		call.refused = *active >= 2*capacity && !b.patient || rng.Float64() < b.errors
		if !call.refused {
			*active++
		}
		c.calls = append(c.calls, call)
		if c.limiter != nil {
			c.limiter.Begin(simStart.Add(at), len(c.calls))
		}
	}
}

// steps is a capacity that changes every so often.
func steps(every time.Duration, all ...int) func(time.Duration) int {
	return func(at time.Duration) int { return all[min(int(at/every), len(all)-1)] }
}

func always(c int) func(time.Duration) int { return steps(time.Hour, c) }

// between adds up seconds.
func between(bySecond []int, from, to int) (sum int) {
	for _, n := range bySecond[from:min(to, len(bySecond))] {
		sum += n
	}
	return sum
}

// best is what the best fixed number of calls delivers from one second to another.
func best(b backend, seed uint64, length time.Duration, from, to int, numbers ...int) (taken int) {
	for _, n := range numbers {
		c := &client{fixed: n}
		simulate(b, seed, length, c)
		taken = max(taken, between(c.taken, from, to))
	}
	return taken
}
