// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// scheduler decides which stream the next free consumer takes: the one that has been due for the longest time. A stream that was
// served goes to the end, so a batch of a small key waits for at most one batch of each other key (I9).
//
// Streams whose last call failed share at most half of the consumers: backends that time out must not take all of them (I8).
// While callers need capacity of the whole and nothing is due, a free consumer is sent to the stream that holds most.
//
// A stream is in at most one of ready, failing, timed and parked. A consumer that takes it out is its only owner until it puts it
// back.
type scheduler[T any] struct {
	several bool // there may be several streams. Immutable
	byKey   bool // streams are keys. Immutable

	mu struct { // after a partition's lock, never before it
		lock
		ready   fifo[T]
		failing fifo[T]         // due like those in ready, but their last call failed
		timed   heap[stream[T]] // deadline: when the oldest item will have waited for Interval
		parked  heap[stream[T]] // deadline: when requeued items may come again
		timer   *time.Timer     // the only one
		armed   time.Time       // what timer is set for; zero: it is not
		turn    uint64          // of the stream that becomes due next
		idle    int             // consumers that wait
		atWork  int             // consumers that have a stream
		limit   int             // of atWork
		pause   time.Time       // until when no consumer takes a stream
		busy    int             // consumers that have a stream of failing
		pressed bool            // callers wait for capacity of the whole
		once    bool            // a caller was refused for lack of it
		closing bool            // every stream is due
		stopped bool            // no stream is given out
	}
	free sync.Cond // of mu: there may be something for an idle consumer
}

// makeReady moves a timed stream to those that are due. Nothing happens if a consumer has just taken it out: it does not have
// the partition's lock yet, so it will see what made the stream due.
func (d *scheduler[T]) makeReady(s *stream[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.node.heapIndex >= 0 {
		d.mu.timed.remove(s)
		d.enqueue(s)
		d.nudge()
	}
}

// putReady, putTimed and putParked take in a stream that is in no place yet.
func (d *scheduler[T]) putReady(s *stream[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enqueue(s)
	d.nudge()
}

func (d *scheduler[T]) putTimed(s *stream[T], deadline time.Time) { d.put(&d.mu.timed, s, deadline) }

// putPaced takes in a stream that is due and has to wait for its MinInterval, unless Shutdown has begun.
func (d *scheduler[T]) putPaced(s *stream[T], at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pace(s, at)
}

// postpone is putPaced for a timed stream. As in makeReady, one that a consumer has just taken out is left to it.
func (d *scheduler[T]) postpone(s *stream[T], at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.node.heapIndex >= 0 {
		d.mu.timed.remove(s)
		d.pace(s, at)
	}
}

func (d *scheduler[T]) pace(s *stream[T], at time.Time) {
	if d.mu.closing {
		d.enqueue(s)
	} else {
		s.node.deadline = at
		d.mu.parked.push(s)
	}
	d.nudge()
}

func (d *scheduler[T]) putParked(s *stream[T], deadline time.Time) { d.put(&d.mu.parked, s, deadline) }

func (d *scheduler[T]) put(h *heap[stream[T]], s *stream[T], deadline time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closing && h == &d.mu.timed {
		d.enqueue(s)
	} else {
		s.node.deadline = deadline
		h.push(s)
	}
	d.nudge()
}

// enqueue puts s behind all that are due. Lock held.
func (d *scheduler[T]) enqueue(s *stream[T]) {
	d.mu.turn++
	s.node.turn = d.mu.turn
	d.due(s).push(s)
}

// due returns the list in which s stands while it is due. Whether its last call failed does not change meanwhile. Lock held.
func (d *scheduler[T]) due(s *stream[T]) *fifo[T] {
	if s.node.failing {
		return &d.mu.failing
	}
	return &d.mu.ready
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

// takeOut takes a timed, ready or parked stream out, unless a consumer just has.
func (d *scheduler[T]) takeOut(s *stream[T], parked bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case s.node.heapIndex >= 0 && parked:
		d.mu.parked.remove(s)
	case s.node.heapIndex >= 0:
		d.mu.timed.remove(s)
	case d.due(s).has(s):
		d.due(s).remove(s)
	default:
		return false
	}
	return true
}

// next waits for a stream, for a consumer that has finished one before if worked. With ok it may return nil: then the consumer makes
// the stream due that holds most. Without ok the consumer has to end.
func (d *scheduler[T]) next(worked bool) (s *stream[T], ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if worked {
		d.mu.atWork--
	}
	for !d.mu.stopped {
		if d.mayWork() {
			if s := d.pick(); s != nil {
				d.mu.atWork++
				d.nudge() // one wake-up may stand for several streams: pass it on
				return s, true
			}
			if d.needsMost() {
				d.mu.once = false
				return nil, true
			}
		}
		d.mu.idle++
		d.nudge()
		d.free.Wait()
		d.mu.idle--
	}
	return nil, false
}

// resign is that a consumer with a stream has ended.
func (d *scheduler[T]) resign() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.atWork--
	d.nudge()
}

// mayWork reports whether one more consumer may take a stream. Shutdown waits for no pause.
func (d *scheduler[T]) mayWork() bool {
	return d.mu.atWork < d.mu.limit && (d.mu.pause.IsZero() || d.mu.closing || !time.Now().Before(d.mu.pause))
}

// setLimit says how many consumers may be at work, and until when none may take a stream.
func (d *scheduler[T]) setLimit(limit int, pause time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.limit, d.mu.pause = limit, pause
	d.nudge()
}

// pick takes out the stream that has been due for the longest time and may have a consumer.
func (d *scheduler[T]) pick() *stream[T] {
	d.expire()
	f := d.first()
	if f == nil {
		return nil
	}
	s := f.pop()
	if s.node.busy = f == &d.mu.failing; s.node.busy {
		d.mu.busy++
	}
	return s
}

// first returns the list whose first stream is next, or nil if there is none. While Shutdown drains, streams whose last call
// succeeded go first, and failing ones have all consumers that are left.
func (d *scheduler[T]) first() *fifo[T] {
	r, f := &d.mu.ready, &d.mu.failing
	mayFail := f.first != nil && (d.mu.closing || !d.byKey || d.mu.limit == 1 || d.mu.busy < d.mu.limit/2)
	switch {
	case mayFail && (r.first == nil || !d.mu.closing && f.first.node.turn < r.first.node.turn):
		return f
	case r.first != nil:
		return r
	default:
		return nil
	}
}

// expire makes those due whose time is over.
func (d *scheduler[T]) expire() {
	first, h := d.earliest()
	if first == nil {
		return
	}
	for now := time.Now(); first != nil && !first.node.deadline.After(now); first, h = d.earliest() {
		h.remove(first)
		d.enqueue(first)
	}
}

// needsMost reports whether the stream that holds most must be made due.
func (d *scheduler[T]) needsMost() bool {
	return (d.mu.pressed || d.mu.once) && d.mu.timed.top() != nil
}

// release books the answer to a call of s, if there was one, before s is put back.
func (d *scheduler[T]) release(s *stream[T], called, failed bool) {
	if !d.several {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if called {
		s.node.failing = failed
	}
	if s.node.busy {
		s.node.busy = false
		d.mu.busy--
		d.nudge()
	}
}

// nudge makes sure that idle consumers miss nothing. A consumer that gets free looks by itself, so while none is idle nothing
// is signalled and no timer is set.
func (d *scheduler[T]) nudge() {
	if d.mu.idle == 0 || d.mu.atWork >= d.mu.limit {
		return
	}
	if !d.mayWork() {
		d.arm(d.mu.pause)
		return
	}
	if d.first() != nil || d.needsMost() {
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
	case deadline.Equal(never):
		return
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
	case d.mu.idle == 0:
	case !d.mayWork():
		d.nudge()
	case d.first() != nil || first == nil:
		d.nudge()
	case first.node.deadline.After(time.Now()):
		d.arm(first.node.deadline)
	default:
		d.free.Signal()
	}
}

func (d *scheduler[T]) earliest() (*stream[T], *heap[stream[T]]) {
	t, p := d.mu.timed.top(), d.mu.parked.top()
	if t == nil || p != nil && p.node.deadline.Before(t.node.deadline) {
		return p, &d.mu.parked
	}
	return t, &d.mu.timed
}

// setPressed says whether callers wait for capacity of the whole.
func (d *scheduler[T]) setPressed(pressed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.pressed = pressed
	d.nudge()
}

// press says that a caller was refused for lack of capacity of the whole. If no consumer is idle, one is about to give some back.
func (d *scheduler[T]) press() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.once = d.mu.idle > 0
	d.nudge()
}

// consumersAtWork returns how many consumers have a stream.
func (d *scheduler[T]) consumersAtWork() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.atWork
}

// close makes every stream due: those that are parked now, and all others now and later.
func (d *scheduler[T]) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.closing = true
	for _, h := range []*heap[stream[T]]{&d.mu.timed, &d.mu.parked} {
		for h.top() != nil {
			s := h.top()
			h.remove(s)
			d.enqueue(s)
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
