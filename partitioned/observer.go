// SPDX-License-Identifier: Apache-2.0

package partitioned

import "time"

// Observer is told of what a queue does, as a ClientTrace of net/http is: each func that is not nil is called, under no
// lock, on the goroutine to which it happens. It holds that up for as long as it takes, so it must not wait for the queue (Flush,
// Shutdown, PushWait). If it panics, Panicked hears of that, and nothing else happens. What it is told of a batch is in Stats
// already when BatchEnd is called.
type Observer struct {
	// PartitionStart and PartitionStop enclose all else of a partition, except for calls of Process that went on when the
	// deadline of Shutdown was over. They are called by Start and by Shutdown. lost: items that Shutdown dropped there.
	PartitionStart func(queue string, partition int)
	PartitionStop  func(queue string, partition int, lost int64)

	// BatchStart is called before Process, BatchEnd, once for each BatchStart, when the batch is settled, before those who
	// wait for it are told. Another consumer may have begun the next batch of the stream by then: the calls of Process never
	// overlap, these may.
	BatchStart func(BatchInfo)
	BatchEnd   func(BatchInfo, Outcome)
	// BatchOverdue is called once, on a goroutine of its own, when a call of Process goes on although its ProcessTimeout
	// is over.
	BatchOverdue func(BatchInfo)

	// Evicted is called when OverflowDropOldest or Discard has dropped items.
	Evicted func(queue string, partition int, items int)

	// Expired is called when items were dropped because the Expired of the configuration said so.
	Expired func(queue string, partition int, items int)

	// Waiting is called when a push begins to wait for capacity. key: of the stream that is full; "": the whole is.
	Waiting func(queue, key string, units int64)

	// Panicked is called when a function of the queue's user panicked that costs no batch: Merge, Supersede, Void, Split, Sort, Dropped, one of the
	// Limiter, or one of the Observer's others.
	Panicked func(queue string, err *PanicError)

	// Stalled is called when items of a push were accepted and dropped, because their key has stalled (StallTimeout).
	Stalled func(queue string, partition int, key string, items int)
}

// BatchInfo is what an Observer learns of a batch.
type BatchInfo struct {
	Queue     string // its Name
	Partition int
	Key       string // of the stream; "" where batches are not made by key
	Reason    Reason
	Weight    Weight
	Oldest    time.Time // as in Batch
}

// Outcome is what became of a batch. Its items are Forwarded, Returned, Failed, Lost or Rest.
type Outcome struct {
	Duration  time.Duration // of Process
	Err       error         // of its Verdict; a *PanicError if it panicked
	Forwarded int64         // items that were taken
	Returned  int64         // items that failed, and whose waiting callers are told
	Failed    int64         // items that failed, and nobody waited
	Lost      int64         // items that Shutdown had counted as dropped before the call was over
	Rest      int64         // items that come again
}

func (o *Observer) started(queue string, partitions int) {
	if o == nil || o.PartitionStart == nil {
		return
	}
	for i := range partitions {
		func() {
			defer o.guard(queue, "Observer.PartitionStart")
			o.PartitionStart(queue, i)
		}()
	}
}

func (o *Observer) stopped(queue string, partition int, lost int64) {
	if o != nil && o.PartitionStop != nil {
		defer o.guard(queue, "Observer.PartitionStop")
		o.PartitionStop(queue, partition, lost)
	}
}

func (o *Observer) evicted(queue string, partition, items int) {
	if o != nil && o.Evicted != nil {
		defer o.guard(queue, "Observer.Evicted")
		o.Evicted(queue, partition, items)
	}
}

func (o *Observer) expired(queue string, partition, items int) {
	if o != nil && o.Expired != nil {
		defer o.guard(queue, "Observer.Expired")
		o.Expired(queue, partition, items)
	}
}

func (o *Observer) waiting(queue, key string, units int64) {
	if o != nil && o.Waiting != nil {
		defer o.guard(queue, "Observer.Waiting")
		o.Waiting(queue, key, units)
	}
}

func (o *Observer) panicked(queue string, err *PanicError) {
	if o != nil && o.Panicked != nil {
		defer func() { _ = recover() }() // there is nobody left to hear of it
		o.Panicked(queue, err)
	}
}

// guard is deferred around a call of a function of the user's, in, whose panic costs nothing else. o may be nil.
func (o *Observer) guard(queue, in string) {
	if r := recover(); r != nil {
		o.panicked(queue, panicError(in, r))
	}
}

func (o *Observer) stalled(queue string, partition int, key string, items int) {
	if o != nil && o.Stalled != nil {
		defer o.guard(queue, "Observer.Stalled")
		o.Stalled(queue, partition, key, items)
	}
}

func (o *Observer) batchStarted(info BatchInfo) {
	if o.BatchStart != nil {
		defer o.guard(info.Queue, "Observer.BatchStart")
		o.BatchStart(info)
	}
}

// watch tells the Observer, which there is, of a call that begins, and returns what ends the watch.
func (q *Queue[T]) watch(p *partition[T], c *call[T]) (end func()) {
	o := q.cfg.Observer
	info := q.info(p, c)
	c.watched = true
	o.batchStarted(info)
	begin := time.Now()
	var overdue *time.Timer
	if o.BatchOverdue != nil && c.processTimeout > 0 {
		overdue = time.AfterFunc(c.processTimeout, func() {
			defer o.guard(info.Queue, "Observer.BatchOverdue")
			o.BatchOverdue(info)
		})
	}
	return func() {
		c.took = time.Since(begin)
		if overdue != nil {
			overdue.Stop()
		}
	}
}

// reportEnd tells the Observer what became of a batch, if it heard of its start.
func (q *Queue[T]) reportEnd(p *partition[T], c *call[T], o *Outcome) {
	if !c.watched || q.cfg.Observer.BatchEnd == nil {
		return
	}
	o.Duration = c.took
	defer q.cfg.Observer.guard(q.cfg.Name, "Observer.BatchEnd")
	q.cfg.Observer.BatchEnd(q.info(p, c), *o)
}

func (q *Queue[T]) info(p *partition[T], c *call[T]) BatchInfo {
	b := &c.batch
	return BatchInfo{Queue: q.cfg.Name, Partition: p.number, Key: b.Key, Reason: b.Reason, Weight: b.Weight, Oldest: b.Oldest}
}
