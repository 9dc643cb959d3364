// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// sched decides which stream the next free worker takes: those that reached a size, or that somebody waits for, first come
// first served, in turn with those whose time is over; and while callers wait for room the oldest of all, due or not.
//
// A stream is in at most one of the three places, and a worker that takes it out is its only owner until it puts it back.
type sched[T any] struct {
	mu struct { // after a lane's lock, never before it
		lock
		ready   fifo[T]
		timed   heap[T]     // deadline: when the oldest item will have waited for Interval
		parked  heap[T]     // deadline: when a Rest may come again
		timer   *time.Timer // the only one
		armed   time.Time   // what timer is set for; zero: it is not
		idle    int         // workers that wait
		callers int         // that wait for room
		flip    bool        // whose turn it is
		closing bool        // every stream is due
		stopped bool        // no stream is given out
	}
	free sync.Cond // of mu: there may be something for an idle worker
}

// cause is why a worker got a stream.
type cause int

const (
	called  cause = iota // it was made ready
	expired              // its time was over
	oldest               // callers wait for room
)

// makeReady moves a timed stream to the ready ones. Nothing happens if a worker has just taken it out: it does not have
// the lane's lock yet, so it will see what made the stream ready.
func (d *sched[T]) makeReady(s *stream[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.heapIndex >= 0 {
		d.mu.timed.remove(s)
		d.mu.ready.push(s)
		d.nudge()
	}
}

// putReady, putTimed and putParked take in a stream that is in no place yet.
func (d *sched[T]) putReady(s *stream[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.ready.push(s)
	d.nudge()
}

func (d *sched[T]) putTimed(s *stream[T], deadline time.Time)  { d.put(&d.mu.timed, s, deadline) }
func (d *sched[T]) putParked(s *stream[T], deadline time.Time) { d.put(&d.mu.parked, s, deadline) }

func (d *sched[T]) put(h *heap[T], s *stream[T], deadline time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closing {
		d.mu.ready.push(s)
	} else {
		s.deadline = deadline
		h.push(s)
	}
	d.nudge()
}

// retime gives a timed stream another deadline. As in makeReady, one that a worker has just taken out is left to it.
func (d *sched[T]) retime(s *stream[T], deadline time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.heapIndex >= 0 {
		d.mu.timed.remove(s)
		s.deadline = deadline
		d.mu.timed.push(s)
		d.nudge()
	}
}

// takeOut takes a timed stream out, unless a worker just has.
func (d *sched[T]) takeOut(s *stream[T]) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.heapIndex < 0 {
		return false
	}
	d.mu.timed.remove(s)
	return true
}

// next waits for a stream. It returns nil when the worker has to end.
func (d *sched[T]) next() (*stream[T], cause) {
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

func (d *sched[T]) pick() (*stream[T], cause) {
	d.mu.flip = !d.mu.flip // so that neither those that are called nor those that are over starve the others
	if d.mu.flip && d.mu.ready.first != nil {
		return d.mu.ready.pop(), called
	}
	if first, h := d.earliest(); first != nil && !first.deadline.After(time.Now()) {
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

// nudge makes sure that idle workers miss nothing. A worker that gets free looks by itself, so while none is idle nothing
// is signalled and no timer is set.
func (d *sched[T]) nudge() {
	if d.mu.idle == 0 {
		return
	}
	if d.mu.ready.first != nil || d.mu.callers > 0 && d.mu.timed.top() != nil {
		d.free.Signal()
		return
	}
	if first, _ := d.earliest(); first != nil {
		d.arm(first.deadline)
	}
}

// arm sets the timer unless it is set for an earlier time: then it fires, sees what is there, and is set anew. So a stream
// that always reaches its size before its time costs next to no timer operations.
func (d *sched[T]) arm(deadline time.Time) {
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

func (d *sched[T]) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.armed = time.Time{}
	first, _ := d.earliest()
	switch {
	case first == nil || d.mu.idle == 0:
	case first.deadline.After(time.Now()):
		d.arm(first.deadline)
	default:
		d.free.Signal()
	}
}

func (d *sched[T]) earliest() (*stream[T], *heap[T]) {
	t, p := d.mu.timed.top(), d.mu.parked.top()
	if t == nil || p != nil && p.deadline.Before(t.deadline) {
		return p, &d.mu.parked
	}
	return t, &d.mu.timed
}

// setCallers says how many callers wait for room.
func (d *sched[T]) setCallers(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.callers = n
	d.nudge()
}

// close makes every stream due, now and later, the parked ones too.
func (d *sched[T]) close() {
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
func (d *sched[T]) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.stopped = true
	if d.mu.timer != nil {
		d.mu.timer.Stop()
	}
	d.free.Broadcast()
}

// fifo is a list of streams, linked through them.
type fifo[T any] struct{ first, last *stream[T] }

func (f *fifo[T]) push(s *stream[T]) {
	if f.last == nil {
		f.first = s
	} else {
		f.last.next = s
	}
	f.last = s
}

func (f *fifo[T]) pop() *stream[T] {
	s := f.first
	f.first, s.next = s.next, nil
	if f.first == nil {
		f.last = nil
	}
	return s
}

// heap is a binary heap of streams by deadline. A stream knows its place in it, so that any can be removed; a stream
// outside has heapIndex -1.
type heap[T any] struct{ all []*stream[T] }

func (h *heap[T]) top() *stream[T] {
	if len(h.all) == 0 {
		return nil
	}
	return h.all[0]
}

func (h *heap[T]) push(s *stream[T]) {
	h.all = append(h.all, s)
	h.up(len(h.all)-1, s)
}

func (h *heap[T]) remove(s *stream[T]) {
	i, n := s.heapIndex, len(h.all)-1
	last := h.all[n]
	h.all[n] = nil
	h.all = h.all[:n]
	s.heapIndex = -1
	if n == 0 && cap(h.all) > maxEmpty {
		h.all = nil
	}
	if i < n {
		h.down(i, last)
		if last.heapIndex == i {
			h.up(i, last)
		}
	}
}

// up and down move s, whose place is the hole at i, to where it belongs.
func (h *heap[T]) up(i int, s *stream[T]) {
	for i > 0 {
		parent := (i - 1) / 2
		if !s.deadline.Before(h.all[parent].deadline) {
			break
		}
		h.set(i, h.all[parent])
		i = parent
	}
	h.set(i, s)
}

func (h *heap[T]) down(i int, s *stream[T]) {
	for {
		child := 2*i + 1
		if child >= len(h.all) {
			break
		}
		if right := child + 1; right < len(h.all) && h.all[right].deadline.Before(h.all[child].deadline) {
			child = right
		}
		if !h.all[child].deadline.Before(s.deadline) {
			break
		}
		h.set(i, h.all[child])
		i = child
	}
	h.set(i, s)
}

func (h *heap[T]) set(i int, s *stream[T]) {
	h.all[i] = s
	s.heapIndex = i
}
