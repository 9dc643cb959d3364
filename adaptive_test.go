// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/backendtest"
)

// adaptive lets up to 64 calls run at once, as many as the backend bears. Each request is a batch.
func adaptive(cfg *Config) {
	cfg.NumConsumers, cfg.Timeout, cfg.QueueSize = 64, 0, 100
	cfg.AdaptiveConcurrency.Enabled = true
}

// fixed is adaptive with the number of calls fixed to 64.
func fixed(cfg *Config) {
	adaptive(cfg)
	cfg.AdaptiveConcurrency.Enabled = false
}

// busy is a pipeline in front of a backend, with a sender that never stops.
type busy struct {
	*pipeline
	taken atomic.Int64
	stop  context.CancelFunc
	ended sync.WaitGroup
}

func newBusy(t *testing.T, b *backendtest.Backend, set func(*Config)) *busy {
	p := &busy{}
	p.pipeline = newPipelineTo(t, logs, set, func(_ *pipeline, ctx context.Context, _ plog.Logs) error {
		err := b.Call(ctx)
		if err == nil {
			p.taken.Add(1)
		}
		return err
	}).begun(t)
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.ended.Go(func() {
		for i := 0; p.push(ctx, i, 1) == nil; i++ {
			continue
		}
	})
	t.Cleanup(p.end) // before Shutdown
	return p
}

func (p *busy) end() {
	p.stop()
	p.ended.Wait()
}

// during returns how many calls were taken in the next d.
func (p *busy) during(d time.Duration) int64 {
	before := p.taken.Load()
	time.Sleep(d)
	return p.taken.Load() - before
}

// mostTaken is what a backend of a capacity takes in d, if it is never idle. No number of calls does better.
func mostTaken(capacity int, d time.Duration) float64 {
	return float64(capacity) * d.Seconds() / 0.040
}

// TestAdaptiveFollowsTheBackend: 10 s after its capacity has changed (15 s if that is 1), as much is delivered as with the best fixed
// number, with at most a tenth of the refusals of a fixed 64.
func TestAdaptiveFollowsTheBackend(t *testing.T) {
	const measured = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		b := backendtest.New(1, 4)
		p := newBusy(t, b, adaptive)
		for _, capacity := range []int{4, 32, 8, 1, 16} {
			settled := 10 * time.Second
			if capacity == 1 {
				settled = 15 * time.Second
			}
			b.SetCapacity(capacity)
			_, before := b.Counts()
			time.Sleep(settled)
			got := float64(p.during(measured)) / mostTaken(capacity, measured)
			_, after := b.Counts()
			perSecond := float64(after-before) / (settled + measured).Seconds()
			of64 := refusalsOf64(t, capacity)
			t.Logf("capacity %2d: %.2f of the most, %.1f refusals a second, a fixed 64 has %.0f; limit %d", capacity, got, perSecond, of64, p.metric(t, "consumers_limit", ""))
			if got < 0.9 {
				t.Errorf("capacity %d: only %.2f of the most is delivered", capacity, got)
			}
			if of64 > 0 && perSecond > of64/10 {
				t.Errorf("capacity %d: %.1f refusals a second, a fixed 64 has %.1f", capacity, perSecond, of64)
			}
		}
	})
}

// refusalsOf64 returns how many calls a second are refused with a fixed 64.
func refusalsOf64(t *testing.T, capacity int) float64 {
	b := backendtest.New(1, capacity)
	p := newBusy(t, b, fixed)
	time.Sleep(500 * time.Millisecond)
	_, before := b.Counts()
	time.Sleep(500 * time.Millisecond)
	_, after := b.Counts()
	p.end()
	return float64(after-before) / 0.5
}

// TestAdaptiveBearsABadBackend: errors that mean nothing, and a few calls that take ten times as long.
func TestAdaptiveBearsABadBackend(t *testing.T) {
	const capacity, measured = 16, 10 * time.Second
	for name, set := range map[string]func(*backendtest.Backend){
		"1 % errors": func(b *backendtest.Backend) { b.Errors = 0.01 },
		"heavy tail": func(b *backendtest.Backend) {
			b.Work = func(rng *rand.Rand) time.Duration { // 40 ms on average
				if rng.IntN(50) == 0 {
					return 340 * time.Millisecond
				}
				return 33_880 * time.Microsecond
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := backendtest.New(1, capacity)
				set(b)
				p := newBusy(t, b, adaptive)
				time.Sleep(10 * time.Second)
				if got := float64(p.during(measured)) / mostTaken(capacity, measured); got < 0.9 {
					t.Errorf("%.2f of the most is delivered", got)
				} else {
					t.Logf("%.2f of the most", got)
				}
			})
		})
	}
}

// TestAdaptiveSharesTheBackend: whoever comes late gets 0.4 to 0.6 of it.
func TestAdaptiveSharesTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backendtest.New(1, 16)
		first := newBusy(t, b, adaptive)
		time.Sleep(15 * time.Second)
		late := newBusy(t, b, adaptive)
		time.Sleep(20 * time.Second)
		before := first.taken.Load()
		got := late.during(20 * time.Second)
		share := float64(got) / float64(got+first.taken.Load()-before)
		t.Logf("the late-comer gets %.2f", share)
		if share < 0.4 || share > 0.6 {
			t.Errorf("the late-comer gets %.2f", share)
		}
	})
}

// TestAdaptiveKnowsRefusals: what is none leaves the limit as it is, and all are counted by reason.
func TestAdaptiveKnowsRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int64 // limit
	}{
		"Unavailable":         {status.Error(codes.Unavailable, "no"), 2},
		"ResourceExhausted":   {status.Error(codes.ResourceExhausted, "no"), 2},
		"HTTP 429":            {consumererror.NewOTLPHTTPError(errNext, 429), 2},
		"HTTP 503":            {consumererror.NewOTLPHTTPError(errNext, 503), 2},
		"a timeout":           {context.DeadlineExceeded, 2},
		"a permanent error":   {consumererror.NewPermanent(status.Error(codes.Unavailable, "no")), 10},
		"an error of no kind": {errNext, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.start(t, func(cfg *Config) {
					adaptive(cfg)
					cfg.AdaptiveConcurrency.Initial, cfg.AdaptiveConcurrency.Min = 10, 2
				}, func(context.Context, int) error { time.Sleep(time.Millisecond); return test.err })
				for i := range 50 {
					require.NoError(t, p.push(context.Background(), i, 1))
				}
				time.Sleep(time.Second)
				require.Equal(t, test.want, p.metric(t, "consumers_limit", ""))
				require.Equal(t, 10-test.want, p.metric(t, "consumers_limit_changes", "refused"))
				require.EqualValues(t, 64, p.metric(t, "consumers", ""))
			})
		})
	}
}

// TestAdaptivePausesAsLongAsIsAsked, with all consumers, and no longer.
func TestAdaptivePausesAsLongAsIsAsked(t *testing.T) {
	later, err := status.New(codes.ResourceExhausted, "a quota").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		p := anyLogs.start(t, func(cfg *Config) {
			adaptive(cfg)
			retries(cfg)
		}, func(context.Context, int) error {
			if calls.Add(1) == 1 {
				return later.Err()
			}
			return nil
		})
		for i := range 5 {
			require.NoError(t, p.push(context.Background(), i, 1))
		}
		time.Sleep(time.Minute)
		require.Len(t, p.times(), 5)
		for _, at := range p.times() {
			require.GreaterOrEqual(t, at, 7*time.Second)
			require.Less(t, at, 8*time.Second)
		}
	})
}

// TestAdaptivePausesForAnIntervalAtMost: who asks for an hour does not stop the pipeline for an hour.
func TestAdaptivePausesForAnIntervalAtMost(t *testing.T) {
	later, err := status.New(codes.ResourceExhausted, "a quota").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		set  func(*Config)
		want time.Duration
	}{
		"without retry": {func(*Config) {}, 30 * time.Second},
		"with retry":    {retries, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				p := anyLogs.start(t, func(cfg *Config) { adaptive(cfg); test.set(cfg) }, func(context.Context, int) error {
					if calls.Add(1) == 1 {
						return later.Err()
					}
					return nil
				})
				for i := range 5 {
					require.NoError(t, p.push(context.Background(), i, 1))
				}
				time.Sleep(test.want - 1)
				require.EqualValues(t, 1, calls.Load())
				time.Sleep(time.Second)
				require.EqualValues(t, 5, calls.Load(), "all but the first, which waits, and is sent again after an hour if at all")
			})
		})
	}
}

// TestAdaptiveOfAMap: its batches tell of refusals, and of pauses, as those of a queue do.
func TestAdaptiveOfAMap(t *testing.T) {
	later, err := status.New(codes.ResourceExhausted, "a quota").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	require.NoError(t, err)
	for key, set := range mapsByKey {
		t.Run(key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				p := anyLogs.start(t, func(cfg *Config) {
					adaptive(cfg)
					set(cfg)
					cfg.Timeout, cfg.Partitions, cfg.QueueSize = time.Millisecond, 64, 0
					cfg.AdaptiveConcurrency.Initial, cfg.AdaptiveConcurrency.Min = 10, 2
				}, func(context.Context, int) error {
					switch n := calls.Add(1); {
					case n <= 20:
						return status.Error(codes.Unavailable, "no")
					case n == 21:
						return later.Err()
					default:
						return nil
					}
				})
				push := func(i int) {
					require.NoError(t, p.push(context.Background(), i, 1))
					time.Sleep(10 * time.Millisecond)
				}
				for i := range 20 {
					push(i)
				}
				require.EqualValues(t, 2, p.metric(t, "consumers_limit", ""))
				require.EqualValues(t, 8, p.metric(t, "consumers_limit_changes", "refused"))
				begin := time.Since(p.begin)
				for i := range 5 {
					push(20 + i)
				}
				time.Sleep(time.Minute)
				require.Len(t, p.items(), 4)
				for _, at := range p.times() {
					require.GreaterOrEqual(t, at-begin, 7*time.Second)
					require.Less(t, at-begin, 8*time.Second)
				}
			})
		})
	}
}

// TestAdaptiveIsLogged, with its bounds.
func TestAdaptiveIsLogged(t *testing.T) {
	p := anyLogs.start(t, adaptive, nil)
	fields := p.log.FilterMessage("Batching").All()[0].ContextMap()
	require.Equal(t, true, fields["adaptive_concurrency.enabled"])
	require.EqualValues(t, 1, fields["adaptive_concurrency.initial"])
	require.EqualValues(t, 64, fields["num_consumers"])
	require.Equal(t, false, anyLogs.start(t, nil, nil).log.FilterMessage("Batching").All()[0].ContextMap()["adaptive_concurrency.enabled"])
}
