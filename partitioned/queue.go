// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// Queue buffers items and hands them on in batches. Make one with NewQueue; all its methods may be called at once.
type Queue[T any] struct {
	cfg     QueueConfig[T] // immutable
	lanes   []*lane[T]     // immutable; a key's lane never changes
	seed    maphash.Seed
	ordered bool // streams have at most one batch in flight

	gate    *gate // immutable
	line    line[T]
	waiters sync.Pool // of *waiter[T]
	sched   sched[T]
	keys    atomic.Int64  // streams by key that exist
	turn    atomic.Uint32 // of the lanes, where items have no key
	refused atomic.Int64  // items

	ctx     context.Context // of the calls of Process
	cancel  context.CancelFunc
	working atomic.Int64  // workers that have not ended
	gone    chan struct{} // closed by the last of them

	life struct {
		sync.Mutex
		started, closed bool
	}
	closing atomic.Bool
	ended   chan struct{} // Shutdown is done
	result  error         // its result; valid when ended is closed
}

// NewQueue makes a queue that accepts nothing until Start. It fails if a field of cfg is invalid, and names it.
func NewQueue[T any](cfg QueueConfig[T]) (*Queue[T], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	q := &Queue[T]{
		cfg:     cfg,
		seed:    maphash.MakeSeed(),
		ordered: cfg.Key != nil || cfg.Partitions > 1 || cfg.Consumers == 1,
		gone:    make(chan struct{}),
		ended:   make(chan struct{}),
	}
	q.sched.free.L = &q.sched.mu
	q.ctx, q.cancel = context.WithCancel(context.Background())
	for i := range cfg.Partitions {
		l := &lane[T]{number: i, apart: map[*stream[T]]struct{}{}}
		if q.byKey() {
			l.streams = map[string]*stream[T]{}
		} else {
			l.sole = newStream(l)
		}
		q.lanes = append(q.lanes, l)
	}
	q.gate = &q.lanes[0].gate
	if len(q.lanes) > 1 {
		q.gate = &gate{}
	}
	q.gate.init(cfg.Capacity)
	return q, nil
}

func (q *Queue[T]) byKey() bool { return q.cfg.Key != nil && !q.cfg.PerLane }

// Start begins to accept and to process, on Consumers goroutines. It fails after Shutdown, and if called twice.
func (q *Queue[T]) Start() error {
	q.life.Lock()
	defer q.life.Unlock()
	if q.life.started || q.life.closed {
		return errors.New("partitioned: a queue starts once")
	}
	q.life.started = true
	q.working.Store(int64(q.cfg.Consumers))
	for range q.cfg.Consumers {
		go q.work()
	}
	q.gate.open()
	return nil
}

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

// errNoRoom: not now. Never leaves the package.
var errNoRoom = errors.New("no room")

// admit is acceptance: under the locks of all lanes concerned, it finds the streams, takes the room, and appends. Either
// all of it happens or nothing. Where room is short, the first stream that has none for its key is returned too, or nil if
// it is the whole queue that has none. w is the caller in line that it is done for; nil: one who has not stood in line.
//
// Room is taken under the lock in which the items are appended, so that the order of acceptance is the order in the stream
// (I2), and so that Shutdown, after it closed the gate and then held each lane once, has seen every item that will ever be
// here (I7).
func (q *Queue[T]) admit(parts []part[T], o *origin, w *waiter[T]) (full *stream[T], err error) {
	lock(parts)
	defer unlock(parts)
	var room int64
	for i := range parts {
		p := &parts[i]
		s, err := q.find(p.lane, p.key, w)
		if err != nil {
			q.undo(parts[:i])
			return s, err
		}
		p.stream = s
		room += p.room
	}
	if err := q.gate.enter(room, w != nil); err != nil {
		q.undo(parts)
		return nil, err
	}
	for i := range parts {
		p := &parts[i]
		for _, item := range p.items {
			p.stream.append(item, o)
		}
		q.accept(p.lane, p.stream, p.weight, p.room)
	}
	return nil, nil
}

// find returns the stream for key, with an error if it has no room for itself. lane.mu held.
//
// One who has stood in the line of any key passes the lines of others: with turns in one line only, two callers who want
// the same two keys could send each other back for ever.
func (q *Queue[T]) find(l *lane[T], key string, w *waiter[T]) (*stream[T], error) {
	s, err := l.open(q, key)
	if err != nil {
		return nil, err
	}
	if s.held < q.cfg.KeyCapacity && (!s.blocked || w != nil && w.of != nil) {
		return s, nil
	}
	if q.gate.closed() {
		return nil, ErrClosed // not into a line any more
	}
	if w != nil {
		// From here on whoever gives room back to s goes on with its line, in which w will stand in a moment; and the
		// caller who waits makes s due.
		s.blocked = true
		if s.place == timed {
			q.makeReady(s)
		}
	}
	return s, errNoRoom
}

// accept books what was appended to s. lane.mu held.
func (q *Queue[T]) accept(l *lane[T], s *stream[T], w Weight, room int64) {
	s.queued = s.queued.plus(w)
	s.held += room
	l.mu.accepted += int64(w.Items)
	l.mu.queued += int64(w.Items)
	switch s.place {
	case idle:
		q.place(s)
	case timed:
		if q.due(s) {
			q.makeReady(s)
		}
	}
}

// undo leaves no stream behind that was made for nothing.
func (q *Queue[T]) undo(parts []part[T]) {
	for i := range parts {
		parts[i].lane.forget(q, parts[i].stream)
	}
}

func (q *Queue[T]) makeReady(s *stream[T]) {
	s.place = ready
	q.sched.makeReady(s)
}

// due tells whether a flush of s has to wait for nothing but a worker. lane.mu held.
func (q *Queue[T]) due(s *stream[T]) bool {
	return s.queued.reaches(q.cfg.BatchSize) || s.waited > 0 || s.blocked
}

// place puts s where it belongs. lane.mu held; nobody else has s.
func (q *Queue[T]) place(s *stream[T]) {
	switch {
	case len(s.active) == 0 && len(s.draining) == 0:
		s.place = idle
		s.lane.forget(q, s)
	case q.due(s):
		s.place = ready
		q.sched.putReady(s)
	default:
		s.place = timed
		q.sched.putTimed(s, s.oldest().Add(q.cfg.Interval))
	}
}

func lock[T any](parts []part[T]) {
	for i := range parts {
		if i == 0 || parts[i].lane != parts[i-1].lane {
			parts[i].lane.mu.Lock()
		}
	}
}

func unlock[T any](parts []part[T]) {
	for i := range parts {
		if i == 0 || parts[i].lane != parts[i-1].lane {
			parts[i].lane.mu.Unlock()
		}
	}
}

// takeKey counts one more key, if MaxKeys allows. Compare-and-swap and not add: an add that is taken back would refuse
// others meanwhile.
func (q *Queue[T]) takeKey() bool {
	for {
		n := q.keys.Load()
		if q.cfg.MaxKeys > 0 && n >= int64(q.cfg.MaxKeys) {
			return false
		}
		if q.keys.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Flush makes due whatever is pending, and returns when all of it is settled or ctx is done, whose cause it then returns.
// What became of the items, their callers and Stats know.
func (q *Queue[T]) Flush(ctx context.Context) error {
	o := newOrigin(1) // held open until all streams have been visited
	o.flush = true
	for _, l := range q.lanes {
		l.mu.Lock()
		if !l.mu.dead {
			l.all(func(s *stream[T]) {
				if s.place == idle && len(s.calls) == 0 {
					return
				}
				var none T
				o.add(1)
				s.append(none, o)
				switch s.place {
				case idle:
					q.place(s)
				case timed:
					q.makeReady(s)
				}
			})
		}
		l.mu.Unlock()
	}
	o.settle(nil)
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Shutdown stops accepting, delivers what is pending, parked streams at once, and returns when that is done. When ctx is
// done first, the calls' contexts are cancelled, what is left is counted as dropped (what is in flight too, whatever
// becomes of it), and the error says how much, wrapping ErrDropped and the cause of ctx. Either way no call begins after
// it returned. A second call waits for the first, and returns the same, or the cause of its own ctx.
//
// A goroutine inside a call of Process that ignores its context is the only thing that may remain.
func (q *Queue[T]) Shutdown(ctx context.Context) error {
	q.life.Lock()
	again := q.life.closed
	if q.life.closed = true; !again && !q.life.started {
		close(q.gone) // no worker was ever there
	}
	q.life.Unlock()
	if again {
		select {
		case <-q.ended:
		case <-ctx.Done():
			select {
			case <-q.ended: // of two things that are there, the result comes first
			default:
				return context.Cause(ctx)
			}
		}
		return q.result
	}
	q.closing.Store(true)
	q.gate.close()
	q.closeLine()
	q.sched.close()
	select {
	case <-q.gate.empty:
	case <-ctx.Done():
	}
	q.sched.stop()
	select {
	case <-q.gone:
	case <-ctx.Done():
	}
	n := q.drop()
	q.cancel() // after the count: what now fails for it is not counted once more
	if n > 0 {
		q.result = fmt.Errorf("%w: %d items: %w", ErrDropped, n, context.Cause(ctx))
	}
	close(q.ended)
	return q.result
}

// drop counts what is left as lost, tells who waits for it, and returns its number of items.
func (q *Queue[T]) drop() (items int64) {
	var told []*origin
	for _, l := range q.lanes {
		l.mu.Lock()
		l.mu.dead = true
		n := l.mu.queued + l.mu.inFlight
		l.mu.lost += n
		l.mu.queued, l.mu.inFlight, l.mu.calls = 0, 0, 0
		items += n
		l.all(func(s *stream[T]) {
			for _, c := range s.calls {
				for _, w := range c.waiting {
					told = append(told, w.origin)
				}
				told = append(told, c.flushes...)
			}
			if s.place != cutting { // else its worker tells them, as soon as it asks for the lock
				told = append(told, s.drainOrigins()...)
			}
			for _, e := range s.active {
				if e.origin != nil {
					told = append(told, e.origin)
				}
			}
			s.active, s.spare, s.calls = nil, nil, nil
		})
		q.keys.Add(-int64(len(l.streams)))
		clear(l.streams)
		clear(l.apart)
		l.mu.Unlock()
	}
	settleAll(told, ErrDropped)
	return items
}

// drainOrigins empties draining and returns the origins of its entries.
func (s *stream[T]) drainOrigins() (all []*origin) {
	for i, c := range s.draining {
		entries := c.entries
		if i == 0 {
			entries = entries[s.cursor:]
		}
		for _, e := range entries {
			if e.origin != nil {
				all = append(all, e.origin)
			}
		}
	}
	s.draining, s.cursor = nil, 0
	return all
}
