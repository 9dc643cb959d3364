// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// origin is who is told what became of entries: a caller that waits for its result, a Flush, or several of them: behind the
// entries of a Rest all those who waited for the batch that it is left of, behind a Map's entry all those who wrote to it.
type origin struct {
	flush bool          // its entries stand for no items
	rest  bool          // stands for several: behind is told when all entries are settled, and nobody waits at done
	alone bool          // each entry is a batch of its own
	done  chan struct{} // closed when all entries are settled

	mu struct {
		sync.Mutex
		open   int       // entries not settled yet
		err    error     // of those settled, joined
		gone   bool      // nobody waits any more
		ended  bool      // open was 0
		behind []*origin // never Rests themselves: however often something comes back, it is one step to those who wait
	}
}

func newOrigin(entries int) *origin {
	o := &origin{done: make(chan struct{})}
	o.mu.open = entries
	return o
}

// Result is what will be known of the items of one push.
type Result struct{ origin *origin }

// Wait returns when each of the items is settled, with the joined errors of the batches they were in: if it is one error,
// that. When ctx is done first it returns its cause, joined with ErrAbandoned, and nobody waits for the items any more.
func (r Result) Wait(ctx context.Context) error {
	o := r.origin
	if o == nil {
		return nil // of no items
	}
	select {
	case <-o.done:
		return o.result()
	case <-ctx.Done():
	}
	select {
	case <-o.done: // of two things that are there, the result comes first
		return o.result()
	default:
		o.leave()
		return errors.Join(ErrAbandoned, context.Cause(ctx))
	}
}

// add says that n more entries have this origin, before one that it has now is settled.
func (o *origin) add(n int) {
	o.mu.Lock()
	o.mu.open += n
	o.mu.Unlock()
}

// settle says what became of one entry.
func (o *origin) settle(err error) {
	o.mu.Lock()
	if o.mu.err == nil {
		o.mu.err = err // a single one stays as it is
	} else if err != nil {
		o.mu.err = errors.Join(o.mu.err, err)
	}
	o.mu.open--
	// Shutdown may have ended it while a Rest was on its way back, with more entries.
	ends := o.mu.open == 0 && !o.mu.ended
	o.mu.ended = o.mu.ended || ends
	err, behind := o.mu.err, o.mu.behind
	o.mu.Unlock()
	if !ends {
		return
	}
	if !o.rest {
		close(o.done)
	}
	for _, b := range behind {
		b.settle(err)
	}
}

// pass makes b one of those that a Rest tells.
func (o *origin) pass(b *origin) {
	b.add(1)
	o.mu.Lock()
	o.mu.behind = append(o.mu.behind, b)
	o.mu.Unlock()
}

// leaves are those who are told in the end.
func (o *origin) leaves() []*origin {
	if !o.rest {
		return []*origin{o}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.behind
}

// urgent tells whether an entry with this origin makes its stream due.
func (o *origin) urgent() bool {
	return o != nil && (!o.rest || o.alone || len(o.leaves()) > 0)
}

// waits tells whether somebody will hear of an error.
func (o *origin) waits() bool {
	for _, l := range o.leaves() {
		l.mu.Lock()
		waits := !l.flush && !l.mu.gone
		l.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

func (o *origin) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.gone = true
}

func (o *origin) result() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.err
}

// join returns the origin of an entry that was held for one caller and is for another one too, whose entry it replaces.
func join(held, added *origin) *origin {
	if held == nil {
		return added
	}
	if held == added || held.rest && slices.Contains(held.mu.behind, added) {
		added.settle(nil) // it has one entry less to wait for
		return held
	}
	if !held.rest {
		first := held
		held = &origin{rest: true}
		held.mu.open = 1
		held.mu.behind = []*origin{first}
	}
	held.mu.behind = append(held.mu.behind, added)
	return held
}
