// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// atOnce counts the calls that run, and the most there were.
type atOnce struct {
	mu        sync.Mutex
	now, most int
	takes     time.Duration
}

func (a *atOnce) process(context.Context, Batch[parcel]) (v Verdict[parcel]) {
	a.mu.Lock()
	a.now++
	a.most = max(a.most, a.now)
	a.mu.Unlock()
	time.Sleep(a.takes)
	a.mu.Lock()
	a.now--
	a.mu.Unlock()
	return v
}

// since returns the most calls there were at once since it was asked last.
func (a *atOnce) since() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := a.most
	a.most = a.now
	return most
}

// TestUpdateChangesTheConsumers of a running queue: more begin at once, and those that are too many end their calls.
func TestUpdateChangesTheConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &atOnce{takes: time.Second}
		q := start(t, QueueConfig[parcel]{Process: a.process, Consumers: 2, Interval: time.Hour, BatchSize: Weight{Items: 1}})
		for range 200 {
			q.Push(bg, parcel{})
		}
		for _, n := range []int{2, 8, 3, 1, 12} {
			if err := q.Update(Change{Consumers: &n}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1500 * time.Millisecond)
			a.since()
			time.Sleep(3 * time.Second)
			if got := a.since(); got != n {
				t.Errorf("%d calls at once, want %d", got, n)
			}
			if st := q.Stats(); st.Consumers != int64(n) || st.Limit != int64(n) || st.Busy != int64(n) {
				t.Errorf("%d: %+v", n, st)
			}
		}
		negative := -1
		if q.Update(Change{Consumers: &negative}) == nil {
			t.Error("a negative number was taken")
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestOneConsumerKeepsItsOrder though Update makes more of it.
func TestOneConsumerKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{answer: func(b Batch[parcel]) (v Verdict[parcel]) {
			time.Sleep(time.Duration(10-b.Items[0].id%10) * time.Millisecond)
			if b.Items[0].id%7 == 0 && b.Items[0].n == 0 {
				again := slices.Clone(b.Items)
				again[0].n = 1
				v.Rest = again
			}
			return v
		}}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 1}})
		four := 4
		q.Update(Change{Consumers: &four})
		for id := range 100 {
			q.Push(bg, parcel{id: id})
		}
		q.Shutdown(bg)
		last := -1
		for _, b := range l.all() {
			if b[0] < last {
				t.Errorf("%d came after %d", b[0], last)
			}
			last = b[0]
		}
	})
}

// limiter is a Limiter that says what a test wants.
type limiter struct {
	mu           sync.Mutex
	limit        Limit
	begun, ended int
	most         int // calls, as Begin was told
	last         Call
}

func (l *limiter) Begin(_ time.Time, calls int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	l.most = max(l.most, calls)
}

func (l *limiter) End(_ time.Time, c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended++
	if c.Made {
		l.last = c
	}
	if c.Refused {
		l.limit.Calls = max(l.limit.Calls-1, 1)
	}
	if c.Pause > 0 {
		l.limit.Pause = time.Now().Add(c.Pause)
	}
}

func (l *limiter) Limit() Limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

// TestLimiterLimitsTheCalls from the first on, and hears how each ended.
func TestLimiterLimitsTheCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := &limiter{limit: Limit{Calls: 3}}
		var refused atomic.Bool
		calls := &recorder{}
		calls.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if b.Items[0].id == 4 && refused.CompareAndSwap(false, true) {
				time.Sleep(900 * time.Millisecond)
				return Verdict[parcel]{Rest: slices.Clone(b.Items), Refused: true, Pause: 10 * time.Second, After: time.Second}
			}
			time.Sleep(time.Second)
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: calls.process, Limiter: l, Consumers: 10, Interval: time.Hour, BatchSize: Weight{Items: 1}})
		for id := range 10 {
			q.Push(bg, parcel{id: id})
		}
		time.Sleep(time.Minute)
		// Three at once; the fifth is refused after 1.9 s, and asks for 10 s: then two at once.
		if got := fmt.Sprint(calls.seconds(begin)); got != "[0 0 0 1 1 1 11.9 11.9 12.9 12.9 13.9]" {
			t.Error(got)
		}
		l.mu.Lock()
		if l.begun != l.ended || l.begun < 11 || l.most != 3 || l.last.Duration != time.Second || l.last.Weight.Items != 1 || l.last.Failed {
			t.Errorf("%+v", l)
		}
		l.mu.Unlock()
		if st := q.Stats(); st.Limit != 2 || st.Consumers != 10 {
			t.Errorf("%+v", st)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestShutdownWaitsForNoPause of a Limiter.
func TestShutdownWaitsForNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{limit: Limit{Calls: 1, Pause: time.Now().Add(time.Hour)}}
		a := &atOnce{}
		q := start(t, QueueConfig[parcel]{Process: a.process, Limiter: l, Consumers: 3})
		q.Push(bg, parcel{}, parcel{})
		time.Sleep(time.Minute)
		if a.since() != 0 {
			t.Error("a call began in the pause")
		}
		begin := time.Now()
		q.Shutdown(within(time.Minute))
		if time.Since(begin) > 0 {
			t.Errorf("Shutdown took %v", time.Since(begin))
		}
		nothingLeft(t, q)
	})
}

// TestPauseEnds while consumers wait for nothing else.
func TestPauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := &limiter{limit: Limit{Calls: 2, Pause: begin.Add(5 * time.Second)}}
		calls := &recorder{}
		q := start(t, QueueConfig[parcel]{Process: calls.process, Limiter: l, Consumers: 3, Interval: time.Second, BatchSize: Weight{Items: 10}})
		q.Push(bg, parcel{}) // due after a second
		q.PushWait(bg, parcel{})
		if got := fmt.Sprint(calls.seconds(begin)); got != "[5]" {
			t.Error(got)
		}
		q.Shutdown(bg)
	})
}

// TestPanicOfALimiter costs nothing but its answer.
func TestPanicOfALimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard atomic.Int64
		q := start(t, QueueConfig[parcel]{
			Process: (&recorder{}).process, Limiter: panicking{}, Consumers: 3, Interval: time.Second, BatchSize: Weight{Items: 10},
			Observer: &Observer{Panicked: func(_ string, e *PanicError) {
				if strings.HasPrefix(e.Func, "Limiter.") {
					heard.Add(1)
				}
			}},
		})
		for range 3 {
			if err := q.PushWait(bg, parcel{}); err != nil {
				t.Error(err)
			}
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
		if heard.Load() < 6 {
			t.Errorf("the Observer heard of %d panics", heard.Load())
		}
	})
}

type panicking struct{}

func (panicking) Begin(time.Time, int) { panic("Begin") }
func (panicking) End(time.Time, Call)  { panic("End") }
func (panicking) Limit() Limit         { return Limit{Calls: 2} }
