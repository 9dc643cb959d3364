// SPDX-License-Identifier: Apache-2.0

// Package partitioned hands things on in batches: by size or time, by key, in order, bounded, and with an end.
//
// A [Queue] takes items from any number of goroutines (Push) and gives them in batches to a function (Process) that runs on
// a fixed number of its own. The idea of partitions with two buffers each, one that is written while the other is drained,
// is that of the Elixir library PartitionedBuffer.
//
//	               a lane: its lock, its streams
//	             ┌───────────────────────────────┐
//	Push ──gate──┼─► active ──swap──► draining ──┼──cut──► batch ──► Process
//	             │                       ▲       │                      │
//	             └───────────────────────┼───────┘                      │
//	                                     └──────────── Rest ────────────┘
//
// A stream is what is pending of one key, and exists while there is something. It becomes ready when it reaches a size, when
// its oldest item has waited for Interval, or when somebody waits: for a result (PushWait), for room, for Flush or Shutdown.
// A free worker takes a ready stream, swaps its buffers in O(1), cuts one batch, and calls Process, under no lock.
//
// What always holds:
//
//   - Conservation: Accepted = Forwarded + Returned + Failed + Lost + Queued + InFlight in every snapshot of Stats.
//   - Order: items of a stream are processed in the order in which they were accepted, one batch at a time. With neither a
//     Key nor several Partitions, but several Consumers, there is no order.
//   - Bounds: less than Capacity plus one push is pending; no batch is heavier than MaxBatchSize, unless it is one item that
//     cannot be split; goroutines are Consumers, whatever the number of keys and callers.
//   - No waiting for a timer: while a consumer is free, no caller waits until Interval is over.
//   - An end: Shutdown returns by its deadline, and says what was left.
//   - Isolation: a panic of Process costs its batch. A key whose batch is stuck holds one consumer, and its own callers.
//
// What is not promised: anything after the process died, and delivery at most once, if Process asks for more attempts.
package partitioned
