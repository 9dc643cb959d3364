// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sick is how the calls of keys fail.
type sick int

const (
	failsAtOnce  sick = iota // with an error, and the batch is dropped
	comesAgain               // all of it is a Rest, for a second
	timesOut                 // after the ProcessTimeout of two seconds, and then it comes again
	hangsForEver             // whatever its context says
)

// tenants is a load of 120 tenants with one request each second and call, and more than the backend takes.
type tenants struct {
	sick     int // tenants that fail
	how      sick
	overflow Overflow
	whole    bool // a Map's way to flush

	back chan struct{} // closed when those who hang go on

	mu    sync.Mutex
	calls int // of healthy tenants
}

const (
	tenantCount     = 120
	tenantConsumers = 10
	tenantCall      = 10 * time.Millisecond
	tenantRequest   = 10
)

func (l *tenants) process(ctx context.Context, b Batch[parcel]) (v Verdict[parcel]) {
	var tenant int
	fmt.Sscan(b.Key, &tenant)
	if tenant >= l.sick {
		time.Sleep(tenantCall)
		l.mu.Lock()
		l.calls++
		l.mu.Unlock()
		return v
	}
	switch l.how {
	case hangsForEver:
		<-l.back
	case timesOut:
		<-ctx.Done()
		v.Rest, v.After = append([]parcel(nil), b.Items...), time.Second
	case comesAgain:
		time.Sleep(tenantCall)
		v.Rest, v.After = append([]parcel(nil), b.Items...), time.Second
	default:
		time.Sleep(tenantCall)
	}
	v.Err = errTest
	if b.Closing {
		v.Rest = nil
	}
	return v
}

// run returns how many calls of healthy tenants there were in a minute, after a minute in which the others get stuck.
func (l *tenants) run(t *testing.T) (calls int) {
	timeout := time.Duration(0)
	if l.how == timesOut {
		timeout = 2 * time.Second
	}
	ctx, cancel := context.WithCancel(bg)
	q := start(t, QueueConfig[parcel]{
		Process: l.process, Key: parcelKey, Weigh: weighParcel, Consumers: tenantConsumers, ProcessTimeout: timeout, Adaptive: l.whole,
		Capacity: int64(max((l.sick+1)*(l.sick+1), 4*tenantConsumers) * tenantRequest), Overflow: l.overflow, MaxKeys: 1000,
		Interval: 200 * time.Millisecond, BatchSize: Weight{Items: tenantRequest}, MaxBatchSize: Weight{Items: tenantRequest},
	})
	var wg sync.WaitGroup
	for i := range tenantCount {
		wg.Go(func() {
			for ctx.Err() == nil {
				if q.Push(ctx, parcel{key: fmt.Sprint(i), n: tenantRequest}) != nil {
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	time.Sleep(time.Minute)
	l.mu.Lock()
	before := l.calls
	l.mu.Unlock()
	time.Sleep(20 * time.Second)
	l.mu.Lock()
	calls = l.calls - before
	l.mu.Unlock()
	cancel()
	wg.Wait()
	shutdown, end := context.WithTimeout(bg, 2*time.Second)
	defer end()
	_ = q.Shutdown(shutdown)
	close(l.back)
	time.Sleep(time.Minute) // calls that were cut off end
	conserved(t, q.Stats())
	return calls
}

// TestSickTenantsLeaveTheOthersTheirCalls: while up to a hundred tenants of 120 fail, or all but one of the consumers hang, the
// others get at least nine tenths of the calls that the consumers left can make (I8).
func TestSickTenantsLeaveTheOthersTheirCalls(t *testing.T) {
	for _, how := range []sick{failsAtOnce, comesAgain, timesOut, hangsForEver} {
		for _, n := range []int{1, 7, 8, 9, 40, 100} {
			if how == hangsForEver && n > tenantConsumers-1 {
				continue // each holds a consumer for ever
			}
			overflow := []Overflow{OverflowWait, OverflowRefuse}[n%2]
			t.Run(fmt.Sprint(n, " sick, how ", how, ", overflow ", overflow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &tenants{sick: n, how: how, overflow: overflow, whole: n == 8, back: make(chan struct{})}
					got := l.run(t)
					consumers := tenantConsumers
					switch how {
					case hangsForEver:
						consumers -= n
					default:
						consumers /= 2 // failing ones have at most the others
					}
					// Each healthy tenant offers one request in 20 ms and a call.
					most := min(consumers*int(20*time.Second/tenantCall), (tenantCount-n)*int(20*time.Second/(20*time.Millisecond)))
					if got < most*9/10 {
						t.Errorf("%d calls of healthy tenants, of %d that %d consumers can make", got, most, consumers)
					}
				})
			})
		}
	}
}
