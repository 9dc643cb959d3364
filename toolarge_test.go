// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var errTooLarge = consumererror.NewPermanent(status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5 vs. 4)"))

func splits(c *Config) { c.SplitOnTooLarge = true }

// One item is too large for any batch. It costs itself, the others arrive in their order.
func TestPoisonItemCostsItself(t *testing.T) {
	for _, k := range kinds {
		for _, poison := range []int{0, 5, 10} {
			t.Run(fmt.Sprint(k.name, poison), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					all := slices.Concat(k.list(0, 4), k.list(4, 7))
					p := k.answered(t, func(c *Config) {
						splits(c)
						c.SendBatchSize = 11
					}, func(a *answer) error {
						if slices.Contains(a.items, all[poison]) {
							return errTooLarge
						}
						return nil
					}).begun(t)
					require.NoError(t, p.push(context.Background(), 0, 4))
					require.NoError(t, p.push(context.Background(), 4, 7))
					synctest.Wait()
					require.Equal(t, slices.Delete(slices.Clone(all), poison, poison+1), p.items())
					require.Zero(t, p.metric(t, "items_pending", ""))
					require.EqualValues(t, 10, p.metric(t, "items_forwarded", ""))
					require.EqualValues(t, 1, p.metric(t, "items_dropped", "error"))
					require.Positive(t, p.metric(t, "items_retried", ""))
					p.requireConserved(t)
					losses := p.log.FilterLevelExact(zapcore.ErrorLevel).All()
					require.Len(t, losses, 1)
					require.EqualValues(t, 1, losses[0].ContextMap()["items"])
				})
			})
		}
	}
}

// Each that is awaited hears of it, as nobody can tell whose the item was; without the setting it is as any failure.
func TestTooLargeIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		set                func(*Config)
		forwarded, retried int64
	}{
		"split":           {func(c *Config) { waits(c); splits(c) }, 7, 8 + 4 + 2},
		"split and retry": {func(c *Config) { waits(c); splits(c); retries(c) }, 7, 8 + 4 + 2},
		"neither":         {waits, 0, 0},
		"retry":           {func(c *Config) { waits(c); retries(c) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				poison := anyLogs.list(1, 4)[2]
				p := anyLogs.answered(t, test.set, func(a *answer) error {
					time.Sleep(time.Second)
					if slices.Contains(a.items, poison) {
						return errTooLarge
					}
					return nil
				}).begun(t)
				results := pushAll(p, background, 1, 4, 4)
				require.NoError(t, results[0])
				innocent := test.forwarded > 0 // it shared the batch, and was not sent with the poison in the end
				for i, err := range results[1:] {
					if innocent && i == 1 {
						require.NoError(t, err)
						continue
					}
					require.True(t, consumererror.IsPermanent(err))
					require.ErrorContains(t, err, "larger than max")
				}
				p.accounts(t, 1+test.forwarded, 8-test.forwarded, 0, test.retried)
			})
		})
	}
}

// Halves that fail for another reason are sent again as halves, in order.
func TestHalvesAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		p := anyLogs.answered(t, func(c *Config) { splits(c); retries(c); c.Timeout = 0 }, func(a *answer) error {
			sizes = append(sizes, len(a.items))
			switch {
			case len(a.items) > 2:
				return errTooLarge
			case a.call%2 == 1:
				return errNext
			}
			return nil
		}).begun(t)
		require.NoError(t, p.push(context.Background(), 0, 7))
		require.NoError(t, p.push(context.Background(), 7, 1))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, slices.Concat(anyLogs.list(0, 7), anyLogs.list(7, 1)), p.items())
		require.Equal(t, "[7 3 1 1 2 2 4 2 2 2 1 1]", fmt.Sprint(sizes))
		require.Zero(t, p.metric(t, "items_dropped", ""))
	})
}

// A subset that is too large is halved, and what is too large while Shutdown runs, too.
func TestTooLargeSubsetAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.answered(t, splits, func(a *answer) error {
			switch len(a.items) {
			case 9:
				return a.partly(errTooLarge, 1, 9)
			case 8, 4:
				return errTooLarge
			}
			return nil
		}).begun(t)
		require.NoError(t, p.push(context.Background(), 0, 9))
		require.NoError(t, p.Shutdown(context.Background()))
		require.Equal(t, anyLogs.list(0, 9), p.items())
		require.Equal(t, []int{1, 2, 2, 2, 2}, p.sizes())
	})
}

// A profile that can neither be merged nor cut, as its dictionary is broken, fails as a whole.
func TestWhatCannotBeCutIsNotHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := newPipelineTo(t, profiles, splits, func(*pipeline, context.Context, pprofile.Profiles) error {
			calls++
			return errTooLarge
		}).begun(t)
		broken := newProfiles(0, 3)
		broken.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().At(0).SetStackIndex(1000)
		require.NoError(t, p.Component.(profilesProcessor).ConsumeProfiles(context.Background(), broken))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 1, calls)
		p.accounts(t, 0, 0, 3, 0)
	})
}

// With retry such a profile is sent again as it is: it must not have been emptied or recycled by the attempt to halve it.
func TestWhatCannotBeHalvedIsSentAgainAsItIs(t *testing.T) {
	for _, pooling := range []bool{false, true} {
		t.Run(fmt.Sprint("pooling ", pooling), func(t *testing.T) {
			usePooling(t, pooling)
			synctest.Test(t, func(t *testing.T) {
				var samples []int
				p := newPipelineTo(t, profiles, func(c *Config) { splits(c); retries(c) }, func(_ *pipeline, _ context.Context, pd pprofile.Profiles) error {
					if samples = append(samples, pd.SampleCount()); len(samples) < 3 {
						return status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5 vs. 4)")
					}
					return nil
				}).begun(t)
				broken := newProfiles(0, 3)
				broken.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().At(0).SetStackIndex(1000)
				require.NoError(t, p.Component.(profilesProcessor).ConsumeProfiles(context.Background(), broken))
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, []int{3, 3, 3}, samples)
				p.accounts(t, 3, 0, 0, 6)
			})
		})
	}
}

// The user says in which words a backend means it.
func TestTooLargeInTheWordsOfTheConfiguration(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint(known), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.answered(t, func(c *Config) {
					splits(c)
					if known {
						c.TooLargeErrors = []string{"nothing like it", `(?i)payload of \d+ items`}
					}
				}, func(a *answer) error {
					if len(a.items) > 1 {
						return consumererror.NewPermanent(fmt.Errorf("will not take a Payload of %d items", len(a.items)))
					}
					return nil
				}).begun(t)
				require.NoError(t, p.push(context.Background(), 0, 4))
				time.Sleep(time.Second)
				synctest.Wait()
				if known {
					p.accounts(t, 4, 0, 0, 4+2+2)
				} else {
					p.accounts(t, 0, 0, 4, 0)
				}
			})
		})
	}
}

// What items have in common may alone be too large: a resource, a scope or a metric with a file as an attribute. Each half would have
// it too, so its items stay together and cost few calls. What stands before and behind it is delivered.
func TestWhatIsTooLargeAloneKeepsItsItems(t *testing.T) {
	file := strings.Repeat("x", 1<<20)
	for name, set := range map[string]func(*Config){
		"": func(*Config) {}, "wait": waits, "retry": retries, "by key": byService, "map": byResource,
		"bytes": func(c *Config) { c.SendBatchMaxSizeBytes = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			tooLargeAlone(t, traces, set, func(p ptrace.Traces) {
				p.ResourceSpans().At(0).Resource().Attributes().PutStr("file", file)
			})
			tooLargeAlone(t, logs, set, func(p plog.Logs) {
				p.ResourceLogs().At(0).ScopeLogs().At(0).Scope().Attributes().PutStr("file", file)
			})
			tooLargeAlone(t, metrics, set, func(p pmetric.Metrics) {
				all := p.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
				all.RemoveIf(func(pmetric.Metric) bool { return true })
				one := all.AppendEmpty()
				one.SetDescription(file)
				for points := one.SetEmptyGauge().DataPoints(); points.Len() < 1000; {
					points.AppendEmpty()
				}
			})
		})
	}
}

func tooLargeAlone[P payload](t *testing.T, k kind[P], set func(*Config), enlarge func(P)) {
	synctest.Test(t, func(t *testing.T) {
		var calls, out atomic.Int64
		p := newPipelineTo(t, k, func(c *Config) { splits(c); set(c) }, func(p *pipeline, ctx context.Context, payload P) error {
			size := k.Size(payload)
			calls.Add(1)
			out.Add(int64(size))
			if size > 900_000 {
				return errTooLarge
			}
			p.take(ctx, k.items(payload), 0)
			return nil
		}).begun(t)
		large := k.payload(1000, 1000)
		enlarge(large)
		lost := k.Items(large)
		all := k.payload(0, 300)
		want := slices.Concat(k.items(all), k.items(k.payload(3000, 10)))
		k.Merge(all, large, k.payload(3000, 10))
		in := k.Size(all)
		err := send(context.Background(), p, all)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.ElementsMatch(t, want, p.items())
		require.Less(t, out.Load(), int64(6*in), "bytes sent, in %d calls", calls.Load())
		require.LessOrEqual(t, calls.Load(), int64(8))
		if p.waits {
			require.True(t, consumererror.IsPermanent(err), "%v", err)
			require.EqualValues(t, lost, p.metric(t, "items_returned", ""))
		} else {
			require.NoError(t, err)
			require.EqualValues(t, lost, p.metric(t, "items_dropped", "error"))
		}
		p.requireConserved(t)
	})
}
