// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.opentelemetry.io/otel/trace"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// collect returns everything that is reported at the moment, by its name without the common prefix.
func (p *pipeline) collect(t *testing.T) map[string]metricdata.Metrics {
	var all metricdata.ResourceMetrics
	require.NoError(t, p.telemetry.Reader.Collect(context.Background(), &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[strings.TrimPrefix(strings.TrimPrefix(m.Name, "otelcol_processor_"), "partitionedbuffer_")] = m
		}
	}
	return found
}

// number is a point of a counter or gauge with no attributes but those that all have, and those given, in pairs.
func number[N int64 | float64](signal string, value N, attributes ...string) []metricdata.DataPoint[N] {
	set := []attribute.KeyValue{attribute.String("processor", "partitionedbuffer"), attribute.String("otel.signal", signal)}
	for i := 0; i < len(attributes); i += 2 {
		set = append(set, attribute.String(attributes[i], attributes[i+1]))
	}
	return []metricdata.DataPoint[N]{{Attributes: attribute.NewSet(set...), Value: value}}
}

// byReason are the points of a counter with reasons.
func byReason(signal string, values map[string]int64) (points []metricdata.DataPoint[int64]) {
	for reason, value := range values {
		points = append(points, number(signal, value, "reason", reason)...)
	}
	return points
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
				metadatatest.AssertEqualProcessorPartitionedbufferItemsAccepted(t, tt, number[int64](k.name, 19), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsRefused(t, tt, byReason(k.name, map[string]int64{
					"full": 0, "key": 0, "keys": 1, "timeout": 0, "closed": 0, "storage": 0,
				}), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferQueueCapacity(t, tt, number[int64](k.name, 100), values...)
				require.EqualValues(t, 19, p.metric(t, "items_forwarded", "")+p.metric(t, "items_dropped", "error")+p.metric(t, "items_pending", ""))
				pending := p.metric(t, "items_pending", "")
				require.Positive(t, pending)
				metadatatest.AssertEqualProcessorPartitionedbufferQueueSize(t, tt, number(k.name, pending), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferBatchesInFlight(t, tt, number[int64](k.name, 1), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferMetadataCardinality(t, tt, number[int64](k.name, 1), values...)

				time.Sleep(time.Second)
				synctest.Wait()
				p.requireConserved(t)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsForwarded(t, tt, number[int64](k.name, 15), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsDropped(t, tt,
					byReason(k.name, map[string]int64{"error": 4, "shutdown": 0, "stalled": 0, "overflow": 0, "expired": 0, "storage": 0}), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferItemsPending(t, tt, number[int64](k.name, 0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferQueueSize(t, tt, number[int64](k.name, 0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferBatchesInFlight(t, tt, number[int64](k.name, 0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferMetadataCardinality(t, tt, number[int64](k.name, 0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferCallersWaiting(t, tt, number[int64](k.name, 0), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferCapacityWaitTime(t, tt, number(k.name, 0.0), values...)
				// What failed was not sent, so no size and no trigger.
				metadatatest.AssertEqualProcessorPartitionedbufferBatchSizeTriggerSend(t, tt, number[int64](k.name, 3), values...)
				metadatatest.AssertEqualProcessorPartitionedbufferTimeoutTriggerSend(t, tt, number[int64](k.name, 2), values...)

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
					require.Equal(t, number(k.name, 0.0)[0].Attributes, set, name)
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
		metadatatest.AssertEqualProcessorPartitionedbufferCallersWaiting(t, p.telemetry, number[int64]("logs", 1), values...)
		close(gate)
		synctest.Wait()
		metadatatest.AssertEqualProcessorPartitionedbufferCallersWaiting(t, p.telemetry, number[int64]("logs", 0), values...)
		metadatatest.AssertEqualProcessorPartitionedbufferCapacityWaitTime(t, p.telemetry, number("logs", 3.0), values...)
	})
}

func TestQueueSizeIsInUnitsOfTheSizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) { c.Sizer, c.QueueSize = "requests", 9 }, nil)
		for i := range 3 {
			require.NoError(t, p.push(context.Background(), 10*i, 10))
		}
		metadatatest.AssertEqualProcessorPartitionedbufferQueueSize(t, p.telemetry, number[int64]("logs", 3), values...)
		metadatatest.AssertEqualProcessorPartitionedbufferQueueCapacity(t, p.telemetry, number[int64]("logs", 9), values...)
		metadatatest.AssertEqualProcessorPartitionedbufferItemsPending(t, p.telemetry, number[int64]("logs", 30), values...)
	})
}

// TestLastFiguresStayAfterShutdown: what is lost at shutdown is seen by the next scrape, and no counter falls or vanishes, until
// the meter provider ends. Nothing of the queue is kept for that.
func TestLastFiguresStayAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := anyLogs.make(t, func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 4, 4 }, func(_ context.Context, n int) error {
			if n < 4 {
				<-gate
			}
			return nil
		})
		require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
		require.NoError(t, p.push(context.Background(), 0, 4))
		synctest.Wait()
		require.NoError(t, p.push(context.Background(), 4, 3))
		before := p.collect(t)
		require.NoError(t, p.Shutdown(context.Background()))
		require.EqualValues(t, 3, p.metric(t, "items_dropped", "shutdown"))
		p.requireConserved(t)
		for _, returned := range []bool{false, true} {
			if returned { // the late return changes nothing
				close(gate)
				synctest.Wait()
			}
			after := p.collect(t)
			for name := range before {
				require.Contains(t, after, name)
			}
			require.EqualValues(t, 7, p.metric(t, "items_accepted", ""))
			require.EqualValues(t, 4, p.metric(t, "items_forwarded", ""))
			require.EqualValues(t, 3, p.metric(t, "items_dropped", "shutdown"))
			require.Zero(t, p.metric(t, "items_pending", ""))
		}
	})
}

// TestCountersExistFromTheStart: what begins at 1 has no increase, and an alert on it is silent.
func TestCountersExistFromTheStart(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			p := k.make(t, nil, nil)
			all := p.collect(t)
			for _, name := range []string{
				"incoming_items", "outgoing_items", "items_accepted", "items_forwarded", "items_returned", "items_superseded", "items_dropped",
				"items_refused", "items_retried", "items_oversized", "batch_size_trigger_send", "timeout_trigger_send",
				"send_failed_batches", "send_failed_items",
			} {
				require.Contains(t, all, name)
				for _, point := range all[name].Data.(metricdata.Sum[int64]).DataPoints {
					require.Zero(t, point.Value, name)
					signal, _ := point.Attributes.Value("otel.signal")
					require.Equal(t, k.name, signal.AsString(), name)
				}
			}
			require.NoError(t, p.Shutdown(context.Background()))
		})
	}
}

// TestOneScrapeIsOneSnapshot: I1 holds in each scrape, under load and while it shuts down, and not only in the accounts.
func TestOneScrapeIsOneSnapshot(t *testing.T) {
	calls := 0
	p := anyLogs.start(t, func(c *Config) {
		c.SendBatchSize, c.SendBatchMaxSize, c.Timeout, c.QueueSize = 50, 70, time.Millisecond, 1000
	}, func(context.Context, int) error {
		if calls++; calls%3 == 0 {
			return errNext
		}
		return nil
	})
	done := make(chan struct{})
	var producers sync.WaitGroup
	for range 2 {
		producers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = p.push(context.Background(), 0, 13)
				}
			}
		})
	}
	scrape := func() {
		all := p.collect(t)
		sum := func(names ...string) (n int64) {
			for _, name := range names {
				for _, point := range all[name].Data.(metricdata.Sum[int64]).DataPoints {
					n += point.Value
				}
			}
			return n
		}
		require.Equal(t, sum("items_accepted"), sum("items_forwarded", "items_returned", "items_superseded", "items_dropped", "items_pending"), "I1")
		require.Equal(t, sum("queue_size"), sum("items_pending"))
		require.Equal(t, sum("items_accepted"), sum("incoming_items"))
		require.Equal(t, sum("items_forwarded"), sum("outgoing_items"))
	}
	for range 300 {
		scrape()
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Shutdown(context.Background()) }()
	for range 50 {
		scrape()
	}
	close(done)
	require.NoError(t, <-ended)
	producers.Wait()
	scrape()
}

func TestFailuresAreCountedByType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []error{
			status.Error(grpccodes.Unavailable, "away"), fmt.Errorf("wrapped: %w", status.Error(grpccodes.Unavailable, "away")),
			consumererror.NewPermanent(status.Error(grpccodes.InvalidArgument, "bad")), context.DeadlineExceeded, context.Canceled, errNext,
			status.Error(grpccodes.Code(4711), "from elsewhere"), nil,
		}
		calls := 0
		p := anyLogs.start(t, func(c *Config) { c.Timeout = 0 }, func(context.Context, int) error {
			if calls++; calls > len(answers) {
				panic("fault")
			}
			return answers[calls-1]
		})
		for i := range len(answers) + 1 {
			require.NoError(t, p.push(context.Background(), 0, 2+i))
		}
		require.NoError(t, p.Shutdown(context.Background()))
		got := map[string]int64{}
		for _, name := range []string{"send_failed_batches", "send_failed_items"} {
			for _, point := range p.collect(t)[name].Data.(metricdata.Sum[int64]).DataPoints {
				typ, _ := point.Attributes.Value("error.type")
				permanent, _ := point.Attributes.Value("error.permanent")
				got[fmt.Sprint(name[len("send_failed_"):], " ", typ.AsString(), " ", permanent.AsBool())] += point.Value
			}
		}
		require.Equal(t, map[string]int64{
			"batches Unavailable false": 2, "items Unavailable false": 2 + 3, "batches InvalidArgument true": 1, "items InvalidArgument true": 4,
			"batches Deadline_Exceeded false": 1, "items Deadline_Exceeded false": 5, "batches Canceled false": 1, "items Canceled false": 6,
			"batches _OTHER false": 2, "items _OTHER false": 7 + 8, "batches _OTHER true": 0, "items _OTHER true": 0, "batches Panic true": 1, "items Panic true": 10,
		}, got)
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

// A map's batch links to the spans of all of its requests, whatever became of their resources, and however the batch is sent.
func TestBatchOfAMapLinksToAllItsOrigins(t *testing.T) {
	for name, wait := range map[string]func(*Config){"accepted": func(*Config) {}, "awaited": waits} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.start(t, func(c *Config) { byResource(c); wait(c) }, nil)
				var callers sync.WaitGroup
				for i := range 4 {
					callers.Go(func() { require.NoError(t, p.push(span(i+1, true), i%2, 1)) })
				}
				time.Sleep(time.Second)
				callers.Wait()
				require.NoError(t, p.Shutdown(context.Background()))
				links := 0
				for _, s := range p.telemetry.SpanRecorder.Ended() {
					links += len(s.Links())
				}
				require.Equal(t, 4, links)
			})
		})
	}
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
