// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/failure"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/limiter"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadata"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// telemetry is what the processor tells of itself. What has to be known of each item is counted by the queue and observed
// when somebody asks; only what belongs to a batch is recorded when it happens.
type telemetry struct {
	builder  *metadata.TelemetryBuilder
	tracer   trace.Tracer
	spanName string
	series   attribute.Set // of every point
	attrs    metric.MeasurementOption
	bytes    bool // somebody looks at the encoded size of batches

	stats              atomic.Pointer[func() snapshot] // what is observed; nil: nothing yet
	incoming, returned most
}

func newTelemetry(set processor.Settings, signalName string) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	series := attribute.NewSet(attribute.String("processor", set.ID.String()), attribute.String("otel.signal", signalName))
	t := &telemetry{
		builder:  builder,
		tracer:   metadata.Tracer(set.TelemetrySettings),
		spanName: "processor/" + set.ID.String() + "/" + signalName,
		series:   series,
		attrs:    metric.WithAttributeSet(series),
		bytes:    wantsBytes(set, builder),
	}
	// Counters exist from the start: what begins at 1 has no increase.
	ctx := context.Background()
	builder.ProcessorPartitionedbufferBatchSizeTriggerSend.Add(ctx, 0, t.attrs)
	builder.ProcessorPartitionedbufferTimeoutTriggerSend.Add(ctx, 0, t.attrs)
	t.oversized(0)
	t.rejected(0)
	for _, permanent := range []bool{false, true} {
		attrs := t.failedAs(failure.Other, permanent)
		builder.ProcessorPartitionedbufferSendFailedBatches.Add(ctx, 0, attrs)
		builder.ProcessorPartitionedbufferSendFailedItems.Add(ctx, 0, attrs)
	}
	return t, nil
}

// oversized counts items of batches that are larger than a batch may be.
func (t *telemetry) oversized(items int) {
	t.builder.ProcessorPartitionedbufferItemsOversized.Add(context.Background(), int64(items), t.attrs)
}

// rejected counts items that a search for bad ones has found.
func (t *telemetry) rejected(items int) {
	t.builder.ProcessorPartitionedbufferItemsRejected.Add(context.Background(), int64(items), t.attrs)
}

// with returns the attributes of a point that has more than every point has.
func (t *telemetry) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(t.series.ToSlice(), more...)...))
}

func (t *telemetry) failedAs(errorType string, permanent bool) metric.MeasurementOption {
	return t.with(attribute.String("error.type", errorType), attribute.Bool("error.permanent", permanent))
}

// snapshot is what one scrape shows. The storage's figures are read after Stats.
type snapshot struct {
	partitioned.Stats
	storage figures
	limit   limiter.Changes

	expressionErrors []int64 // of each of key_expressions

	// What the queue counts, without the storage's part: never less than in the snapshot before.

	incoming int64 // items that were accepted, and not restored
	returned int64 // items that were returned to their callers, and not lost in the storage
}

// most only grows.
type most struct{ n atomic.Int64 }

// of returns n, or what it returned before if that is more.
func (m *most) of(n int64) int64 {
	for {
		last := m.n.Load()
		if n <= last {
			return last
		}
		if m.n.CompareAndSwap(last, n) {
			return n
		}
	}
}

// takeApart subtracts what the storage restored, or lost, from what the queue counts. The storage counts before the queue does. So a
// difference may be too small for a moment, and is never too large.
func (t *telemetry) takeApart(s *snapshot) {
	s.incoming = t.incoming.of(s.Accepted - s.storage.recovering)
	s.returned = t.returned.of(s.Returned - s.storage.lost)
}

// observed is an instrument and what it shows of a snapshot.
type observed struct {
	instrument metric.Int64Observable
	value      func(*snapshot) int64
	attrs      metric.MeasurementOption
}

// observe makes all instruments show stats, one snapshot for all of them, whenever somebody asks, and after shutdown the last
// one. The callback is never unregistered: else losses at shutdown would reach nobody, and counters would fall meanwhile.
func (t *telemetry) observe(set processor.Settings, cfg Settings, expressions []string, stats func() snapshot) error {
	t.stats.Store(&stats)
	all := t.observed(cfg)
	for i, name := range expressions {
		all = append(all, observed{
			t.builder.ProcessorPartitionedbufferKeyExpressionErrors, func(s *snapshot) int64 { return s.expressionErrors[i] }, t.with(attribute.String("key", name)),
		})
	}
	waited, oldest, fill := t.builder.ProcessorPartitionedbufferCapacityWaitTime, t.builder.ProcessorPartitionedbufferOldestItemAge, t.builder.ProcessorPartitionedbufferFullestKeyFill
	stored, calling := t.builder.ProcessorPartitionedbufferStorageOldestEntryAge, t.builder.ProcessorPartitionedbufferStorageOldestCallAge
	instruments := []metric.Observable{waited, oldest, fill, stored, calling}
	for i := range all {
		instruments = append(instruments, all[i].instrument)
	}
	_, err := metadata.Meter(set.TelemetrySettings).RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := (*t.stats.Load())()
		t.takeApart(&now)
		for i := range all {
			o.ObserveInt64(all[i].instrument, all[i].value(&now), all[i].attrs)
		}
		o.ObserveFloat64(waited, now.Waited.Seconds(), t.attrs)
		o.ObserveFloat64(oldest, now.Oldest.Seconds(), t.attrs)
		o.ObserveFloat64(fill, fullestFill(&now.Stats), t.attrs)
		o.ObserveFloat64(stored, now.storage.oldest.Seconds(), t.attrs)
		o.ObserveFloat64(calling, now.storage.calling.Seconds(), t.attrs)
		return nil
	}, instruments...)
	return err
}

// fullestFill is what the fullest stream holds, as a part of what it may hold. At 1 it is full.
func fullestFill(s *partitioned.Stats) float64 { return float64(s.Fullest) / float64(max(s.Share, 1)) }

// observed are the instruments that show whole numbers.
func (t *telemetry) observed(cfg Settings) []observed {
	type stats = snapshot
	b := t.builder
	because := func(reason string) metric.MeasurementOption { return t.with(attribute.String("reason", reason)) }
	return []observed{
		{b.ProcessorIncomingItems, func(s *stats) int64 { return s.incoming }, t.attrs},
		{b.ProcessorOutgoingItems, func(s *stats) int64 { return s.Forwarded }, t.attrs},

		{b.ProcessorPartitionedbufferItemsAccepted, func(s *stats) int64 { return s.Accepted + s.storage.damages }, t.attrs},
		{b.ProcessorPartitionedbufferItemsForwarded, func(s *stats) int64 { return s.Forwarded }, t.attrs},
		{b.ProcessorPartitionedbufferItemsReturned, func(s *stats) int64 { return s.returned }, t.attrs},
		{b.ProcessorPartitionedbufferItemsSuperseded, func(s *stats) int64 { return s.Superseded }, t.attrs},
		{b.ProcessorPartitionedbufferItemsDropped, func(s *stats) int64 { return s.Failed }, because("error")},
		{b.ProcessorPartitionedbufferItemsDropped, func(s *stats) int64 { return s.Lost - s.storage.kept }, because("shutdown")},
		{b.ProcessorPartitionedbufferItemsDropped, func(s *stats) int64 { return s.Returned - s.returned + s.storage.damages }, because("storage")},
		{b.ProcessorPartitionedbufferItemsKept, func(s *stats) int64 { return s.storage.kept }, t.attrs},
		{b.ProcessorPartitionedbufferItemsRecovered, func(s *stats) int64 { return s.storage.recovered }, t.attrs},
		{b.ProcessorPartitionedbufferItemsDropped, func(s *stats) int64 { return s.Stalled }, because("stalled")},
		{b.ProcessorPartitionedbufferItemsDropped, func(s *stats) int64 { return s.Evicted }, because("overflow")},
		{b.ProcessorPartitionedbufferItemsDropped, func(s *stats) int64 { return s.Expired }, because("expired")},
		{b.ProcessorPartitionedbufferItemsPending, func(s *stats) int64 { return s.Queued + s.InFlight }, t.attrs},
		{b.ProcessorPartitionedbufferItemsRefused, func(s *stats) int64 { return s.RefusedBy.Full }, because("full")},
		{b.ProcessorPartitionedbufferItemsRefused, func(s *stats) int64 { return s.RefusedBy.Key }, because("key")},
		{b.ProcessorPartitionedbufferItemsRefused, func(s *stats) int64 { return s.RefusedBy.Keys }, because("keys")},
		{b.ProcessorPartitionedbufferItemsRefused, func(s *stats) int64 { return s.RefusedBy.Timeout }, because("timeout")},
		{b.ProcessorPartitionedbufferItemsRefused, func(s *stats) int64 { return s.RefusedBy.Closed }, because("closed")},
		{b.ProcessorPartitionedbufferItemsRefused, func(s *stats) int64 { return s.storage.refused }, because("storage")},
		{b.ProcessorPartitionedbufferItemsRetried, func(s *stats) int64 { return s.Retried }, t.attrs},

		{b.ProcessorPartitionedbufferStorageEntries, func(s *stats) int64 { return s.storage.journal.Entries }, t.attrs},
		{b.ProcessorPartitionedbufferStorageBytes, func(s *stats) int64 { return s.storage.journal.Bytes }, t.attrs},
		{b.ProcessorPartitionedbufferStorageMemory, func(s *stats) int64 { return s.storage.memory }, t.attrs},
		{b.ProcessorPartitionedbufferStorageTransactions, func(s *stats) int64 { return s.storage.journal.Transactions }, t.attrs},
		{b.ProcessorPartitionedbufferStorageRequests, func(s *stats) int64 { return s.storage.journal.Written }, t.attrs},
		{b.ProcessorPartitionedbufferStorageErrors, func(s *stats) int64 { return s.storage.journal.Errors }, t.attrs},

		{b.ProcessorPartitionedbufferQueueSize, func(s *stats) int64 { return s.Used }, t.attrs},
		{b.ProcessorPartitionedbufferQueueCapacity, func(s *stats) int64 { return s.Capacity }, t.attrs},
		{b.ProcessorPartitionedbufferMetadataCardinality, func(s *stats) int64 { return s.Keys }, t.attrs},
		{b.ProcessorPartitionedbufferMetadataCardinalityLimit, func(*stats) int64 { return int64(cfg.MaxKeys) }, t.attrs},
		{b.ProcessorPartitionedbufferConsumers, func(s *stats) int64 { return s.Consumers }, t.attrs},
		{b.ProcessorPartitionedbufferConsumersBusy, func(s *stats) int64 { return s.Busy }, t.attrs},
		{b.ProcessorPartitionedbufferConsumersLimit, func(s *stats) int64 { return s.Limit }, t.attrs},
		{b.ProcessorPartitionedbufferConsumersLimitChanges, func(s *stats) int64 { return s.limit.Grown }, because("grown")},
		{b.ProcessorPartitionedbufferConsumersLimitChanges, func(s *stats) int64 { return s.limit.Refused }, because("refused")},
		{b.ProcessorPartitionedbufferConsumersLimitChanges, func(s *stats) int64 { return s.limit.Slow }, because("slow")},
		{b.ProcessorPartitionedbufferConsumersLimitChanges, func(s *stats) int64 { return s.limit.Restored }, because("restored")},
		{b.ProcessorPartitionedbufferBatchesInFlight, func(s *stats) int64 { return s.Calls }, t.attrs},
		{b.ProcessorPartitionedbufferCallersWaiting, func(s *stats) int64 { return s.Callers }, t.attrs},
		{b.ProcessorPartitionedbufferRememberedVersions, func(s *stats) int64 { return s.Remembered }, t.attrs},
	}
}

// wantsBytes reports whether the encoded size of batches goes anywhere: on the detailed level only, as with batch. No
// component is told the level, but at others the Collector has a view that drops batch's instrument, so that shows.
func wantsBytes(set processor.Settings, builder *metadata.TelemetryBuilder) bool {
	ofBatch, err := set.MeterProvider.Meter("go.opentelemetry.io/collector/processor/batchprocessor").Int64Histogram(
		"otelcol_processor_batch_batch_send_size_bytes", metric.WithUnit("By"),
		metric.WithDescription("Number of bytes in batch that was sent. Only available on detailed level. [Development]"))
	return err == nil && enabled(ofBatch) && enabled(builder.ProcessorPartitionedbufferBatchSendSizeBytes)
}

func enabled(h metric.Int64Histogram) bool {
	i, ok := h.(interface{ Enabled(context.Context) bool })
	return !ok || i.Enabled(context.Background())
}

// shutdown takes the last snapshot, which is what is observed from then on, until the meter provider ends. It does not keep
// what was observed before alive.
func (t *telemetry) shutdown() {
	last := (*t.stats.Load())()
	final := func() snapshot { return last }
	t.stats.Store(&final)
}

// sending is one batch on its way: its span, and what there is to tell when it is over.
type sending struct {
	t    *telemetry
	ctx  context.Context
	span trace.Span

	items, bytes  int
	bySize        bool
	age, duration time.Duration
}

// begin starts the span of a batch, with links to the spans that its requests came from.
func (t *telemetry) begin(ctx context.Context, links []trace.Link) *sending {
	ctx, span := t.tracer.Start(ctx, t.spanName, trace.WithLinks(links...))
	return &sending{t: t, ctx: ctx, span: span}
}

// timeCall starts the clock, and returns what stops it.
func (s *sending) timeCall() func() {
	begin := time.Now()
	return func() { s.duration = time.Since(begin) }
}

// end reports the batch. As with batch, sizes and triggers count what was taken only.
func (s *sending) end(err error) {
	defer s.span.End()
	b, attrs := s.t.builder, s.t.attrs
	b.ProcessorPartitionedbufferBatchAge.Record(s.ctx, s.age.Seconds(), attrs)
	b.ProcessorPartitionedbufferSendDuration.Record(s.ctx, s.duration.Seconds(), attrs)
	if s.span.IsRecording() {
		s.span.SetAttributes(attribute.Int("items", s.items))
	}
	if err != nil {
		f := failure.Of(err)
		failed := s.t.failedAs(f.Type(), f.Permanent())
		b.ProcessorPartitionedbufferSendFailedBatches.Add(s.ctx, 1, failed)
		b.ProcessorPartitionedbufferSendFailedItems.Add(s.ctx, int64(s.items), failed)
		s.span.SetStatus(codes.Error, err.Error())
		return
	}
	if s.bySize {
		b.ProcessorPartitionedbufferBatchSizeTriggerSend.Add(s.ctx, 1, attrs)
	} else {
		b.ProcessorPartitionedbufferTimeoutTriggerSend.Add(s.ctx, 1, attrs)
	}
	b.ProcessorPartitionedbufferBatchSendSize.Record(s.ctx, int64(s.items), attrs)
	if s.t.bytes {
		b.ProcessorPartitionedbufferBatchSendSizeBytes.Record(s.ctx, int64(s.bytes), attrs)
	}
}
