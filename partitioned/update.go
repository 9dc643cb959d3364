// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// Change names what Update changes. A nil field stays as it is.
type Change struct {
	Interval       *time.Duration // as in QueueConfig, like all of them
	MinInterval    *time.Duration
	Linger         *time.Duration
	BatchSize      *Weight
	MaxBatchSize   *Weight
	ProcessTimeout *time.Duration
	Consumers      *int
}

// Update changes a queue, running or not, for all partitions, and from the next batch on. Deadlines run on: an item that
// has waited for longer than a new Interval is due at once, and a stream that waits for its MinInterval ends that wait as it began. It is
// all or nothing: an error names the field, as NewUnstarted's.
func (q *Queue[T]) Update(c Change) error {
	if q.gate == nil {
		return errZero
	}
	q.life.Lock()
	defer q.life.Unlock()
	changed := q.config
	set(&changed.Interval, c.Interval)
	set(&changed.MinInterval, c.MinInterval)
	set(&changed.Linger, c.Linger)
	set(&changed.BatchSize, c.BatchSize)
	set(&changed.MaxBatchSize, c.MaxBatchSize)
	set(&changed.ProcessTimeout, c.ProcessTimeout)
	set(&changed.Consumers, c.Consumers)
	full, err := changed.withDefaults()
	if err != nil {
		return err
	}
	q.config = changed
	q.consumers.Store(int64(full.Consumers))
	if q.life.started && !q.life.closed {
		q.employ()
	}
	if c == (Change{Consumers: c.Consumers}) {
		return nil
	}
	// Whoever takes a partition's lock after this goes by the new values. Streams that were scheduled before are changed here.
	q.tuned.Store(full.tuning())
	for _, p := range q.partitions {
		p.mu.Lock()
		p.all(func(s *stream[T]) { s.retime() })
		p.mu.Unlock()
	}
	return nil
}

func set[V any](to, from *V) {
	if from != nil {
		*to = *from
	}
}
