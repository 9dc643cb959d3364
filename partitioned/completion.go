// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
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
	reused  bool          // it is of completions
	swaps   uint32        // of stream when its entries were written. It has swapped since: they are in the drain
	group   *group        // its entries make a batch of their own; nil: they do not
	done    chan struct{} // closed when all entries are settled; if reused, it gets one value then
	stands  stander       // of a Rest in a Map, what its entries stand for; nil: for themselves

	// Of a completion whose entries can be withdrawn, which is that of one part of a push to a Queue. Set by claimant, as swaps is, before
	// a consumer can see an entry.
	stream any // a *stream[T]: where the entries are; nil: they cannot be withdrawn

	mu struct { // a leaf: no other lock is taken while it is held
		sync.Mutex
		open      int           // entries that are not settled
		err       error         // of those that are
		failures  *failures     // err, if that is several, and of no other completion
		abandoned bool          // nobody waits any more
		ended     bool          // open has been 0; from then on err stays
		withdrawn bool          // what was left was taken back. Changes under the partition's lock too
		behind    []*completion // only grows. None of them forwards but markers, so however often something is requeued, it is few steps

		parts   []*completion // of a push with several, or of a Flush: those of its parts, which forward to this one
		left    share         // what no batch has yet
		claimed int           // entries, or parts of one that was split, that a batch has or had
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

// completions is a pool of completions of callers of PushWait, with their channels.
//
// Nobody may tell a completion anything once it stands for another caller. Whoever settles an entry does not touch it afterwards, and
// each entry is settled once, except for one at the deadline of Shutdown, or withdrawn, whose callers got an error. So put takes back
// those alone that succeeded, and whose value was received from done: the last thing that is done to them.
type completions struct{ pool sync.Pool }

func (p *completions) get(entries int) *completion {
	c, ok := p.pool.Get().(*completion)
	if !ok {
		c = &completion{done: make(chan struct{}, 1), reused: true}
	}
	// It is the caller's alone, also if one who settled an entry of it before has not returned from Unlock.
	c.mu.open, c.mu.ended, c.mu.claimed, c.mu.parts = entries, false, 0, nil
	return c
}

func (p *completions) put(c *completion) { p.pool.Put(c) }

// Result is what will be known of the items of one push.
type Result struct {
	completion *completion
	queue      interface {
		withdraw(c *completion) (all bool)
		inProcess(ctx context.Context) bool
	}
}

// Wait returns when each of the items is settled, with the errors of the batches that they were in. A single error is returned as it
// is. The text of several names the first five and counts the others; errors.Is and errors.As look at all, and
// Unwrap() []error returns them.
//
// If ctx is done first, nobody waits for the items any more, and what is in no batch yet is taken back: it is not processed, its
// capacity is free at once, and it counts as Returned. What has been in a batch stays, if it comes again as a Rest too. Wait
// returns the cause of ctx, joined with ErrWithdrawn if all was taken back, and else with ErrAbandoned. Of a Map nothing is taken
// back, as an entry may be that of several callers. With the context of Process it does not wait: it returns ErrInProcess unless the
// items are settled.
func (r Result) Wait(ctx context.Context) error {
	c := r.completion
	if c == nil {
		return nil // of no items
	}
	if r.queue.inProcess(ctx) && !c.isDone() {
		return ErrInProcess
	}
	return r.wait(ctx)
}

// wait is Wait for a caller that is not in Process.
func (r Result) wait(ctx context.Context) error {
	c := r.completion
	switch {
	case c.await(ctx):
		return c.result()
	case r.queue.withdraw(c):
		return errors.Join(ErrWithdrawn, context.Cause(ctx))
	default:
		return errors.Join(ErrAbandoned, context.Cause(ctx))
	}
}

// await returns when all entries are settled, or reports false if ctx is done before.
func (c *completion) await(ctx context.Context) bool {
	given := ctx.Done()
	if given == nil { // a plain receive takes half the time
		<-c.done
		return true
	}
	select {
	case <-c.done:
		return true
	case <-given:
	}
	if c.isDone() { // both are: the result comes first
		<-c.done
		return true
	}
	return false
}

// claimant returns what one part of a push has as its completion: c if it is the only part. The locks of all its partitions are held, so
// nobody else has c yet.
func (c *completion) claimant(stream any, swaps uint32, all share) *completion {
	part := c
	if all.entries < c.mu.open {
		part = newForwarding(all.entries)
		part.mu.behind = []*completion{c}
		c.mu.parts = append(c.mu.parts, part)
		c.mu.open -= all.entries - 1
	}
	part.stream, part.swaps, part.mu.left = stream, swaps, all
	return part
}

// marker returns the completion of the marker of a Flush in one stream, from which it can be withdrawn.
func (c *completion) marker(stream any, swaps uint32) *completion {
	m := newForwarding(1)
	m.flush, m.stream, m.swaps = true, stream, swaps
	m.mu.left.entries = 1
	m.mu.behind = []*completion{c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.open++
	c.mu.parts = append(c.mu.parts, m)
	return m
}

// split returns the completions of the parts of a push, or of the markers of a Flush.
func (c *completion) split() []*completion {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.parts == nil {
		return []*completion{c}
	}
	return c.mu.parts
}

// claim gives an entry to a batch, and reports false if it was withdrawn.
func (c *completion) claim(w Weight, units int64) bool {
	if c == nil || c.stream == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.withdrawn {
		return false
	}
	c.mu.left = c.mu.left.minus(w, units)
	c.mu.claimed++
	return true
}

// unclaim gives back an entry that was claimed, or with tail the part of it that no batch has. It reports false if the others
// were withdrawn meanwhile, and this one is to be.
func (c *completion) unclaim(w Weight, units int64, tail bool) bool {
	if c == nil || c.stream == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !tail {
		c.mu.claimed--
	}
	if c.mu.withdrawn {
		return false
	}
	c.mu.left = c.mu.left.plus(w, units)
	return true
}

// forgo books that an entry was evicted.
func (c *completion) forgo(w Weight, units int64) {
	if c == nil || c.stream == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.left = c.mu.left.minus(w, units)
}

// withdraw returns what no batch has yet, and will not have, and whether that is all there ever was. Partition's lock held.
func (c *completion) withdraw() (left share, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left, c.mu.left = c.mu.left, share{}
	c.mu.withdrawn = true
	return left, c.mu.claimed == 0
}

// dead reports whether an entry with this completion is a tombstone, or was withdrawn. Partition's lock held.
func (c *completion) dead() bool { return c == tombstone || c != nil && c.mu.withdrawn }

// add registers one more entry. It is called before the ones that c has are settled.
func (c *completion) add() {
	c.mu.Lock()
	c.mu.open++
	c.mu.Unlock()
}

// complete settles one entry.
func (c *completion) complete(err error) { c.completeSome(1, err) }

// completeSome settles n entries, which have one error.
func (c *completion) completeSome(n int, err error) {
	c.mu.Lock()
	if c.mu.ended { // by Shutdown, while items were on their way back, as more entries than there were
		c.mu.Unlock()
		return
	}
	c.fail(err)
	c.mu.open -= n
	ends := c.mu.open == 0
	c.mu.ended = ends
	err, behind := c.mu.err, c.mu.behind
	c.mu.Unlock()
	switch { // unless it ends, it may be another caller's by now
	case !ends:
		return
	case c.reused:
		c.done <- struct{}{}
	case !c.forward:
		close(c.done)
	}
	for _, b := range behind {
		b.complete(err)
	}
}

// fail adds an error to those that c has. A single one stays as it is. Lock held.
func (c *completion) fail(err error) {
	switch {
	case err == nil:
	case c.mu.err == nil:
		c.mu.err = err
	default:
		if c.mu.failures == nil {
			c.mu.failures = &failures{}
			c.mu.failures.add(c.mu.err)
			c.mu.err = c.mu.failures
		}
		c.mu.failures.add(err)
	}
}

// failures is the errors of several batches. It is built and walked in linear time, and its text names a few (I10).
type failures struct{ all []error }

const namedFailures = 5

func (f *failures) add(err error) {
	if others, ok := err.(*failures); ok { //nolint:errorlint // what wraps it is one error
		f.all = append(f.all, others.all...)
		return
	}
	f.all = append(f.all, err)
}

func (f *failures) Error() string {
	named := f.all[:min(len(f.all), namedFailures)]
	text := errors.Join(named...).Error()
	if more := len(f.all) - len(named); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// Unwrap returns all of them.
func (f *failures) Unwrap() []error { return f.all }

func completeAll(all []*completion, err error) {
	for _, c := range all {
		c.complete(err)
	}
}

// forwardTo makes b one of those that a forwarding completion tells.
func (c *completion) forwardTo(b *completion) {
	b.add()
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

// isDone reports whether all entries are settled, of a completion that does not forward.
func (c *completion) isDone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.ended
}

func (c *completion) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.abandoned = true
}

// result returns the errors of a completion that is done, which nobody changes any more.
func (c *completion) result() error { return c.mu.err }

// join returns the completion of an entry that held waits for, or nobody if it is nil, and that added waits for from now on.
func join(held, added *completion) *completion {
	if held == nil {
		return added
	}
	if held == added || held.toldLast(added) {
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

// toldLast reports whether other is the last that a forwarding completion tells. What one push writes to an entry, it writes in one go, under
// the partition's lock: if it has written to the entry before, nobody came after it.
func (c *completion) toldLast(other *completion) bool {
	if !c.forward {
		return false
	}
	behind := c.recipients()
	return len(behind) > 0 && behind[len(behind)-1] == other
}
