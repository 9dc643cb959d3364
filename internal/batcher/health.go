// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// longWait is how long a caller has to wait for capacity to be a matter of health, and how often somebody looks for that.
const longWait = 5 * time.Second

// health tells the host that something is wrong, a recoverable error, and when nothing is any more: while deliveries fail, and
// while callers wait long for capacity. It tells changes only.
//
// While all is well a delivery costs it two atomic loads. Who waits for long is looked up by a timer, that runs while there is
// something to deliver, and not by those who wait.
type health struct {
	once   sync.Once
	host   componentstatus.Reporter // set by the first start; nil: nobody listens
	queue  watched                  // set by the first start
	armed  atomic.Bool              // the timer runs
	failed atomic.Bool              // failing is not nil

	mu struct { // guards everything in it
		sync.Mutex
		timer     *time.Timer
		failing   error         // of the last delivery
		waits     time.Duration // of a caller, if it is long
		reported  bool          // that something is wrong
		reporting bool          // somebody is about to report
		ended     bool
	}
}

// watched is what the timer looks at.
type watched interface {
	LongestWait() time.Duration
	Stats() partitioned.Stats
}

func (h *health) start(host component.Host, queue watched) {
	h.once.Do(func() {
		h.host, _ = host.(componentstatus.Reporter)
		h.queue = queue
	})
}

// end: nothing is told any more, as the host does that from now on.
func (h *health) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.ended = true
	if h.mu.timer != nil {
		h.mu.timer.Stop()
	}
}

// begins says that a delivery begins.
func (h *health) begins() {
	if h.host == nil || h.armed.Load() || !h.armed.CompareAndSwap(false, true) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.mu.ended:
	case h.mu.timer == nil:
		h.mu.timer = time.AfterFunc(longWait, h.look)
	default:
		h.mu.timer.Reset(longWait)
	}
}

// delivered says how a delivery ended.
func (h *health) delivered(err error) {
	if h.host == nil || err == nil && !h.failed.Load() {
		return
	}
	h.mu.Lock()
	h.mu.failing = err
	h.failed.Store(err != nil)
	h.report()
}

// look is what the timer does. It stops when there is nothing to look for. The flag is cleared first: a delivery that begins behind
// the look at the queue then starts the timer again. Were it cleared last, such a delivery would take the timer for running, and if
// it hangs nobody would look any more.
func (h *health) look() {
	h.armed.Store(false)
	waits := h.queue.LongestWait()
	idle := waits == 0 && h.queue.Stats().Calls == 0
	if waits < longWait {
		waits = 0
	}
	h.mu.Lock()
	h.mu.waits = waits
	if !h.mu.ended && !idle {
		h.armed.Store(true)
		h.mu.timer.Reset(longWait)
	}
	h.report()
}

// report tells what is new. It is called with mu held, and returns without. One caller at a time tells, under no lock (I4): the
// others leave what is new to that one, so that what is told last is what is.
func (h *health) report() {
	defer h.mu.Unlock()
	if h.mu.reporting {
		return
	}
	h.mu.reporting = true
	defer func() { h.mu.reporting = false }()
	for !h.mu.ended {
		err := h.mu.failing
		if h.mu.waits > 0 {
			err = errors.Join(err, fmt.Errorf("a caller has been waiting for capacity for %v", h.mu.waits.Round(time.Second)))
		}
		if h.mu.reported == (err != nil) {
			return
		}
		h.mu.reported = err != nil
		event := componentstatus.NewEvent(componentstatus.StatusOK)
		if err != nil {
			event = componentstatus.NewRecoverableErrorEvent(err)
		}
		h.mu.Unlock()
		h.host.Report(event)
		h.mu.Lock()
	}
}
