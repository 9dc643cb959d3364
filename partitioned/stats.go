// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// Stats is what a queue has in it and what became of everything before, counted in items where nothing else is said. In
// every snapshot
//
//	Accepted = Forwarded + Returned + Superseded + Failed + Evicted + Lost + Queued + InFlight
type Stats struct {
	Accepted   int64 // by a push
	Forwarded  int64 // Process took them
	Returned   int64 // Process failed and the waiting caller was told, or it gave up and took them back
	Superseded int64 // in a Map: replaced by a newer value of their key, folded into it, or deleted
	Failed     int64 // dropped: Process failed, and nobody waited
	Evicted    int64 // dropped: made room for newer ones
	Lost       int64 // dropped: the deadline of Shutdown was over
	Queued     int64 // pending: waiting for their batch, or for its next attempt
	InFlight   int64 // pending: in a call of Process

	Refused   int64 // not accepted: the caller was told, which Accepted does not count
	Retried   int64 // came back as a Rest, each time counted
	Oversized int64 // sent alone, over MaxBatchSize, since they could not be split

	Used       int64         // pending, in the unit of Capacity
	Capacity   int64         // as configured
	Keys       int64         // with something pending
	Remembered int64         // versions that a Map remembers
	Calls      int64         // of Process, now
	Callers    int64         // that wait for room, now
	Waited     time.Duration // that callers waited for room, those who wait no more, all together

	Batches map[Reason]int64 // cut so far
}

// Stats returns a snapshot, taken under the locks of all partitions.
func (q *Queue[T]) Stats() Stats {
	st := Stats{
		Refused:  q.refused.Load(),
		Capacity: q.cfg.Capacity,
		Keys:     q.keys.n.Load(),
		Batches:  map[Reason]int64{},
	}
	q.waitList.mu.Lock()
	st.Waited = q.waitList.mu.waited
	st.Callers = q.waitList.mu.callers
	q.waitList.mu.Unlock()
	for _, p := range q.partitions {
		p.mu.Lock()
	}
	for _, p := range q.partitions {
		p.mu.addTo(&st)
	}
	if !q.partitions[0].mu.dead {
		st.Used = q.gate.used()
	}
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
	return st
}

// Len is the number of items that are pending: those that wait, and those in a call of Process.
func (q *Queue[T]) Len() (queued, inFlight int) {
	st := q.Stats()
	return int(st.Queued), int(st.InFlight)
}
