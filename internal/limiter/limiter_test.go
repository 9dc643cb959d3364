// SPDX-License-Identifier: Apache-2.0

package limiter

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var most64 = Config{Min: 1, Initial: 1, Max: 64}

func adaptive() *client { return &client{limiter: New(most64)} }

// TestLimiterFollowsTheCapacity: in each phase it is there within 10 s, 15 s at a capacity of 1, and delivers then at least 0.9 of the
// best fixed number, with at most a tenth of the refusals of 64.
func TestLimiterFollowsTheCapacity(t *testing.T) {
	const phase = 30
	capacities := []int{4, 32, 8, 1, 16}
	b := backend{capacity: steps(phase*time.Second, capacities...)}
	for seed := range uint64(1) {
		c, fixed := adaptive(), &client{fixed: 64}
		simulate(b, seed, 5*phase*time.Second, c)
		simulate(b, seed, 5*phase*time.Second, fixed)
		for i, capacity := range capacities {
			settled := 10
			if capacity == 1 {
				settled = 15
			}
			from, to := i*phase+settled, (i+1)*phase
			want := best(backend{capacity: always(capacity)}, seed, phase*time.Second, settled, phase, capacity, capacity+1, 2*capacity)
			got, refused, by64 := between(c.taken, from, to), between(c.denied, i*phase, to), between(fixed.denied, i*phase, to)
			t.Logf("seed %d, capacity %2d: %.2f delivered, %d refused, %d by 64, limit %d", seed, capacity, float64(got)/float64(want), refused, by64, c.limits[to*1000-1])
			if float64(got) < 0.9*float64(want) {
				t.Errorf("seed %d, capacity %d: %d delivered, the best fixed number %d", seed, capacity, got, want)
			}
			if by64 > 0 && refused > by64/10 {
				t.Errorf("seed %d, capacity %d: %d refused, 64 have %d", seed, capacity, refused, by64)
			}
		}
	}
}

// TestLimitThatIsNotUsedDoesNotGrow: at light load a limit that grows would be no limit when it is needed.
func TestLimitThatIsNotUsedDoesNotGrow(t *testing.T) {
	c := &client{limiter: New(most64), rate: 0.2} // 4 calls at once are enough
	simulate(backend{capacity: always(16)}, 1, time.Minute, c)
	if limit := c.limiter.Limit(); limit < 4 || limit > 20 {
		t.Errorf("the limit is %d", limit)
	}
}

// TestFewErrorsAreTolerated: without that 1 % of them pin the limit.
func TestFewErrorsAreTolerated(t *testing.T) {
	b := backend{capacity: always(32), errors: 0.01}
	c := adaptive()
	simulate(b, 1, time.Minute, c)
	if got, want := between(c.taken, 10, 60), best(b, 1, time.Minute, 10, 60, 32, 64); float64(got) < 0.9*float64(want) {
		t.Errorf("%d delivered, the best fixed number %d", got, want)
	}
}

// TestHeavyTail: one call in fifty takes ten times as long.
func TestHeavyTail(t *testing.T) {
	b := backend{capacity: always(16), work: func(_ time.Duration, rng *rand.Rand, _ int) float64 {
		if rng.IntN(50) == 0 {
			return 200
		}
		return 18 + 4*rng.Float64()
	}}
	c := adaptive()
	simulate(b, 1, time.Minute, c)
	if got, want := between(c.taken, 10, 60), best(b, 1, time.Minute, 10, 60, 16, 20, 24, 32); float64(got) < 0.9*float64(want) {
		t.Errorf("%d delivered, the best fixed number %d", got, want)
	}
}

// TestSlowerBackendIsNoFullBackend: if each call takes five times as long, less calls do not make it faster.
func TestSlowerBackendIsNoFullBackend(t *testing.T) {
	b := backend{capacity: always(16), work: func(at time.Duration, rng *rand.Rand, _ int) float64 {
		if at > 20*time.Second {
			return 90 + 20*rng.Float64()
		}
		return 18 + 4*rng.Float64()
	}}
	c := adaptive()
	simulate(b, 1, 60*time.Second, c)
	if got, want := between(c.taken, 30, 60), best(b, 1, 60*time.Second, 30, 60, 16, 24, 32); float64(got) < 0.9*float64(want) {
		t.Errorf("%d delivered, the best fixed number %d", got, want)
	}
}

// TestBackendThatSlowsDownAndNeverRefuses keeps the limit near its capacity while that is all the limiter knows.
func TestBackendThatSlowsDownAndNeverRefuses(t *testing.T) {
	b := backend{capacity: always(8), patient: true}
	c := adaptive()
	simulate(b, 1, 30*time.Second, c)
	if got, want := between(c.taken, 5, 30), best(b, 1, 30*time.Second, 5, 30, 8, 16); float64(got) < 0.9*float64(want) {
		t.Errorf("%d delivered, the best fixed number %d", got, want)
	}
}

// TestLateComerGetsItsShare: two limiters share a backend.
func TestLateComerGetsItsShare(t *testing.T) {
	for seed := range uint64(3) {
		first, late := adaptive(), adaptive()
		late.from = 30 * time.Second
		simulate(backend{capacity: always(16)}, seed, 90*time.Second, first, late)
		a, b := between(first.taken, 60, 90), between(late.taken, 60, 90)
		share := float64(b) / float64(a+b)
		t.Logf("seed %d: share %.2f of %d, limits %d and %d", seed, share, a+b, first.limiter.Limit(), late.limiter.Limit())
		if share < 0.4 || share > 0.6 {
			t.Errorf("seed %d: the late-comer gets %.2f", seed, share)
		}
	}
}

// TestSizeIsNoSlowness: calls that carry ten times as much take ten times as long.
func TestSizeIsNoSlowness(t *testing.T) {
	b := backend{capacity: always(16), work: func(_ time.Duration, rng *rand.Rand, size int) float64 {
		return 2 + float64(size)/1000*(18+4*rng.Float64())
	}}
	size := func(at time.Duration, rng *rand.Rand) int {
		if at/(20*time.Second)%2 == 1 {
			return 4000 + rng.IntN(4000)
		}
		return 400 + rng.IntN(400)
	}
	c := &client{limiter: New(most64), size: size}
	fixed := &client{fixed: 16, size: size}
	simulate(b, 1, 80*time.Second, c)
	simulate(b, 1, 80*time.Second, fixed)
	for from := 10; from < 80; from += 20 {
		if got, want := between(c.taken, from, from+10), between(fixed.taken, from, from+10); float64(got) < 0.85*float64(want) {
			t.Errorf("from %d s: %d delivered, 16 deliver %d; limit %d", from, got, want, c.limits[from*1000])
		}
	}
}

// TestPause: the longest that was asked for holds.
func TestPause(t *testing.T) {
	l, now := New(most64), simStart
	l.End(now, Call{Outcome: Refused, Pause: 3 * time.Second})
	l.End(now.Add(time.Second), Call{Outcome: Refused, Pause: time.Second})
	l.End(now.Add(time.Second), Call{Outcome: Refused})
	if got := l.Pause(); !got.Equal(now.Add(3 * time.Second)) {
		t.Error(got)
	}
}

// TestOtherErrorsSayNothing of the load.
func TestOtherErrorsSayNothing(t *testing.T) {
	l := New(Config{Min: 1, Initial: 10, Max: 20})
	for i := range 1000 {
		now := simStart.Add(time.Duration(i) * time.Millisecond)
		l.Begin(now, 10)
		l.End(now, Call{Outcome: Other, Duration: time.Millisecond, Size: 1})
	}
	if l.Limit() != 10 || l.Changes() != (Changes{}) {
		t.Error(l.Limit(), l.Changes())
	}
}

// TestLimiterKeepsItsBounds, whatever it hears.
func TestLimiterKeepsItsBounds(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		cfg := Config{Min: 1 + rng.IntN(5)}
		cfg.Initial = cfg.Min + rng.IntN(10)
		cfg.Max = cfg.Initial + rng.IntN(50)
		l, now := New(cfg), simStart
		for range 5000 {
			l.Begin(now, rng.IntN(cfg.Max)+1)
			now = now.Add(time.Duration(rng.IntN(50)) * time.Millisecond)
			l.End(now, Call{
				Outcome: Outcome(rng.IntN(20) / 9), Size: rng.IntN(1000), Duration: time.Duration(rng.ExpFloat64() * float64(time.Second)),
			})
			if l.Limit() < cfg.Min || l.Limit() > cfg.Max {
				t.Fatalf("the limit is %d, bounds are %+v", l.Limit(), cfg)
			}
			if math.IsNaN(l.sizes.mean + l.sizes.latency + l.sizes.share) {
				t.Fatal("not a number")
			}
		}
	}
}
