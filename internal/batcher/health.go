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

// failureFades is how long a key counts as failing after a call that failed, or the pause behind it, if its next one does not begin. The
// engine remembers such keys for as long.
const failureFades = time.Minute

// mostFailing is how many failing keys health keeps apart. Further ones are not noted.
const mostFailing = 1000

// longWait is how long a caller has to wait for capacity to be a matter of health, and how often somebody looks for that.
const longWait = 5 * time.Second

// health tells the host that something is wrong, a recoverable error, and when nothing is any more: while deliveries fail, and
// while callers wait long for capacity. With keys it is wrong as long as one of them fails: else it would change with each delivery while one of
// many backends is down. It tells changes only.
//
// While all is well a delivery costs it three atomic loads. Who waits for long is looked up by a timer, that runs while there is
// something to deliver, and not by those who wait.
type health struct {
	once   sync.Once
	host   componentstatus.Reporter // set by the first start; nil: nobody listens
	queue  watched                  // set by the first start
	armed  atomic.Bool              // the timer runs
	failed atomic.Bool              // something is in failing

	mu struct { // guards everything in it
		sync.Mutex
		timer     *time.Timer
		failing   map[string]failingKey // the keys whose last delivery failed
		waits     time.Duration         // of a caller, if it is long
		reported  bool                  // that something is wrong
		reporting bool                  // somebody is about to report
		ended     bool
	}
}

// failingKey is what health knows of a key whose last delivery failed.
type failingKey struct {
	until time.Time // when that counts no more; zero: it counts until a delivery ends
	err   error     // nil: it failed while something was reported already, and an error may hold a whole payload
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

// begins says that a delivery of a key begins; "": there are no keys. A failure of the key counts until it ends, however long it takes.
func (h *health) begins(key string) {
	h.lasts(key, time.Time{})
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

// halved says that a delivery of a key ended as one that comes again in halves, which tells nothing about the backend.
func (h *health) halved(key string) {
	h.lasts(key, time.Now().Add(failureFades))
}

// lasts sets until when the failure of a key counts, if it fails. Without keys that is always until a delivery succeeds.
func (h *health) lasts(key string, until time.Time) {
	if h.host == nil || key == "" || !h.failed.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if f, fails := h.mu.failing[key]; fails {
		f.until = until
		h.mu.failing[key] = f
	}
}

// delivered says how a delivery of a key ended. With an error, pause is how long the key waits for its next one.
func (h *health) delivered(key string, err error, pause time.Duration) {
	if h.host == nil || err == nil && !h.failed.Load() {
		return
	}
	h.mu.Lock()
	if err == nil {
		delete(h.mu.failing, key)
	} else {
		h.fails(key, err, pause)
	}
	h.failed.Store(len(h.mu.failing) > 0)
	h.report()
}

// fails notes that a key fails. The lock is held.
func (h *health) fails(key string, err error, pause time.Duration) {
	if _, known := h.mu.failing[key]; !known && len(h.mu.failing) >= mostFailing {
		return
	}
	if h.mu.failing == nil {
		h.mu.failing = map[string]failingKey{}
	}
	var f failingKey
	if key != "" {
		f.until = time.Now().Add(pause + failureFades)
	}
	if !h.mu.reported {
		f.err = err
	}
	h.mu.failing[key] = f
}

// fade forgets failures of keys that sent nothing more. It reports whether others are to be forgotten later. The lock is held.
func (h *health) fade() (later bool) {
	if len(h.mu.failing) == 0 {
		return false
	}
	now := time.Now()
	for key, f := range h.mu.failing {
		switch {
		case f.until.IsZero():
		case now.After(f.until):
			delete(h.mu.failing, key)
		default:
			later = true
		}
	}
	h.failed.Store(len(h.mu.failing) > 0)
	return later
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
	if later := h.fade(); !h.mu.ended && (later || !idle) {
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
		wrong := len(h.mu.failing) > 0 || h.mu.waits > 0
		if h.mu.reported == wrong {
			return
		}
		h.mu.reported = wrong
		event := componentstatus.NewEvent(componentstatus.StatusOK)
		if wrong {
			event = componentstatus.NewRecoverableErrorEvent(h.why())
		}
		h.mu.Unlock()
		h.host.Report(event)
		h.mu.Lock()
	}
}

// why is what is wrong: the error of one of the keys that fail, and that a caller waits. Each of them has its error: only while something
// is reported keys are noted without, and that lasts until none of them fails. The lock is held.
func (h *health) why() (err error) {
	for _, f := range h.mu.failing {
		err = f.err
		break
	}
	if h.mu.waits > 0 {
		err = errors.Join(err, fmt.Errorf("a caller has been waiting for capacity for %v", h.mu.waits.Round(time.Second)))
	}
	return err
}
