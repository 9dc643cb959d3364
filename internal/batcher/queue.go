// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// store is where requests wait for their batch: a queue, or one of the maps.
type store[P any] interface {
	Start() error
	Shutdown(ctx context.Context) error
	Stats() partitioned.Stats
	LongestWait() time.Duration

	// push accepts r, or returns an error and leaves its payload as it was. With wait the result is that of r.
	push(ctx context.Context, r request[P], wait bool) (partitioned.Result, error)
}

// sendFunc is what a store does with a batch: [sender.send].
type sendFunc[P any] func(context.Context, partitioned.Batch[request[P]]) partitioned.Verdict[request[P]]

// queue is the [store] that holds requests as they came.
type queue[P any] struct {
	*partitioned.Queue[request[P]]
	router   *router[P]
	payloads *payloads[P]
}

func newQueue[P any](cfg Settings, keys keyer, xs expressions[P], p *payloads[P], st *storage[P], send sendFunc[P]) (*queue[P], error) {
	qc := queueConfig[request[P]](cfg)
	qc.Process = send
	qc.Weigh = weigh[P]
	if cfg.MaxAge > 0 {
		qc.Expired = func(r request[P], now time.Time) bool { return r.older(cfg.MaxAge, now) }
	}
	switch {
	case st != nil:
		qc.Dropped = func(r request[P], reason error) {
			p.discard(r)
			releaseAll([]request[P]{r}, reason)
		}
	case p.pooled:
		qc.Dropped = func(r request[P], _ error) { p.discard(r) }
	}
	qc.Reuse = true
	if cfg.keyed() {
		qc.Key = keyOf[P]
	} else if cfg.Partitions > 1 {
		qc.Key, qc.OrderOnlyByPartition, qc.Partitions = keyOf[P], true, cfg.Partitions
	}
	if p.dictionary {
		qc.MaxBatchSize.Bytes = wholeCap
	}
	if qc.MaxBatchSize != (partitioned.Weight{}) {
		qc.Split = p.split
	}
	q, err := partitioned.NewUnstarted(qc)
	if err != nil {
		return nil, err
	}
	var partitions []string
	if qc.OrderOnlyByPartition {
		partitions = partitionKeys(qc.Partitions, q.Partition)
	}
	all := &queue[P]{q, newRouter(cfg, keys, xs, p, partitions), p}
	if st != nil {
		st.queue = all
	}
	return all, nil
}

func (q *queue[P]) push(ctx context.Context, r request[P], wait bool) (partitioned.Result, error) {
	var key string
	keyed := !q.router.single()
	if keyed {
		var parts []request[P]
		var err error
		if key, parts, err = q.router.route(ctx, r); err != nil {
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
	if q.payloads.bytes {
		r.meta.measure = signal.MeasureOf(q.payloads.signal, r.payload)
	}
	switch {
	case !wait && keyed:
		return partitioned.Result{}, q.PushKey(ctx, key, r)
	case !wait:
		return partitioned.Result{}, q.Push(ctx, r)
	case keyed:
		r.meta.key = key
	}
	return q.PushResult(ctx, r)
}

// queueConfig is what the settings say of any store, whatever it holds requests as.
func queueConfig[T any](cfg Settings) partitioned.QueueConfig[T] {
	qc := partitioned.QueueConfig[T]{
		Consumers:      cfg.Consumers,
		Interval:       cfg.Timeout,
		MinInterval:    cfg.MinInterval,
		Linger:         cfg.WaitLinger,
		BatchSize:      cfg.BatchSize,
		MaxBatchSize:   cfg.MaxBatchSize,
		Capacity:       cfg.Capacity,
		Unit:           cfg.Unit,
		Overflow:       cfg.Overflow,
		ProcessTimeout: cfg.ExportTimeout,
		Observer:       cfg.observer,
	}
	if cfg.Timeout == 0 || cfg.BatchSize == (partitioned.Weight{}) {
		qc.BatchSize = partitioned.Weight{Items: 1} // each request at once
	}
	if cfg.limiter != nil {
		qc.Limiter = cfg.limiter
	}
	if cfg.keyed() {
		qc.MaxKeys = cfg.MaxKeys
		qc.KeyCapacity = cfg.KeyCapacity
		qc.StallTimeout = cfg.StallTimeout
	}
	return qc
}
