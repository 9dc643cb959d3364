// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// slowHost takes its time to hear of a component's health.
type slowHost struct {
	component.Host
	mu   sync.Mutex
	all  []componentstatus.Status
	last error // with the last of them
}

func (h *slowHost) Report(e *componentstatus.Event) {
	time.Sleep(time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all, h.last = append(h.all, e.Status()), e.Err()
}

// told lists what was reported.
func (h *slowHost) told() []componentstatus.Status {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

const (
	well = componentstatus.StatusOK
	ill  = componentstatus.StatusRecoverableError
)

// busy is a queue with something to deliver all the time, in which nobody waits.
type busy struct{}

func (busy) Stats() partitioned.Stats   { return partitioned.Stats{Calls: 1} }
func (busy) LongestWait() time.Duration { return 0 }

// A key whose calls fail, and take longer than a failure counts, fails all the time; and for a minute after the last.
func TestHealthOfAKeyWhoseCallsTakeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, h := &slowHost{}, &health{}
		h.start(host, busy{})
		for range 5 {
			h.begins("a")
			time.Sleep(5 * time.Minute)
			h.delivered("a", errNext, time.Second)
			time.Sleep(time.Second)
		}
		require.Equal(t, []componentstatus.Status{ill}, host.told())
		h.begins("a")
		time.Sleep(5 * time.Minute)
		h.halved("a") // which says nothing about the backend
		time.Sleep(failureFades)
		require.Equal(t, []componentstatus.Status{ill}, host.told())
		time.Sleep(2 * longWait)
		require.Equal(t, []componentstatus.Status{ill, well}, host.told(), "it sends nothing more")
		h.end()
	})
}

// With more failing keys than are noted, those that are noted fail as long as they do.
func TestHealthOfTooManyFailingKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, h := &slowHost{}, &health{}
		h.start(host, busy{})
		h.begins("")
		for range 60 {
			for k := range mostFailing + 1 {
				h.begins(strconv.Itoa(k))
				h.delivered(strconv.Itoa(k), errNext, 0)
			}
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, []componentstatus.Status{ill}, host.told())
		require.Len(t, h.mu.failing, mostFailing)
		h.end()
	})
}

// The error that is told is that of a key that still fails.
func TestHealthTellsTheErrorOfAKeyThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, h := &slowHost{}, &health{}
		h.start(host, busy{})
		h.delivered("c", errNext, 0)
		go h.delivered("c", nil, 0)
		synctest.Wait()
		errA, errB := errors.New("a"), errors.New("b")
		h.delivered("a", errA, 0) // the host listens
		h.delivered("b", errB, 0)
		h.delivered("b", nil, 0)
		time.Sleep(2 * time.Second)
		require.Equal(t, []componentstatus.Status{ill, well, ill}, host.told())
		require.ErrorIs(t, host.last, errA)
		require.NotErrorIs(t, host.last, errB)
		h.end()
	})
}

// What is told last is what is, whatever happens while the host listens.
func TestHealthThatChangesWhileItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowHost{}
		h := &health{}
		h.start(slow, nil)
		go h.delivered("", errNext, 0)
		synctest.Wait()
		h.delivered("", nil, 0)
		h.delivered("", errors.Join(errNext), 0)
		h.delivered("", nil, 0)
		time.Sleep(time.Minute)
		require.Equal(t, []componentstatus.Status{ill, well}, slow.told())
	})
}

// idleOnce is a queue in which a delivery begins right after it was looked at for the first time, and hangs.
type idleOnce struct {
	h      *health
	looked bool
}

func (q *idleOnce) Stats() (st partitioned.Stats) {
	if q.looked {
		st.Calls = 1
		return st
	}
	q.looked = true
	q.h.begins("")
	return st
}

func (q *idleOnce) LongestWait() time.Duration {
	if q.looked {
		return time.Minute
	}
	return 0
}

// A delivery that begins while the timer finds nothing to do, and hangs, is looked at nevertheless.
func TestHealthOfACallThatBeginsDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, h := &slowHost{}, &health{}
		h.start(host, &idleOnce{h: h})
		h.begins("")
		time.Sleep(10 * longWait)
		require.Equal(t, []componentstatus.Status{ill}, host.told())
		h.end()
	})
}
