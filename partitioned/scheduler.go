// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// scheduler decides which stream the next free consumer takes: in turn the first of those that are ready, and the first of
// those whose time is over. While callers wait for capacity, also the oldest of all, due or not.
//
// A stream is in at most one of ready, timed and parked. A consumer that takes it out is its only owner until it puts it back.
type scheduler[T any] struct {
	mu struct { // after a partition's lock, never before it
		lock
		ready   fifo[T]
		timed   heap[T]     // deadline: when the oldest item will have waited for Interval
		parked  heap[T]     // deadline: when requeued items may come again
		timer   *time.Timer // the only one
		armed   time.Time   // what timer is set for; zero: it is not
		idle    int         // consumers that wait
		callers int         // that wait for capacity
		flip    bool        // whose turn it is
		closing bool        // every stream is due
		stopped bool        // no stream is given out
	}
	free sync.Cond // of mu: there may be something for an idle consumer
}

// cause is why a consumer got a stream.
type cause int

const (
	called  cause = iota // it was made ready
	expired              // its time was over
	oldest               // callers wait for capacity
)

// makeReady moves a timed stream to the ready ones. Nothing happens if a consumer has just taken it out: it does not have
// the partition's lock yet, so it will see what made the stream ready.
func (d *scheduler[T]) makeReady(s *stream[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.node.heapIndex >= 0 {
		d.mu.timed.remove(s)
		d.mu.ready.push(s)
		d.nudge()
	}
}

// putReady, putTimed and putParked take in a stream that is in no place yet.
func (d *scheduler[T]) putReady(s *stream[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.ready.push(s)
	d.nudge()
}

func (d *scheduler[T]) putTimed(s *stream[T], deadline time.Time) { d.put(&d.mu.timed, s, deadline) }

func (d *scheduler[T]) putParked(s *stream[T], deadline time.Time) { d.put(&d.mu.parked, s, deadline) }

func (d *scheduler[T]) put(h *heap[T], s *stream[T], deadline time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closing {
		d.mu.ready.push(s)
	} else {
		s.node.deadline = deadline
		h.push(s)
	}
	d.nudge()
}

// retime gives a timed stream another deadline. As in makeReady, one that a consumer has just taken out is left to it.
func (d *scheduler[T]) retime(s *stream[T], deadline time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.node.heapIndex >= 0 {
		d.mu.timed.remove(s)
		s.node.deadline = deadline
		d.mu.timed.push(s)
		d.nudge()
	}
}

// takeOut takes a timed or ready stream out, unless a consumer just has.
func (d *scheduler[T]) takeOut(s *stream[T]) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case s.node.heapIndex >= 0:
		d.mu.timed.remove(s)
	case d.mu.ready.has(s):
		d.mu.ready.remove(s)
	default:
		return false
	}
	return true
}

// next waits for a stream. It returns nil when the consumer has to end.
func (d *scheduler[T]) next() (*stream[T], cause) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.mu.stopped {
		if s, why := d.pick(); s != nil {
			d.nudge() // one wake-up may stand for several streams: pass it on
			return s, why
		}
		d.mu.idle++
		d.nudge()
		d.free.Wait()
		d.mu.idle--
	}
	return nil, called
}

func (d *scheduler[T]) pick() (*stream[T], cause) {
	d.mu.flip = !d.mu.flip // so that neither those that are called nor those that are over starve the others
	if d.mu.flip && d.mu.ready.first != nil {
		return d.mu.ready.pop(), called
	}
	if first, h := d.earliest(); first != nil && !first.node.deadline.After(time.Now()) {
		h.remove(first)
		return first, expired
	}
	if d.mu.ready.first != nil {
		return d.mu.ready.pop(), called
	}
	if top := d.mu.timed.top(); top != nil && d.mu.callers > 0 {
		d.mu.timed.remove(top)
		return top, oldest
	}
	return nil, called
}

// nudge makes sure that idle consumers miss nothing. A consumer that gets free looks by itself, so while none is idle nothing
// is signalled and no timer is set.
func (d *scheduler[T]) nudge() {
	if d.mu.idle == 0 {
		return
	}
	if d.mu.ready.first != nil || d.mu.callers > 0 && d.mu.timed.top() != nil {
		d.free.Signal()
		return
	}
	if first, _ := d.earliest(); first != nil {
		d.arm(first.node.deadline)
	}
}

// arm sets the timer unless it is set for an earlier time: then it fires, sees what is there, and is set anew. So a stream
// that always reaches its size before its time costs next to no timer operations.
func (d *scheduler[T]) arm(deadline time.Time) {
	switch {
	case d.mu.timer == nil:
		d.mu.timer = time.AfterFunc(time.Until(deadline), d.tick)
	case d.mu.armed.IsZero() || deadline.Before(d.mu.armed):
		d.mu.timer.Reset(time.Until(deadline))
	default:
		return
	}
	d.mu.armed = deadline
}

func (d *scheduler[T]) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.armed = time.Time{}
	first, _ := d.earliest()
	switch {
	case first == nil || d.mu.idle == 0:
	case first.node.deadline.After(time.Now()):
		d.arm(first.node.deadline)
	default:
		d.free.Signal()
	}
}

func (d *scheduler[T]) earliest() (*stream[T], *heap[T]) {
	t, p := d.mu.timed.top(), d.mu.parked.top()
	if t == nil || p != nil && p.node.deadline.Before(t.node.deadline) {
		return p, &d.mu.parked
	}
	return t, &d.mu.timed
}

// setCallers says how many callers wait for capacity.
func (d *scheduler[T]) setCallers(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.callers = n
	d.nudge()
}

// close makes every stream due, now and later, the parked ones too.
func (d *scheduler[T]) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.closing = true
	for _, h := range []*heap[T]{&d.mu.timed, &d.mu.parked} {
		for h.top() != nil {
			s := h.top()
			h.remove(s)
			d.mu.ready.push(s)
		}
	}
	d.nudge()
}

// stop gives nothing out any more.
func (d *scheduler[T]) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.stopped = true
	if d.mu.timer != nil {
		d.mu.timer.Stop()
	}
	d.free.Broadcast()
}
