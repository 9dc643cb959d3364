// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// Limiter decides how many calls of Process run at once, by how they end. The consumers call its methods, one at a time, under a lock
// that guards nothing else. They must not block, nor use the queue. A panic costs the call: what the Limiter said last holds.
type Limiter interface {
	// Begin is called before a batch is cut. calls: those that run, this one included.
	Begin(now time.Time, calls int)
	// End is told of each call for which Begin was called.
	End(now time.Time, call Call)
	// Limit is asked at the start, and after Begin and End.
	Limit() Limit
}

// Limit is what a Limiter says. It holds until the Limiter is asked again.
type Limit struct {
	Calls int       // that may run at once: at least 1, at most Consumers
	Pause time.Time // no call begins before; zero: at once. Shutdown does not wait for it
}

// Call is what a Limiter is told of a call of Process.
type Call struct {
	Made     bool          // false: no call was made, as nothing was left for a batch
	Duration time.Duration // of Process
	Weight   Weight        // of the batch
	Failed   bool          // its Verdict has an Err or a Rest
	Refused  bool          // from its Verdict
	Pause    time.Duration // from its Verdict
}

// limits asks the Limiter, and remembers what it said.
type limits struct {
	of       Limiter                          // nil: there is none
	apply    func(calls int, pause time.Time) // makes it hold
	observer *Observer                        // hears of panics
	queue    string                           // its name

	mu struct { // before the scheduler's lock
		sync.Mutex
		most  int // Consumers
		limit Limit
		calls int // that run
	}
}

// calls returns the number of calls that may run at once. Lock held.
func (l *limits) calls() int {
	if l.of == nil {
		return l.mu.most
	}
	return min(l.mu.most, max(l.mu.limit.Calls, 1))
}

// now is calls without the lock.
func (l *limits) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls()
}

// setMost says how many consumers there are.
func (l *limits) setMost(most int) {
	defer l.observer.guard(l.queue, "Limiter.Limit")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.most = most
	if l.of != nil {
		l.mu.limit = l.of.Limit()
	}
	l.apply(l.calls(), l.mu.limit.Pause)
}

// begin tells the Limiter that a call begins.
func (l *limits) begin() {
	defer l.observer.guard(l.queue, "Limiter.Begin")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.calls++
	l.of.Begin(time.Now(), l.mu.calls)
	l.ask()
}

// end tells the Limiter of a call.
func (l *limits) end(c Call) {
	defer l.observer.guard(l.queue, "Limiter.End")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.calls--
	l.of.End(time.Now(), c)
	l.ask()
}

// ask tells the scheduler what the Limiter says, under the lock, so that it hears last what was said last.
func (l *limits) ask() {
	if limit := l.of.Limit(); limit != l.mu.limit {
		l.mu.limit = limit
		l.apply(l.calls(), limit.Pause)
	}
}

// callBegins says that a consumer is about to cut a batch.
func (q *Queue[T]) callBegins() {
	if q.limits.of != nil {
		q.limits.begin()
	}
}

// callEnded says how that ended.
func (q *Queue[T]) callEnded(c *call[T], v *Verdict[T]) {
	if q.limits.of == nil {
		return
	}
	end := Call{Weight: c.batch.Weight, Failed: v.Err != nil || len(v.Rest) > 0, Refused: v.Refused, Pause: v.Pause}
	// What was withdrawn before Process began made no call either.
	if end.Made = !c.entered.IsZero() && v.Returned < c.batch.Weight.Items; end.Made {
		end.Duration = time.Since(c.entered)
	}
	q.limits.end(end)
}
