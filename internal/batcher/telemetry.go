// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadata"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// telemetry is what the processor tells of itself. What has to be known of each item is counted by the queue and observed
// when somebody asks; only what belongs to a batch is recorded when it happens.
type telemetry struct {
	builder  *metadata.TelemetryBuilder
	tracer   trace.Tracer
	spanName string
	attrs    metric.MeasurementOption
	bytes    bool // somebody looks at the encoded size of batches

	byError, byShutdown metric.MeasurementOption // attrs with the reason of a drop
}

func newTelemetry(set processor.Settings, signalName string) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	processorAttr := attribute.String("processor", set.ID.String())
	dropped := func(reason string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(processorAttr, attribute.String("reason", reason)))
	}
	return &telemetry{
		builder:    builder,
		tracer:     metadata.Tracer(set.TelemetrySettings),
		spanName:   "processor/" + set.ID.String() + "/" + signalName,
		attrs:      metric.WithAttributeSet(attribute.NewSet(processorAttr)),
		byError:    dropped("error"),
		byShutdown: dropped("shutdown"),
		bytes:      wantsBytes(set, builder),
	}, nil
}

// observe registers the instruments that are read from stats when somebody asks. shutdown ends that.
func (t *telemetry) observe(stats func() partitioned.Stats) error {
	builder := t.builder
	observe := func(value func(partitioned.Stats) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value(stats()), t.attrs)
			return nil
		}
	}
	return errors.Join(
		builder.RegisterProcessorPartitionedbufferItemsAcceptedCallback(observe(func(s partitioned.Stats) int64 { return s.Accepted })),
		builder.RegisterProcessorPartitionedbufferItemsForwardedCallback(observe(func(s partitioned.Stats) int64 { return s.Forwarded })),
		builder.RegisterProcessorPartitionedbufferItemsPendingCallback(observe(func(s partitioned.Stats) int64 { return s.Queued + s.InFlight })),
		builder.RegisterProcessorPartitionedbufferItemsReturnedCallback(observe(func(s partitioned.Stats) int64 { return s.Returned })),
		builder.RegisterProcessorPartitionedbufferItemsRetriedCallback(observe(func(s partitioned.Stats) int64 { return s.Retried })),
		builder.RegisterProcessorPartitionedbufferItemsOversizedCallback(observe(func(s partitioned.Stats) int64 { return s.Oversized })),
		builder.RegisterProcessorPartitionedbufferItemsRefusedCallback(observe(func(s partitioned.Stats) int64 { return s.Refused })),
		builder.RegisterProcessorPartitionedbufferItemsDroppedCallback(func(_ context.Context, o metric.Int64Observer) error {
			s := stats()
			o.Observe(s.Failed, t.byError)
			o.Observe(s.Lost, t.byShutdown)
			return nil
		}),
		builder.RegisterProcessorPartitionedbufferItemsSupersededCallback(observe(func(s partitioned.Stats) int64 { return s.Superseded })),
		builder.RegisterProcessorPartitionedbufferRememberedVersionsCallback(observe(func(s partitioned.Stats) int64 { return s.Remembered })),
		builder.RegisterProcessorPartitionedbufferQueueSizeCallback(observe(func(s partitioned.Stats) int64 { return s.Used })),
		builder.RegisterProcessorPartitionedbufferQueueCapacityCallback(observe(func(s partitioned.Stats) int64 { return s.Capacity })),
		builder.RegisterProcessorPartitionedbufferBatchesInFlightCallback(observe(func(s partitioned.Stats) int64 { return s.Calls })),
		builder.RegisterProcessorPartitionedbufferCallersWaitingCallback(observe(func(s partitioned.Stats) int64 { return s.Callers })),
		builder.RegisterProcessorPartitionedbufferMetadataCardinalityCallback(observe(func(s partitioned.Stats) int64 { return s.Keys })),
		builder.RegisterProcessorPartitionedbufferRoomWaitTimeCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(stats().Waited.Seconds(), t.attrs)
			return nil
		}),
	)
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

// shutdown ends the observations.
func (t *telemetry) shutdown() { t.builder.Shutdown() }

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
