// SPDX-License-Identifier: Apache-2.0

package partitioned

// accounts is what a partition counts, in items. In every snapshot (I1)
//
//	accepted = forwarded + returned + superseded + failed + evicted + expired + lost + stalled + queued + inFlight
//
// What a push writes stands in pushed, next to the lock; the rest is elsewhere. Guarded by the partition's lock.
type accounts struct {
	pushed
	*settled
}

type pushed struct {
	accepted, queued int64
	superseded       int64 // replaced, or deleted, in a Map
}

type settled struct {
	inFlight            int64 // pending, with queued
	forwarded, returned int64
	failed, lost        int64 // dropped: nobody waited for the error; the deadline of Shutdown was over
	evicted             int64 // dropped: made room for newer ones
	expired             int64 // dropped: too old when their turn came
	stalled             int64 // dropped: of a stalled key
	retried, oversized  int64
	calls               int64 // batches in flight
	batches             [ReasonShutdown + 1]int64
}

// accept books a push.
func (a *accounts) accept(items int64) {
	a.accepted += items
	a.queued += items
}

// supersede books an item that was superseded when it came.
func (a *accounts) supersede(items int64) {
	a.accepted += items
	a.superseded += items
}

// fail books an item that failed when it came. awaited: somebody is told.
func (a *accounts) fail(items int64, awaited bool) {
	a.accepted += items
	if awaited {
		a.settled.returned += items
	} else {
		a.settled.failed += items
	}
}

// replace books items that were written to an entry, which grew by so many.
func (a *accounts) replace(items, grown int64) {
	a.accepted += max(items, grown)
	a.superseded += max(items-grown, 0)
	a.queued += grown
}

// remove books queued items that were deleted.
func (a *accounts) remove(items int64) {
	a.superseded += items
	a.queued -= items
}

// evict books queued items that made room for newer ones.
func (a *accounts) evict(items int64) {
	a.settled.evicted += items
	a.queued -= items
}

// expire books queued items that were too old when their turn came.
func (a *accounts) expire(items int64) {
	a.settled.expired += items
	a.queued -= items
}

// withdraw books queued items that their caller took back.
func (a *accounts) withdraw(items int64) {
	a.settled.returned += items
	a.queued -= items
}

// drop books items of a stalled key.
func (a *accounts) drop(items int64) {
	a.accepted += items
	a.settled.stalled += items
}

// cut books a batch that is in flight from now on. grown: the items that a split added.
func (a *accounts) cut(items, grown int64, reason Reason, oversized bool) {
	c := a.settled
	a.accepted += grown
	a.queued += grown - items
	c.inFlight += items
	c.calls++
	if items > 0 {
		c.batches[reason]++
	}
	if oversized {
		c.oversized += items
	}
}

// settle books a batch that is no longer in flight. withdrawn are its items that Process left out. awaited and taken are of a failed
// batch: items that somebody waits for, and items that were taken all the same.
func (a *accounts) settle(batch, requeued Weight, withdrawn int, awaited int64, taken int, failed bool) (o Outcome) {
	c := a.settled
	settled := int64(batch.Items - requeued.Items)
	if settled < 0 { // more items came back than there were
		a.accepted -= settled
		settled = 0
	}
	c.calls--
	c.inFlight -= int64(batch.Items)
	a.queued += int64(requeued.Items)
	c.retried += int64(requeued.Items)
	o.Rest, o.Returned = int64(requeued.Items), min(max(int64(withdrawn), 0), settled)
	o.Forwarded = settled - o.Returned
	if failed {
		sent := o.Forwarded
		o.Forwarded = min(max(int64(taken), 0), sent)
		awaited = min(awaited, sent-o.Forwarded)
		o.Returned += awaited
		o.Failed = sent - o.Forwarded - awaited
	}
	c.forwarded += o.Forwarded
	c.returned += o.Returned
	c.failed += o.Failed
	return o
}

// lose books everything pending as dropped, and returns how much that is.
func (a *accounts) lose() (items int64) {
	c := a.settled
	items = a.queued + c.inFlight
	c.lost += items
	a.queued, c.inFlight, c.calls = 0, 0, 0
	return items
}

// addTo adds the accounts to a snapshot.
func (a *accounts) addTo(st *Stats) {
	c := a.settled
	st.Accepted += a.accepted
	st.Forwarded += c.forwarded
	st.Returned += c.returned
	st.Superseded += a.superseded
	st.Failed += c.failed
	st.Evicted += c.evicted
	st.Expired += c.expired
	st.Lost += c.lost
	st.Stalled += c.stalled
	st.Queued += a.queued
	st.InFlight += c.inFlight
	st.Retried += c.retried
	st.Oversized += c.oversized
	st.Calls += c.calls
	for r, n := range c.batches {
		st.Batches[Reason(r)] += n
	}
}
