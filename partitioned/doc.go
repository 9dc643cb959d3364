// SPDX-License-Identifier: Apache-2.0

// Package partitioned hands things on in batches: by size or time, by key, in order, bounded, and with an end.
//
// A [Queue] takes items from any number of goroutines (Push) and gives them in batches to a function (Process) that runs on
// a fixed number of its own. A [Map] is a Queue of entries that holds each key once: what is written to a key that is pending
// replaces it (Put), replaces it if it is newer (PutNewer), or is folded into it (Merge). The idea, partitions with two buffers
// each, one that is written while the other is drained, is that of the Elixir library PartitionedBuffer.
//
// # How it works
//
//	                a partition: its lock, its streams
//	             ┌───────────────────────────────────────┐
//	Push ──gate──┼─► active ─────swap──► draining ──cut──┼──► batch ──► Process
//	             │                          ▲            │                 │
//	             └──────────────────────────┼────────────┘                 │
//	                                        └───────────── Rest ───────────┘
//
// A stream is what is pending of one key, and exists while there is something. It becomes ready when it reaches BatchSize,
// when its oldest item has waited for Interval, or when somebody waits: for a result (PushWait), for room, for Flush or
// Shutdown. A free consumer takes a ready stream, swaps its buffers without a look at what is in them, cuts one batch, and
// calls Process, under no lock. Without a Key, a stream is what a partition holds. A Queue's buffers that are full are put
// aside until the swap, so that nothing pending is ever copied to make room for more.
//
// In a Map, active has an index by key, that is swapped with it. What is in it can still be read, replaced, folded and
// deleted; what was swapped out cannot, and a write to such a key begins a new entry, which is processed after it.
//
//	Put, PutNewer, Merge ─┐
//	Get, Delete ──────────┤
//	                      ▼
//	                  index, active ─────swap──► draining ──cut──► batch ──► Process
//	                      ▲                                                   │
//	                      │                                                   ▼ delivered
//	                      └──────────────────────────────────────────── versions, for Remember
//
// # What always holds
//
//   - Conservation: Accepted = Forwarded + Returned + Superseded + Failed + Evicted + Expired + Lost + Stalled + Queued + InFlight in every
//     snapshot of Stats. What was accepted is delivered or counted, once; what was refused was not touched.
//   - All or nothing: a push of several items accepts all of them or none, whatever goes on beside it.
//   - Order: items of a stream are processed in the order in which they were accepted, one batch at a time, so that no two
//     calls have items of one key. A key's partition never changes. With neither a Key nor several Partitions, but several
//     Consumers, there is no order.
//   - Newest: PutNewer never replaces an entry by an older version, within a flush or, for as long as Remember says, after
//     its delivery; of equal versions the first stays.
//   - Bounds: less than Capacity plus one push is pending, what is in flight included; no batch is heavier than MaxBatchSize,
//     unless it is one item that cannot be split; goroutines are Consumers, whatever the number of keys and callers (and, with
//     a BatchOverdue, one for a moment for each call that is). A key with nothing pending costs nothing, but its version while
//     it is remembered.
//   - No waiting for a timer: while a consumer is free, no caller waits until Interval is over, and no item for longer than
//     that, unless its key is paused (Pause).
//   - An end: Shutdown returns by its deadline, and says what was left.
//   - Isolation: a panic of Process costs its batch. A key whose batch is stuck holds one consumer, and its own callers.
//   - No foreign code under a lock, but for a Map's Merge, Supersede, Void and Weigh.
//
// # What the functions that you give may do
//
// Each may panic, and may take long: see [PanicError] for what a panic costs. None but Process may call runtime.Goexit.
//
// Process, Expired, Split, Sort, Dropped and the Observer may push to the queue that calls them. They must not wait for it, as it waits
// for them: no Flush, Shutdown, PushWait or Result.Wait, and no Push that waits for capacity. In Process that is an error
// (ErrInProcess, ErrFull), if the call has a context that comes from Process. The others have no context, and would hang. A Map's
// Merge, Supersede, Void and Weigh run under the lock of a partition, and must not call the Map at all. Key, and the Weigh of a Queue, run in the
// push, before it holds anything.
//
// # What is not promised
//
//   - Anything after the process died: all of it is in memory.
//   - Delivery at most once, if Process asks for more attempts (Rest), or fails after it did something.
//   - An order between different keys, or between callers who push at once.
//   - That a Process which ignores its context ends: it holds its consumer, is reported as overdue, and does not hold up
//     Shutdown beyond its deadline.
//   - In a Map, that each value which was written is processed: that one of its key is.
//
// # Failures
//
// Process tells by its [Verdict] what failed, all of a batch or some of its items, and what is to come again; retry, backoff and dead
// letters are its own affair.
// Callers of PushWait, PushResult and MergeAllWait are told of their items' errors; what fails with nobody waiting is counted
// as Failed, and the [Observer] hears of it. A caller that gives up waiting takes back what is in no batch yet (Result.Wait). See Push for what a caller can be refused with.
package partitioned
