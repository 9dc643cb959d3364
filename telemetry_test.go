// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// collect returns everything that is reported at the moment, by its name without the common prefix.
func (p *pipeline) collect(t *testing.T) map[string]metricdata.Metrics {
	const prefix = "otelcol_processor_partitionedbuffer_"
	var all metricdata.ResourceMetrics
	require.NoError(t, p.telemetry.Reader.Collect(context.Background(), &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			require.Equal(t, prefix, m.Name[:len(prefix)])
			found[m.Name[len(prefix):]] = m
		}
	}
	return found
}

// number is a point of a counter or gauge with no attribute but the processor's name and those given, in pairs.
func number[N int64 | float64](value N, attributes ...string) []metricdata.DataPoint[N] {
	set := []attribute.KeyValue{attribute.String("processor", "partitionedbuffer")}
	for i := 0; i < len(attributes); i += 2 {
		set = append(set, attribute.String(attributes[i], attributes[i+1]))
	}
	return []metricdata.DataPoint[N]{{Attributes: attribute.NewSet(set...), Value: value}}
}

// values compares nothing of a point but its value and attributes.
var values = []metricdatatest.Option{metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars()}

// scenario has a bit of everything: of one key 4 items sent by size, 4 that fail, 8 sent by size and 1 by timeout, of another
// 2 sent by timeout, of a third 1 refused. It returns within the second of the calls that the timeout causes.
func scenario(t *testing.T, k anyKind) *pipeline {
	calls := 0
	p := k.start(t, func(c *Config) {
		c.SendBatchSize, c.SendBatchMaxSize, c.NumConsumers, c.MetadataKeys = 4, 4, 1, []string{"tenant"}
		c.MetadataCardinalityLimit, c.QueueSize = 2, 100
	}, func(context.Context, int) error {
		time.Sleep(10 * ms)
		if calls++; calls == 2 {
			return errNext
		}
		return nil
	})
	require.NoError(t, p.push(from("tenant", "a"), 0, 17)) // leaves 1
	require.NoError(t, p.push(from("tenant", "b"), 17, 2))
	require.Error(t, p.push(from("tenant", "c"), 19, 1))
	time.Sleep(215 * ms) // the batch of one key's timeout was sent, the other's is with the next consumer
	synctest.Wait()
	return p
}

func TestMetricsAddUp(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := scenario(t, k)
				tt := p.telemetry
				metadatatest.AssertEqualProcessorPartitionedbufferItemsAccepted(t, tt, number[int64](19), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsRefused(t, tt, number[int64](1), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferQueueCapacity(t, tt, number[int64](100), values...)
				require.EqualValues(t, 19, p.metric(t, "items_forwarded", "")+p.metric(t, "items_dropped", "error")+p.metric(t, "items_pending", ""))
				pending := p.metric(t, "items_pending", "")
				require.Positive(t, pending)
				metadatatest.AssertEqualProcessorPartitionedbufferQueueSize(t, tt, number(pending), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferBatchesInFlight(t, tt, number[int64](1), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferMetadataCardinality(t, tt, number[int64](1), values...)

				time.Sleep(time.Second)
				synctest.Wait()
				p.requireConserved(t)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsForwarded(t, tt, number[int64](15), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsDropped(t, tt,
					append(number[int64](4, "reason", "error"), number[int64](0, "reason", "shutdown")...), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsPending(t, tt, number[int64](0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferQueueSize(t, tt, number[int64](0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferBatchesInFlight(t, tt, number[int64](0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferMetadataCardinality(t, tt, number[int64](0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferCallersWaiting(t, tt, number[int64](0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferRoomWaitTime(t, tt, number(0.0), values...)
				// What failed was not sent, so no size and no trigger.
				metadatatest.AssertEqualProcessorPartitionedbufferBatchSizeTriggerSend(t, tt, number[int64](3), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferTimeoutTriggerSend(t, tt, number[int64](2), values...)

				all := p.collect(t)
				sizes := all["batch_send_size"].Data.(metricdata.Histogram[int64]).DataPoints
				require.Len(t, sizes, 1)
				require.EqualValues(t, 15, sizes[0].Sum)
				require.EqualValues(t, 5, sizes[0].Count)
				bytes := all["batch_send_size_bytes"].Data.(metricdata.Histogram[int64]).DataPoints
				require.Len(t, bytes, 1)
				require.EqualValues(t, 5, bytes[0].Count)
				require.Greater(t, bytes[0].Sum, sizes[0].Sum)
				durations := all["send_duration"].Data.(metricdata.Histogram[float64]).DataPoints
				require.Len(t, durations, 1)
				require.EqualValues(t, 6, durations[0].Count, "of failed calls too")
				require.InDelta(t, 0.06, durations[0].Sum, 1e-9)
				ages := all["batch_age"].Data.(metricdata.Histogram[float64]).DataPoints
				require.Len(t, ages, 1)
				// By size at once, 10, 20 and 30 ms later, behind each other; by timeout at 200 ms, and 10 ms behind that.
				require.InDelta(t, 0+.01+.02+.03+.2+.21, ages[0].Sum, 1e-9)
				for name, set := range map[string]attribute.Set{
					"batch_send_size": sizes[0].Attributes, "batch_send_size_bytes": bytes[0].Attributes,
					"send_duration": durations[0].Attributes, "batch_age": ages[0].Attributes,
				} {
					require.Equal(t, attribute.NewSet(attribute.String("processor", "partitionedbuffer")), set, name)
				}
			})
		})
	}
}

func TestWaitForRoomIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, gate := full(t, nil)
		go func() {
			if err := p.push(context.Background(), 5, 1); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		metadatatest.AssertEqualProcessorPartitionedbufferCallersWaiting(t, p.telemetry, number[int64](1), values...)
		close(gate)
		synctest.Wait()
		metadatatest.AssertEqualProcessorPartitionedbufferCallersWaiting(t, p.telemetry, number[int64](0), values...)
		metadatatest.AssertEqualProcessorPartitionedbufferRoomWaitTime(t, p.telemetry, number(3.0), values...)
	})
}

func TestQueueSizeIsInUnitsOfTheSizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) { c.Sizer, c.QueueSize = "requests", 9 }, nil)
		for i := range 3 {
			require.NoError(t, p.push(context.Background(), 10*i, 10))
		}
		metadatatest.AssertEqualProcessorPartitionedbufferQueueSize(t, p.telemetry, number[int64](3), values...)
		metadatatest.AssertEqualProcessorPartitionedbufferQueueCapacity(t, p.telemetry, number[int64](9), values...)
		metadatatest.AssertEqualProcessorPartitionedbufferItemsPending(t, p.telemetry, number[int64](30), values...)
	})
}

// An ended processor, which a reload replaced, must not go on to report what it once had.
func TestNothingIsObservedAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, nil, nil)
		require.NoError(t, p.push(context.Background(), 0, 3))
		require.Contains(t, p.collect(t), "items_accepted")
		require.NoError(t, p.Shutdown(context.Background()))
		after := p.collect(t)
		for _, name := range []string{
			"items_accepted", "items_forwarded", "items_pending", "items_refused", "items_dropped", "queue_size", "queue_capacity",
			"batches_in_flight", "callers_waiting", "metadata_cardinality", "room_wait_time",
		} {
			require.NotContains(t, after, name)
		}
		require.Contains(t, after, "batch_send_size", "what was recorded stays")
	})
}

// span makes a context as that of a call within span id.
func span(id int, sampled bool) context.Context {
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{byte(id), byte(id >> 8), 1},
		TraceFlags: trace.FlagsSampled.WithSampled(sampled),
	}))
}

func TestBatchSpanLinksToItsSampledOrigins(t *testing.T) {
	for name, test := range map[string]struct {
		sampled func(i int) bool
		calls   int
		want    []int
	}{
		"none":     {func(int) bool { return false }, 5, nil},
		"some":     {func(i int) bool { return i%2 == 1 }, 5, []int{1, 3}},
		"at most":  {func(int) bool { return true }, 128, count(128)},
		"too many": {func(int) bool { return true }, 300, count(128)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var inside trace.SpanContext
				p := anyLogs.start(t, nil, func(ctx context.Context, _ int) error {
					inside = trace.SpanContextFromContext(ctx)
					return nil
				})
				for i := range test.calls {
					require.NoError(t, p.push(span(i, test.sampled(i)), i, 1))
				}
				require.NoError(t, p.push(context.Background(), test.calls, 1), "without a span")
				require.NoError(t, p.Shutdown(context.Background()))
				spans := p.telemetry.SpanRecorder.Ended()
				require.Len(t, spans, 1)
				require.Equal(t, "processor/partitionedbuffer/logs", spans[0].Name())
				require.False(t, spans[0].Parent().IsValid(), "it belongs to none of them")
				require.Equal(t, spans[0].SpanContext(), inside, "what comes after is below it")
				require.Equal(t, []attribute.KeyValue{attribute.Int("items", test.calls+1)}, spans[0].Attributes())
				require.Equal(t, codes.Unset, spans[0].Status().Code)
				var links []int
				for _, link := range spans[0].Links() {
					id := link.SpanContext.SpanID()
					links = append(links, int(id[0])|int(id[1])<<8)
				}
				require.Equal(t, test.want, links)
			})
		})
	}
}

func count(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func TestBatchSpanTellsOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, nil, func(context.Context, int) error { return errNext })
		require.NoError(t, p.push(context.Background(), 0, 2))
		require.NoError(t, p.Shutdown(context.Background()))
		spans := p.telemetry.SpanRecorder.Ended()
		require.Len(t, spans, 1)
		require.Equal(t, codes.Error, spans[0].Status().Code)
		require.Equal(t, errNext.Error(), spans[0].Status().Description)
	})
}
