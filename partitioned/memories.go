// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// rememberFailure is how long it is remembered that the last call of a key failed.
const rememberFailure = time.Minute

// memories keeps streams of keys though nothing is pending: those whose last call failed, for a minute, as failing keys share half of
// the consumers and must not come back as healthy ones with each new item, and with MinInterval each until that is over. The two have
// a limit each, so that the pace of healthy keys crowds out no failing one (I8). One timer serves all of them.
type memories[T any] struct {
	max int // of each kind. 0: no limit

	mu struct { // a leaf, below the partitions' locks
		sync.Mutex
		failed  heap[stream[T]] // by the end of their memory, as paced is
		paced   heap[stream[T]]
		over    []*stream[T] // that made room for others, as their time was over
		timer   *time.Timer
		armed   time.Time // what timer is set for; zero: it is not
		stopped bool
	}
}

// reminder is a stream's place in memories, whose lock guards it.
type reminder struct {
	end       time.Time
	heapIndex int // -1: in none
}

func byEnd[T any]() heap[stream[T]] {
	return heap[stream[T]]{
		before: func(a, b *stream[T]) bool { return a.reminder.end.Before(b.reminder.end) },
		place:  func(s *stream[T]) *int { return &s.reminder.heapIndex },
	}
}

// keep reports whether s must be kept for what it remembers. Partition's lock held.
func (m *memories[T]) keep(s *stream[T]) bool {
	if s.remembered {
		return true // until its time is over: then it is asked again
	}
	now := time.Now()
	kept, end := &m.mu.paced, s.notBefore
	if t := s.trouble; t != nil && !t.failedAt.IsZero() && now.Before(t.failedAt.Add(rememberFailure)) {
		kept, end = &m.mu.failed, t.failedAt.Add(rememberFailure)
	}
	if !now.Before(end) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.stopped || !m.makeRoom(kept, now) {
		return false
	}
	s.remembered, s.reminder.end = true, end
	kept.push(s)
	m.armFor(now, end)
	return true
}

// makeRoom reports whether one more stream may be kept, and puts aside one whose time is over if there is no room.
func (m *memories[T]) makeRoom(kept *heap[stream[T]], now time.Time) bool {
	if m.max == 0 || len(kept.all) < m.max {
		return true
	}
	first := kept.top()
	if now.Before(first.reminder.end) {
		return false
	}
	kept.remove(first)
	m.mu.over = append(m.mu.over, first)
	m.arm(now)
	return true
}

// armFor sets the timer for the end of a memory, but no sooner than in a second, so that it fires once for many.
func (m *memories[T]) armFor(now, end time.Time) {
	if soon := now.Add(time.Second); end.Before(soon) {
		end = soon
	}
	m.arm(end)
}

// arm sets the timer unless it fires by then anyway.
func (m *memories[T]) arm(at time.Time) {
	switch {
	case m.mu.timer == nil:
		m.mu.timer = time.AfterFunc(time.Until(at), m.expire)
	case m.mu.armed.IsZero() || at.Before(m.mu.armed):
		m.mu.timer.Reset(time.Until(at))
	default:
		return
	}
	m.mu.armed = at
}

// expire forgets the streams whose time is over. Those that failed again meanwhile, or have a batch to keep away from, are kept again.
func (m *memories[T]) expire() {
	for _, s := range m.takeOver(time.Now()) {
		p := s.partition
		p.mu.Lock()
		s.remembered = false
		if p.streams[s.key] == s {
			p.forget(s)
		}
		p.mu.Unlock()
	}
}

// takeOver takes out the streams whose time is over, or all after stop, and sets the timer for the others.
func (m *memories[T]) takeOver(now time.Time) (over []*stream[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	over, m.mu.over, m.mu.armed = m.mu.over, nil, time.Time{}
	for _, kept := range []*heap[stream[T]]{&m.mu.failed, &m.mu.paced} {
		for s := kept.top(); s != nil && (m.mu.stopped || !now.Before(s.reminder.end)); s = kept.top() {
			kept.remove(s)
			over = append(over, s)
		}
		if s := kept.top(); s != nil {
			m.armFor(now, s.reminder.end)
		}
	}
	return over
}

// stop forgets all, and keeps nothing from then on.
func (m *memories[T]) stop() {
	m.mu.Lock()
	m.mu.stopped = true
	if m.mu.timer != nil {
		m.mu.timer.Stop()
	}
	m.mu.Unlock()
	m.expire()
}
