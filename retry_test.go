// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// retries after 1, 2, 4, 8, 10, 10 ... s, for a minute.
func retries(c *Config) {
	c.RetryOnFailure.Enabled = true
	c.RetryOnFailure.InitialInterval = time.Second
	c.RetryOnFailure.Multiplier = 2
	c.RetryOnFailure.RandomizationFactor = 0
	c.RetryOnFailure.MaxInterval = 10 * time.Second
	c.RetryOnFailure.MaxElapsedTime = time.Minute
}

// accounts compares the metrics, at rest.
func (p *pipeline) accounts(t *testing.T, forwarded, returned, dropped, retried int64) {
	t.Helper()
	require.Equal(t, []int64{forwarded, returned, dropped, retried, 0}, []int64{
		p.metric(t, "items_forwarded", ""), p.metric(t, "items_returned", ""), p.metric(t, "items_dropped", ""),
		p.metric(t, "items_retried", ""), p.metric(t, "items_pending", ""),
	}, "forwarded, returned, dropped, retried, pending")
	p.requireConserved(t)
}

// The next component empties each batch and takes a part of it at a time. What it did not take comes again, in order and
// before what came meanwhile.
func TestRetrySendsWhatFailed(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var times []time.Duration
				var sizes []int
				var p *pipeline
				p = k.answered(t, func(c *Config) {
					retries(c)
					c.SendBatchSize = 6
				}, func(a *answer) error {
					times = append(times, time.Since(p.begin))
					sizes = append(sizes, len(a.items))
					defer a.spoil()
					switch a.call {
					case 1, 2:
						return errNext
					case 3, 4:
						return a.partly(errNext, 2, len(a.items))
					}
					return nil
				})
				p.begun(t)
				require.NoError(t, p.push(context.Background(), 0, 4))
				require.NoError(t, p.push(context.Background(), 4, 2))
				time.Sleep(ms)
				require.NoError(t, p.push(context.Background(), 6, 1))
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, slices.Concat(k.list(0, 4), k.list(4, 2), k.list(6, 1)), p.items())
				require.Equal(t, []int{6, 6, 6, 4, 2, 1}, sizes, "as it was, and not with others")
				s := time.Second
				require.Equal(t, []time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s, 15 * s}, times)
				p.accounts(t, 7, 0, 0, 6+6+4+2)
				require.EqualValues(t, 1, p.metric(t, "batch_size_trigger_send", ""), "why it was cut at first")
				require.EqualValues(t, 1, p.metric(t, "timeout_trigger_send", ""))
			})
		})
	}
}

func TestRetryEnds(t *testing.T) {
	rejected := consumererror.NewPermanent(errNext)
	for name, test := range map[string]struct {
		set      func(*Config)
		failure  func(a *answer) error
		calls    int
		returned int64
		dropped  int64
		retried  int64
		after    time.Duration
	}{
		"max_elapsed_time":          {func(*Config) {}, func(*answer) error { return errNext }, 9, 0, 5, 40, 55 * time.Second},
		"told, with wait":           {waits, func(*answer) error { return errNext }, 9, 5, 0, 40, 55 * time.Second},
		"permanent":                 {func(*Config) {}, func(*answer) error { return rejected }, 1, 0, 5, 0, 0},
		"permanent, a part":         {waits, func(a *answer) error { return a.partly(rejected, 0, 2) }, 1, 2, 0, 0, 0},
		"joined, each permanent":    {waits, func(*answer) error { return errors.Join(rejected, rejected) }, 1, 5, 0, 0, 0},
		"joined, one of them":       {waits, func(*answer) error { return errors.Join(rejected, errNext) }, 9, 5, 0, 40, 55 * time.Second},
		"joined, one with a subset": {waits, func(a *answer) error { return errors.Join(a.partly(errNext, 0, 2), errNext) }, 9, 5, 0, 40, 55 * time.Second},
		"panic":                     {waits, func(*answer) error { panic("no") }, 1, 5, 0, 0, 0},
		"without":                   {func(c *Config) { c.RetryOnFailure.Enabled = false }, func(*answer) error { return errNext }, 1, 0, 5, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				var last time.Time
				p := anyLogs.answered(t, func(c *Config) {
					retries(c)
					c.Timeout = 0
					test.set(c)
				}, func(a *answer) error {
					calls, last = a.call, time.Now()
					return test.failure(a)
				}).begun(t)
				err := p.push(context.Background(), 0, 5)
				require.Equal(t, test.returned > 0, err != nil)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				require.Equal(t, test.calls, calls)
				require.Equal(t, test.after, last.Sub(p.begin))
				p.accounts(t, 5-test.returned-test.dropped, test.returned, test.dropped, test.retried)
			})
		})
	}
}

// What waits for its next attempt holds no consumer, and nobody up but those of its key.
func TestRetryHoldsUpItsKeyOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.answered(t, func(c *Config) {
			retries(c)
			c.MetadataKeys, c.NumConsumers, c.Timeout = []string{"tenant"}, 1, 0
		}, func(a *answer) error {
			if a.call == 1 {
				return errNext
			}
			return nil
		}).begun(t)
		require.NoError(t, p.push(from("tenant", "a"), 0, 1))
		synctest.Wait()
		for i := range 4 {
			require.NoError(t, p.push(from("tenant", "b"), 10+i, 1))
			require.NoError(t, p.push(from("tenant", "a"), 1+i, 1))
		}
		time.Sleep(time.Second - 1)
		synctest.Wait()
		require.Len(t, p.items(), 4, "of b")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		var want []string
		for i := range 5 {
			want = append(want, anyLogs.list(i, 1)...)
		}
		require.Equal(t, want, p.items()[4:])
	})
}

// Without keys and with several consumers there is no order to keep: others go on.
func TestRetryWithoutOrderHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.answered(t, func(c *Config) {
			retries(c)
			c.NumConsumers, c.Timeout = 2, 0
		}, func(a *answer) error {
			if a.call <= 3 {
				return errNext
			}
			return nil
		}).begun(t)
		for i := range 8 {
			require.NoError(t, p.push(context.Background(), i, 1))
			synctest.Wait()
		}
		require.Len(t, p.items(), 5)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, p.items(), 8)
		p.accounts(t, 8, 0, 0, 3)
	})
}

// TestKeyPausesAsLongAsTheServerAsks, without a retry too, but for max_interval at most. Other keys go on.
func TestKeyPausesAsLongAsTheServerAsks(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{7 * time.Second: 7 * time.Second, time.Hour: 30 * time.Second} {
		t.Run(asked.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				later, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(asked)})
				require.NoError(t, err)
				var calls atomic.Int64
				p := anyLogs.start(t, func(c *Config) {
					c.MetadataKeys, c.Timeout, c.SendBatchSize = []string{"tenant"}, time.Millisecond, 1
				}, func(context.Context, int) error {
					if calls.Add(1) == 1 {
						return later.Err()
					}
					return nil
				})
				require.NoError(t, p.push(from("tenant", "a"), 0, 1))
				synctest.Wait()
				require.NoError(t, p.push(from("tenant", "a"), 1, 1))
				require.NoError(t, p.push(from("tenant", "b"), 2, 1))
				time.Sleep(want - time.Millisecond)
				require.EqualValues(t, 2, calls.Load(), "the first of each")
				time.Sleep(2 * time.Millisecond)
				require.EqualValues(t, 3, calls.Load())
				p.accounts(t, 2, 0, 1, 0)
			})
		})
	}
}

func TestRetryWaitsAsLongAsTheServerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asks, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(17 * time.Second)})
		require.NoError(t, err)
		p := anyLogs.answered(t, func(c *Config) { retries(c); waits(c) }, func(a *answer) error {
			if a.call == 1 {
				return fmt.Errorf("throttled: %w", asks.Err())
			}
			return nil
		}).begun(t)
		require.NoError(t, p.push(context.Background(), 0, 1))
		require.Equal(t, 17*time.Second, time.Since(p.begin))
	})
}

// Whoever does not send again does not pay for it: what arrived alone goes on as it is, not as a copy.
func TestCopyIsOnlyMadeToSendAgain(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*Config)
		same bool
	}{
		"by default": {func(*Config) {}, true},
		"wait":       {waits, true},
		"retry":      {retries, false},
		"split":      {func(c *Config) { c.SplitOnTooLarge = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := NewFactory().CreateDefaultConfig().(*Config)
				test.set(cfg)
				require.NoError(t, cfg.Validate())
				var got []plog.Logs
				next, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error { // it does not change what it gets
					got = append(got, ld)
					return nil
				})
				require.NoError(t, err)
				p, err := NewFactory().CreateLogs(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, next)
				require.NoError(t, err)
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				ld := logs.payload(0, 3)
				lent := addressOf(ld)
				require.NoError(t, p.ConsumeLogs(context.Background(), ld))
				require.NoError(t, p.Shutdown(context.Background()))
				require.Equal(t, test.same, lent == addressOf(got[0]))
			})
		})
	}
}

// addressOf returns where the first record of a payload is.
func addressOf(ld plog.Logs) uintptr {
	record := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	return reflect.ValueOf(record).FieldByName("orig").Pointer()
}

// I7: the wait for the next attempt is cut short, and attempts go on while there is time.
func TestShutdownWhileABatchIsToBeSentAgain(t *testing.T) {
	for name, test := range map[string]struct {
		takes     bool
		wait      bool
		forwarded int64
	}{
		"the next time succeeds":      {true, false, 7},
		"all times fail":              {false, false, 0},
		"all times fail, and awaited": {false, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.answered(t, func(c *Config) {
					retries(c)
					c.WaitForResult = test.wait
					c.RetryOnFailure.InitialInterval, c.RetryOnFailure.MaxInterval, c.RetryOnFailure.MaxElapsedTime = time.Hour, time.Hour, 0
					c.SendBatchSize, c.SendBatchMaxSize = 4, 4
				}, func(a *answer) error {
					if a.call > 1 && test.takes {
						return nil
					}
					return errNext
				})
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				result := make(chan error, 1)
				go func() { result <- p.push(context.Background(), 0, 7) }() // 4 fail, 3 wait behind them
				time.Sleep(time.Minute)
				synctest.Wait()
				begin := time.Now()
				require.NoError(t, p.Shutdown(context.Background()))
				took := time.Since(begin)
				err := <-result
				require.Equal(t, test.wait, err != nil)
				st := p.stats()
				require.EqualValues(t, 7, st.Accepted)
				require.Equal(t, test.forwarded, st.Forwarded)
				require.Equal(t, 7-test.forwarded, st.Lost)
				require.Len(t, p.losses(), int(min(st.Lost, 1)))
				if test.takes {
					require.Zero(t, took)
					require.EqualValues(t, 4, st.Retried)
				} else {
					require.Equal(t, 4500*ms, took, "nine tenths of shutdown_timeout")
					require.Greater(t, st.Retried, int64(40))
				}
			})
		})
	}
}

// Whatever the next consumer does with what it gets: what comes again is as it came.
func TestPooledPayloadsThatComeAgain(t *testing.T) {
	for name, c := range map[string]pooledRetry{
		"alone":         {[]int{3}, retries},
		"merged":        {[]int{3, 1, 4}, retries},
		"cut":           {[]int{5, 5}, func(c *Config) { retries(c); c.SendBatchSize, c.SendBatchMaxSize = 3, 3 }},
		"too large":     {[]int{5, 6}, func(c *Config) { c.SplitOnTooLarge = true }},
		"all of it":     {[]int{5, 6}, func(c *Config) { retries(c); c.SplitOnTooLarge = true; c.SendBatchSize, c.SendBatchMaxSize = 4, 4 }},
		"all, awaiting": {[]int{5, 6}, func(c *Config) { retries(c); waits(c); c.SplitOnTooLarge = true }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pooling := range []bool{true, false} {
				t.Run(fmt.Sprint("traces ", pooling), func(t *testing.T) { runRetried(t, traces, c, pooling) })
				t.Run(fmt.Sprint("metrics ", pooling), func(t *testing.T) { runRetried(t, metrics, c, pooling) })
				t.Run(fmt.Sprint("logs ", pooling), func(t *testing.T) { runRetried(t, logs, c, pooling) })
				t.Run(fmt.Sprint("profiles ", pooling), func(t *testing.T) { runRetried(t, profiles, c, pooling) })
			}
		})
	}
}

type pooledRetry struct {
	requests []int
	set      func(*Config)
}

// runRetried has a next consumer that fails in each way there is, one call after another, that moves what it gets out of the
// payload, and uses memory that was given back.
func runRetried[P payload](t *testing.T, k kind[P], c pooledRetry, pooling bool) {
	usePooling(t, pooling)
	synctest.Test(t, func(t *testing.T) {
		cfg := NewFactory().CreateDefaultConfig().(*Config)
		c.set(cfg)
		var got []string
		calls := 0
		p, consume, err := k.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, k.inGraph(func(_ context.Context, p P) error {
			items := k.items(p)
			calls++
			mine := k.payload(1_000_000, 1)
			defer k.Unref(mine)
			defer k.Merge(mine, p) // whether it fails or not
			switch {
			case cfg.SplitOnTooLarge && len(items) > 2:
				return consumererror.NewPermanent(status.Error(codes.ResourceExhausted, "grpc: received message larger than max (9 vs. 4)"))
			case !cfg.RetryOnFailure.Enabled:
			case calls%4 == 1:
				return errNext
			case calls%4 == 2 && len(items) > 1: // of what the batch consists of, as an exporter may that has no need for a copy
				part := k.Cut(p, signal.Measure{})
				first, _ := part.Take(signal.Items(1))
				rest, _ := part.Take(signal.Items(len(items)))
				got = append(got, k.items(first)...)
				return k.partial(errNext, rest)
			}
			got = append(got, items...)
			return nil
		}))
		require.NoError(t, err)
		require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
		var want []string
		var pushed []P
		for _, n := range c.requests {
			p := k.payload(len(want), n)
			want = append(want, k.items(p)...)
			pushed = append(pushed, p)
			go func() {
				if err := k.inGraph(consume)(context.Background(), p); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		for range 100 { // whatever was freed too early is used again, and overwritten
			time.Sleep(time.Second)
			synctest.Wait()
			k.Unref(k.payload(2_000_000, 3))
		}
		require.NoError(t, p.Shutdown(context.Background()))
		require.Equal(t, want, got)
		if pooling {
			for i, p := range pushed {
				require.Truef(t, k.freed(p), "%d of %d", i, len(pushed))
			}
		}
	})
}
