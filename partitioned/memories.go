// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// rememberFailure is how long it is remembered that the last call of a key failed.
const rememberFailure = time.Minute

// memories keeps streams of keys though nothing is pending: those whose last call failed, for a minute, as failing keys share half of
// the consumers and must not come back as healthy ones with each new item, and with MinInterval each until that is over. One timer
// serves all of them.
type memories[T any] struct {
	max int // 0: no limit

	mu struct { // a leaf, below the partitions' locks
		sync.Mutex
		kept    []*stream[T] // in the order in which they were kept
		timer   *time.Timer
		stopped bool
	}
}

// keep reports whether s must be kept for what it remembers. Partition's lock held.
func (m *memories[T]) keep(s *stream[T]) bool {
	var left time.Duration
	if !s.failedAt.IsZero() {
		left = rememberFailure - time.Since(s.failedAt)
	}
	if !s.notBefore.IsZero() {
		left = max(left, time.Until(s.notBefore))
	}
	if left <= 0 {
		return false
	}
	if s.remembered {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.stopped || m.max > 0 && len(m.mu.kept) >= m.max {
		return false
	}
	s.remembered = true
	if m.mu.kept = append(m.mu.kept, s); len(m.mu.kept) == 1 {
		m.arm(left)
	}
	return true
}

// arm sets the timer. It fires at most once a second, as it looks at all that are kept.
func (m *memories[T]) arm(d time.Duration) {
	d = max(d, time.Second)
	if m.mu.timer == nil {
		m.mu.timer = time.AfterFunc(d, m.expire)
	} else {
		m.mu.timer.Reset(d)
	}
}

// expire forgets the streams whose minute is over. Those that failed again meanwhile are kept again.
func (m *memories[T]) expire() {
	m.mu.Lock()
	kept := m.mu.kept
	m.mu.kept = nil
	m.mu.Unlock()
	for _, s := range kept {
		p := s.partition
		p.mu.Lock()
		s.remembered = false
		if p.streams[s.key] == s {
			p.forget(s)
		}
		p.mu.Unlock()
	}
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
