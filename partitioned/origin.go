// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"sync"
)

// origin is who is told what became of entries: a caller that waits for its result, a Flush, or, behind a Rest, all those
// who waited for the batch that it is left of.
type origin struct {
	behind []*origin // of a Rest: those to pass it on to; the rest of the fields is unused then
	rest   bool      // behind is used
	room   int64     // of a Rest, where room is counted in requests: what this entry holds

	mu struct {
		sync.Mutex
		open int   // entries not settled yet
		err  error // of those settled, joined
		gone bool  // nobody waits any more
	}
	done  chan struct{} // closed when all entries are settled
	flush bool          // it stands for no item
}

func newOrigin(entries int) *origin {
	o := &origin{done: make(chan struct{})}
	o.mu.open = entries
	return o
}

// add says that n more entries have this origin, before one that it has now is settled.
func (o *origin) add(n int) {
	if o == nil {
		return
	}
	for _, b := range o.behind {
		b.add(n)
	}
	o.mu.Lock()
	o.mu.open += n
	o.mu.Unlock()
}

// settle says what became of one entry.
func (o *origin) settle(err error) {
	if o == nil {
		return
	}
	for _, b := range o.behind {
		b.settle(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && !errors.Is(o.mu.err, err) {
		o.mu.err = errors.Join(o.mu.err, err)
	}
	if o.mu.open--; o.mu.open == 0 && o.done != nil {
		close(o.done)
	}
}

// waits tells whether somebody will hear of an error.
func (o *origin) waits() bool {
	if o == nil || o.flush {
		return false
	}
	for _, b := range o.behind {
		if b.waits() {
			return true
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.done != nil && !o.mu.gone
}

// leaves are those who are told in the end.
func (o *origin) leaves() []*origin {
	switch {
	case o == nil:
		return nil
	case o.rest:
		return o.behind
	default:
		return []*origin{o}
	}
}

// urgent tells whether an entry with this origin makes its stream due.
func (o *origin) urgent() bool { return o != nil && (!o.rest || len(o.behind) > 0) }

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
