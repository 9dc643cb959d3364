// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errPatience is the cause of a context of patience that has ended.
var errPatience = errors.New("the wait_timeout is over")

// patience is the context of a caller that waits for a limited time. The time starts when somebody begins to wait, which is when
// Done is called, so a caller that does not wait pays for no timer.
type patience struct {
	context.Context // the caller's
	limit           time.Duration

	mu struct { // guards everything in it
		sync.Mutex
		timed context.Context // nil: nobody has waited
		stop  context.CancelFunc
	}
}

func newPatience(ctx context.Context, limit time.Duration) *patience {
	return &patience{Context: ctx, limit: limit}
}

// Done implements [context.Context].
func (p *patience) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.timed == nil {
		p.mu.timed, p.mu.stop = context.WithTimeoutCause(p.Context, p.limit, errPatience)
	}
	return p.mu.timed.Done()
}

// Err implements [context.Context].
func (p *patience) Err() error { return p.current().Err() }

// Value implements [context.Context]. [context.Cause] finds the cause by it.
func (p *patience) Value(key any) any { return p.current().Value(key) }

func (p *patience) current() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.timed == nil {
		return p.Context
	}
	return p.mu.timed
}

// end frees the timer.
func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.stop != nil {
		p.mu.stop()
	}
}
