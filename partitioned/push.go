// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
)

// Push accepts all items or none. Accepted items are delivered, or counted as dropped by Stats. Without room it does what
// Overflow says: it waits until there is some or ctx is done, say; a done ctx is not looked at while there is room.
//
// Items with one key keep their order; those of one caller are accepted in the order of its calls. The items, not the
// slice, belong to the queue from here on.
//
// Errors, all of which say that nothing was accepted: ErrFull, ErrTooManyKeys, ErrClosed, and the cause of ctx.
func (q *Queue[T]) Push(ctx context.Context, items ...T) error {
	return q.push(ctx, nil, items, add, nil)
}

// PushKey is Push with a key of the call's own, in place of that of Key. Where streams are not made by key, it says which
// partition the items go to.
func (q *Queue[T]) PushKey(ctx context.Context, key string, items ...T) error {
	return q.push(ctx, &key, items, add, nil)
}

// PushWait is Push that returns when each of the items is settled, with the joined errors of the batches they were in. It
// makes their streams due at once: nobody waits for a timer while a consumer is free. When ctx is done it stops waiting
// and returns its cause, joined with ErrAbandoned if the items were accepted: they are delivered all the same.
func (q *Queue[T]) PushWait(ctx context.Context, items ...T) error {
	return q.pushWait(ctx, items, add)
}

// PushResult is PushWait in two steps: it returns when the items are accepted, or with an error of Push, and its Result
// waits for what becomes of them. So the one error is told from the other.
func (q *Queue[T]) PushResult(ctx context.Context, items ...T) (Result, error) {
	return q.pushResult(ctx, items, add)
}

func (q *Queue[T]) pushResult(ctx context.Context, items []T, how write) (Result, error) {
	if len(items) == 0 {
		return Result{}, nil
	}
	o := newOrigin(len(items))
	return Result{o}, q.push(ctx, nil, items, how, o)
}

func (q *Queue[T]) pushWait(ctx context.Context, items []T, how write) error {
	r, err := q.pushResult(ctx, items, how)
	if err != nil {
		return err
	}
	return r.Wait(ctx)
}

// push is every push. key: of all items; nil: Key tells.
func (q *Queue[T]) push(ctx context.Context, key *string, items []T, how write, o *origin) error {
	switch len(items) {
	case 0:
		return nil
	case 1:
		return q.pushOne(ctx, key, items[0], how, o)
	}
	if len(q.lanes) == 1 && !q.byKey() {
		return q.pushHere(ctx, items, how, o)
	}
	parts := q.divide(key, items, how)
	_, err := q.admit(parts, o, nil)
	if err == nil {
		q.served(parts)
		return nil
	}
	var n int64
	for i := range parts {
		n += int64(parts[i].weight.Items)
	}
	return q.notYet(ctx, q.newWaiter(parts, o), n, err)
}

// pushOne is push for one item, as admit does it, without a slice of parts: half the time and no allocation.
func (q *Queue[T]) pushOne(ctx context.Context, key *string, item T, how write, o *origin) error {
	name, l, hash := q.route(key, item)
	w := q.weigh(item)
	room := q.room(w)
	l.mu.Lock()
	s, err := q.find(l, name, nil)
	var freed bool
	if err == nil {
		if err = q.gate.enter(room, false); err != nil {
			l.forget(q, s)
		} else if q.newIndex == nil {
			s.append(item, o)
			q.accept(s, w, room)
		} else {
			freed = q.insert(s, item, hash, w, room, how, o)
			l.forget(q, s)
		}
	}
	l.mu.Unlock()
	if err == nil {
		if freed {
			q.roomOf(s)
		}
		return nil
	}
	waiter := q.newWaiter(nil, o).withItem(part[T]{lane: l, key: name, how: how, weight: w, room: room}, item, hash)
	return q.notYet(ctx, waiter, int64(w.Items), err)
}

// pushHere is push for several items where there is one stream, as admit does it. It copies the items only if they have to
// wait, and keeps no parts of them until then: so the caller's slice can stay on his stack.
func (q *Queue[T]) pushHere(ctx context.Context, items []T, how write, o *origin) error {
	l := q.lanes[0]
	var hashes []uint64
	if q.hash != nil {
		hashes = make([]uint64, len(items))
		for i := range items {
			hashes[i] = q.hash(items[i])
		}
	}
	weight, room := q.weighAll(items)
	var freed bool
	l.mu.Lock()
	s, err := q.find(l, "", nil)
	if err == nil {
		err = q.gate.enter(room, false)
	}
	if err == nil {
		freed = q.write(s, items, hashes, weight, room, how, o)
	}
	l.mu.Unlock()
	if err == nil {
		if freed {
			q.roomOf(s)
		}
		return nil
	}
	waits := part[T]{lane: l, items: append([]T(nil), items...), hashes: hashes, how: how, weight: weight, room: room}
	return q.notYet(ctx, q.newWaiter([]part[T]{waits}, o), int64(weight.Items), err)
}

// weighAll is weigh and room of all items.
func (q *Queue[T]) weighAll(items []T) (weight Weight, room int64) {
	for i := range items {
		w := q.weigh(items[i])
		weight = weight.plus(w)
		room += q.room(w)
	}
	return weight, room
}

// route tells where item goes: the key of its stream, and the lane; and for a Map the hash of the key that it is held by.
func (q *Queue[T]) route(key *string, item T) (name string, l *lane[T], hash uint64) {
	if q.hash != nil {
		hash = q.hash(item)
	}
	switch {
	case key != nil:
		if l = q.lane(*key); q.byKey() {
			name = *key
		}
	case q.cfg.Key != nil:
		name = q.cfg.Key(item)
		l = q.lane(name)
	case q.hash != nil:
		l = q.lanes[hash%uint64(len(q.lanes))]
	default:
		l = q.nextLane()
	}
	return name, l, hash
}

// notYet goes on with a push of so many items that was not admitted at once. w is not used any more when it returns.
func (q *Queue[T]) notYet(ctx context.Context, w *waiter[T], items int64, err error) error {
	if errors.Is(err, errNoRoom) {
		switch q.cfg.Overflow {
		case Refuse:
			err = ErrFull
		case DropOldest:
			err = q.displace(w)
		default:
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
	hashes []uint64 // of their keys, in a Map
	how    write
	weight Weight
	room   int64
	stream *stream[T] // set by admit
	freed  bool       // room that somebody waits for, as something was superseded
}

// served goes on with the lines after a push that superseded something.
func (q *Queue[T]) served(parts []part[T]) {
	for i := range parts {
		if parts[i].freed {
			q.roomOf(parts[i].stream)
		}
	}
}

// divide makes the parts of a push to several streams, in the order of their lanes. It copies the items, so that the caller's
// slice stays his, and on his stack (with slices.Clone, or one name for both, it would not).
func (q *Queue[T]) divide(key *string, pushed []T, how write) (parts []part[T]) {
	items := append([]T(nil), pushed...)
	switch {
	case key == nil && q.cfg.Key == nil && q.hash == nil:
		runs := min(len(q.lanes), len(items)) // without a key, items spread evenly
		for i := range runs {
			run := items[i*len(items)/runs : (i+1)*len(items)/runs]
			parts = append(parts, part[T]{lane: q.nextLane(), items: run, how: how})
		}
	case !q.byKey():
		of := make([]part[T], len(q.lanes))
		for i := range items {
			_, l, hash := q.route(key, items[i])
			p := &of[l.number]
			p.lane, p.how = l, how
			if p.items = append(p.items, items[i]); q.hash != nil {
				p.hashes = append(p.hashes, hash)
			}
		}
		parts = slices.DeleteFunc(of, func(p part[T]) bool { return p.lane == nil })
	default:
		var hashes []uint64
		if q.hash != nil {
			hashes = make([]uint64, len(items))
		}
		for i := range items {
			name, l, hash := q.route(key, items[i])
			from := i
			if n := len(parts) - 1; n >= 0 && parts[n].key == name {
				from -= len(parts[n].items)
				parts = parts[:n]
			}
			p := part[T]{lane: l, key: name, items: items[from : i+1], how: how}
			if q.hash != nil {
				hashes[i] = hash
				p.hashes = hashes[from : i+1]
			}
			parts = append(parts, p)
		}
	}
	for i := range parts {
		parts[i].weight, parts[i].room = q.weighAll(parts[i].items)
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

// Partition is the number of the partition that key leads to, from 0 to Partitions - 1. It never changes.
func (q *Queue[T]) Partition(key string) int { return q.lane(key).number }

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
