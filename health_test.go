// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// statusHost is a host that hears of a component's health.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// told lists what was reported.
func (h *statusHost) told() (all []componentstatus.Status) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		all = append(all, e.Status())
	}
	return all
}

// longWait is how long a caller waits for room before that is reported.
const longWait = 5 * time.Second

const (
	well = componentstatus.StatusOK
	ill  = componentstatus.StatusRecoverableError
)

func (p *pipeline) on(t *testing.T, host component.Host) *pipeline {
	require.NoError(t, p.Start(context.Background(), host))
	return p
}

func TestHealthFollowsDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		fails := false
		p := anyLogs.make(t, func(c *Config) { c.Timeout = 0 }, func(context.Context, int) error {
			if fails {
				return errNext
			}
			return nil
		}).on(t, h)
		push := func(n int) {
			for range n {
				require.NoError(t, p.push(context.Background(), 0, 1))
			}
			synctest.Wait()
		}
		push(3)
		require.Empty(t, h.told(), "all is well, as the host knows")
		fails = true
		push(3)
		require.Equal(t, []componentstatus.Status{ill}, h.told(), "once")
		require.ErrorIs(t, h.events[0].Err(), errNext)
		fails = false
		push(3)
		require.Equal(t, []componentstatus.Status{ill, well}, h.told())
		fails = true
		push(1)
		require.Equal(t, []componentstatus.Status{ill, well, ill}, h.told())
		require.NoError(t, p.Shutdown(context.Background()))
		require.Equal(t, []componentstatus.Status{ill, well, ill}, h.told())
	})
}

// TestHealthOfManyKeys: while one of them fails, it is told once, whatever the others do; and no more once it succeeds, or has not
// been heard of for a minute.
func TestHealthOfManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		bad := "service 0"
		p := anyLogs.answered(t, func(c *Config) { c.Timeout, c.ResourceKeys = 0, []string{"service.name"} }, func(a *answer) error {
			if client.FromContext(a.ctx).Metadata.Get("service.name")[0] == bad {
				return errNext
			}
			return nil
		}).on(t, h)
		push := func(firsts ...int) {
			for _, first := range firsts {
				require.NoError(t, p.push(context.Background(), first, 1))
				synctest.Wait()
			}
		}
		push(5, 0, 5, 6, 0, 7, 0, 5)
		require.Equal(t, []componentstatus.Status{ill}, h.told())
		bad = ""
		push(5, 6)
		require.Equal(t, []componentstatus.Status{ill}, h.told())
		push(0)
		require.Equal(t, []componentstatus.Status{ill, well}, h.told())
		bad = "service 6"
		push(6, 5, 0)
		time.Sleep(50 * time.Second)
		push(5, 0)
		require.Equal(t, []componentstatus.Status{ill, well, ill}, h.told())
		time.Sleep(10*time.Second + longWait)
		require.Equal(t, []componentstatus.Status{ill, well, ill, well}, h.told(), "nothing more of it is to be sent")
		require.NoError(t, p.Shutdown(context.Background()))
	})
}

// TestHealthOfAKeyWhoseCallsTakeLong: longer than a failure counts. It fails all that time.
func TestHealthOfAKeyWhoseCallsTakeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		p := anyLogs.answered(t, func(c *Config) { c.Timeout, c.ResourceKeys = 0, []string{"service.name"} }, func(a *answer) error {
			time.Sleep(5 * time.Minute)
			return errNext
		}).on(t, h)
		for range 4 {
			require.NoError(t, p.push(context.Background(), 0, 1))
			time.Sleep(5*time.Minute + time.Second)
		}
		require.Equal(t, []componentstatus.Status{ill}, h.told())
		time.Sleep(time.Minute + longWait)
		require.Equal(t, []componentstatus.Status{ill, well}, h.told())
		require.NoError(t, p.Shutdown(context.Background()))
	})
}

// TestHealthOfAKeyThatWaits for its next attempt: it fails all that time.
func TestHealthOfAKeyThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		p := anyLogs.answered(t, func(c *Config) {
			c.Timeout, c.ResourceKeys = 0, []string{"service.name"}
			retries(c)
			c.RetryOnFailure.InitialInterval, c.RetryOnFailure.MaxInterval, c.RetryOnFailure.MaxElapsedTime = 10*time.Minute, 10*time.Minute, 0
		}, func(a *answer) error {
			if a.call == 1 {
				return errNext
			}
			return nil
		}).on(t, h)
		require.NoError(t, p.push(context.Background(), 0, 1))
		time.Sleep(9 * time.Minute)
		require.NoError(t, p.push(context.Background(), 1, 1))
		require.Equal(t, []componentstatus.Status{ill}, h.told())
		time.Sleep(2 * time.Minute)
		require.Equal(t, []componentstatus.Status{ill, well}, h.told())
		require.NoError(t, p.Shutdown(context.Background()))
	})
}

func TestHealthWhileABatchIsToBeSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		p := anyLogs.answered(t, func(c *Config) { retries(c); splits(c) }, func(a *answer) error {
			switch {
			case len(a.items) > 2:
				return errTooLarge // a half of it may well be taken: nothing is wrong
			case a.call < 5:
				return errNext
			}
			return nil
		}).on(t, h)
		require.NoError(t, p.push(context.Background(), 0, 3))
		time.Sleep(210 * ms)
		require.Equal(t, []componentstatus.Status{ill}, h.told())
		time.Sleep(time.Minute)
		require.Equal(t, []componentstatus.Status{ill, well}, h.told())
		require.NoError(t, p.Shutdown(context.Background()))
	})
}

func TestHealthWhileCallersWaitForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		gate := make(chan struct{})
		p := anyLogs.make(t, func(c *Config) { c.SendBatchSize, c.QueueSize = 5, 5 }, func(context.Context, int) error {
			<-gate
			return nil
		}).on(t, h)
		require.NoError(t, p.push(context.Background(), 0, 5))
		time.Sleep(time.Minute)
		require.Empty(t, h.told(), "a slow call alone is no fault")
		go func() {
			if err := p.push(context.Background(), 5, 1); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(longWait - 1)
		require.Empty(t, h.told())
		time.Sleep(longWait + 1)
		require.Equal(t, []componentstatus.Status{ill}, h.told())
		require.ErrorContains(t, h.events[0].Err(), "waiting for capacity")
		time.Sleep(time.Minute)
		require.Equal(t, []componentstatus.Status{ill}, h.told())
		close(gate)
		time.Sleep(longWait)
		require.Equal(t, []componentstatus.Status{ill, well}, h.told())
		require.NoError(t, p.Shutdown(context.Background()))
	})
}

// Callers that wait in turn, each for a short time, are what a bounded buffer is for.
func TestBackpressureIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		p := anyLogs.make(t, func(c *Config) { c.SendBatchSize, c.QueueSize = 5, 15 }, func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}).on(t, h)
		var producers sync.WaitGroup
		for range 3 {
			producers.Go(func() {
				for range 20 {
					if err := p.push(context.Background(), 0, 5); err != nil {
						t.Error(err)
					}
				}
			})
		}
		producers.Wait()
		require.Empty(t, h.told())
		require.NoError(t, p.Shutdown(context.Background()))
	})
}

// The host takes over when Shutdown begins, and what it does in Report may take its time, or come back.
func TestNothingIsReportedFromShutdownOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &statusHost{}
		p := anyLogs.make(t, func(c *Config) { c.SendBatchSize = 5 }, func(context.Context, int) error {
			time.Sleep(time.Minute)
			return errNext
		}).on(t, h)
		require.NoError(t, p.push(context.Background(), 0, 5))
		require.NoError(t, p.Shutdown(context.Background()))
		require.Len(t, p.losses(), 1)
		time.Sleep(time.Hour)
		require.Empty(t, h.told())
	})
}
