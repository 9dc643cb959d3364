// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/limiter"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// Adaptive is how the number of calls follows what the next consumer bears. Zero: it does not.
type Adaptive struct{ Initial, Min int }

func (a Adaptive) enabled() bool { return a.Initial > 0 }

func (a Adaptive) fields() []zap.Field {
	return []zap.Field{
		zap.Bool("adaptive_concurrency.enabled", a.enabled()),
		zap.Int("adaptive_concurrency.initial", a.Initial), zap.Int("adaptive_concurrency.min", a.Min),
	}
}

// adaptive tells a [limiter.Limiter] of the calls. It is a [partitioned.Limiter].
type adaptive struct {
	// longestPause bounds the pause of the whole pipeline that one answer asks for: the longest pause of retry_on_failure. A batch that was
	// told to wait for an hour waits for an hour, but those behind it may well be taken, and one call a pause finds out.
	longestPause time.Duration

	mu struct {
		sync.Mutex
		limiter *limiter.Limiter
	}
}

// newAdaptive returns nil if the number of calls is fixed.
func newAdaptive(cfg Settings) *adaptive {
	if !cfg.Adaptive.enabled() {
		return nil
	}
	a := &adaptive{longestPause: cfg.Retry.MaxInterval}
	a.mu.limiter = limiter.New(limiter.Config{Min: cfg.Adaptive.Min, Initial: cfg.Adaptive.Initial, Max: cfg.Consumers})
	return a
}

func (a *adaptive) Begin(now time.Time, calls int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.limiter.Begin(now, calls)
}

// End counts a call in bytes where payloads are measured, else in items: either is in proportion to the work.
func (a *adaptive) End(now time.Time, c partitioned.Call) {
	if !c.Made {
		return
	}
	end := limiter.Call{Duration: c.Duration, Size: c.Weight.Items, Pause: min(c.Pause, a.longestPause)}
	if c.Weight.Bytes > 0 {
		end.Size = c.Weight.Bytes
	}
	switch {
	case c.Refused:
		end.Outcome = limiter.Refused
	case c.Failed:
		end.Outcome = limiter.Other
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.limiter.End(now, end)
}

func (a *adaptive) Limit() partitioned.Limit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return partitioned.Limit{Calls: a.mu.limiter.Limit(), Pause: a.mu.limiter.Pause()}
}

// changes says why the limit changed so far. a may be nil.
func (a *adaptive) changes() limiter.Changes {
	if a == nil {
		return limiter.Changes{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.limiter.Changes()
}
