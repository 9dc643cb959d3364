// SPDX-License-Identifier: Apache-2.0

// Package limiter decides how many calls of a backend run at once, by how long they take and how many it refuses. It is pure: whoever
// uses it passes in the time.
package limiter

import (
	"slices"
	"time"
)

// Limiter is additive increase, multiplicative decrease, in rounds, as in TCP. A round is a median of latencies: it lasts at least
// minRound and one median, and has some successes.
//
//   - A refusal takes one off the limit at once. A few are tolerated, as any backend has errors: each success earns a part of a token,
//     and a refusal that finds a token costs that.
//   - The limit grows once a round, if it was reached, nothing was taken off, and the median is near the baseline: by 1, then twice as much
//     each time, up to a quarter of the limit; near the level that was refused last only by 1.
//   - A median far above the baseline is a queue in the backend: the limit shrinks in proportion.
//   - The baseline is the least median of the last baselineAge. If less calls do not make them faster, the backend is slower, not fuller:
//     the limit is restored, and the present median is the baseline.
//
// Seven algorithms were compared in a simulation: the limiter of failsafe-go, Vector's, Gradient2 and Vegas had more refusals, settled
// later, or did not reach the best fixed number when the backend changed.
//
// It is not safe for concurrent use.
type Limiter struct {
	cfg   Config
	limit int
	pause time.Time

	tokens  float64
	step    int // of the next growth
	refused struct {
		level int       // the limit when a refusal was charged last
		at    time.Time // zero: none was
	}
	round     round
	sizes     sizes
	baselines []baseline
	cut       struct { // why the limit was cut, until that is known to help
		from   int
		median float64
	}
	changes Changes
}

// Config says where the limit begins, and between what it stays: 1 <= Min <= Initial <= Max.
type Config struct{ Min, Initial, Max int }

// Changes counts why the limit changed.
type Changes struct{ Grown, Refused, Slow, Restored int64 }

// Outcome is how a call ended.
type Outcome int

// How a call ends.
const (
	Taken   Outcome = iota
	Refused         // the backend has too much to do, or did not answer in time
	Other           // another error, which says nothing of the load
)

// Call is a call that has ended.
type Call struct {
	Outcome  Outcome
	Duration time.Duration
	Size     int           // of what was sent, in any unit
	Pause    time.Duration // that the backend asks for; 0: none
}

const (
	minRound     = 100 * time.Millisecond
	mostNeeded   = 8    // successes of a round
	earned       = 0.05 // tokens a success
	mostTokens   = 3
	nearBaseline = 1.5 // medians up to here let the limit grow
	farBaseline  = 2.0 // medians above shrink it
	leastCut     = 0.8 // of the limit that is left at least
	cutToJudge   = 0.7 // of the limit: from here on a cut must have helped
	helped       = 0.85
	baselineAge  = 10 * time.Second
	nearRefusal  = 3 * time.Second
)

// round is what was seen since now and then.
type round struct {
	begin   time.Time
	medians []float64 // latencies, normalised, in seconds
	reached bool      // as many calls ran as may
	charged bool      // a refusal cost
}

// baseline is the median of a round, and the mean size of its calls.
type baseline struct {
	at           time.Time
	median, size float64
}

// New makes a Limiter.
func New(cfg Config) *Limiter {
	return &Limiter{cfg: cfg, limit: cfg.Initial, step: 1, sizes: sizes{share: 0.5}}
}

// Limit is how many calls may run at once.
func (l *Limiter) Limit() int { return l.limit }

// Pause is until when the backend wants to be left alone; zero or over: it does not.
func (l *Limiter) Pause() time.Time { return l.pause }

// Changes says why the limit changed so far.
func (l *Limiter) Changes() Changes { return l.changes }

// Begin says that a call begins. calls: those that run, this one included.
func (l *Limiter) Begin(now time.Time, calls int) {
	if l.round.begin.IsZero() {
		l.round.begin = now
	}
	l.round.reached = l.round.reached || calls >= l.limit
}

// End says how a call ended.
func (l *Limiter) End(now time.Time, c Call) {
	if until := now.Add(c.Pause); c.Pause > 0 && until.After(l.pause) {
		l.pause = until
	}
	switch c.Outcome {
	case Taken:
		l.tokens = min(l.tokens+earned, mostTokens)
		l.round.medians = append(l.round.medians, l.sizes.normalise(c.Duration.Seconds(), float64(max(c.Size, 1))))
		l.endRound(now)
	case Refused:
		l.charge(now)
	case Other:
	}
}

// charge takes a token for a refusal, or else one off the limit.
func (l *Limiter) charge(now time.Time) {
	if l.tokens >= 1 {
		l.tokens--
		return
	}
	l.refused.level, l.refused.at = l.limit, now
	l.round.charged, l.step = true, 1
	if l.limit > l.cfg.Min {
		l.limit--
		l.changes.Refused++
	}
}

// endRound judges the round if it is over.
func (l *Limiter) endRound(now time.Time) {
	r := &l.round
	lasted := now.Sub(r.begin)
	if lasted < minRound || len(r.medians) < min(mostNeeded, 2*l.limit) {
		return
	}
	median := medianOf(r.medians)
	if lasted.Seconds() < median {
		return
	}
	base := l.base(now, median)
	switch {
	case median > farBaseline*base:
		l.shrink(now, median, base)
	case l.round.reached && !l.round.charged && median <= nearBaseline*base:
		l.grow(now)
		l.cut.from = 0
	default:
		l.step, l.cut.from = 1, 0
	}
	*r = round{begin: now, medians: r.medians[:0]}
}

// base returns the least median of the last baselineAge, this one included, for calls of the present size.
func (l *Limiter) base(now time.Time, median float64) float64 {
	l.baselines = slices.DeleteFunc(l.baselines, func(b baseline) bool { return now.Sub(b.at) > baselineAge })
	l.baselines = append(l.baselines, baseline{now, median, l.sizes.mean})
	least := median
	for _, b := range l.baselines {
		least = min(least, b.median*l.sizes.scale(l.sizes.mean, b.size))
	}
	return least
}

func (l *Limiter) grow(now time.Time) {
	if !l.refused.at.IsZero() && now.Sub(l.refused.at) < nearRefusal && l.limit+l.step >= l.refused.level {
		l.step = 1
	}
	if l.limit < l.cfg.Max {
		l.limit = min(l.limit+l.step, l.cfg.Max)
		l.changes.Grown++
	}
	l.step = min(2*l.step, max(l.limit/4, 1))
}

// shrink cuts the limit in proportion, and takes that back if it did not help.
func (l *Limiter) shrink(now time.Time, median, base float64) {
	l.step = 1
	if l.cut.from == 0 {
		l.cut.from, l.cut.median = l.limit, median
	}
	if float64(l.limit) <= cutToJudge*float64(l.cut.from) && median > helped*l.cut.median {
		l.limit, l.cut.from = l.cut.from, 0
		l.baselines = append(l.baselines[:0], baseline{now, median, l.sizes.mean})
		l.changes.Restored++
		return
	}
	if left := max(int(float64(l.limit)*max(leastCut, farBaseline*base/median)), l.cfg.Min); left < l.limit {
		l.limit = left
		l.changes.Slow++
	}
}

// medianOf sorts all.
func medianOf(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
