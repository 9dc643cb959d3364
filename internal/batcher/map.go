// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"strconv"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// A map holds once what arrives twice. Two kinds of entries do that: resources, into which what arrives for
// them is folded, and records, of which the newest stays. Either way a batch becomes requests again when it is processed, so
// that from there on everything is as with a queue.

// mapKey tells the entries of a map apart, in full.
type mapKey interface {
	comparable
	of() string // the stream of the entry
}

// mapConfig is what the maps have in common. Streams are keys, or with several partitions the partitions by resource; without either
// there is one, with one lock.
func mapConfig[K mapKey, V any](cfg Settings) partitioned.MapQueueConfig[K, V] {
	mc := partitioned.MapQueueConfig[K, V]{QueueConfig: queueConfig[partitioned.Entry[K, V]](cfg)}
	if !cfg.keyed() {
		mc.Partitions = cfg.Partitions
	}
	if cfg.keyed() || cfg.Partitions > 1 {
		mc.Key = func(e partitioned.Entry[K, V]) string { return e.Key.of() }
	}
	return mc
}

// mapPartitions returns the names of the streams of a map with several partitions.
func mapPartitions(cfg Settings) (names []string) {
	if cfg.keyed() || cfg.Partitions <= 1 {
		return nil
	}
	for i := range cfg.Partitions {
		names = append(names, strconv.Itoa(i))
	}
	return names
}

// sendEntries sends a batch of entries as the requests that they stand for. What comes again becomes an entry, for good.
func sendEntries[P, E any](ctx context.Context, send sendFunc[P], batch partitioned.Batch[E], requests []request[P], entry func(*request[P]) E) (v partitioned.Verdict[E]) {
	answer := send(ctx, partitioned.Batch[request[P]]{
		Key: batch.Key, Items: requests, Weight: batch.Weight, Reason: batch.Reason, Oldest: batch.Oldest, Closing: batch.Closing,
	})
	v.Err, v.Taken, v.Returned, v.After = answer.Err, answer.Taken, answer.Returned, answer.After
	v.From, v.Groups, v.Refused, v.Pause = answer.From, answer.Groups, answer.Refused, answer.Pause
	for i := range answer.Rest {
		v.Rest = append(v.Rest, entry(&answer.Rest[i]))
	}
	return v
}
