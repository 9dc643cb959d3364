// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// I5: neither producers nor keys have goroutines of their own, and a key without data leaves nothing.
func TestGoroutinesDoNotGrowWithKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		p := anyLogs.start(t, func(c *Config) { c.MetadataKeys, c.NumConsumers = []string{"tenant"}, 4 }, nil)
		for round := range 3 {
			for i := range 1000 {
				require.NoError(t, p.push(from("tenant", fmt.Sprint(round, i)), i, 1))
			}
			synctest.Wait()
			require.LessOrEqual(t, runtime.NumGoroutine(), before+4+1, "pending")
			time.Sleep(time.Second)
			synctest.Wait()
			require.LessOrEqual(t, runtime.NumGoroutine(), before+4+1, "sent")
		}
		require.NoError(t, p.Shutdown(context.Background()))
		require.Len(t, p.batches(), 3000)
	})
}

// Once its buffers have their size, accepting costs no allocation that is not the batch's.
func TestConsumeAllocatesNothingThatGrows(t *testing.T) {
	for name, test := range map[string]func(t *testing.T) float64{
		"traces": allocations(traces, nil), "metrics": allocations(metrics, nil), "logs": allocations(logs, nil),
		"one partition of several": allocations(logs, func(c *Config) { c.Partitions = 2 }),
		"one key by attribute":     allocations(logs, func(c *Config) { c.AttributeKeys = []string{"one that none has"} }),
		"one key by resource":      allocations(logs, func(c *Config) { c.ResourceKeys = []string{"one that none has"} }),
	} {
		most := 1.0
		if name == "one key by attribute" {
			most = 4 // under the race detector, with which a sync.Pool drops one walk in four, with its buffers; 1 without
		}
		t.Run(name, func(t *testing.T) { require.LessOrEqual(t, test(t), most) })
	}
}

func allocations[P payload](k kind[P], set func(*Config)) func(*testing.T) float64 {
	return func(t *testing.T) float64 {
		const runs = 5000
		cfg := NewFactory().CreateDefaultConfig().(*Config)
		cfg.SendBatchSize = 1000 // so that what a batch costs, ten allocations or so with keys, is little for each call
		if set != nil {
			set(cfg)
		}
		set := metadatatest.NewSettings(componenttest.NewTelemetry())
		set.TelemetrySettings = componenttest.NewNopTelemetrySettings() // a span of the SDK allocates
		p, consume, err := k.create(set, cfg, func(context.Context, P) error { return nil })
		require.NoError(t, err)
		require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
		defer func() { require.NoError(t, p.Shutdown(context.Background())) }()
		var payloads []P
		for i := range 3*runs + 1 {
			payloads = append(payloads, k.payload(i, 10))
		}
		push := func() {
			if err := consume(context.Background(), payloads[0]); err != nil {
				t.Error(err)
			}
			payloads = payloads[1:]
		}
		for range 2 * runs {
			push()
		}
		return testing.AllocsPerRun(runs, push)
	}
}

// I10: what a version that is remembered costs does not hang on the size of its resource, which all series of the resource share.
func TestRememberedVersionsShareTheirResource(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the second frees what pools held
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, attribute := range []int{10, 100_000} {
		t.Run(fmt.Sprint(attribute), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const requests, series = 20, 1000
				p := newPipelineTo(t, metrics, func(c *Config) {
					c.Buffer, c.Map.Key, c.Map.Remember, c.SendBatchSize = bufferMap, mapRecord, time.Hour, 0
				}, func(*pipeline, context.Context, pmetric.Metrics) error { return nil }).begun(t)
				before := heap()
				for i := range requests {
					md := pmetric.NewMetrics()
					rm := md.ResourceMetrics().AppendEmpty()
					rm.Resource().Attributes().PutStr("process.command_line", strings.Repeat("x", attribute))
					rm.Resource().Attributes().PutInt("request", int64(i))
					points := rm.ScopeMetrics().AppendEmpty().Metrics()
					for k := range series {
						m := points.AppendEmpty()
						m.SetName(fmt.Sprint("metric ", k))
						m.SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(1)
					}
					require.NoError(t, send(context.Background(), p, md))
					time.Sleep(time.Second)
				}
				synctest.Wait()
				require.EqualValues(t, requests*series, p.metric(t, "remembered_versions", ""))
				resources := int64(requests * attribute)
				require.Less(t, (heap()-before-2*resources)/(requests*series), int64(1000), "bytes of a version, without the resources")
			})
		})
	}
}
