// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"slices"
	"time"
)

// flight is a batch in flight, and each Flush that waits for it, as it was called when the batch had been cut.
type flight[T any] struct {
	call    *call[T]
	flushes []*completion
}

// depart books a batch that was cut. Unless order is kept, s is free for the next consumer at once. It may be forgotten then.
func (s *stream[T]) depart(c *call[T], r *cutResult) {
	s.backlog.settleCut(c.batch.Weight.minus(r.grown).plus(r.expired), r.urgent, r.skipped)
	s.reserve(r.units)
	for i := range s.flights { // a Flush also waits for what was in flight before it
		for _, f := range c.flushes {
			f.add()
			s.flights[i].flushes = append(s.flights[i].flushes, f)
		}
	}
	s.flights = append(s.flights, flight[T]{call: c})
	s.backlog.markers -= int32(len(c.flushes))
	if c.minInterval > 0 && len(c.batch.Items) == 0 { // no call
		s.pace().notBefore = time.Time{}
	}
	if s.setState(busy); !s.keepsOrder() {
		s.schedule()
	}
}

// arrive books that a batch is no longer in flight, and returns each Flush that waited for it.
func (s *stream[T]) arrive(c *call[T]) (flushes []*completion) {
	i := slices.IndexFunc(s.flights, func(f flight[T]) bool { return f.call == c })
	flushes = s.flights[i].flushes
	s.flights = slices.Delete(s.flights, i, i+1)
	s.reserve(-c.units)
	return flushes
}

// putBack puts requeued items before all else of s or, where there is no order to keep, into a stream of their own, so that
// they wait without the others.
func (s *stream[T]) putBack(r requeued[T], oldest time.Time, after time.Duration) {
	if !s.keepsOrder() {
		s = s.partition.openApart()
	}
	var urgent int32 // counted here, as a Flush may have come to wait for what was nobody's
	for _, n := range r.notes {
		if n.completion.urgent() {
			urgent++
		}
	}
	s.backlog.putBack(r.buffer, oldest, r.weight, urgent)
	s.again = true
	s.reserve(r.units)
	switch {
	case after > 0:
		at := time.Now().Add(after)
		if next := s.pace().notBefore; next.After(at) {
			at = next
		}
		s.setState(parked)
		s.partition.common.scheduler.putParked(s, at)
	case s.paced():
		s.park()
	default:
		s.setState(ready)
		s.partition.common.scheduler.putReady(s)
	}
}

// putOff puts off the next batch of s, of whose last one nothing comes again. Streams without an order have other batches under way.
func (s *stream[T]) putOff(after time.Duration) {
	if after <= 0 || !s.keepsOrder() {
		return
	}
	if at := time.Now().Add(after); at.After(s.pace().notBefore) {
		s.pace().notBefore = at
	}
}

// waitingUnits returns how many units the items take that are in no flight.
func (s *stream[T]) waitingUnits() int64 {
	units := s.reserved
	for _, f := range s.flights {
		units -= f.call.units
	}
	return units
}

// abandon empties s at the deadline of Shutdown, and returns the completions of all that it held, in flight too. A consumer
// that cuts sees to the drain itself, as soon as it has the lock.
func (s *stream[T]) abandon() (all []*completion) {
	for _, f := range s.flights {
		for _, w := range f.call.waiting {
			all = append(all, w.completion)
		}
		all = append(all, f.call.flushes...)
		all = append(all, f.flushes...)
	}
	if s.state != cutting {
		all = append(all, s.backlog.drain.abandon()...)
	}
	s.flights = nil
	return append(all, s.backlog.abandon()...)
}
