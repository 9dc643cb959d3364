// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Queue buffers items and hands them on in batches. Make one with NewQueue; all its methods may be called at once.
type Queue[T any] struct {
	cfg     QueueConfig[T] // immutable; what Update changes of it is in tuned
	tuned   atomic.Pointer[tuning]
	lanes   []*lane[T] // immutable; a key's lane never changes
	seed    maphash.Seed
	ordered bool // streams have at most one batch in flight

	keyed[T] // what a Map adds to a Queue

	gate *gate    // immutable
	_    [64]byte // what is above is only read, by every push: no line of it is shared with what others write

	line    line[T]
	waiters sync.Pool // of *waiter[T]
	buffers buffers[T]
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
	config  QueueConfig[T] // as given, and then updated. Guarded by life
	closing atomic.Bool
	ended   chan struct{} // Shutdown is done
	result  error         // its result; valid when ended is closed
}

// NewQueue makes a queue that accepts nothing until Start. It fails if a field of cfg is invalid, and names it.
func NewQueue[T any](cfg QueueConfig[T]) (*Queue[T], error) {
	q := &Queue[T]{}
	if err := q.init(cfg, keyed[T]{}); err != nil {
		return nil, err
	}
	return q, nil
}

// init makes q a Queue, or with k what a Map stands on.
func (q *Queue[T]) init(cfg QueueConfig[T], k keyed[T]) error {
	q.config = cfg
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	q.cfg, q.keyed = cfg, k
	q.tuned.Store(cfg.tuning())
	q.seed = maphash.MakeSeed()
	q.ordered = cfg.Key != nil || cfg.Partitions > 1 || cfg.Consumers == 1 || k.newIndex != nil
	q.gone = make(chan struct{})
	q.ended = make(chan struct{})
	q.sched.free.L = &q.sched.mu
	q.ctx, q.cancel = context.WithCancel(context.Background())
	for i := range cfg.Partitions {
		l := &lane[T]{number: i, apart: map[*stream[T]]struct{}{}, buffers: &q.buffers}
		l.mu.counts = &counts{}
		if q.byKey() {
			l.streams = map[string]*stream[T]{}
		} else {
			l.sole = q.newStream(l)
		}
		q.lanes = append(q.lanes, l)
	}
	q.gate = &q.lanes[0].gate
	if len(q.lanes) > 1 {
		q.gate = &gate{}
	}
	q.gate.init(cfg.Capacity)
	return nil
}

func (q *Queue[T]) byKey() bool { return q.cfg.Key != nil && !q.cfg.PerLane }

// Start begins to accept and to process, on Consumers goroutines. It fails after Shutdown, and if called twice.
func (q *Queue[T]) Start() error {
	q.life.Lock()
	if q.life.started || q.life.closed {
		q.life.Unlock()
		return errors.New("partitioned: a queue starts once")
	}
	q.life.started = true
	q.working.Store(int64(q.cfg.Consumers))
	for range q.cfg.Consumers {
		go q.work()
	}
	q.life.Unlock()
	q.cfg.Observer.started(q.cfg.Name, len(q.lanes)) // I4, and before anything can happen in a partition
	q.life.Lock()
	defer q.life.Unlock()
	if !q.life.closed { // meanwhile
		q.gate.open()
	}
	return nil
}

func (q *Queue[T]) started() bool {
	q.life.Lock()
	defer q.life.Unlock()
	return q.life.started
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
				q.moveOn(s)
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
