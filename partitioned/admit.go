// SPDX-License-Identifier: Apache-2.0

package partitioned

import "errors"

// errNoRoom: not now. Never leaves the package.
var errNoRoom = errors.New("no room")

// admit is acceptance: under the locks of all lanes concerned, it finds the streams, takes the room, and appends. Either
// all of it happens or nothing. Where room is short, the first stream that has none for its key is returned too, or nil if
// it is the whole queue that has none. w is the caller in line that it is done for; nil: one who has not stood in line.
//
// Room is taken under the lock in which the items are appended, so that the order of acceptance is the order in the stream
// (I2), and so that Shutdown, after it closed the gate and then held each lane once, has seen every item that will ever be
// here (I7).
func (q *Queue[T]) admit(parts []part[T], o *origin, w *waiter[T]) (full *stream[T], err error) {
	lockAll(parts)
	defer unlockAll(parts)
	var room int64
	for i := range parts {
		p := &parts[i]
		s, err := q.find(p.lane, p.key, w)
		if err != nil {
			q.undo(parts[:i])
			return s, err
		}
		p.stream = s
		room += p.room
	}
	if err := q.gate.enter(room, w != nil); err != nil {
		q.undo(parts)
		return nil, err
	}
	for i := range parts {
		p := &parts[i]
		p.freed = q.write(p.stream, p.items, p.hashes, p.weight, p.room, p.how, o)
	}
	if q.newIndex != nil {
		q.undo(parts) // of which all may have been superseded
	}
	return nil, nil
}

// find returns the stream for key, with an error if it has no room for itself. lane.mu held.
//
// One who has stood in the line of any key passes the lines of others: with turns in one line only, two callers who want
// the same two keys could send each other back for ever.
func (q *Queue[T]) find(l *lane[T], key string, w *waiter[T]) (*stream[T], error) {
	s, err := l.open(q, key)
	if err != nil {
		return nil, err
	}
	if s.held < q.cfg.KeyCapacity && (!s.blocked || w != nil && w.of != nil) {
		return s, nil
	}
	if q.gate.closed() {
		return nil, ErrClosed // not into a line any more
	}
	if w != nil {
		// From here on whoever gives room back to s goes on with its line, in which w will stand in a moment; and the
		// caller who waits makes s due.
		s.blocked = true
		if s.place == timed {
			q.makeReady(s)
		}
	}
	return s, errNoRoom
}

// write puts items into s; the room is taken. It tells whether somebody may wait for some that was given back. lane.mu held.
func (q *Queue[T]) write(s *stream[T], items []T, hashes []uint64, weight Weight, room int64, how write, o *origin) (freed bool) {
	if q.newIndex == nil {
		for i := range items {
			s.append(items[i], o)
		}
		q.accept(s, weight, room)
		return false
	}
	for i := range items {
		if i%ahead == 0 {
			s.index.fetch(hashes[i:min(i+ahead, len(items))])
		}
		w := q.weigh(items[i])
		if q.insert(s, items[i], hashes[i], w, q.room(w), how, o) {
			freed = true
		}
	}
	return freed
}

// accept books what was appended to s. lane.mu held.
func (q *Queue[T]) accept(s *stream[T], w Weight, room int64) {
	s.queued = s.queued.plus(w)
	s.held += room
	s.lane.mu.accepted += int64(w.Items)
	s.lane.mu.queued += int64(w.Items)
	q.moveOn(s)
}

// moveOn puts s where it belongs after something was appended. lane.mu held.
func (q *Queue[T]) moveOn(s *stream[T]) {
	switch {
	case s.place == idle:
		q.place(s)
	case s.place == timed && q.due(s):
		q.makeReady(s)
	}
}

// undo leaves no stream behind that was made for nothing.
func (q *Queue[T]) undo(parts []part[T]) {
	for i := range parts {
		parts[i].lane.forget(q, parts[i].stream)
	}
}

func (q *Queue[T]) makeReady(s *stream[T]) {
	s.place = ready
	q.sched.makeReady(s)
}

// due tells whether a flush of s has to wait for nothing but a worker. lane.mu held.
func (q *Queue[T]) due(s *stream[T]) bool {
	return s.queued.reaches(q.tuned.Load().size) || s.waited > 0 || s.blocked || q.cfg.Whole && len(s.draining) > 0
}

// place puts s where it belongs. lane.mu held; nobody else has s.
func (q *Queue[T]) place(s *stream[T]) {
	switch {
	case len(s.active) == 0 && len(s.draining) == 0:
		s.place = idle
		s.lane.forget(q, s)
	case q.due(s):
		s.place = ready
		q.sched.putReady(s)
	default:
		s.place = timed
		q.sched.putTimed(s, s.oldest().Add(q.tuned.Load().interval))
	}
}

func lockAll[T any](parts []part[T]) {
	for i := range parts {
		if i == 0 || parts[i].lane != parts[i-1].lane {
			parts[i].lane.mu.Lock()
		}
	}
}

func unlockAll[T any](parts []part[T]) {
	for i := range parts {
		if i == 0 || parts[i].lane != parts[i-1].lane {
			parts[i].lane.mu.Unlock()
		}
	}
}

// takeKey counts one more key, if MaxKeys allows. Compare-and-swap and not add: an add that is taken back would refuse
// others meanwhile.
func (q *Queue[T]) takeKey() bool {
	for {
		n := q.keys.Load()
		if q.cfg.MaxKeys > 0 && n >= int64(q.cfg.MaxKeys) {
			return false
		}
		if q.keys.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
