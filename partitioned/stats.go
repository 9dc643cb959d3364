// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Stats is what a queue has in it and what became of everything before, counted in items where nothing else is said. In
// every snapshot
//
//	Accepted = Forwarded + Returned + Superseded + Failed + Evicted + Expired + Lost + Stalled + Queued + InFlight
type Stats struct {
	Accepted   int64 // by a push
	Forwarded  int64 // Process took them
	Returned   int64 // Process failed and the waiting caller was told, or it gave up and took them back
	Superseded int64 // in a Map: replaced by a newer value of their key, folded into it, void together with it, or deleted
	Failed     int64 // dropped: Process failed, and nobody waited
	Evicted    int64 // dropped: made room for newer ones, or by Discard
	Expired    int64 // dropped: Expired said so when their turn came
	Lost       int64 // dropped: the deadline of Shutdown was over
	Stalled    int64 // dropped: their key has stalled (StallTimeout)
	Queued     int64 // pending: waiting for their batch, or for its next attempt
	InFlight   int64 // pending: in a call of Process

	Refused   int64    // not accepted: the caller was told, which Accepted does not count
	RefusedBy Refusals // Refused, by reason
	Retried   int64    // came back as a Rest, each time counted
	Oversized int64    // sent alone, over MaxBatchSize, since they could not be split

	Used       int64         // pending, in the unit of Capacity
	Capacity   int64         // as configured
	Fullest    int64         // pending of the key that holds most, in the unit of Capacity; of the partition without keys
	Share      int64         // what that key may hold now, what it holds included. As much as it holds, if it is full
	Oldest     time.Duration // age of the oldest pending item, in flight included, counted from when its buffer was begun
	Keys       int64         // with something pending
	Remembered int64         // versions that a Map knows, pending ones included
	Consumers  int64         // as configured, or updated
	Limit      int64         // calls of Process that may run at once now: Consumers, or what the Limiter says
	Busy       int64         // consumers that are at work
	Calls      int64         // of Process, now
	Callers    int64         // that wait for capacity, now
	Waited     time.Duration // that callers waited for capacity, those who wait no more, all together

	Batches map[Reason]int64 // cut so far
}

// Refusals counts the items of pushes that were refused, by reason.
type Refusals struct {
	Full    int64 // the whole queue was full, or too much waited already
	Key     int64 // the share of a key was full
	Keys    int64 // MaxKeys
	Timeout int64 // the caller's context was done while it waited for capacity
	Closed  int64 // ErrClosed and ErrNotStarted
}

// refusals is Refusals, while it is counted.
type refusals struct{ full, key, keys, timeout, closed atomic.Int64 }

func (r *refusals) load() Refusals {
	return Refusals{r.full.Load(), r.key.Load(), r.keys.Load(), r.timeout.Load(), r.closed.Load()}
}

func (r Refusals) sum() int64 { return r.Full + r.Key + r.Keys + r.Timeout + r.Closed }

// refuse counts a push of so many items that was not accepted, and returns the caller's error. byKey: its key was full.
func (q *Queue[T]) refuse(items int64, byKey bool, err error) error {
	switch {
	case errors.Is(err, ErrClosed):
		q.refused.closed.Add(items)
		if !q.closing.Load() {
			return ErrNotStarted
		}
	case errors.Is(err, ErrTooManyKeys):
		q.refused.keys.Add(items)
	case !errors.Is(err, errNoCapacity):
		q.refused.timeout.Add(items)
	case byKey:
		q.refused.key.Add(items)
		return ErrFull
	default:
		q.refused.full.Add(items)
		return ErrFull
	}
	return err
}

func gaveUp(ctx context.Context) error {
	return fmt.Errorf("partitioned: nothing accepted, gave up waiting for room: %w", context.Cause(ctx))
}

// Stats returns a snapshot, taken under the locks of all partitions.
func (q *Queue[T]) Stats() Stats {
	if q.gate == nil {
		return Stats{}
	}
	st := Stats{
		RefusedBy: q.refused.load(),
		Capacity:  q.cfg.Capacity,
		Keys:      q.keys.n.Load(),
		Consumers: q.consumers.Load(),
		Limit:     int64(q.limits.now()),
		Batches:   map[Reason]int64{},
	}
	st.Refused = st.RefusedBy.sum()
	q.waitList.mu.Lock()
	st.Waited = q.waitList.mu.waited
	st.Callers = q.waitList.mu.callers
	q.waitList.mu.Unlock()
	for _, p := range q.partitions {
		p.mu.Lock()
	}
	fullest, oldest := q.addStreams(&st)
	if !q.partitions[0].mu.dead {
		q.addState(&st, fullest)
	}
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
	if !oldest.IsZero() {
		st.Oldest = time.Since(oldest)
	}
	return st
}

// addStreams adds the accounts, and returns the stream that holds most, and when the oldest item came. Partitions' locks held.
func (q *Queue[T]) addStreams(st *Stats) (fullest *stream[T], oldest time.Time) {
	for _, p := range q.partitions {
		p.mu.addTo(st)
		if p.mu.dead { // all is counted as dropped, and only goroutines that ignore their context remain
			continue
		}
		p.all(func(s *stream[T]) {
			if fullest == nil || s.reserved > fullest.reserved {
				fullest = s
			}
			if at := s.oldest(); !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
				oldest = at
			}
		})
	}
	return fullest, oldest
}

// addState adds what there is until Shutdown has given up. Partitions' locks held.
func (q *Queue[T]) addState(st *Stats, fullest *stream[T]) {
	excess := q.excess.Load()
	st.Used = q.gate.used() + excess
	if q.cfg.Unit == UnitItems { // the gate is left after the partition's lock, so it may still have what was just settled
		st.Used = st.Queued + st.InFlight
	}
	st.Busy = int64(q.scheduler.consumersAtWork())
	if !q.shares {
		st.Fullest, st.Share = fullest.reserved, q.gate.capacity
		return
	}
	st.Fullest, st.Share = q.fill(fullest, st.Used-excess)
}

// fill returns what s holds, and what it may hold in all, while so many units are used (see bound). Partitions' locks held.
func (q *Queue[T]) fill(s *stream[T], used int64) (holds, may int64) {
	divisor := 1 + q.stuck.Load()
	if s != nil {
		holds = s.reserved
		if s.stuck {
			divisor--
		}
		if s.full {
			return holds, holds
		}
	}
	free := max(q.gate.capacity-used, 0)
	may = holds
	if holds <= free/divisor {
		may += (free - holds*divisor) / (divisor + 1)
	}
	return holds, max(min(may, q.cfg.KeyCapacity), holds)
}

// Len is the number of items that are pending: those that wait, and those in a call of Process. It allocates nothing, and takes no
// lock where Capacity counts items, as it does by default. Items that were just settled may count as
// waiting for a moment, unless somebody waits for them.
func (q *Queue[T]) Len() (queued, inFlight int) {
	if q.gate == nil || q.over.Load() {
		return 0, 0
	}
	if q.cfg.Unit != UnitItems {
		return q.lenByPartition()
	}
	flying := q.inFlight.Load()
	return int(max(q.gate.used()+q.excess.Load()-flying, 0)), int(flying)
}

// lenByPartition is Len where the gate counts something else.
func (q *Queue[T]) lenByPartition() (queued, inFlight int) {
	for _, p := range q.partitions {
		p.mu.Lock()
		queued += int(p.mu.queued)
		inFlight += int(p.mu.settled.inFlight)
		p.mu.Unlock()
	}
	return queued, inFlight
}
