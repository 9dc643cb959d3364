// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"time"
)

// Config is what New needs to know: as little or as much as the caller wants to say. The zero value makes batches of what is
// there whenever Process is free. [QueueConfig] has the rest.
type Config[T any] struct {
	// Size is the number of items at which a batch is sent. No batch has more. 0: no such number.
	Size int
	// Interval is the longest that an item waits for its batch to be sent. 0: without end, if there is a Size or MaxBytes; else until
	// a consumer is free.
	Interval time.Duration
	// Key returns what an item is batched and ordered by: no batch has two keys, and the batches of one key are processed one
	// after the other. Nil: there is one order for all items, unless Consumers is above 1.
	Key func(item T) string
	// Bytes returns how large an item is. MaxBytes is the size at which a batch is sent. No batch has more, unless it is a single
	// item. Both are set, or neither is.
	Bytes    func(item T) int
	MaxBytes int
	// Capacity is the number of items that may be pending, those in Process included. 0: no limit.
	Capacity int
	// Overflow is what Push does without capacity. Default: it waits.
	Overflow Overflow
	// Consumers is how many calls of Process may run at once. Default: 1 without Key, else 10. Without Key, several give up order.
	Consumers int
	// Timeout is the deadline of the context of one call of Process. 0: none.
	Timeout time.Duration
	// Observer learns of what happens. Nil: nobody does.
	Observer *Observer
}

// New makes a queue that runs. Process gets the items of a batch, in order, on a goroutine of the queue. It may keep the slice.
// Those who wait for an item get its error. Whoever made the queue ends it by [Queue.Shutdown]. It fails if a field of cfg is
// invalid, and names it.
func New[T any](process func(ctx context.Context, items []T) error, cfg Config[T]) (*Queue[T], error) {
	if process == nil {
		return nil, errors.New("partitioned: process is nil")
	}
	if err := notNegative(number{"Size", int64(cfg.Size)}, number{"MaxBytes", int64(cfg.MaxBytes)}, number{"Timeout", int64(cfg.Timeout)}); err != nil {
		return nil, err
	}
	if (cfg.Bytes == nil) != (cfg.MaxBytes == 0) {
		return nil, errors.New("partitioned: Bytes and MaxBytes need each other")
	}
	full := QueueConfig[T]{
		Process:        Plain(process),
		Key:            cfg.Key,
		Consumers:      cfg.Consumers,
		Interval:       cfg.Interval,
		BatchSize:      Weight{Items: cfg.Size},
		MaxBatchSize:   Weight{Items: cfg.Size, Bytes: cfg.MaxBytes},
		Capacity:       int64(cfg.Capacity),
		Overflow:       cfg.Overflow,
		ProcessTimeout: cfg.Timeout,
		Observer:       cfg.Observer,
	}
	if cfg.Bytes != nil {
		full.Weigh = func(item T) Weight { return Weight{Items: 1, Bytes: cfg.Bytes(item)} }
	}
	q, err := NewUnstarted(full)
	if err != nil {
		return nil, err
	}
	err = q.Start()
	return q, err
}

// MapConfig is what NewMap needs to know. The zero value keeps the last value of each key, and makes batches of what is there
// whenever Process is free. [MapQueueConfig] has the rest.
type MapConfig[K comparable, V any] struct {
	// Size is the number of keys at which a batch is sent. No batch has more. 0: no such number.
	Size int
	// Interval is the longest that a key waits for its batch to be sent. 0: without end, if there is a Size; else until a consumer is free.
	Interval time.Duration
	// Merge folds an added entry into the one that is held, and returns the value to hold. It runs under a lock: it must be
	// quick, and must not call the Map. The methods of that name need it.
	Merge func(held, added Entry[K, V]) V
	// Void reports whether a merged value means nothing, as the sum of +1 and -1. Its key is then taken out, as by Delete. It runs under
	// a lock, like Merge, which it needs. Nil: no value is void.
	Void func(value V) bool
	// Remember is how long the version of a key is known after its batch was processed, so that PutNewer of an older one is
	// superseded. 0: PutNewer compares with what is pending, and with nothing else.
	Remember time.Duration
	// Capacity is the number of keys that may be pending, those in Process included. 0: no limit.
	Capacity int
	// Overflow is what a write of another key does without capacity. Default: it waits.
	Overflow Overflow
	// Partitions is the number of parts that the keys are spread over. Each has its lock, and makes batches of its own. Default: 1.
	Partitions int
	// Consumers is how many calls of Process may run at once, at most one for each partition. Default: 1.
	Consumers int
	// Timeout is the deadline of the context of one call of Process. 0: none.
	Timeout time.Duration
	// Observer learns of what happens. Nil: nobody does.
	Observer *Observer
}

// NewMap makes a Map that runs, as [New] makes a queue. No batch has a key twice.
func NewMap[K comparable, V any](process func(ctx context.Context, entries []Entry[K, V]) error, cfg MapConfig[K, V]) (*Map[K, V], error) {
	if process == nil {
		return nil, errors.New("partitioned: process is nil")
	}
	if err := notNegative(number{"Size", int64(cfg.Size)}, number{"Partitions", int64(cfg.Partitions)}, number{"Timeout", int64(cfg.Timeout)}); err != nil {
		return nil, err
	}
	full := MapQueueConfig[K, V]{Merge: cfg.Merge, Void: cfg.Void, Remember: cfg.Remember}
	full.QueueConfig = QueueConfig[Entry[K, V]]{
		Process:        Plain(process),
		Partitions:     max(cfg.Partitions, 1),
		Consumers:      cfg.Consumers,
		Interval:       cfg.Interval,
		BatchSize:      Weight{Items: cfg.Size},
		MaxBatchSize:   Weight{Items: cfg.Size},
		Capacity:       int64(cfg.Capacity),
		Overflow:       cfg.Overflow,
		ProcessTimeout: cfg.Timeout,
		Observer:       cfg.Observer,
	}
	m, err := NewUnstartedMap(full)
	if err != nil {
		return nil, err
	}
	err = m.Start()
	return m, err
}
