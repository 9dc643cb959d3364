// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap/zapcore"
)

// TestStartLogsTheSettingsInEffect: what is automatic or follows from other keys is a number.
func TestStartLogsTheSettingsInEffect(t *testing.T) {
	p := anyLogs.start(t, func(c *Config) { c.MetadataKeys = []string{"tenant"} }, nil)
	lines := p.log.FilterLevelExact(zapcore.InfoLevel).All()
	require.Len(t, lines, 1)
	fields := lines[0].ContextMap()
	for key, want := range map[string]any{
		"timeout": 200 * time.Millisecond, "send_batch_size": int64(8192), "num_consumers": int64(10), "queue_size": int64(2 * 13 * 8192),
		"sizer": "items", "shutdown_timeout": 5 * time.Second, "metadata_keys": []any{"tenant"}, "block_on_overflow": true, "buffer": "queue",
	} {
		require.Equal(t, want, fields[key], key)
	}
}

// TestStartLogsEverySetting: whoever reads the log of a Collector knows how it is configured. A new key cannot be forgotten.
func TestStartLogsEverySetting(t *testing.T) {
	p := anyLogs.start(t, func(c *Config) {
		c.Buffer, c.Map.Key, c.Map.LogKeys = bufferMap, mapRecord, []string{"id"}
		c.SplitOnTooLarge, c.TooLargeErrors = true, []string{"too (big|fat)"}
		c.WaitTimeout = time.Minute
	}, nil)
	fields := p.log.FilterLevelExact(zapcore.InfoLevel).All()[0].ContextMap()
	for key := range defaults(t) {
		require.Contains(t, fields, key)
	}
	require.Equal(t, time.Minute, fields["wait_timeout"])
	require.Equal(t, []any{"too (big|fat)"}, fields["too_large_errors"])
	require.Equal(t, []any{"id"}, fields["map.log_keys"])

	p = anyLogs.start(t, func(c *Config) { retries(c); c.RetryOnFailure.MaxElapsedTime = time.Hour }, nil)
	fields = p.log.FilterLevelExact(zapcore.InfoLevel).All()[0].ContextMap()
	require.Equal(t, time.Hour, fields["retry_on_failure.max_elapsed_time"])
}

// TestWhatLastsIsLoggedOnceAMinute: when it begins, and then with how often it happened and to how many items.
func TestWhatLastsIsLoggedOnceAMinute(t *testing.T) {
	for name, test := range map[string]struct {
		set     func(*Config)
		ctx     func(i int) context.Context
		next    nextFunc
		message string
		level   zapcore.Level
		error   []string // what the callers are told, and what the line says
	}{
		"refusing": {
			func(c *Config) { c.QueueSize, c.BlockOnOverflow = 5, false }, func(int) context.Context { return context.Background() }, nil,
			"Requests are refused", zapcore.WarnLevel,
			[]string{"queue is full", "queue_size is 5 items", "send again later"},
		},
		"too many keys": {
			func(c *Config) { c.MetadataKeys, c.MetadataCardinalityLimit = []string{"tenant"}, 1 },
			func(i int) context.Context { return from("tenant", fmt.Sprint(i)) }, nil,
			"Requests with new keys are refused", zapcore.WarnLevel,
			[]string{"metadata_cardinality_limit is 1", "raise it"},
		},
		"losses": {
			func(c *Config) { c.Timeout = 0 }, func(int) context.Context { return context.Background() },
			func(context.Context, int) error { return errNext },
			"A batch failed and is dropped", zapcore.ErrorLevel, nil,
		},
		"returned": {
			func(c *Config) { c.Timeout = 0; waits(c) }, func(int) context.Context { return context.Background() },
			func(context.Context, int) error { return errNext },
			"A batch failed; its callers were told", zapcore.WarnLevel, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.start(t, func(c *Config) {
					c.Timeout, c.SendBatchSize = time.Hour, 5
					test.set(c)
				}, func(ctx context.Context, n int) error {
					if test.next != nil {
						return test.next(ctx, n)
					}
					time.Sleep(time.Hour)
					return nil
				})
				if test.next == nil {
					require.NoError(t, p.push(test.ctx(0), 0, 5))
				}
				var err error
				for i := range 130 { // for more than two minutes
					err = p.push(test.ctx(1+i), 5*i, 2)
					time.Sleep(time.Second)
				}
				synctest.Wait()
				for _, text := range test.error {
					require.ErrorContains(t, err, text)
				}
				if test.error != nil {
					require.NotContains(t, err.Error(), "partitioned:")
				}
				lines := p.log.FilterMessageSnippet(test.message).All()
				require.Len(t, lines, 3)
				for i, times := range []int64{1, 60, 60} {
					require.Equal(t, test.level, lines[i].Level)
					require.Equal(t, times, lines[i].ContextMap()["times"])
					require.Equal(t, 2*times, lines[i].ContextMap()["items"])
					require.NotEmpty(t, lines[i].ContextMap()["error"])
				}
				time.Sleep(2 * time.Hour) // the call ends
			})
		})
	}
}

// TestMetadataThatNoRequestHas: mostly the receiver lacks include_metadata, and everything is one tenant.
func TestMetadataThatNoRequestHas(t *testing.T) {
	for name, test := range map[string]struct {
		contexts []context.Context
		want     int
	}{
		"none":           {[]context.Context{context.Background(), context.Background()}, 1},
		"another's":      {[]context.Context{from("color", "red")}, 1},
		"some":           {[]context.Context{context.Background(), from("tenant", "a")}, 0},
		"some, of two":   {[]context.Context{from("region", "north")}, 0},
		"an empty value": {[]context.Context{from("tenant", "")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.start(t, func(c *Config) { c.MetadataKeys = []string{"Tenant", "region"} }, nil)
				for range 3 {
					for i, ctx := range test.contexts {
						require.NoError(t, p.push(ctx, i, 1))
					}
					time.Sleep(time.Second)
				}
				lines := p.log.FilterMessageSnippet("include_metadata").All()
				require.Len(t, lines, test.want)
				if test.want > 0 {
					require.Equal(t, zapcore.WarnLevel, lines[0].Level)
					require.Equal(t, []any{"region", "tenant"}, lines[0].ContextMap()["metadata_keys"])
				}
			})
		})
	}
}

// TestErrorsOfCallersNameWhatToDo: in the words of the configuration, and without the packages that they come from.
func TestErrorsOfCallersNameWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		call func(t *testing.T, p *pipeline) error
		set  func(*Config)
		want []string
	}{
		"not started": {func(_ *testing.T, p *pipeline) error { return p.push(context.Background(), 0, 1) }, nil, []string{"not started", "send again later"}},
		"shut down": {func(t *testing.T, p *pipeline) error {
			require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
			require.NoError(t, p.Shutdown(context.Background()))
			return p.push(context.Background(), 0, 1)
		}, nil, []string{"shutting down", "send again later"}},
		"gave up": {func(t *testing.T, p *pipeline) error {
			require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
			require.NoError(t, p.push(context.Background(), 0, 5))
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return p.push(ctx, 0, 1)
		}, func(c *Config) { c.SendBatchSize, c.QueueSize = 5, 5 }, []string{"nothing accepted", "gave up waiting", "deadline exceeded", "queue_size is 5 items"}},
		"gave up waiting for its result": {func(t *testing.T, p *pipeline) error {
			require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return p.push(ctx, 0, 5)
		}, waits, []string{"gave up waiting for its result", "wait_for_result", "deadline exceeded"}},
		"dropped": {func(t *testing.T, p *pipeline) error {
			require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
			result := make(chan error)
			go func() { result <- p.push(context.Background(), 0, 5) }()
			synctest.Wait()
			require.NoError(t, p.Shutdown(context.Background()))
			require.Len(t, p.losses(), 1)
			require.Contains(t, p.losses()[0], "5 items")
			require.Contains(t, p.losses()[0], "shutdown_timeout is 5s")
			require.NotContains(t, p.losses()[0], "partitioned:")
			return <-result
		}, waits, []string{"dropped at shutdown", "shutdown_timeout is 5s"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.make(t, test.set, func(context.Context, int) error {
					time.Sleep(time.Minute)
					return nil
				})
				err := test.call(t, p)
				for _, text := range test.want {
					require.ErrorContains(t, err, text)
				}
				require.NotContains(t, err.Error(), "partitioned:")
				_ = p.Shutdown(context.Background()) // what it lost is another test's
				time.Sleep(time.Hour)
			})
		})
	}
}
