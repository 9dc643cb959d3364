// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
)

// Push accepts all items or none. Accepted items are delivered, or counted as dropped by Stats. Without room it waits,
// unless Refuse is set, until there is some or ctx is done; a done ctx is not looked at while there is room.
//
// Items with one key keep their order; those of one caller are accepted in the order of its calls. The items, not the
// slice, belong to the queue from here on.
//
// Errors, all of which say that nothing was accepted: ErrFull, ErrTooManyKeys, ErrClosed, and the cause of ctx.
func (q *Queue[T]) Push(ctx context.Context, items ...T) error {
	return q.push(ctx, items, nil)
}

// PushWait is Push that returns when each of the items is settled, with the joined errors of the batches they were in. It
// makes their streams due at once: nobody waits for a timer while a consumer is free. When ctx is done it stops waiting
// and returns its cause, joined with ErrAbandoned if the items were accepted: they are delivered all the same.
func (q *Queue[T]) PushWait(ctx context.Context, items ...T) error {
	if len(items) == 0 {
		return nil
	}
	o := newOrigin(len(items))
	if err := q.push(ctx, items, o); err != nil {
		return err
	}
	select {
	case <-o.done:
		return o.result()
	case <-ctx.Done():
	}
	select {
	case <-o.done: // of two things that are there, the result comes first
		return o.result()
	default:
		o.leave()
		return errors.Join(ErrAbandoned, context.Cause(ctx))
	}
}

func (q *Queue[T]) push(ctx context.Context, items []T, o *origin) error {
	switch len(items) {
	case 0:
		return nil
	case 1:
		return q.pushOne(ctx, items[0], o)
	}
	parts := q.divide(items)
	_, err := q.admit(parts, o, nil)
	if err == nil {
		return nil
	}
	var n int64
	for i := range parts {
		n += int64(parts[i].weight.Items)
	}
	return q.notYet(ctx, q.newWaiter(parts, o), n, err)
}

// pushOne is push for one item, as admit does it, without a slice of parts: half the time and no allocation.
func (q *Queue[T]) pushOne(ctx context.Context, item T, o *origin) error {
	key := ""
	var l *lane[T]
	if q.cfg.Key != nil {
		key = q.cfg.Key(item)
		l = q.lane(key)
	} else {
		l = q.nextLane()
	}
	w := q.weigh(item)
	room := q.room(w)
	l.mu.Lock()
	s, err := q.find(l, key, nil)
	if err == nil {
		if err = q.gate.enter(room, false); err == nil {
			s.append(item, o)
			q.accept(l, s, w, room)
		} else {
			l.forget(q, s)
		}
	}
	l.mu.Unlock()
	if err == nil {
		return nil
	}
	waiter := q.newWaiter(nil, o).withItem(part[T]{lane: l, key: key, weight: w, room: room}, item)
	return q.notYet(ctx, waiter, int64(w.Items), err)
}

// notYet goes on with a push of so many items that was not admitted at once. w is not used any more when it returns.
func (q *Queue[T]) notYet(ctx context.Context, w *waiter[T], items int64, err error) error {
	if errors.Is(err, errNoRoom) {
		if q.cfg.Refuse {
			err = ErrFull
		} else {
			err = q.standInLine(ctx, w)
		}
	}
	if err != nil {
		q.refused.Add(items)
	}
	q.done(w)
	return err
}

// part is a run of items of one push with one stream to go to.
type part[T any] struct {
	lane   *lane[T]
	key    string
	items  []T
	weight Weight
	room   int64
	stream *stream[T] // while admit runs
}

// divide makes the parts of a push, in the order of their lanes. It copies the items, so that the caller's slice stays
// his, and on his stack (with slices.Clone, or one name for both, it would not).
func (q *Queue[T]) divide(pushed []T) (parts []part[T]) {
	items := append([]T(nil), pushed...)
	if q.cfg.Key == nil {
		runs := min(len(q.lanes), len(items)) // without a key, items spread evenly
		for i := range runs {
			run := items[i*len(items)/runs : (i+1)*len(items)/runs]
			parts = append(parts, part[T]{lane: q.nextLane(), items: run})
		}
	} else {
		for i := range items {
			key := q.cfg.Key(items[i])
			if n := len(parts); n > 0 && parts[n-1].key == key {
				parts[n-1].items = items[i-len(parts[n-1].items) : i+1]
			} else {
				parts = append(parts, part[T]{lane: q.lane(key), key: key, items: items[i : i+1]})
			}
		}
	}
	for i := range parts {
		p := &parts[i]
		for j := range p.items {
			w := q.weigh(p.items[j])
			p.weight = p.weight.plus(w)
			p.room += q.room(w)
		}
	}
	slices.SortStableFunc(parts, func(a, b part[T]) int { return a.lane.number - b.lane.number })
	return parts
}

// nextLane is where the next item without a key goes.
func (q *Queue[T]) nextLane() *lane[T] {
	if len(q.lanes) == 1 {
		return q.lanes[0]
	}
	return q.lanes[q.turn.Add(1)%uint32(len(q.lanes))]
}

func (q *Queue[T]) lane(key string) *lane[T] {
	if len(q.lanes) == 1 {
		return q.lanes[0]
	}
	return q.lanes[maphash.String(q.seed, key)%uint64(len(q.lanes))]
}

func (q *Queue[T]) weigh(item T) Weight {
	if q.cfg.Weigh == nil {
		return Weight{Items: 1}
	}
	w := q.cfg.Weigh(item)
	w.Items = max(w.Items, 1)
	return w
}

// room is what an item of weight w takes of the capacity. Nothing is free, so that no room taken means nothing pending; and
// nothing takes more than a small part of what the gate can count. Where requests are counted, each part of one that was
// split is one.
func (q *Queue[T]) room(w Weight) int64 {
	room := 1
	switch q.cfg.Unit {
	case Items:
		room = w.Items
	case Bytes:
		room = w.Bytes
	}
	return min(max(int64(room), 1), maxRoom>>20)
}
