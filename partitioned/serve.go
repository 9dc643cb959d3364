// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"slices"
	"time"
)

// roomOf serves those who wait after units of s were given back. No lock held. s may have been forgotten, and be the stream of
// another key by now: then its list is looked at in vain.
func (q *Queue[T]) roomOf(s *stream[T]) {
	l := &q.waitList.mu
	l.Lock()
	defer q.unlockWaits()
	if q.shares { // else no stream has a list
		s.partition.mu.Lock()
		held := s.reserved
		s.partition.mu.Unlock()
		q.setHeld(s, held)
	}
	q.serve()
}

// serve admits those whose turn it is. Wait list's lock held.
func (q *Queue[T]) serve() {
	q.serveWhole()
	q.serveFull()
	if q.cfg.StallTimeout > 0 {
		q.serveStalled()
	}
	q.setFlags()
}

// setFlags tells pushes and consumers who waits. Wait list's lock held.
func (q *Queue[T]) setFlags() {
	l := &q.waitList.mu
	whole := l.whole.first != nil
	q.gate.setIf(gateWhole, whole)
	q.gate.setIf(gateWaiting, whole || l.full.first() != nil)
	if l.pressed != whole {
		l.pressed = whole
		q.scheduler.setPressed(whole)
	}
}

// try admits w if it can, for whom it is the turn if first. Wait list's lock held.
func (q *Queue[T]) try(w *waiter[T], first bool) (full *stream[T], err error) {
	w.turn = first
	full, err = q.admit(w.parts, w.items, &w.measures, w.completion, w)
	w.turn = false
	for i := range w.parts {
		if p := &w.parts[i]; p.stream != nil && p.stream.waits.list.first != nil {
			q.setHeld(p.stream, p.held)
		}
	}
	return full, err
}

// serveWhole serves the list of the whole until there is no capacity. Wait list's lock held.
func (q *Queue[T]) serveWhole() {
	whole := &q.waitList.mu.whole
	for w := whole.first; w != nil; w = whole.first {
		full, err := q.try(w, true)
		switch {
		case !errors.Is(err, errNoCapacity):
			q.finish(w, err)
		case full != nil: // that got full meanwhile
			q.leaveList(w)
			q.join(w, full)
		default:
			return
		}
	}
}

// serveFull serves the full streams in their order, until one does not fit. Wait list's lock held.
func (q *Queue[T]) serveFull() {
	full := &q.waitList.mu.full
	for s := full.first(); s != nil && q.mayFit(s); s = full.first() {
		rank := s.waits.rank
		if !q.serveFirst(s) && s.waits.rank == rank {
			return // it held what was known of it, so it is the first one still
		}
	}
}

// mayFit reports whether the first caller of s, which has one, may be admitted or promoted, as far as can be seen without the
// partition's lock. Wait list's lock held.
func (q *Queue[T]) mayFit(s *stream[T]) bool {
	free := q.gate.capacity - q.gate.used()
	switch s.waits.rank.group {
	case emptyStream:
		return true
	case emptyPromoted:
		return free > 0
	case holdsItsCap:
		return false
	default:
		return s.waits.rank.holds <= (free-s.waits.list.first.part(s).units)/max(q.stuck.Load(), 1)
	}
}

// serveFirst serves the first caller of s, and reports whether it moved on: it was admitted or refused, or it passed s and waits
// for another stream or for the whole. Wait list's lock held.
func (q *Queue[T]) serveFirst(s *stream[T]) bool {
	w := s.waits.list.first
	full, err := q.try(w, true)
	switch {
	case !errors.Is(err, errNoCapacity):
		q.finish(w, err)
	case full == s:
		return false
	case full != nil:
		w.part(s).passed = !w.part(s).dropped // that of a stalled key is dropped, or waits again
		q.leaveList(w)
		q.join(w, full)
	case s.waits.promoted != nil || q.gate.used() < q.gate.capacity:
		return false
	default:
		w.part(s).passed = true
		s.waits.promoted = w
		q.leaveList(w)
		w.from = s
		q.join(w, nil)
	}
	return true
}

// looksPerStall is how often at most those who wait look for stalled keys in a StallTimeout, as all full streams are looked at.
const looksPerStall = 16

// serveStalled serves all callers with several keys that wait for a key that has stalled, whoever is before them: their part of
// it will be dropped. Wait list's lock held.
func (q *Queue[T]) serveStalled() {
	l, now := &q.waitList.mu, time.Now()
	if now.Sub(l.looked) < q.cfg.StallTimeout/looksPerStall {
		return
	}
	l.looked = now
	for _, s := range slices.Clone(l.full.heap.all) {
		l.full.steps++
		s.partition.mu.Lock()
		look := s.full && !now.Before(s.ripe(q.cfg.StallTimeout))
		s.partition.mu.Unlock()
		for w := s.waits.list.first; look && w != nil; {
			next := w.next
			if len(w.parts) > 1 {
				look = q.serveMixed(s, w)
			}
			w = next
		}
	}
}

// serveMixed tries a caller with several keys that waits for s, which may have stalled. It reports false if s has not.
func (q *Queue[T]) serveMixed(s *stream[T], w *waiter[T]) bool {
	full, err := q.try(w, false)
	switch {
	case !errors.Is(err, errNoCapacity):
		q.finish(w, err)
	case !w.part(s).dropped:
		return false
	default:
		q.leaveList(w)
		q.join(w, full)
	}
	return true
}
