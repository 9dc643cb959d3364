// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Queue buffers items and hands them on in batches. Make one with New or NewUnstarted; all its methods may be called at once.
type Queue[T any] struct {
	cfg   QueueConfig[T] // immutable; what Update changes of it is in tuned
	tuned atomic.Pointer[tuning]
	seed  maphash.Seed

	partitions []*partition[T] // immutable; the partition of a key never changes

	mapping mapping[T] // zero in a Queue
	shares  bool       // several streams share the capacity
	spreads bool       // items have no key, and go to the partitions by turns

	gate *gate    // immutable
	_    [64]byte // what is above is only read, by every push: no line of it is shared with what others write

	waitList  waitList[T]
	waiters   sync.Pool // of *waiter[T]
	results   completions
	buffers   buffers[T]
	scheduler scheduler[T]
	keys      keyCount     // of which something is pending
	stuck     atomic.Int64 // see common
	turns     turns        // of the partitions, where items have no key
	excess    atomic.Int64 // see common
	inFlight  atomic.Int64 // items, for Len. The accounts have them by partition
	memories  memories[T]
	progress  progress
	refused   refusals

	ctx     context.Context // of the calls of Process
	cancel  context.CancelFunc
	working atomic.Int64  // consumers that have not ended
	stopped chan struct{} // closed by the last of them

	consumers atomic.Int64 // as configured, and then updated. Written under life
	employed  int64        // consumers that were started. Guarded by life
	limits    limits

	life struct {
		sync.Mutex
		started, closed bool
	}
	config  QueueConfig[T] // as given, and then updated. Guarded by life
	closing atomic.Bool
	over    atomic.Bool // the end of Shutdown: what was pending counts as lost

	lastCall time.Time     // when Shutdown lets no call begin any more; zero: when its ctx is done. Written before closing is set
	ended    chan struct{} // Shutdown is done
	result   error         // its result; valid when ended is closed
}

// NewUnstarted makes a queue that accepts nothing until Start. It fails if a field of cfg is invalid, and names it.
func NewUnstarted[T any](cfg QueueConfig[T]) (*Queue[T], error) {
	q := &Queue[T]{}
	if err := q.init(cfg, mapping[T]{}); err != nil {
		return nil, err
	}
	return q, nil
}

// init makes q a Queue, or with m the Queue that a Map is made of.
func (q *Queue[T]) init(cfg QueueConfig[T], m mapping[T]) error {
	q.config = cfg
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	q.cfg, q.mapping = cfg, m
	q.tuned.Store(cfg.tuning())
	q.seed = maphash.MakeSeed()
	q.stopped = make(chan struct{})
	q.ended = make(chan struct{})
	q.scheduler.free.L = &q.scheduler.mu
	q.scheduler.mu.timed, q.scheduler.mu.parked = byDeadline[T](), byDeadline[T]()
	q.keys.max = int64(cfg.MaxKeys)
	q.memories.max = cfg.MaxKeys
	q.memories.mu.failed, q.memories.mu.paced = byEnd[T](), byEnd[T]()
	q.shares = q.byKey() || cfg.Partitions > 1
	q.spreads = cfg.Partitions > 1 && cfg.Key == nil && m.hash == nil
	q.turns.run = 1
	q.waitList.mu.full.init()
	q.scheduler.several = q.shares
	q.scheduler.byKey = q.byKey()
	q.scheduler.mu.limit = cfg.Consumers
	q.consumers.Store(int64(cfg.Consumers))
	q.limits.of, q.limits.mu.most = cfg.Limiter, cfg.Consumers
	q.limits.apply = q.scheduler.setLimit
	q.limits.observer, q.limits.queue = cfg.Observer, cfg.Name
	q.ctx, q.cancel = context.WithCancel(context.WithValue(context.Background(), processOf[T]{q}, true))
	shared := &common[T]{
		tuned: &q.tuned, keys: &q.keys, stuck: &q.stuck, excess: &q.excess, memories: &q.memories, scheduler: &q.scheduler, buffers: &q.buffers,
		newIndex: m.newIndex, splits: cfg.Split != nil,
		ranks:   cfg.Overflow == OverflowDropOldest,
		ordered: cfg.Key != nil || cfg.Partitions > 1 || cfg.Consumers == 1 || m.newIndex != nil,
	}
	for i := range cfg.Partitions {
		q.partitions = append(q.partitions, newPartition(i, q.byKey(), shared))
	}
	q.gate = &q.partitions[0].gate
	if len(q.partitions) > 1 {
		q.gate = &gate{}
	}
	shared.gate = q.gate
	q.gate.init(cfg.Capacity)
	return nil
}

func (q *Queue[T]) byKey() bool { return q.cfg.Key != nil && !q.cfg.OrderOnlyByPartition }

// Start begins to accept and to process, on Consumers goroutines. It fails after Shutdown, and if called twice.
func (q *Queue[T]) Start() error {
	if q.gate == nil {
		return errZero
	}
	q.life.Lock()
	if q.life.started || q.life.closed {
		q.life.Unlock()
		return errors.New("partitioned: a queue starts once")
	}
	q.life.started = true
	q.employ()
	q.life.Unlock()
	q.cfg.Observer.started(q.cfg.Name, len(q.partitions)) // I4, and before anything can happen in a partition
	q.life.Lock()
	defer q.life.Unlock()
	if !q.life.closed { // meanwhile
		q.gate.open()
	}
	return nil
}

// employ makes as many consumers work as are configured now. Those that are too many stay idle. life is held, and Shutdown has not
// begun.
func (q *Queue[T]) employ() {
	n := q.consumers.Load()
	for q.employed < n {
		q.employed++
		q.working.Add(1)
		go q.work()
	}
	q.limits.setMost(int(n))
}

func (q *Queue[T]) started() bool {
	q.life.Lock()
	defer q.life.Unlock()
	return q.life.started
}

// Flush makes due whatever is pending and not paused, and returns when all of that is settled or ctx is done, whose cause it then returns.
// What became of the items, their callers and Stats know. With the context of Process it does nothing and returns ErrInProcess.
func (q *Queue[T]) Flush(ctx context.Context) error {
	if q.inProcess(ctx) {
		return ErrInProcess
	}
	c := newCompletion(1) // held open until all streams have been visited
	c.flush = true
	for _, p := range q.partitions {
		p.mu.Lock()
		if !p.mu.dead {
			p.all(func(s *stream[T]) { s.mark(c) })
		}
		p.mu.Unlock()
	}
	c.complete(nil)
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		if c.isDone() { // both are: the result comes first
			return nil
		}
		q.withdraw(c) // its markers, so that they do not pile up in front of a stuck stream (I5)
		return context.Cause(ctx)
	}
}
