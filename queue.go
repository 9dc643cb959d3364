// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// pending is where requests wait for their batch: a queue, or one of the maps.
type pending[P any] interface {
	Start() error
	Shutdown(ctx context.Context) error
	Stats() partitioned.Stats
	LongestWait() time.Duration

	// push accepts r, or returns an error and leaves its payload as it was. With wait the result is that of r.
	push(ctx context.Context, r request[P], wait bool) (partitioned.Result, error)
}

// queue holds requests as they came.
type queue[P any] struct {
	*partitioned.Queue[request[P]]
	b *buffer[P]
}

func newQueue[P any](b *buffer[P]) (pending[P], error) {
	qc := pendingConfig[P, request[P]](b)
	qc.Process = b.process
	qc.Weigh = weigh[P]
	qc.Split = b.split
	if b.cfg.keyed() {
		qc.Key = keyOf[P]
	} else if b.cfg.Partitions > 1 {
		qc.Key, qc.OrderOnlyByPartition, qc.Partitions = keyOf[P], true, int(b.cfg.Partitions)
	}
	if b.profiles {
		qc.MaxBatchSize.Bytes = maxDictionary
	}
	q, err := partitioned.NewQueue(qc)
	if err != nil {
		return nil, err
	}
	if qc.OrderOnlyByPartition {
		b.lanes = lanesOf(qc.Partitions, q.Partition)
	}
	return queue[P]{q, b}, nil
}

func (q queue[P]) push(ctx context.Context, r request[P], wait bool) (partitioned.Result, error) {
	var key string
	keyed := !q.b.keys.none() || len(q.b.lanes) > 0
	if keyed {
		var parts []request[P]
		var err error
		if key, parts, err = q.b.route(ctx, r); err != nil {
			return partitioned.Result{}, err
		}
		switch {
		case parts == nil:
		case wait:
			return q.PushResult(ctx, parts...)
		default:
			return partitioned.Result{}, q.Push(ctx, parts...)
		}
	}
	if q.b.bytes {
		r.more.size = q.b.signal.Size(r.payload)
	}
	switch {
	case !wait && keyed:
		return partitioned.Result{}, q.PushKey(ctx, key, r)
	case !wait:
		return partitioned.Result{}, q.Push(ctx, r)
	case keyed:
		if r.more == nil {
			r.more = &more[P]{}
		}
		r.more.key = key
	}
	return q.PushResult(ctx, r)
}

// pendingConfig is what the configuration says of anything that holds requests, whatever it holds them as.
func pendingConfig[P, T any](b *buffer[P]) partitioned.QueueConfig[T] {
	capacity, perKey := b.cfg.capacity()
	trigger, most := b.cfg.batchSize()
	qc := partitioned.QueueConfig[T]{
		Consumers:      b.cfg.consumers(),
		Interval:       b.cfg.Timeout,
		BatchSize:      trigger,
		MaxBatchSize:   most,
		Capacity:       capacity,
		Unit:           b.cfg.unit(),
		ProcessTimeout: b.cfg.ExportTimeout,
	}
	if !b.cfg.BlockOnOverflow {
		qc.Overflow = partitioned.Refuse
	}
	if b.cfg.keyed() {
		qc.MaxKeys = int(b.cfg.MetadataCardinalityLimit)
		qc.KeyCapacity = perKey
	}
	return qc
}
