// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"errors"
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
	mu  sync.Mutex
	all []componentstatus.Status
}

func (h *slowHost) Report(e *componentstatus.Event) {
	time.Sleep(time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, e.Status())
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
		synctest.Wait()
		slow.mu.Lock()
		defer slow.mu.Unlock()
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, slow.all)
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
	q.h.begins()
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
		h.begins()
		time.Sleep(10 * longWait)
		synctest.Wait()
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.all)
		h.end()
	})
}
