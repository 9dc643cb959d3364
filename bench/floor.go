// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
)

// floor is the least that batches: count, lock, append, and who fills the batch swaps it out and delivers it. No bound,
// no timer, no worker, no metric, no error kept: nobody should use it. It is here for scale, as the time below which no
// processor with one lock can go.
type floor[T any] struct {
	component.StartFunc
	ops      floorOps[T]
	size     int
	measured atomic.Int64
	measure  bool // each payload is measured in bytes, as it would be encoded: what caps in bytes cannot do without

	mu struct { // guards everything in it
		sync.Mutex
		active []T
		items  int
	}
}

// floorOps is what floor has to know of a signal.
type floorOps[T any] struct {
	count func(T) int
	bytes func(T) int // nil: not asked for
	merge func([]T) T
	next  func(context.Context, T) error
}

type floorConfig struct {
	SendBatchSize int  `mapstructure:"send_batch_size"`
	Measure       bool `mapstructure:"measure"`
}

func newFloorFactory() processor.Factory {
	const level = component.StabilityLevelDevelopment
	return processor.NewFactory(component.MustNewType("floor"),
		func() component.Config { return &floorConfig{SendBatchSize: 8192} },
		processor.WithTraces(newFloorTraces, level),
		processor.WithMetrics(newFloorMetrics, level),
		processor.WithLogs(newFloorLogs, level),
	)
}

func newFloor[T any](cfg component.Config, ops floorOps[T]) *floor[T] {
	c := cfg.(*floorConfig)
	return &floor[T]{ops: ops, size: c.SendBatchSize, measure: c.Measure && ops.bytes != nil}
}

// Capabilities makes floor a consumer.
func (*floor[T]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Shutdown delivers what is left.
func (f *floor[T]) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	rest := f.mu.active
	f.mu.active, f.mu.items = nil, 0
	f.mu.Unlock()
	if len(rest) == 0 {
		return nil
	}
	return f.ops.next(ctx, f.ops.merge(rest))
}

func (f *floor[T]) consume(_ context.Context, data T) error {
	n := f.ops.count(data)
	if f.measure {
		f.measured.Add(int64(f.ops.bytes(data)))
	}
	f.mu.Lock()
	f.mu.active = append(f.mu.active, data)
	f.mu.items += n
	if f.mu.items < f.size {
		f.mu.Unlock()
		return nil
	}
	full := f.mu.active
	f.mu.active, f.mu.items = make([]T, 0, len(full)), 0
	f.mu.Unlock()
	return f.ops.next(context.Background(), f.ops.merge(full))
}

// mergeBy makes a merge of what gives a payload's slice of resources.
func mergeBy[T any, S interface{ MoveAndAppendTo(S) }](resources func(T) S) func([]T) T {
	return func(all []T) T {
		for _, data := range all[1:] {
			resources(data).MoveAndAppendTo(resources(all[0]))
		}
		return all[0]
	}
}

type floorTraces struct{ *floor[ptrace.Traces] }

func (f floorTraces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return f.consume(ctx, td)
}

func newFloorTraces(_ context.Context, _ processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	return floorTraces{newFloor(cfg, floorOps[ptrace.Traces]{
		count: ptrace.Traces.SpanCount,
		bytes: (&ptrace.ProtoMarshaler{}).TracesSize,
		merge: mergeBy(ptrace.Traces.ResourceSpans),
		next:  next.ConsumeTraces,
	})}, nil
}

type floorMetrics struct{ *floor[pmetric.Metrics] }

func (f floorMetrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return f.consume(ctx, md)
}

func newFloorMetrics(_ context.Context, _ processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	return floorMetrics{newFloor(cfg, floorOps[pmetric.Metrics]{
		count: pmetric.Metrics.DataPointCount,
		merge: mergeBy(pmetric.Metrics.ResourceMetrics),
		next:  next.ConsumeMetrics,
	})}, nil
}

type floorLogs struct{ *floor[plog.Logs] }

func (f floorLogs) ConsumeLogs(ctx context.Context, ld plog.Logs) error { return f.consume(ctx, ld) }

func newFloorLogs(_ context.Context, _ processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return floorLogs{newFloor(cfg, floorOps[plog.Logs]{
		count: plog.Logs.LogRecordCount,
		merge: mergeBy(plog.Logs.ResourceLogs),
		next:  next.ConsumeLogs,
	})}, nil
}
