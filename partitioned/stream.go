// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// state is where a stream stands, as its partition sees it.
type state int8

const (
	idle    state = iota // nothing is pending
	timed                // waits for more, or for its time
	ready                // waits for a consumer
	parked               // waits for the time of its next attempt
	paused               // waits until nothing pauses it any more
	cutting              // a consumer cuts a batch; the drain is the consumer's
	busy                 // a batch is in flight
)

// keySlot says whether a stream counts for MaxKeys.
type keySlot int8

const (
	slotNone  keySlot = iota // no stream by key
	slotFree                 // nothing is pending
	slotTaken                // something is
)

// stream is the pending data of one key in one partition, with its state and its reserved units. It exists while it holds
// something, while callers wait for it, and for a minute after a failed call. The partition's lock guards all of it, except
// where a field says otherwise.
//
//	idle ──append──► timed ──due, or time over──► ready ──claim──► cutting ──► busy ──settle──► idle, timed, ready, parked
//
// A paused stream that holds items becomes paused when it is scheduled, or when a consumer comes for it. Resume schedules it anew, and so
// does tidy when its items are gone.
//
// Only methods in this file and in flight.go write its fields, except for blocked, and the fields of stall.go and memories.go. node and waits
// are the scheduler's and the wait list's.
type stream[T any] struct {
	// What a push touches comes first: with the beginning of the backlog it fills two cache lines.
	state     state
	blocked   bool // callers wait for it, so nobody passes them. Set here, cleared by the wait list
	apart     bool // of requeued items, beside the partition's order; immutable
	full      bool // from the first part that its share refuses to the first that it takes again
	stuck     bool // full, and nothing of it was forwarded since
	stalled   bool // see Queue.stalled
	needed    bool // somebody needs it to be flushed, until the next claim
	lingers   bool // it is timed, for callers that gather
	again     bool // something was put back, until the next claim
	slot      keySlot
	reserved  int64 // units of the capacity that its items take, those in flight included
	partition *partition[T]
	backlog   backlog[T]

	flights       []flight[T] // batches in flight; at most one where order is kept (I2)
	excess        int64       // units of reserved that the gate does not count, as they were restored beyond the share
	claimed       int64       // units that were reserved, and in no flight, at the last claim
	claimedOldest time.Time   // when the oldest of them came

	notBefore   time.Time // when the next batch may begin, with MinInterval, or after an After without a Rest
	forwardedAt time.Time // when something of it was last forwarded; kept with StallTimeout, or while it is full
	trouble     *trouble  // nil: it was never full, and no call failed. Most streams have none, and there may be many
	remembered  bool      // in memories
	reminder    reminder  // guarded by the lock of memories

	rank  rank     // written by ranking.go
	node  node[T]  // guarded by the scheduler's lock
	waits waits[T] // guarded by the wait list's lock

	key string
}

// trouble is what a stream knows of when it was full, and of calls that failed.
type trouble struct {
	fullSince   time.Time // with nothing forwarded since then. See refuse
	fullUntil   time.Time // when it last took a part again
	suspectedAt time.Time // when another key was first seen to work, that being no sign of life of this one; old ones count for nothing
	stalledAt   time.Time
	failedAt    time.Time // of the last call, if that failed
	failedFrom  time.Time // when the last call that failed had begun; kept with StallTimeout
	failedAlone bool      // the last call failed, and had begun while another key worked
}

func newStream[T any](p *partition[T]) *stream[T] {
	s := &stream[T]{partition: p, node: node[T]{heapIndex: -1}, reminder: reminder{heapIndex: -1}, rank: rank{droppable: -1, timed: -1}}
	s.waits.rank.place = -1
	s.backlog.index = noIndex[T]{}
	if p == nil {
		return s
	}
	s.backlog.drain.buffers = p.common.buffers
	s.backlog.tuned, s.backlog.splits = p.common.tuned, p.common.splits
	if p.common.newIndex != nil {
		s.backlog.index = p.common.newIndex(p.number)
		s.backlog.contiguous = true
	}
	return s
}

// clear makes s, which is empty, a stream without a key.
func (s *stream[T]) clear() {
	s.setFull(false)
	s.stalled, s.needed, s.again, s.slot, s.key = false, false, false, slotNone, ""
	s.trouble, s.forwardedAt, s.notBefore = nil, time.Time{}, time.Time{}
}

// reusable reports whether s, which is empty, may become the stream of another key: it is small, and has no index, whose
// memory is that of the old key.
func (s *stream[T]) reusable() bool {
	return !s.backlog.contiguous && s.backlog.room() <= maxUnusedEntries
}

// keepsOrder reports whether at most one batch of s may be in flight (I2).
func (s *stream[T]) keepsOrder() bool { return s.partition.common.ordered || s.apart }

// accept books items that were appended, and moves on unless they are quiet, as append says.
func (s *stream[T]) accept(items, units int64, quiet bool) {
	s.reserve(units)
	s.partition.mu.accept(items)
	if !quiet {
		s.moveOn()
	}
}

// take books that the gate has taken units for s. within: its share allowed it.
func (s *stream[T]) take(within bool) {
	if s.slot == slotFree {
		s.slot = slotTaken
	}
	if s.full && within {
		s.setFull(false)
		s.trouble.fullUntil = time.Now()
	}
}

// freeSlot frees the key slot of s if nothing is pending, and reports whether it did.
func (s *stream[T]) freeSlot() bool {
	if s.slot != slotTaken || s.reserved > 0 {
		return false
	}
	s.slot = slotFree
	return true
}

// refuse books that the share of s refused a part, and makes s due. waiting: the caller joins the list of s, or unblocks it.
//
// Where batches that fail are dropped, s takes parts in between, and still works no better. So it counts as full since the first refusal,
// until something is forwarded, or no part is refused for timeout.
func (s *stream[T]) refuse(waiting bool, timeout time.Duration) {
	if !s.full {
		now, t := time.Now(), s.inTrouble()
		if s.forwardedAt.After(t.fullSince) || now.Sub(t.fullUntil) >= timeout {
			t.fullSince = now
		}
		s.setFull(true)
	}
	s.blocked = s.blocked || waiting
	s.need()
}

// need makes s due, as somebody needs what it holds. One that is due already has nothing noted: if what makes it due leaves, there is
// capacity again, and who finds none after that comes here again.
func (s *stream[T]) need() {
	if s.state == timed {
		s.needed = true
		s.moveOn()
	}
}

func (s *stream[T]) setFull(full bool) {
	s.full = full
	s.setStuck(full)
}

func (s *stream[T]) setStuck(stuck bool) {
	if s.stuck == stuck {
		return
	}
	if s.stuck = stuck; stuck {
		s.partition.common.stuck.Add(1)
	} else {
		s.partition.common.stuck.Add(-1)
	}
}

func (s *stream[T]) setStalled(stalled bool, since time.Time) {
	s.stalled, s.inTrouble().stalledAt = stalled, since
}

// inTrouble returns the trouble of s, which it has from now on.
func (s *stream[T]) inTrouble() *trouble {
	if s.trouble == nil {
		s.trouble = &trouble{}
	}
	return s.trouble
}

// answered books the answer of a call. alone: it had begun, at that time, while another key worked.
func (s *stream[T]) answered(failed bool, began time.Time, alone bool) {
	switch {
	case failed:
		t := s.inTrouble()
		t.failedAt, t.failedFrom, t.failedAlone = time.Now(), began, alone
	case s.trouble != nil:
		s.trouble.failedAt, s.trouble.failedAlone = time.Time{}, false
	}
}

// setForwarded books that something of s was forwarded. Only StallTimeout asks for the time.
func (s *stream[T]) setForwarded(at time.Time) {
	s.setStuck(false)
	s.forwardedAt = at
}

// reserve books units that the gate has counted; n may be negative. Nothing else writes reserved, as nothing but setState writes
// state, so that a ranking misses nothing.
func (s *stream[T]) reserve(n int64) {
	s.reserved += n
	if r := s.partition.ranking; r != nil {
		r.update(s)
	}
}

func (s *stream[T]) setState(to state) {
	s.state = to
	if r := s.partition.ranking; r != nil {
		r.update(s)
	}
}

// mark appends a marker of Flush if something is pending, and not paused.
func (s *stream[T]) mark(c *completion) {
	if s.state == idle && len(s.flights) == 0 || s.isPaused() {
		return
	}
	s.backlog.appendFlush(c.marker(s, s.backlog.swaps))
	s.moveOn()
}

// due reports whether a flush waits for nothing but a consumer, and for what putBack and MinInterval have it wait.
func (s *stream[T]) due() bool {
	t := s.backlog.tuned.Load()
	return s.backlog.weight.reaches(t.size) || s.backlog.urgent > 0 && s.hurries(t) || s.blocked || s.needed || s.inFlush(t) || s.comesAgain()
}

// comesAgain reports whether something was put back. putBack parks it until its After is over. It is due from then on, whatever else there
// is, and stays so while a pause holds it.
func (s *stream[T]) comesAgain() bool { return s.again && s.backlog.drain.weight.Items > 0 }

// hurries reports whether the urgent entries make s due at once: there is no Linger, or they are not only those of callers.
func (s *stream[T]) hurries(t *tuning) bool {
	return t.linger == 0 || s.backlog.markers > 0 || s.backlog.drain.comesAgain()
}

// inFlush reports whether a flush of several batches has begun, and what is left belongs to it.
func (s *stream[T]) inFlush(t *tuning) bool { return t.adaptive && len(s.backlog.drain.segments) > 0 }

// moveOn changes the state after something was appended, or somebody began to wait.
func (s *stream[T]) moveOn() {
	switch {
	case s.state == idle:
		s.schedule()
	case s.state != timed:
	case s.due():
		if s.paced() {
			s.setState(parked)
			s.partition.common.scheduler.postpone(s, s.pace().notBefore)
			return
		}
		s.setState(ready)
		s.partition.common.scheduler.makeReady(s)
	case s.backlog.urgent > 0 && !s.lingers: // the first of the callers that gather
		s.lingers = true
		s.partition.common.scheduler.retime(s, s.deadline())
	}
}

// schedule gives s the state that fits what it holds. The caller is its only owner: no consumer and no queue of the scheduler
// has it.
func (s *stream[T]) schedule() {
	c := s.partition.common
	switch {
	case s.backlog.empty():
		s.backlog.reset()
		s.needed, s.again = false, false
		s.setState(idle)
		s.partition.forget(s)
	case s.heldByPause():
		s.setState(paused)
	case s.due() && s.paced():
		s.park()
	case s.due():
		s.setState(ready)
		c.scheduler.putReady(s)
	default:
		s.setState(timed)
		s.lingers = s.backlog.urgent > 0
		c.scheduler.putTimed(s, s.deadline())
	}
}

// park makes s, which is due, wait for its MinInterval.
func (s *stream[T]) park() {
	s.setState(parked)
	s.partition.common.scheduler.putPaced(s, s.pace().notBefore)
}

// deadline returns when s is due if nothing makes it due before.
func (s *stream[T]) deadline() time.Time {
	t := s.partition.common.tuned.Load()
	at := t.deadline(s.backlog.oldest())
	if s.backlog.urgent > 0 {
		at = s.backlog.oldest().Add(t.linger)
	}
	if next := s.pace().notBefore; next.After(at) {
		return next
	}
	return at
}

// pace returns the stream whose notBefore s goes by: what comes again apart from its stream keeps to the same MinInterval.
func (s *stream[T]) pace() *stream[T] {
	if s.apart {
		return s.partition.sole
	}
	return s
}

// paced reports whether it is too early for the next batch of s.
func (s *stream[T]) paced() bool {
	next := s.pace().notBefore
	return !next.IsZero() && time.Now().Before(next)
}

// retime schedules s anew after BatchSize or Interval changed.
func (s *stream[T]) retime() {
	if s.state != cutting {
		s.backlog.recount()
	}
	if s.state != timed {
		return
	}
	if s.moveOn(); s.state == timed {
		s.lingers = s.backlog.urgent > 0
		s.partition.common.scheduler.retime(s, s.deadline())
	}
}

// early reports whether s, which a consumer has taken, is to wait on: what made it due has left meanwhile, or the item that it was the
// time of.
func (s *stream[T]) early() bool { return !s.due() && time.Now().Before(s.deadline()) }

// claim gives the drain to a consumer that cuts, with what was written if a batch may need it.
func (s *stream[T]) claim(t *tuning) {
	// A flush of Adaptive sends what one swap gave, so that no flush of a Map has a key twice. Else a cut sees all there is,
	// unless the drain alone makes a batch.
	if d := &s.backlog.drain; !s.inFlush(t) && !d.weight.reaches(t.until) {
		s.backlog.swap()
	}
	s.claimed, s.claimedOldest = s.waitingUnits(), s.backlog.oldest()
	s.backlog.seal()
	s.needed, s.again = false, false
	s.setState(cutting)
	if t.minInterval > 0 { // from here on, as a stream apart and its own may be cut at once
		s.pace().notBefore = time.Now().Add(t.minInterval)
	}
}

// oldest returns when the buffer of the oldest pending item was begun, in flight included; zero: nothing is pending. A
// drain that a consumer cuts is not looked at.
func (s *stream[T]) oldest() (at time.Time) {
	if s.reserved == 0 {
		return at
	}
	if s.state == cutting {
		return s.claimedOldest
	}
	if !s.backlog.empty() {
		at = s.backlog.oldest()
	}
	for _, f := range s.flights {
		if at.IsZero() || f.call.batch.Oldest.Before(at) {
			at = f.call.batch.Oldest
		}
	}
	return at
}

// evictable returns how many units the items take that no consumer has.
func (s *stream[T]) evictable() int64 {
	units := s.waitingUnits()
	if s.state == cutting { // of what was there at the claim, nobody knows yet what is in the batch
		units = max(units-s.claimed, 0)
	}
	return units
}

// evict removes the oldest item that no consumer has, whose units the caller gives back.
func (s *stream[T]) evict() (e entry[T], ok bool) { return s.backlog.evict(s.state == cutting) }

// tidy goes on after entries were deleted, evicted or withdrawn. With nothing left, s is no stream any more, unless a consumer
// has it or is about to. With nothing left but markers of Flush, no pause holds it any more.
func (s *stream[T]) tidy() {
	if s.state == paused && s.backlog.weight.Items == 0 {
		s.schedule()
		return
	}
	if s.backlog.empty() {
		switch s.state {
		case timed, ready, parked:
			if s.partition.common.scheduler.takeOut(s, s.state == parked) {
				s.schedule()
			}
			return
		case busy:
			s.backlog.reset()
			return
		}
	}
	s.backlog.compact()
	s.backlog.sweep(s.state == cutting)
}
