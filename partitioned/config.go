// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strconv"
	"time"
)

// Errors that a caller branches on. Whatever a push returns with one of the first four, nothing of it was accepted.
var (
	// ErrClosed: Shutdown has begun.
	ErrClosed = errors.New("partitioned: closed")
	// ErrNotStarted: Start has not been called, or has not returned yet.
	ErrNotStarted = errors.New("partitioned: not started")
	// ErrFull: no capacity, and the queue refuses instead of waiting, or as much waits already as may be pending, or the push is
	// one of Process, which must not wait for itself.
	ErrFull = errors.New("partitioned: full")
	// ErrTooManyKeys: a new key, while MaxKeys others have something pending.
	ErrTooManyKeys = errors.New("partitioned: too many keys")
	// ErrAbandoned: accepted, and the caller gave up waiting for the result when something of it was in a batch. That may be
	// delivered all the same; the others are not.
	ErrAbandoned = errors.New("partitioned: accepted, result not awaited")
	// ErrWithdrawn: accepted, and the caller gave up waiting for the result before anything of it was in a batch. Nothing of it
	// is delivered.
	ErrWithdrawn = errors.New("partitioned: taken back, as its caller gave up")
	// ErrEvicted: accepted, and dropped to make room for a newer item, as OverflowDropOldest says. Waiting callers get it.
	ErrEvicted = errors.New("partitioned: dropped to make room")
	// ErrDiscarded: accepted, and dropped by Discard. Waiting callers get it.
	ErrDiscarded = errors.New("partitioned: discarded with its key")
	// ErrExpired: accepted, and dropped because Expired said so when its turn came. Waiting callers get it.
	ErrExpired = errors.New("partitioned: dropped, expired")
	// ErrStalled: accepted, and dropped because its key has stalled, as StallTimeout says. Waiting callers get it.
	ErrStalled = errors.New("partitioned: dropped, its key has stalled")
	// ErrDropped: accepted, and given up when the deadline of Shutdown was over. Waiting callers get it.
	ErrDropped = errors.New("partitioned: dropped at shutdown")
	// ErrInProcess: a call that waits for the queue (Flush, Shutdown, PushWait, Result.Wait) was made with the context of the queue's
	// own Process, which it would wait for. It did nothing.
	ErrInProcess = errors.New("partitioned: called in Process of the same queue, for which it would wait")
)

// Weight is what an item weighs, and what a batch or a buffer holds, in two units at once.
type Weight struct {
	Items int // at least what the caller counts as one: spans, rows, messages
	Bytes int // any second measure; 0 where nothing is limited by it
}

func (w Weight) plus(o Weight) Weight  { return Weight{w.Items + o.Items, w.Bytes + o.Bytes} }
func (w Weight) minus(o Weight) Weight { return Weight{w.Items - o.Items, w.Bytes - o.Bytes} }

// reaches reports whether w is at or over one of the limits; a limit of 0 is none.
func (w Weight) reaches(limit Weight) bool {
	return limit.Items > 0 && w.Items >= limit.Items || limit.Bytes > 0 && w.Bytes >= limit.Bytes
}

// exceeds reports whether w is over one of the limits; a limit of 0 is none.
func (w Weight) exceeds(limit Weight) bool {
	return limit.Items > 0 && w.Items > limit.Items || limit.Bytes > 0 && w.Bytes > limit.Bytes
}

// Unit is what Capacity counts.
type Unit int

// The units of capacity.
const (
	UnitItems    Unit = iota // the Items of each pushed item's weight
	UnitBytes                // the Bytes of each pushed item's weight
	UnitRequests             // pushed items, whatever they weigh
)

// NoTrigger as a unit of BatchSize: no weight in that unit makes a stream due, so that Interval does.
const NoTrigger = math.MaxInt

// Overflow is what happens to a push for which there is no capacity.
type Overflow int

// What happens to a push without capacity.
const (
	OverflowWait       Overflow = iota // it waits
	OverflowRefuse                     // it gets ErrFull
	OverflowDropOldest                 // the oldest items are dropped for it
)

// Reason is why a batch was sent.
type Reason int

// The reasons for a batch; where several hold, the first of them.
const (
	ReasonSize     Reason = iota // it reached BatchSize
	ReasonTimeout                // its oldest item had waited for Interval
	ReasonWaiting                // a caller waits for its result or for capacity, and a consumer was free
	ReasonFlush                  // Flush was called
	ReasonShutdown               // Shutdown was called
)

func (r Reason) String() string {
	names := [...]string{"size", "timeout", "waiting", "flush", "shutdown"}
	if r < 0 || int(r) >= len(names) {
		return "Reason(" + strconv.Itoa(int(r)) + ")"
	}
	return names[r]
}

// errZero is the answer of a Queue or a Map that no constructor made.
var errZero = errors.New("partitioned: a zero Queue or Map: New, NewMap, NewUnstarted and NewUnstartedMap make what works")

// Batch is what one call of Process receives.
type Batch[T any] struct {
	Key     string    // of the stream; "" where batches are not made by key
	Items   []T       // in the order of their acceptance, or of Sort. Process may keep them, and the slice too, unless Reuse is set
	Weight  Weight    // of Items
	Reason  Reason    // why it was sent
	Oldest  time.Time // when the first of Items came, or earlier where a Rest, OverflowDropOldest or a withdrawal moved the ends of batches
	Closing bool      // Shutdown has begun: a Rest comes again after at most a quarter of the time that is left
}

// Verdict is what became of a batch. Its zero value says that all of it was taken.
type Verdict[T any] struct {
	// Err is why the batch failed, without what is in Rest; nil: it was taken. Callers that wait for one of its items get it. If
	// all of the batch is in Rest, it concerns no caller.
	Err error
	// Taken is the number of Items outside Rest that succeeded although Err is set. It is ignored if Err is nil.
	Taken int
	// Errs says what became of each of the batch's Items, in place of Err and Taken: an error for each, by its index, nil for
	// those that were taken. Callers get the errors of their own items. An item that From names comes again, whatever its error
	// is. Nil: Err is that of all. With another length the batch fails.
	Errs []error
	// Returned is how many of the batch's Items were left out, because whoever pushed them and gave up waiting has taken
	// them back. They are none of Taken and Rest, and count as returned whatever Err is.
	Returned int
	// Rest is what must be processed again. It comes before everything else of its stream, and is weighed anew.
	Rest []T
	// From names, for each item of Rest, the index in the batch's Items of the item that it is, or is a part of. Callers that
	// wait for that item now wait for its parts in Rest, and Err does not concern them. Nil: nobody can tell, and callers that
	// wait for any item of the batch now wait for all of Rest too. A From of another length, or with
	// an index that Items does not have, counts as nil.
	From []int
	// Groups makes Rest come again in batches of exactly these numbers of its items, in order, with nothing else in them.
	// Only MaxBatchSize bounds them too. Items beyond the sum of Groups, all if it is nil, make batches as any others do.
	Groups []int
	// Refused says that the batch was refused because the callee has too much to do, and Pause for how long it wants to be left
	// alone. They are for the Limiter, whatever becomes of the items.
	Refused bool
	Pause   time.Duration
	// After is how long the stream is parked before Rest comes again or, without a Rest, before its next batch. A parked stream holds no
	// consumer, so an After pauses a key, and no other. Without a Rest it means nothing where several batches of a stream may be processed
	// at once. While Shutdown drains, it is at most a quarter of the time that is left; without a deadline, at most a second.
	After time.Duration
}

// Plain makes a Process of a function that takes items and returns an error or nil.
func Plain[T any](f func(ctx context.Context, items []T) error) func(context.Context, Batch[T]) Verdict[T] {
	return func(ctx context.Context, b Batch[T]) Verdict[T] { return Verdict[T]{Err: f(ctx, b.Items)} }
}

// QueueConfig says how a Queue works. Only Process has to be set.
type QueueConfig[T any] struct {
	// Name is what the Observer knows the queue by. Default: none.
	Name string

	// Process takes one batch. It runs on one of Consumers goroutines, under no lock. Its context ends with ProcessTimeout, and at nine
	// tenths of the time that Shutdown has. Give that context to whatever it calls: by it a call that would wait for the queue
	// itself is an error (ErrInProcess) and not a deadlock. A panic costs its batch (PanicError). Required.
	Process func(ctx context.Context, batch Batch[T]) Verdict[T]

	// Key returns what an item is batched and ordered by. It runs in Push, before any lock. A key of another type needs a string
	// of its own, as strconv.Itoa makes of a number. Nil: all items are of one kind.
	// They stay in order with one partition and one consumer, and with several partitions in each of them. Pushes then
	// spread over the partitions, unless PushKey says where to: one by one while little is pending, and in runs while much is, of up
	// to 1024 items, or BatchSize, or 64 items where bytes make a batch. A push of several items is divided if that makes parts of 64
	// items, or of BatchSize.
	Key func(item T) string
	// OrderOnlyByPartition makes Key choose the partition and nothing else. Batches then mix the keys of their partition, in
	// order.
	OrderOnlyByPartition bool
	// MaxKeys is how many keys may have something pending. A push that would open one more gets ErrTooManyKeys.
	// 0: no limit.
	MaxKeys int

	// Partitions is the number of locks that the streams are spread over, by a hash of the key that never changes.
	// Default: 1 without Key, since order is worth more than a lock that costs 20 ns; else 4 for each processor. Without Key more of them
	// make pushes no quicker: they are for several Consumers that keep an order each.
	Partitions int
	// Consumers is how many calls of Process may run at once. Default: 1 without Key, else 10. What is made with one consumer and
	// without Key keeps its order, however many Update makes of it.
	Consumers int
	// Limiter keeps the number of calls below Consumers, by how they end. Nil: nothing does, and that costs nothing.
	Limiter Limiter

	// Interval is the longest that an item waits for its flush while a consumer is free. 0: without end, if there is a
	// BatchSize or a MaxBatchSize.
	Interval time.Duration
	// MinInterval is the least time between the beginnings of two batches of a stream, for what counts calls. It puts off whatever
	// makes a stream due, except for Shutdown, and a batch takes all that is there then, up to MaxBatchSize. What comes again as
	// a Rest keeps it too. Streams of keys without data are remembered for so long, MaxKeys of them beside those that failed. 0: none.
	MinInterval time.Duration
	// Linger is how long the items of callers that wait for their results gather, counted from the oldest item of the stream, before
	// they make it due. It is never longer than Interval. Where neither that nor a size is set, all is due at once anyway.
	// 0: they make it due at once.
	Linger time.Duration
	// BatchSize is the weight at which a batch is sent before its Interval is over; the first unit that reaches its limit
	// wins. 0 in a unit: what MaxBatchSize says, if it does, else never. NoTrigger in a unit: never. If neither Interval nor a
	// size is set, a batch is what is there when a consumer is free; with 1 item here, each item is a batch.
	BatchSize Weight
	// Adaptive makes a flush send all that its stream holds, in one batch or, with MaxBatchSize, in as few as it allows,
	// instead of batches of BatchSize, which is only the trigger then.
	Adaptive bool
	// Reuse lets the queue use the slice of a batch again when Process returns, which saves an allocation for each batch.
	// Process must not keep the slice then, nor a part of it; it may keep the items. Default: the slice is the callee's.
	Reuse bool
	// MaxBatchSize is what no batch exceeds, unless it is one item that cannot be split. 0 in a unit: no limit.
	MaxBatchSize Weight
	// Weigh returns what an item weighs. Items below 1 count as 1, Bytes below 0 as 0, and either above 2^32-1 as that. It
	// runs in Push, before any lock, and once more for what Split or a Rest made of the item. In between the item counts as
	// it was admitted. Nil: one item, no bytes.
	Weigh func(item T) Weight
	// Split divides an item that is heavier than what fits into a batch: a head that fits in room, and a tail, both
	// with at least one item, together with as many Items as before. Not ok: it cannot be done, and the item is as it
	// was. A unit without a limit has math.MaxInt of room. If room is that of a whole batch, and the least that can be
	// taken off is heavier, it may be the head all the same: it is sent alone, and what is behind it is not held up. Nil:
	// no item can be split.
	Split func(item T, room Weight) (head, tail T, ok bool)

	// Sort orders the items of a batch before Process gets it, as the function of [slices.SortStableFunc] does: equal items keep the
	// order of their acceptance. What is in a batch is decided before. It runs on a consumer, under no lock. After a panic the batch
	// stays as it was, and Panicked hears of it. Nil: a batch is in the order of acceptance.
	Sort func(a, b T) int

	// Capacity bounds what is pending, in Unit: a push is admitted while less than this is pending, whatever its own
	// weight, so at most one push is ever above it. What waits for capacity is bounded by it once more. 0: no limit.
	//
	// With keys or several partitions each of them has a share: one that holds something may take more if it then holds
	// at most free / (1 + stuck). Free is what remains of Capacity after the push. stuck is the number of others that
	// are full, and of which nothing was taken by Process since. So n keys that are stuck leave Capacity / (n + 1) to the
	// others, less n pushes.
	Capacity int64
	// Unit is what Capacity and KeyCapacity count. Default: Items.
	Unit Unit
	// KeyCapacity bounds what is pending of one key in the same way. The lower of this and the share holds. 0: the share
	// alone.
	KeyCapacity int64
	// StallTimeout is when a key that is full no longer holds up pushes that have other keys too: when it has been full for so
	// long, nothing of it was taken by Process in that time, and something of another key was. While another key worked, a
	// call of it must have failed, or hang, or it is parked for that long. From then on its part
	// of such a push is accepted and dropped, and counted (Stalled), until Process takes something of it again, or no
	// other key works any more. Pushes of that key alone wait or are refused as before. 0: never.
	StallTimeout time.Duration
	// Overflow is what a push does without capacity. It waits (the default), is refused, or makes room: OverflowDropOldest
	// drops and counts the oldest items that are in no batch yet, first those of the streams that the push goes to, then
	// those of the stream that holds most. If to drop all of them would not be enough, it drops none and returns ErrFull.
	// What Restore brought beyond Capacity is too much as well: the first push that finds none drops it.
	Overflow Overflow

	// Expired reports, when the turn of an item has come to be put into a batch, that it is no longer worth processing. The item
	// is then dropped and counted. now is one time for all items of a batch. Expired runs on a consumer, under no lock, also for
	// what comes again as a Rest. If it panics, the item is dropped, and callers that wait for it get a PanicError. Nil: no
	// item expires.
	Expired func(item T, now time.Time) bool
	// Dropped is called with each item that was accepted and dropped before it was in a batch, except by Shutdown, and with the
	// reason: ErrEvicted, ErrDiscarded, ErrExpired, ErrStalled, or the PanicError of Expired. It is called before those who wait for the item
	// are told, under no lock. A panic costs nothing but the call. Nil: nobody is told.
	Dropped func(item T, reason error)

	// ProcessTimeout is the deadline of the context of one call of Process. 0: none, since only the caller knows what is
	// too long. A call that goes on nevertheless holds its consumer, and nobody else; the Observer hears of it.
	ProcessTimeout time.Duration
	// Observer learns of what happens. Nil: nobody does, and that costs nothing.
	Observer *Observer
}

// defaultPartitions is the number of locks where the order of all items does not hang on there being one.
func defaultPartitions() int { return 4 * runtime.GOMAXPROCS(0) }

// tuning is what Update can change of a running queue, and what follows from it.
type tuning struct {
	interval       time.Duration
	size, limit    Weight // BatchSize and MaxBatchSize
	until          Weight // what a cut stops at: size, or with Adaptive or MinInterval nothing but the limit
	calm           Weight // less than this reaches neither size nor until, and does not exceed limit
	unsure         bool   // Split decides how many bytes are in a part: nobody knows where a batch will end before it is cut
	adaptive       bool   // a flush sends all that one swap gave
	minInterval    time.Duration
	linger         time.Duration // at most interval
	processTimeout time.Duration
}

func (c *QueueConfig[T]) tuning() *tuning {
	t := &tuning{
		interval: c.Interval, size: c.BatchSize, limit: c.MaxBatchSize, adaptive: c.Adaptive, processTimeout: c.ProcessTimeout,
		minInterval: c.MinInterval, linger: c.Linger,
		calm: Weight{least(c.BatchSize.Items, c.MaxBatchSize.Items), least(c.BatchSize.Bytes, c.MaxBatchSize.Bytes)},
	}
	if c.Interval > 0 {
		t.linger = min(c.Linger, c.Interval)
	}
	if c.Adaptive {
		return t
	}
	if c.MinInterval == 0 {
		t.until = c.BatchSize
	}
	if t.unsure = c.Split != nil && t.limit.Bytes > 0; t.unsure {
		t.calm = Weight{}
	}
	return t
}

// byBytes reports whether a batch may be complete by its bytes.
func (t *tuning) byBytes() bool { return t.size.Bytes > 0 && t.size.Bytes != NoTrigger }

// least returns the lower of two limits, of which 0 is none.
func least(a, b int) int {
	switch {
	case a == 0 && b == 0:
		return math.MaxInt
	case a == 0 || b > 0 && b < a:
		return b
	default:
		return a
	}
}

// never is the deadline of what has no Interval. No timer is set for it.
var never = time.Unix(1<<55, 0)

// deadline returns when a stream whose first item came at oldest is due, if its size does not make it due before.
func (t *tuning) deadline(oldest time.Time) time.Time {
	if t.interval == 0 {
		return never
	}
	return oldest.Add(t.interval)
}
