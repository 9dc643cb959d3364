// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

// I7. Each push is delivered exactly once if its caller got nil, and not at all if it got an error.
func TestConsumeWhileShutdownRuns(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"room":    func(c *Config) { c.SendBatchSize = 20 },
		"no room": func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize, c.QueueSize = 20, 20, 40 },
		"keys":    func(c *Config) { c.SendBatchSize, c.QueueSizePerKey, c.MetadataKeys = 20, 20, []string{"tenant"} },
		"refuse":  func(c *Config) { c.SendBatchSize, c.QueueSize, c.BlockOnOverflow = 20, 40, false },
	} {
		for _, k := range kinds {
			t.Run(name+"/"+k.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := k.start(t, set, func(context.Context, int) error {
						time.Sleep(ms)
						return nil
					})
					var producers sync.WaitGroup
					var mu sync.Mutex
					accepted := map[string]int{}
					for producer := range 64 {
						producers.Go(func() {
							for i := 0; ; i++ {
								first := producer*1_000_000 + i*3
								err := p.push(from("tenant", fmt.Sprint(producer%5)), first, 3)
								if err == nil {
									mu.Lock()
									for _, item := range k.list(first, 3) {
										accepted[item]++
									}
									mu.Unlock()
								} else if consumererror.IsPermanent(err) {
									t.Error(err)
								}
								if time.Since(p.begin) > 30*ms {
									return
								}
								time.Sleep(time.Duration(producer%7+1) * ms / 2)
							}
						})
					}
					time.Sleep(15 * ms)
					require.NoError(t, p.Shutdown(context.Background()))
					delivered := map[string]int{}
					for _, item := range p.items() {
						delivered[item]++
					}
					producers.Wait()
					require.NotEmpty(t, accepted)
					require.Equal(t, accepted, delivered)
					require.Len(t, p.items(), len(delivered), "nothing came later")
				})
			})
		}
	}
}

func TestCallersInLineAreRefusedAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, gate := full(t, nil)
		var waiting sync.WaitGroup
		for i := range 5 { // as many as may wait, where 5 may be pending
			waiting.Go(func() {
				err := p.push(context.Background(), 5+i, 1)
				if err == nil || consumererror.IsPermanent(err) {
					t.Error("want a retryable error:", err)
				}
			})
		}
		synctest.Wait()
		require.EqualValues(t, 5, p.metric(t, "callers_waiting", ""))
		done := make(chan error)
		go func() { done <- p.Shutdown(context.Background()) }()
		waiting.Wait() // while the only call still lasts
		require.Empty(t, p.batches())
		close(gate)
		require.NoError(t, <-done)
		require.Equal(t, anyLogs.list(0, 5), p.items())
	})
}

// Nobody can end a call that ignores its context; but Shutdown ends, tells how much it gave up, and the call's return
// changes nothing any more.
func TestShutdownEndsThoughTheNextConsumerBlocks(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*Config)
		ctx  time.Duration // 0: no deadline
		want time.Duration
	}{
		"by default":                {func(*Config) {}, 0, 5 * time.Second},
		"after shutdown_timeout":    {func(c *Config) { c.ShutdownTimeout = 3 * time.Second }, 0, 3 * time.Second},
		"by the collector's":        {func(*Config) {}, time.Second, time.Second},
		"shutdown_timeout is first": {func(c *Config) { c.ShutdownTimeout = 3 * time.Second }, time.Minute, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				cancelled := false
				p := anyLogs.make(t, func(c *Config) {
					c.SendBatchSize, c.SendBatchMaxSize = 4, 4
					test.set(c)
				}, func(ctx context.Context, _ int) error {
					<-gate
					cancelled = ctx.Err() != nil
					return nil
				})
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				require.NoError(t, p.push(context.Background(), 0, 10))
				synctest.Wait()
				ctx := context.Background()
				if test.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.ctx)
					defer cancel()
				}
				begin := time.Now()
				require.NoError(t, p.Shutdown(ctx), "an error would end a Collector that only reloads")
				require.Equal(t, test.want, time.Since(begin))
				require.NoError(t, p.Shutdown(context.Background()))
				require.Len(t, p.losses(), 1, "logged once")
				require.Contains(t, p.losses()[0], "10 items: context deadline exceeded")
				close(gate)
				synctest.Wait()
				require.True(t, cancelled)
				require.Equal(t, []int{4}, p.sizes(), "no call after the end")
			})
		})
	}
}

// The backend is away for a moment while the Collector stops, both being restarted, say. Retries go on for as long as there is
// time, at intervals that fit, and callers that wait are told what became of it.
func TestDrainRetries(t *testing.T) {
	for name, set := range map[string]func(*Config){"nobody waits": nil, "a caller waits": waits} {
		for away, delivered := range map[time.Duration]bool{4 * time.Second: true, time.Hour: false} {
			t.Run(fmt.Sprint(name, ", away for ", away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var back atomic.Int64
					p := anyLogs.make(t, func(c *Config) {
						c.SendBatchSize, c.RetryOnFailure = 4, configretry.NewDefaultBackOffConfig()
						if set != nil {
							set(c)
						}
					}, func(context.Context, int) error {
						if time.Now().UnixNano() < back.Load() {
							return errNext
						}
						return nil
					})
					back.Store(time.Now().Add(time.Hour).UnixNano())
					require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
					result := make(chan error, 1)
					go func() { result <- p.push(context.Background(), 0, 10) }()
					time.Sleep(time.Second)
					back.Store(time.Now().Add(away).UnixNano())
					begin := time.Now()
					require.NoError(t, p.Shutdown(context.Background()))
					require.LessOrEqual(t, time.Since(begin), 5*time.Second)
					err := <-result
					if delivered {
						require.NoError(t, err)
						require.Equal(t, anyLogs.list(0, 10), p.items()[len(p.items())-10:])
						require.Empty(t, p.losses())
						return
					}
					require.Equal(t, p.waits, err != nil)
					require.EqualValues(t, 10, p.stats().Lost)
					require.Len(t, p.losses(), 1)
				})
			})
		}
	}
}

func TestShutdownDropsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := anyLogs.make(t, func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 4, 4 }, func(context.Context, int) error {
			<-gate
			return nil
		})
		require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
		require.NoError(t, p.push(context.Background(), 0, 10))
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = p.Shutdown(context.Background())
		}()
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		require.EqualValues(t, 10, p.metric(t, "items_pending", ""))
		<-done
		// The metrics of an ended processor are gone, so the accounts tell.
		stats := p.stats()
		close(gate)
		synctest.Wait()
		require.EqualValues(t, 10, stats.Lost)
		require.Equal(t, stats, p.stats(), "the late return changes nothing")
	})
}

func TestLifeCycleInOddOrders(t *testing.T) {
	host := componenttest.NewNopHost()
	expired, cancel := context.WithCancel(context.Background())
	cancel()
	refused := func(t *testing.T, p *pipeline) {
		err := p.push(context.Background(), 0, 1)
		require.Error(t, err)
		require.False(t, consumererror.IsPermanent(err))
	}
	for name, test := range map[string]func(t *testing.T, p *pipeline){
		"shutdown without start": func(t *testing.T, p *pipeline) {
			require.NoError(t, p.Shutdown(context.Background()))
			refused(t, p)
		},
		"shutdown twice": func(t *testing.T, p *pipeline) {
			require.NoError(t, p.Start(context.Background(), host))
			require.NoError(t, p.push(context.Background(), 0, 1))
			require.NoError(t, p.Shutdown(context.Background()))
			require.NoError(t, p.Shutdown(context.Background()))
			require.Equal(t, []int{1}, p.sizes())
		},
		"shutdown twice at once": func(t *testing.T, p *pipeline) {
			require.NoError(t, p.Start(context.Background(), host))
			require.NoError(t, p.push(context.Background(), 0, 1))
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					if err := p.Shutdown(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			require.Equal(t, []int{1}, p.sizes())
		},
		"shutdown without start, twice": func(t *testing.T, p *pipeline) {
			require.NoError(t, p.Shutdown(context.Background()))
			require.NoError(t, p.Shutdown(context.Background()))
		},
		"start after shutdown": func(t *testing.T, p *pipeline) {
			require.NoError(t, p.Shutdown(context.Background()))
			require.Error(t, p.Start(context.Background(), host))
			refused(t, p)
		},
		"start twice": func(t *testing.T, p *pipeline) {
			require.NoError(t, p.Start(context.Background(), host))
			require.Error(t, p.Start(context.Background(), host))
			require.NoError(t, p.push(context.Background(), 0, 1))
			require.NoError(t, p.Shutdown(context.Background()))
			require.Equal(t, []int{1}, p.sizes())
		},
		"start's context ends": func(t *testing.T, p *pipeline) {
			ctx, cancel := context.WithCancel(context.Background())
			require.NoError(t, p.Start(ctx, host))
			cancel()
			require.NoError(t, p.push(context.Background(), 0, 1))
			require.NoError(t, p.Shutdown(context.Background()))
			require.Equal(t, []int{1}, p.sizes())
		},
		"consume before start": func(t *testing.T, p *pipeline) {
			refused(t, p)
			require.NoError(t, p.Start(context.Background(), host))
			require.NoError(t, p.push(context.Background(), 0, 1))
			require.NoError(t, p.Shutdown(context.Background()))
			refused(t, p)
			require.Equal(t, []int{1}, p.sizes())
		},
		"shutdown with an expired context": func(t *testing.T, p *pipeline) {
			p.next = func(context.Context, int) error { time.Sleep(time.Second); return nil }
			require.NoError(t, p.Start(context.Background(), host))
			require.NoError(t, p.push(context.Background(), 0, 1))
			begin := time.Now()
			require.NoError(t, p.Shutdown(expired))
			require.Len(t, p.losses(), 1)
			require.Contains(t, p.losses()[0], "1 items")
			require.Zero(t, time.Since(begin))
			refused(t, p)
			time.Sleep(time.Minute)
		},
		"nothing to do, expired context": func(t *testing.T, p *pipeline) {
			require.NoError(t, p.Start(context.Background(), host))
			require.NoError(t, p.Shutdown(expired))
		},
	} {
		for _, k := range kinds {
			t.Run(name+"/"+k.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, k.make(t, nil, nil)) })
			})
		}
	}
}

// TestShutdownTimeoutOfACentury: it is not over at once. What is pending is delivered, and nothing is left in a storage.
func TestShutdownTimeoutOfACentury(t *testing.T) {
	century := func(c *Config) { c.ShutdownTimeout, c.Timeout = 100*365*24*time.Hour, time.Hour }
	t.Run("plain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := anyLogs.start(t, century, nil)
			require.NoError(t, p.push(context.Background(), 0, 10))
			p.stop(t)
			require.Equal(t, anyLogs.list(0, 10), p.items())
			require.Empty(t, p.losses())
		})
	})
	t.Run("storage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := storagetest.NewDisk()
			p := anyLogs.stored(t, d, century, nil)
			require.NoError(t, p.push(context.Background(), 0, 10))
			p.stop(t)
			require.Equal(t, anyLogs.list(0, 10), p.items())
			require.Empty(t, storedKeys(d))
		})
	})
}
