// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// completion is who learns what became of entries. It is completed when all of its entries are settled.
//
// Most completions stand for one caller that waits at done, or for one Flush. A forwarding completion stands for several:
// nobody waits at done, and behind is told instead. Entries that were requeued have one, since everybody who waited for
// the batch waits for what is left of it; so has an entry of a Map that several callers wrote to.
type completion struct {
	flush   bool          // its entries are markers, and stand for no items
	forward bool          // behind is told, and done is unused
	group   *group        // its entries make a batch of their own; nil: they do not
	done    chan struct{} // closed when all entries are settled

	mu struct { // a leaf: no other lock is taken while it is held
		sync.Mutex
		open      int           // entries that are not settled
		err       error         // of those that are, joined
		abandoned bool          // nobody waits any more
		ended     bool          // open has been 0
		behind    []*completion // only grows. None of them forwards, so however often something is requeued, it is one step
	}
}

// group marks entries that are sent in one batch, and with nothing else. It has a size, so that no two have one address.
type group struct{ _ byte }

func newCompletion(entries int) *completion {
	c := &completion{done: make(chan struct{})}
	c.mu.open = entries
	return c
}

// newForwarding makes a completion of so many entries that stands for others, which forwardTo names.
func newForwarding(entries int) *completion {
	c := &completion{forward: true}
	c.mu.open = entries
	return c
}

// Result is what will be known of the items of one push.
type Result struct{ completion *completion }

// Wait returns when each of the items is settled, with the joined errors of the batches that they were in; a single error is
// returned as it is. If ctx is done first, Wait returns its cause, joined with ErrAbandoned, and nobody waits for the items
// any more.
func (r Result) Wait(ctx context.Context) error {
	c := r.completion
	if c == nil {
		return nil // of no items
	}
	select {
	case <-c.done:
		return c.result()
	case <-ctx.Done():
	}
	select {
	case <-c.done: // both are done: the result comes first
		return c.result()
	default:
		c.abandon()
		return errors.Join(ErrAbandoned, context.Cause(ctx))
	}
}

// add registers n more entries. It is called before the ones that c has are settled.
func (c *completion) add(n int) {
	c.mu.Lock()
	c.mu.open += n
	c.mu.Unlock()
}

// complete settles one entry.
func (c *completion) complete(err error) {
	c.mu.Lock()
	if c.mu.err == nil {
		c.mu.err = err // a single error stays as it is
	} else if err != nil {
		c.mu.err = errors.Join(c.mu.err, err)
	}
	c.mu.open--
	// Shutdown may have ended it while items were on their way back, as more entries than there were.
	ends := c.mu.open == 0 && !c.mu.ended
	c.mu.ended = c.mu.ended || ends
	err, behind := c.mu.err, c.mu.behind
	c.mu.Unlock()
	if !ends {
		return
	}
	if !c.forward {
		close(c.done)
	}
	for _, b := range behind {
		b.complete(err)
	}
}

func completeAll(all []*completion, err error) {
	for _, c := range all {
		c.complete(err)
	}
}

// forwardTo makes b one of those that a forwarding completion tells.
func (c *completion) forwardTo(b *completion) {
	b.add(1)
	c.mu.Lock()
	c.mu.behind = append(c.mu.behind, b)
	c.mu.Unlock()
}

// recipients returns those who are told in the end. The slice only grows, so what was returned stays valid.
func (c *completion) recipients() []*completion {
	if !c.forward {
		return []*completion{c}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.behind
}

// urgent reports whether an entry with this completion makes its stream due. The answer never changes once the entry is in a
// backlog.
func (c *completion) urgent() bool {
	return c != nil && (!c.forward || c.group != nil || len(c.recipients()) > 0)
}

// awaited reports whether somebody will learn of an error.
func (c *completion) awaited() bool {
	for _, r := range c.recipients() {
		r.mu.Lock()
		awaited := !r.flush && !r.mu.abandoned
		r.mu.Unlock()
		if awaited {
			return true
		}
	}
	return false
}

func (c *completion) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.abandoned = true
}

func (c *completion) result() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.err
}

// join returns the completion of an entry that held waits for, or nobody if it is nil, and that added waits for from now on.
func join(held, added *completion) *completion {
	if held == nil {
		return added
	}
	if held == added || held.tells(added) {
		added.complete(nil) // it has one entry less to wait for
		return held
	}
	if !held.forward {
		first := held
		held = newForwarding(1)
		held.mu.behind = []*completion{first}
	}
	held.mu.Lock()
	held.mu.behind = append(held.mu.behind, added)
	held.mu.Unlock()
	return held
}

func (c *completion) tells(other *completion) bool {
	return c.forward && slices.Contains(c.recipients(), other)
}
