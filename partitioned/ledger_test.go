// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// ledger is what the chaos tests of Queue and Map have in common: how a run ends, and what has to hold of any.
type ledger struct {
	shutdown time.Duration // when Shutdown is called
	deadline time.Duration // of Shutdown
	capacity int64         // 0: as by default
	maxKeys  int           // 0: no limit
	witness  *witness      // the Observer; nil: none

	mu     sync.Mutex
	faults []string
	ok     int64                // units that calls took
	over   bool                 // Shutdown has returned
	paused map[string]time.Time // since when keys are, and everything
}

// everything stands for all keys in paused.
const everything = "\x00"

func (l *ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// check looks at a snapshot, for I1 and I5.
func (l *ledger) check(st Stats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st.Accepted != st.Forwarded+st.Returned+st.Superseded+st.Failed+st.Evicted+st.Expired+st.Lost+st.Stalled+st.Queued+st.InFlight {
		l.fault("I1: %+v", st)
	}
	if l.capacity > 0 && st.Used > l.capacity+60 {
		l.fault("I5: %d used of %d", st.Used, l.capacity)
	}
	if l.maxKeys > 0 && st.Keys > int64(l.maxKeys) {
		l.fault("I5: %d keys of %d", st.Keys, l.maxKeys)
	}
}

// checkBooks takes what a look at all streams found wrong in what is counted of them.
func (l *ledger) checkBooks(wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wrong != "" {
		l.fault("%s", wrong)
	}
}

// pause pauses keys or everything, and resumes them, until stop.
func (l *ledger) pause(q interface {
	Pause(key string) error
	Resume(key string) error
	PauseAll() error
	ResumeAll() error
}, keys []string, seed uint64, stop chan struct{},
) {
	rng := rand.New(rand.NewPCG(seed, 3_000_000))
	keys = append(keys, everything)
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(150)) * time.Millisecond):
		}
		key := keys[rng.IntN(len(keys))]
		pause, resume := func() error { return q.Pause(key) }, func() error { return q.Resume(key) }
		if key == everything {
			pause, resume = q.PauseAll, q.ResumeAll
		}
		var err error
		if rng.IntN(3) == 0 {
			err = pause()
			l.mu.Lock()
			if l.paused == nil {
				l.paused = map[string]time.Time{}
			}
			l.paused[key] = time.Now()
		} else {
			l.mu.Lock()
			delete(l.paused, key)
			l.mu.Unlock()
			err = resume()
			l.mu.Lock()
		}
		if err != nil {
			l.fault("Pause or Resume: %v", err)
		}
		l.mu.Unlock()
	}
}

// checkPaused looks at a batch that begins. Its key was paused at this time at the earliest: what was being cut goes on. mu held.
func (l *ledger) checkPaused(key string, closing bool) {
	for _, k := range []string{key, everything} {
		if at, ok := l.paused[k]; ok && at.Before(time.Now()) && !closing {
			l.fault("a batch of %q began, which is paused", key)
		}
	}
}

// end shuts q down when it is time for that, and then the roles, and checks that nothing is left and nothing was lost that is
// not counted. Nobody but the caller is left when it returns.
func (l *ledger) end(q interface {
	Shutdown(ctx context.Context) error
	Stats() Stats
}, partitions int, stop chan struct{}, roles *sync.WaitGroup,
) (st Stats) {
	time.Sleep(l.shutdown) // of fake time, while the roles are at work
	ctx, cancel := context.WithTimeout(context.Background(), l.deadline)
	defer cancel()
	begin := time.Now()
	err := q.Shutdown(ctx)
	l.mu.Lock()
	l.over = true
	if took := time.Since(begin); took > l.deadline {
		l.fault("I7: Shutdown took %v, its deadline was %v", took, l.deadline)
	}
	l.mu.Unlock()
	close(stop)
	roles.Wait()
	time.Sleep(time.Minute) // calls that ignore their context end meanwhile, and must change nothing
	st = q.Stats()
	l.check(st)
	if st.Queued != 0 || st.InFlight != 0 || st.Used != 0 || st.Callers != 0 || st.Calls != 0 || st.Keys != 0 {
		l.fault("after Shutdown: %+v", st)
	}
	if st.Forwarded > l.ok || st.Lost == 0 && st.Forwarded != l.ok {
		l.fault("I1: %d were taken, %d are said to be", l.ok, st.Forwarded)
	}
	if (err != nil) != (st.Lost > 0) || err != nil && !errors.Is(err, ErrDropped) {
		l.fault("I7: Shutdown returned %v, %d were dropped", err, st.Lost)
	}
	if l.witness != nil {
		l.faults = append(l.faults, l.witness.check(st, partitions)...)
	}
	return st
}
