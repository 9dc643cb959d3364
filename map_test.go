// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

func byResource(c *Config) { c.Buffer = bufferMap }

func byRecord(c *Config) {
	c.Buffer, c.Map.Key, c.Map.LogKeys = bufferMap, mapRecord, []string{"item"}
}

// later is when so much time has passed and nothing is left to be done.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// mappable are the kinds that a map can hold.
var mappable = kinds[:3]

// TestProfilesHaveNoMap, and are told so before anything runs.
func TestProfilesHaveNoMap(t *testing.T) {
	for _, set := range []func(*Config){byResource, byRecord} {
		cfg := NewFactory().CreateDefaultConfig().(*Config)
		set(cfg)
		_, _, err := profiles.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(context.Context, pprofile.Profiles) error { return nil })
		require.ErrorContains(t, err, `buffer is "map"; profiles`)
	}
}

func TestLogRecordsNeedKeys(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	byRecord(cfg)
	cfg.Map.LogKeys = nil
	_, _, err := logs.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(context.Context, plog.Logs) error { return nil })
	require.ErrorContains(t, err, "map.log_keys is empty")
}

// TestMapMergesEqualResources: what came in several requests goes out below one resource, one scope and one metric.
func TestMapMergesEqualResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []ptrace.Traces
		p := newPipelineOf(t, traces, byResource, func(_ context.Context, td ptrace.Traces) error {
			sent = append(sent, td)
			return nil
		})
		for range 3 {
			require.NoError(t, p.consume(traces.payload(0, 2)))
		}
		require.NoError(t, p.consume(traces.payload(7, 1)))
		p.stop()
		require.Len(t, sent, 1)
		require.Equal(t, 2, sent[0].ResourceSpans().Len())
		require.Equal(t, 1, sent[0].ResourceSpans().At(0).ScopeSpans().Len())
		require.Equal(t, 6, sent[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().Len())
		require.Equal(t, 1, sent[0].ResourceSpans().At(1).ScopeSpans().At(0).Spans().Len())
	})
}

// started is a processor that a test calls with payloads of its own.
type started[P payload] struct {
	t       *testing.T
	consume func(P) error
	stop    func()
	stats   func(name string) int64
}

func newPipelineOf[P payload](t *testing.T, k kind[P], set func(*Config), next func(context.Context, P) error) started[P] {
	telemetry := componenttest.NewTelemetry()
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	set(cfg)
	require.NoError(t, cfg.Validate())
	c, consume, err := k.create(metadatatest.NewSettings(telemetry), cfg, next)
	require.NoError(t, err)
	require.NoError(t, c.Start(context.Background(), componenttest.NewNopHost()))
	stop := sync.OnceFunc(func() { require.NoError(t, c.Shutdown(context.Background())) })
	t.Cleanup(func() {
		stop()
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	p := &pipeline{telemetry: telemetry}
	return started[P]{
		t:       t,
		consume: func(p P) error { return consume(context.Background(), p) },
		stop:    stop,
		stats:   func(name string) int64 { return p.metric(t, name, "") },
	}
}

// TestMapLosesNothing: capped or not, in the order of each resource, and conserved (I1, I6).
func TestMapLosesNothing(t *testing.T) {
	for _, k := range mappable {
		for name, set := range map[string]func(*Config){"resource": byResource, "record": byRecord} {
			t.Run(k.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := k.start(t, func(c *Config) {
						set(c)
						c.SendBatchSize, c.SendBatchMaxSize = 7, 7
					}, func(_ context.Context, items int) error {
						require.LessOrEqual(t, items, 7)
						return nil
					})
					var want []string
					for i, n := range []int{3, 1, 20, 5} {
						require.NoError(t, p.push(context.Background(), i*100, n))
						want = append(want, k.list(i*100, n)...)
					}
					later(time.Second)
					got := p.items()
					slices.Sort(want)
					slices.Sort(got)
					require.Equal(t, want, got) // spans without IDs too: they have no identity
					p.requireConserved(t)
				})
			})
		}
	}
}

// TestMapKeepsKeysApart: equal resources of two tenants are two.
func TestMapKeepsKeysApart(t *testing.T) {
	for name, set := range map[string]func(*Config){"resource": byResource, "record": byRecord} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.start(t, func(c *Config) {
					set(c)
					c.MetadataKeys = []string{"tenant"}
				}, nil)
				require.NoError(t, p.push(from("tenant", "a"), 0, 2))
				require.NoError(t, p.push(from("tenant", "b"), 0, 2))
				later(time.Second)
				require.Equal(t, []int{2, 2}, p.sizes())
				for _, b := range p.batches() {
					require.Len(t, b.info.Metadata.Get("tenant"), 1)
				}
			})
		})
	}
}

// TestErrorReachesEveryOriginOfAResource, and no other one.
func TestErrorReachesEveryOriginOfAResource(t *testing.T) {
	for _, k := range mappable {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				busy := true
				p := k.start(t, func(c *Config) {
					byResource(c)
					c.WaitForResult = true
				}, func(_ context.Context, items int) error {
					time.Sleep(time.Second)
					if busy {
						busy = false
						return nil
					}
					return errors.New("all of it")
				})
				results := make([]error, 4)
				var wg sync.WaitGroup
				for i := range results { // the first is sent, the others gather meanwhile
					wg.Go(func() { results[i] = p.push(context.Background(), 0, i+1) })
					synctest.Wait()
				}
				wg.Wait()
				require.NoError(t, results[0])
				for _, err := range results[1:] {
					require.ErrorContains(t, err, "all of it")
				}
				require.EqualValues(t, 9, p.metric(t, "items_returned", ""))
				p.requireConserved(t)
			})
		})
	}
}

// TestMapSendsAgainWhatFailed, and only that; what comes for the same keys meanwhile is another batch, behind it.
func TestMapSendsAgainWhatFailed(t *testing.T) {
	for _, k := range []anyKind{mappable[0], mappable[1], mappable[2]} {
		for name, set := range map[string]func(*Config){"resource": byResource, "record": byRecord} {
			t.Run(k.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					attempts := 0
					p := k.start(t, func(c *Config) {
						set(c)
						c.RetryOnFailure.Enabled = true
						c.SplitOnTooLarge = true
					}, func(context.Context, int) error {
						if attempts++; attempts < 3 {
							return errors.New("not now")
						}
						return nil
					})
					require.NoError(t, p.push(context.Background(), 0, 3))
					require.NoError(t, p.push(context.Background(), 100, 2))
					later(time.Second)
					require.NoError(t, p.push(context.Background(), 200, 1))
					later(time.Minute)
					require.Equal(t, slices.Concat(k.list(0, 3), k.list(100, 2), k.list(200, 1)), p.items())
					require.Equal(t, []int{5, 1}, p.sizes())
					require.EqualValues(t, 10, p.metric(t, "items_retried", ""))
					p.requireConserved(t)
				})
			})
		}
	}
}

// TestRefusedPayloadOfAMapIsAsItWas, with several resources and a read-only one too.
func TestRefusedPayloadOfAMapIsAsItWas(t *testing.T) {
	for name, set := range map[string]func(*Config){"resource": byResource, "record": byRecord} {
		for _, readOnly := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", read-only ", readOnly), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPipelineOf(t, logs, func(c *Config) {
						set(c)
						c.BlockOnOverflow, c.SendBatchSize, c.QueueSize = false, 2, 2
						c.ShutdownTimeout = time.Second
					}, func(_ context.Context, _ plog.Logs) error {
						time.Sleep(time.Millisecond)
						return nil
					})
					twice := func() plog.Logs {
						ld := logs.payload(0, 2)
						logs.Merge(ld, logs.payload(5, 2), logs.payload(0, 2))
						return ld
					}
					require.NoError(t, p.consume(twice()))
					ld := twice()
					if readOnly {
						ld.MarkReadOnly()
					}
					before := logs.items(ld)
					require.ErrorContains(t, p.consume(ld), "queue is full")
					require.Equal(t, before, logs.items(ld))
				})
			})
		}
	}
}

// point is a point of a sum.
type point struct {
	series string
	start  pcommon.Timestamp
	at     pcommon.Timestamp
	value  int64
}

func sums(temporality pmetric.AggregationTemporality, points ...point) pmetric.Metrics {
	p := pmetric.NewMetrics()
	m := p.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("requests")
	m.SetEmptySum().SetAggregationTemporality(temporality)
	for _, from := range points {
		to := m.Sum().DataPoints().AppendEmpty()
		to.Attributes().PutStr("series", from.series)
		to.SetStartTimestamp(from.start)
		to.SetTimestamp(from.at)
		to.SetIntValue(from.value)
	}
	return p
}

func pointsOf(p pmetric.Metrics) (points []point) {
	for _, r := range p.ResourceMetrics().All() {
		for _, s := range r.ScopeMetrics().All() {
			for _, m := range s.Metrics().All() {
				for _, from := range m.Sum().DataPoints().All() {
					series, _ := from.Attributes().Get("series")
					points = append(points, point{series.Str(), from.StartTimestamp(), from.Timestamp(), from.IntValue()})
				}
			}
		}
	}
	return points
}

// TestNewestPointStays: out of order too (I3), a reset leaves both, and deltas all.
func TestNewestPointStays(t *testing.T) {
	const cumulative, delta = pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta
	for name, test := range map[string]struct {
		in         []pmetric.Metrics
		out        []point
		superseded int64
	}{
		"newer": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 10, 1}, point{"b", 1, 10, 2}), sums(cumulative, point{"a", 1, 20, 3}),
		}, []point{{"a", 1, 20, 3}, {"b", 1, 10, 2}}, 1},
		"older": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 20, 3}), sums(cumulative, point{"a", 1, 10, 1}),
		}, []point{{"a", 1, 20, 3}}, 1},
		"equal: the first": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 20, 3}), sums(cumulative, point{"a", 1, 20, 4}),
		}, []point{{"a", 1, 20, 3}}, 1},
		"in one request": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 10, 1}, point{"a", 1, 20, 3}, point{"a", 1, 15, 2}),
		}, []point{{"a", 1, 20, 3}}, 2},
		"no time: the later": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 0, 1}, point{"a", 1, 0, 2}), sums(cumulative, point{"a", 1, 0, 3}),
		}, []point{{"a", 1, 0, 3}}, 2},
		"no time after one": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 20, 1}), sums(cumulative, point{"a", 1, 0, 2}),
		}, []point{{"a", 1, 0, 2}}, 1},
		"a time after none": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 0, 1}), sums(cumulative, point{"a", 1, 1, 2}),
		}, []point{{"a", 1, 1, 2}}, 1},
		"a time without a sign": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 1 << 63, 2}), sums(cumulative, point{"a", 1, 1<<63 - 1, 1}, point{"b", 1, math.MaxUint64 - 1, 3}, point{"b", 1, 20, 4}, point{"a", 1, 1, 1}),
		}, []point{{"a", 1, 1 << 63, 2}, {"b", 1, math.MaxUint64 - 1, 3}}, 3},
		"reset": {[]pmetric.Metrics{
			sums(cumulative, point{"a", 1, 10, 100}), sums(cumulative, point{"a", 15, 20, 1}), sums(cumulative, point{"a", 15, 30, 2}),
		}, []point{{"a", 1, 10, 100}, {"a", 15, 30, 2}}, 1},
		"delta": {[]pmetric.Metrics{
			sums(delta, point{"a", 1, 10, 1}), sums(delta, point{"a", 1, 10, 1}), sums(delta, point{"a", 10, 20, 1}),
		}, []point{{"a", 1, 10, 1}, {"a", 1, 10, 1}, {"a", 10, 20, 1}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []point
				p := newPipelineOf(t, metrics, byRecord, func(_ context.Context, md pmetric.Metrics) error {
					require.Equal(t, 1, md.MetricCount())
					got = append(got, pointsOf(md)...)
					return nil
				})
				for _, md := range test.in {
					require.NoError(t, p.consume(md))
				}
				later(time.Second)
				require.Equal(t, test.out, got)
				require.Equal(t, test.superseded, p.stats("items_superseded"))
				require.EqualValues(t, len(test.out), p.stats("items_forwarded"))
			})
		})
	}
}

// TestRememberSupersedesAcrossFlushes, for so long, and no more than the limit.
func TestRememberSupersedesAcrossFlushes(t *testing.T) {
	const cumulative = pmetric.AggregationTemporalityCumulative
	synctest.Test(t, func(t *testing.T) {
		var got []point
		p := newPipelineOf(t, metrics, func(c *Config) {
			byRecord(c)
			c.Map.Remember, c.Map.RememberLimit = time.Minute, 2
		}, func(_ context.Context, md pmetric.Metrics) error {
			got = append(got, pointsOf(md)...)
			return nil
		})
		push := func(points ...point) {
			require.NoError(t, p.consume(sums(cumulative, points...)))
			later(time.Second)
		}
		push(point{"a", 1, 20, 1})
		push(point{"a", 1, 10, 2})
		require.EqualValues(t, 1, p.stats("items_superseded"))
		require.EqualValues(t, 1, p.stats("remembered_versions"))
		require.NoError(t, p.consume(sums(pmetric.AggregationTemporalityDelta, point{"d", 1, 2, 0}))) // has no version
		later(time.Second)
		require.EqualValues(t, 1, p.stats("remembered_versions"))
		push(point{"b", 1, 20, 3}, point{"c", 1, 20, 4}) // a is forgotten
		require.EqualValues(t, 2, p.stats("remembered_versions"))
		push(point{"a", 1, 10, 5})
		later(time.Hour)
		push(point{"c", 1, 10, 6}) // too long ago
		require.Equal(t, []point{{"a", 1, 20, 1}, {"d", 1, 2, 0}, {"b", 1, 20, 3}, {"c", 1, 20, 4}, {"a", 1, 10, 5}, {"c", 1, 10, 6}}, got)
	})
}

// TestRememberedVersionsLetNoTimePass: what has no time is not older than what was sent.
func TestRememberedVersionsLetNoTimePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []point
		p := newPipelineOf(t, metrics, func(c *Config) {
			byRecord(c)
			c.Map.Remember = time.Hour
		}, func(_ context.Context, md pmetric.Metrics) error {
			got = append(got, pointsOf(md)...)
			return nil
		})
		var want []point
		for i, at := range []pcommon.Timestamp{0, 0, 20, 0, 30, 0} {
			one := point{"a", 1, at, int64(i)}
			require.NoError(t, p.consume(sums(pmetric.AggregationTemporalityCumulative, one)))
			later(time.Second)
			want = append(want, one)
		}
		require.Equal(t, want, got)
	})
}

// TestLogRecordsWithoutATime: of one request too the last one stays.
func TestLogRecordsWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		p := newPipelineOf(t, logs, byRecord, func(_ context.Context, ld plog.Logs) error {
			for _, r := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
				got = append(got, r.Body().Str())
			}
			return nil
		})
		ld := plog.NewLogs()
		records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for _, body := range []string{"a", "b", "c"} {
			r := records.AppendEmpty()
			r.Attributes().PutStr("item", "the same")
			r.Body().SetStr(body)
		}
		require.NoError(t, p.consume(ld))
		later(time.Second)
		require.Equal(t, []string{"c"}, got)
	})
}

// TestRetriedSpansGoOutOnce: a client that sends again what arrived.
func TestRetriedSpansGoOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		p := newPipelineOf(t, traces, byRecord, func(_ context.Context, td ptrace.Traces) error {
			got = append(got, traces.items(td)...)
			return nil
		})
		spans := func() ptrace.Traces {
			td := traces.payload(0, 3)
			for i, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				span.SetTraceID([16]byte{1})
				span.SetSpanID([8]byte{byte(i + 1)})
			}
			return td
		}
		require.NoError(t, p.consume(spans()))
		require.NoError(t, p.consume(spans()))
		server := spans() // the other side of the same calls, as Zipkin has it
		for _, span := range server.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			span.SetKind(ptrace.SpanKindServer)
		}
		require.NoError(t, p.consume(server))
		later(time.Second)
		want := traces.items(traces.payload(0, 3))
		require.Equal(t, slices.Concat(want, want), got)
		require.EqualValues(t, 3, p.stats("items_superseded"))
	})
}

// TestSupersededRecordsGiveBackTheirRoom at once: a queue of two holds any number of updates of one record.
func TestSupersededRecordsGiveBackTheirRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineOf(t, metrics, func(c *Config) {
			byRecord(c)
			c.SendBatchSize, c.QueueSize, c.BlockOnOverflow = 2, 2, false
		}, func(context.Context, pmetric.Metrics) error { return nil })
		for i := range 1000 {
			require.NoError(t, p.consume(sums(pmetric.AggregationTemporalityCumulative, point{"a", 1, pcommon.Timestamp(i + 1), 1})))
			require.EqualValues(t, 1, p.stats("queue_size"))
		}
	})
}

// TestPooledPayloadsInAMap: see TestPooledPayloadsArriveIntactAndAreFreed.
func TestPooledPayloadsInAMap(t *testing.T) {
	cut := func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 2, 2 }
	retry := func(c *Config) { c.RetryOnFailure.Enabled = true }
	both := func(a, b func(*Config)) func(*Config) { return func(c *Config) { a(c); b(c) } }
	for name, c := range map[string]pooledCase{
		"resource, alone":             {byResource, []int{3}, false, nil},
		"resource, folded":            {byResource, []int{1, 1, 1}, false, nil},
		"resource, read-only":         {byResource, []int{1, 1}, true, nil},
		"resource, failed":            {byResource, []int{1, 1}, false, errNext},
		"resource, cut":               {both(byResource, cut), []int{5}, false, nil},
		"resource, retried":           {both(byResource, retry), []int{3}, false, nil},
		"resource, failed for ever":   {both(byResource, retry), []int{1, 1}, false, consumererror.NewPermanent(errNext)},
		"record, alone":               {byRecord, []int{1}, false, nil},
		"record, several":             {byRecord, []int{1, 1, 1}, false, nil},
		"record, read-only":           {byRecord, []int{1, 1}, true, nil},
		"record, failed for ever":     {both(byRecord, retry), []int{1, 1}, false, consumererror.NewPermanent(errNext)},
		"record, in batches of a few": {both(byRecord, cut), []int{1, 1, 1}, false, nil},
	} {
		t.Run(name, c.run)
	}
}

// TestSharedPayloadInAMap: what others read is not altered, and arrives.
func TestSharedPayloadInAMap(t *testing.T) {
	for name, set := range map[string]func(*Config){"resource": byResource, "record": byRecord} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				p := newPipelineOf(t, logs, set, func(_ context.Context, ld plog.Logs) error {
					got = append(got, logs.items(ld)...)
					return nil
				})
				shared := logs.payload(0, 3)
				shared.MarkReadOnly()
				require.NoError(t, p.consume(shared))
				require.NoError(t, p.consume(logs.payload(0, 3)))
				later(time.Second)
				want := logs.items(logs.payload(0, 3))
				if name == "resource" {
					want = slices.Concat(want, want)
				}
				require.Equal(t, want, got)
				require.Equal(t, logs.items(logs.payload(0, 3)), logs.items(shared))
			})
		})
	}
}

// TestOneRequestWithEqualResources: a request with several resources of which two are equal.
func TestOneRequestWithEqualResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		p := newPipelineOf(t, logs, byResource, func(_ context.Context, ld plog.Logs) error {
			for _, r := range ld.ResourceLogs().All() {
				got = append(got, fmt.Sprint(r.ScopeLogs().Len(), " ", r.ScopeLogs().At(0).LogRecords().Len()))
			}
			return nil
		})
		ld := logs.payload(0, 2)
		logs.Merge(ld, logs.payload(5, 1), logs.payload(0, 3), plog.NewLogs())
		ld.ResourceLogs().AppendEmpty() // without items
		require.NoError(t, p.consume(ld))
		later(time.Second)
		require.Equal(t, "1 5,1 1", strings.Join(got, ","))
	})
}

// TestMapOfResourcesKeepsOrder of the records of each resource, scope and metric, if one request has some of them twice too.
func TestMapOfResourcesKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []pcommon.Timestamp
		p := newPipelineOf(t, metrics, byResource, func(_ context.Context, md pmetric.Metrics) error {
			require.Equal(t, 1, md.ResourceMetrics().Len())
			require.Equal(t, 1, md.ResourceMetrics().At(0).ScopeMetrics().Len())
			require.Equal(t, 1, md.MetricCount())
			for _, point := range pointsOf(md) {
				got = append(got, point.at)
			}
			return nil
		})
		var want []pcommon.Timestamp
		for range 3 {
			md := pmetric.NewMetrics()
			for range 2 {
				rm := md.ResourceMetrics().AppendEmpty()
				for range 2 {
					sm := rm.ScopeMetrics().AppendEmpty()
					for range 2 {
						want = append(want, pcommon.Timestamp(len(want)+1))
						sm.Metrics().AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().SetTimestamp(want[len(want)-1])
					}
				}
			}
			require.NoError(t, p.consume(md))
		}
		later(time.Second)
		require.Equal(t, want, got)
	})
}

// TestMapWithMoreConsumersThanPartitions starts: one call at a time is made.
func TestMapWithMoreConsumersThanPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) { c.Buffer, c.NumConsumers = bufferMap, 4 }, nil)
		require.NoError(t, p.push(context.Background(), 0, 3))
		require.NoError(t, p.Shutdown(context.Background()))
		require.Len(t, p.items(), 3)
	})
}
