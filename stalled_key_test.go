// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap/zapcore"
)

// stuckService is a pipeline in which calls for "service 0" never end, and that key has been full for stalled_key_timeout while
// others work. open ends its calls.
func stuckService(t *testing.T, set func(*Config)) (p *pipeline, open func()) {
	gate := make(chan struct{})
	p = anyLogs.start(t, func(c *Config) {
		byService(c)
		c.SendBatchSize, c.QueueSize, c.QueueSizePerKey, c.StalledKeyTimeout = 5, 1000, 10, 10*time.Second
		set(c)
	}, func(ctx context.Context, _ int) error {
		if client.FromContext(ctx).Metadata.Get("service.name")[0] == "service 0" {
			<-gate
		}
		return nil
	})
	push := func(wait time.Duration, first, n int) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		return p.pushAll(ctx, n, first)
	}
	go push(time.Hour, 0, 10) //nolint:errcheck // it waits for its result, or does not
	synctest.Wait()
	require.Error(t, push(time.Second, 0, 1), "it is full")
	time.Sleep(10 * time.Second)
	require.NoError(t, push(time.Second, 100, 5), "another works")
	return p, sync.OnceFunc(func() { close(gate); synctest.Wait() })
}

// TestStalledKeyIsCountedAndNamed: its part of a request with keys that work is dropped, which a metric and the log say, with the
// key's values, once and then once a minute.
func TestStalledKeyIsCountedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, open := stuckService(t, func(*Config) {})
		defer open()
		for range 100 {
			require.NoError(t, p.pushAll(context.Background(), 2, 0, 100))
			time.Sleep(time.Second)
		}
		dropped := p.metric(t, "items_dropped", "stalled")
		require.InDelta(t, 200, dropped, 20, "less one request in stalled_key_timeout, which looks whether others work")
		p.requireConserved(t)
		lines := p.log.FilterMessageSnippet("A key has stalled").All()
		require.Len(t, lines, 2)
		require.Equal(t, zapcore.ErrorLevel, lines[0].Level)
		require.Equal(t, map[string][]string{"service.name": {"service 0"}}, lines[0].ContextMap()["key"])
		require.EqualValues(t, 1, lines[0].ContextMap()["times"])
		require.InDelta(t, 60, lines[1].ContextMap()["times"], 7)
		fill := p.collect(t)["fullest_key_fill"].Data.(metricdata.Gauge[float64]).DataPoints[0]
		require.InDelta(t, 1.0, fill.Value, 0, "full, and not more than that")
		age := p.collect(t)["oldest_item_age"].Data.(metricdata.Gauge[float64]).DataPoints[0]
		require.Greater(t, age.Value, 110.0, "of what is in flight")
		require.EqualValues(t, 1, p.metric(t, "consumers_busy", ""))
		require.EqualValues(t, 10, p.metric(t, "consumers", ""))
	})
}

// TestCallerOfAStalledKeyGetsAPermanentError: sending it again would only meet it stalled again.
func TestCallerOfAStalledKeyGetsAPermanentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, open := stuckService(t, waits)
		defer open()
		err := p.pushAll(context.Background(), 2, 0, 100)
		require.ErrorContains(t, err, "its key has stalled")
		require.ErrorContains(t, err, "stalled_key_timeout, which is 10s")
		require.NotContains(t, err.Error(), "partitioned:")
		require.True(t, consumererror.IsPermanent(err))
		require.EqualValues(t, 2, p.metric(t, "items_dropped", "stalled"))
	})
}

// TestWaitingCallersAreNoted: once and then once a minute, with the key that is full.
func TestWaitingCallersAreNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, open := stuckService(t, func(c *Config) { c.StalledKeyTimeout = 0 })
		lines := p.log.FilterMessageSnippet("callers wait").All()
		require.Len(t, lines, 1)
		require.Equal(t, map[string][]string{"service.name": {"service 0"}}, lines[0].ContextMap()["key"])
		require.Equal(t, "queue_size is 1000 items, queue_size_per_key is 10", lines[0].ContextMap()["limits"])
		for range 90 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			require.Error(t, p.pushAll(ctx, 1, 0))
			cancel()
		}
		require.Len(t, p.log.FilterMessageSnippet("callers wait").All(), 2)
		require.EqualValues(t, 91, p.metric(t, "items_refused", "timeout"))
		open()
	})
}
