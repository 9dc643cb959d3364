// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"time"
)

// progress is what is known of the calls that succeeded, to tell a stalled key from a backend that is down as a whole.
type progress struct {
	mu struct { // a leaf, below the partitions' locks
		sync.Mutex
		latest [2]success // of two different keys, the latest first
		probed time.Time  // when a push last ignored the shares
	}
}

type success struct {
	key string
	at  time.Time
}

// succeeded books that something of key was forwarded.
func (p *progress) succeeded(key string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.latest[0].key != key {
		p.mu.latest[1] = p.mu.latest[0]
	}
	p.mu.latest[0] = success{key, now}
}

// other returns when something of another key than this was last forwarded.
func (p *progress) other(key string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.latest[0].key != key {
		return p.mu.latest[0].at
	}
	return p.mu.latest[1].at
}

// ripe returns when a full stream will have been full, without anything forwarded, for the stall timeout.
func (s *stream[T]) ripe(timeout time.Duration) time.Time {
	since := s.trouble.fullSince
	if s.forwardedAt.After(since) {
		since = s.forwardedAt
	}
	return since.Add(timeout)
}

// stalled reports whether the key of s has stalled: it has been full for StallTimeout, nothing of it was forwarded in that time,
// and another key works. That is, something of another key was forwarded since, and within the last StallTimeout. Since then it
// has had its chance, and has not used it. It ends when something of it was forwarded and it holds less than half of its share, or
// when no other key works any more: then it is the backend, and nothing is dropped. While it holds nothing, one part is taken all the
// same, which shows whether it works again. There is no timer: it is looked at by pushes and by those who wait. waits: this is one of
// those. Partition's lock held.
func (q *Queue[T]) stalled(s *stream[T], now time.Time, waits bool) bool {
	timeout := q.cfg.StallTimeout
	other := q.progress.other(s.key)
	works := now.Sub(other) <= timeout
	if s.stalled {
		since := s.trouble.stalledAt
		drained := s.forwardedAt.After(since) && s.reserved < q.share(s)/2
		s.setStalled(works && !drained, since)
		return s.stalled && s.reserved > 0 // with nothing pending, a part shows whether it works again
	}
	if !s.full || !works {
		return false
	}
	ripe := s.ripe(timeout)
	if other.Before(ripe) || now.Before(ripe) {
		return false
	}
	if s.trouble.suspectedAt.Before(ripe) {
		s.trouble.suspectedAt = now
	}
	if s.hadChance(now, timeout, waits) {
		s.setStalled(true, now)
	}
	return s.stalled
}

// hadChance reports whether s could have been forwarded while another key worked, if its backend did. When all backends were down,
// the first key that works again must not make those stalled that only wait for their next attempt; nor must keys that wait for a
// consumer. waits: it is asked for a caller that waits already. Partition's lock held.
func (s *stream[T]) hadChance(now time.Time, timeout time.Duration, waits bool) bool {
	t := s.trouble // of a full stream
	if t.failedAlone || !t.failedFrom.Before(t.suspectedAt) {
		return true
	}
	suspected := now.Sub(t.suspectedAt)
	if s.state == parked || s.state == paused {
		return suspected >= timeout // its next attempt is far away, or it is paused
	}
	for _, f := range s.flights {
		if now.Sub(f.call.began) >= timeout {
			return !waits || suspected >= timeout/10 // it hangs, and does not end just now as the others do
		}
	}
	return false
}

// share returns how many units s may hold at most now. Partition's lock held.
func (q *Queue[T]) share(s *stream[T]) int64 {
	return min(max(q.gate.capacity-q.gate.used(), 0)/q.divisor(s), q.cfg.KeyCapacity)
}

// dropStalled marks the parts whose keys have stalled, if another part has a key that works. A push of stalled keys alone waits
// or is refused, so that its sender keeps the data. Partitions' locks held.
func (q *Queue[T]) dropStalled(parts []part[T], waits bool) {
	var now time.Time
	works := false
	for i := range parts {
		p := &parts[i]
		if !p.stream.full && !p.stream.stalled {
			works = true
			continue
		}
		if now.IsZero() {
			now = time.Now()
		}
		if p.dropped = q.stalled(p.stream, now, waits); !p.dropped && !p.stream.stuck {
			works = true
		}
	}
	for i := range parts {
		parts[i].dropped = parts[i].dropped && works
	}
}

// probe takes what a push needs whatever the shares, once in a StallTimeout, if it has other keys than the one that is full and
// may have stalled. While everybody waits for the full key, nothing else would show that the others work. Partitions' locks
// held.
func (q *Queue[T]) probe(parts []part[T], full *stream[T], n need, w *waiter[T]) bool {
	timeout := q.cfg.StallTimeout
	if timeout == 0 || len(parts) == 1 {
		return false
	}
	now := time.Now()
	if !full.full || now.Before(full.ripe(timeout)) {
		return false
	}
	q.progress.mu.Lock()
	defer q.progress.mu.Unlock()
	if now.Sub(q.progress.mu.probed) < timeout {
		return false
	}
	n.most = q.gate.capacity - 1
	if q.enterGate(n, w) != nil {
		return false
	}
	q.progress.mu.probed = now
	for i := range parts {
		parts[i].passed = true
	}
	return true
}

// reportStalled tells of the parts of an accepted push that were dropped. No lock held (I4).
func (q *Queue[T]) reportStalled(parts []part[T], items []T, c *completion) {
	if q.cfg.StallTimeout == 0 || len(parts) == 1 {
		return
	}
	for i := range parts {
		p := &parts[i]
		if !p.dropped {
			continue
		}
		if q.cfg.Dropped != nil {
			for _, item := range items[p.from:p.to] {
				q.safeDropped(item, ErrStalled)
			}
		}
		q.cfg.Observer.stalled(q.cfg.Name, p.partition.number, p.key, p.weight.Items)
		if c != nil {
			c.completeSome(p.to-p.from, ErrStalled)
		}
	}
}
