// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap/zapcore"
)

// What is lost is what the user says: drop_oldest_on_overflow and max_age.

// held is a next consumer whose calls wait until open is called.
func held() (next nextFunc, open func()) {
	gate := make(chan struct{})
	return func(context.Context, int) error { <-gate; return nil }, sync.OnceFunc(func() { close(gate) })
}

// dropsOldest is a queue of six items, in batches of two.
func dropsOldest(c *Config) {
	c.Timeout, c.SendBatchSize, c.SendBatchMaxSize, c.QueueSize = time.Hour, 2, 2, 6
	c.DropOldestOnOverflow = true
}

// TestOldestMakeRoom: what is in flight stays, the others go in the order in which they came, as requests, and nobody is held up. It is
// counted, and logged as a loss, once a minute.
func TestOldestMakeRoom(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next, open := held()
				p := k.start(t, dropsOldest, next)
				require.NoError(t, p.push(context.Background(), 0, 2))
				synctest.Wait() // in flight
				for first := 2; first < 12; first += 2 {
					require.NoError(t, p.push(context.Background(), first, 2))
				}
				require.EqualValues(t, 6, p.metric(t, "items_dropped", "overflow"))
				require.EqualValues(t, 6, p.metric(t, "items_pending", ""))
				p.requireConserved(t)
				lines := p.log.FilterLevelExact(zapcore.ErrorLevel).FilterMessageSnippet("its oldest items are dropped").All()
				require.Len(t, lines, 1)
				require.Equal(t, "queue_size is 6 items", lines[0].ContextMap()["limits"])
				open()
				synctest.Wait()
				require.Equal(t, slices.Concat(k.list(0, 2), k.list(8, 2), k.list(10, 2)), p.items())
				require.Zero(t, p.metric(t, "items_refused", ""))
			})
		})
	}
}

// TestOldestMakeRoomOfTheirOwnKey first; a key that has nothing to give takes from the one that holds most.
func TestOldestMakeRoomOfTheirOwnKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, open := held()
		p := anyLogs.start(t, func(c *Config) {
			dropsOldest(c)
			c.QueueSize, c.MetadataKeys, c.NumConsumers = 24, []string{"tenant"}, 1
		}, next)
		push := func(tenant string, first, n int) { require.NoError(t, p.push(from("tenant", tenant), first, n)) }
		push("busy", 0, 2)
		synctest.Wait() // in flight
		for first := 2; first < 30; first += 2 {
			push("busy", first, 2)
		}
		dropped := p.metric(t, "items_dropped", "overflow")
		require.Positive(t, dropped, "its share is half of what is left")
		pending := p.metric(t, "items_pending", "")
		for first := 100; first < 110; first++ {
			push("small", first, 1)
		}
		require.GreaterOrEqual(t, p.metric(t, "items_pending", ""), pending)
		open()
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		var busy, small []string
		for _, b := range p.batches() {
			if b.info.Metadata.Get("tenant")[0] == "busy" {
				busy = append(busy, b.items...)
			} else {
				small = append(small, b.items...)
			}
		}
		require.Equal(t, anyLogs.list(28, 2), busy[len(busy)-2:], "its newest")
		require.Equal(t, anyLogs.list(109, 1), small[len(small)-1:])
		p.requireConserved(t)
	})
}

// TestCallerOfTheOldestGetsAPermanentError, and whoever came later its own result.
func TestCallerOfTheOldestGetsAPermanentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, open := held()
		p := anyLogs.start(t, func(c *Config) { dropsOldest(c); waits(c) }, next)
		var told [5]error
		var callers sync.WaitGroup
		for i := range told {
			callers.Go(func() { told[i] = p.push(context.Background(), 2*i, 2) })
			synctest.Wait()
		}
		open()
		callers.Wait()
		for _, i := range []int{0, 3, 4} {
			require.NoError(t, told[i], i)
		}
		for _, i := range []int{1, 2} {
			require.True(t, consumererror.IsPermanent(told[i]), "%d: %v", i, told[i])
			require.ErrorContains(t, told[i], "drop_oldest_on_overflow is true: queue_size is 6 items")
			require.NotContains(t, told[i].Error(), "partitioned:")
		}
		require.EqualValues(t, 4, p.metric(t, "items_dropped", "overflow"))
		require.Zero(t, p.metric(t, "items_returned", ""))
		p.requireConserved(t)
	})
}

// TestNothingMakesRoomInFlight: then the caller gets a retryable error at once.
func TestNothingMakesRoomInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, open := held()
		defer open()
		p := anyLogs.start(t, func(c *Config) { dropsOldest(c); c.SendBatchSize, c.SendBatchMaxSize = 6, 6 }, next)
		require.NoError(t, p.push(context.Background(), 0, 6))
		synctest.Wait()
		err := p.push(context.Background(), 6, 1)
		require.ErrorContains(t, err, "queue is full")
		require.False(t, consumererror.IsPermanent(err))
		require.EqualValues(t, 1, p.metric(t, "items_refused", "full"))
		require.Zero(t, p.metric(t, "items_dropped", ""))
	})
}

// ages is a max_age of a minute.
func ages(c *Config) {
	c.Timeout, c.SendBatchSize, c.MaxAge = time.Second, 1000, time.Minute
}

// TestOldItemsAreDroppedWhenTheirTurnComes: those of requests that came longer ago than max_age, and no others. It is counted, and
// logged as a loss.
func TestOldItemsAreDroppedWhenTheirTurnComes(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next, open := held()
				p := k.start(t, ages, next)
				for i := range 10 {
					require.NoError(t, p.push(context.Background(), 3*i, 3))
					time.Sleep(10 * time.Second)
				}
				open()
				synctest.Wait()
				want := k.list(0, 3) // was in flight
				for i := 4; i < 10; i++ {
					want = append(want, k.list(3*i, 3)...) // the first of these came 60 s ago
				}
				require.Equal(t, want, p.items())
				require.EqualValues(t, 9, p.metric(t, "items_dropped", "expired"))
				p.requireConserved(t)
				lines := p.log.FilterLevelExact(zapcore.ErrorLevel).FilterMessageSnippet("older than max_age").All()
				require.Len(t, lines, 1)
				require.Equal(t, time.Minute, lines[0].ContextMap()["max_age"])
				require.EqualValues(t, 9, lines[0].ContextMap()["items"])
			})
		})
	}
}

// TestCallerOfOldItemsGetsAPermanentError.
func TestCallerOfOldItemsGetsAPermanentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, open := held()
		p := anyLogs.start(t, func(c *Config) { ages(c); waits(c) }, next)
		var told [3]error
		var callers sync.WaitGroup
		for i := range told {
			callers.Go(func() { told[i] = p.push(context.Background(), i, 1) })
			time.Sleep(50 * time.Second)
		}
		open()
		callers.Wait()
		require.NoError(t, told[0], "it was in flight")
		require.True(t, consumererror.IsPermanent(told[1]), told[1])
		require.ErrorContains(t, told[1], "older than max_age, which is 1m0s")
		require.NotContains(t, told[1].Error(), "partitioned:")
		require.NoError(t, told[2])
		p.accounts(t, 2, 0, 1, 0)
	})
}

// TestWhatIsSentAgainAgesToo, each item by itself, whether callers wait or not.
func TestWhatIsSentAgainAgesToo(t *testing.T) {
	for name, set := range map[string]func(*Config){"accepted": func(*Config) {}, "waiting": waits} {
		for _, k := range kinds {
			t.Run(name+"/"+k.name, func(t *testing.T) { whatIsSentAgainAgesToo(t, k, set) })
		}
	}
}

func whatIsSentAgainAgesToo(t *testing.T, k anyKind, set func(*Config)) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards the next three
		working, tries := false, 0
		came := map[string]time.Time{} // items
		p := k.answered(t, func(c *Config) {
			ages(c)
			retries(c)
			set(c)
			c.RetryOnFailure.InitialInterval, c.RetryOnFailure.MaxInterval, c.RetryOnFailure.MaxElapsedTime = 2*time.Second, 2*time.Second, 0
		}, func(a *answer) error {
			mu.Lock()
			for _, item := range a.items {
				if age := time.Since(came[item]); age > time.Minute {
					t.Errorf("%s is sent after %v", item, age)
				}
			}
			tries++
			first := tries == 1
			mu.Unlock()
			if first {
				time.Sleep(55 * time.Second) // meanwhile the next batch gathers
			}
			mu.Lock()
			defer mu.Unlock()
			if working {
				return nil
			}
			return errNext
		}).begun(t)
		var callers sync.WaitGroup
		var all []string
		for i := range 12 { // two of an age
			item := k.list(i, 1)[0]
			all = append(all, item)
			mu.Lock()
			came[item] = time.Now()
			mu.Unlock()
			callers.Go(func() { _ = p.push(context.Background(), i, 1) })
			synctest.Wait()
			time.Sleep(time.Duration(i%2) * 10 * time.Second)
		}
		time.Sleep(25 * time.Second)
		mu.Lock()
		working = true // after 85 s, so all is sent by 87 s: the sixth came at 20 s, the seventh at 30 s
		mu.Unlock()
		callers.Wait()
		time.Sleep(time.Minute)
		require.Equal(t, all[6:], p.items())
		mu.Lock()
		defer mu.Unlock()
		require.Greater(t, tries, 5)
		require.EqualValues(t, 6, p.metric(t, "items_dropped", "expired"))
		p.requireConserved(t)
	})
}

// TestRecordIsAsOldAsItsNewestVersion.
func TestRecordIsAsOldAsItsNewestVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p, sent := versionedMetrics.begin(t, func(c *Config) {
			ages(c)
			c.SendBatchSize, c.Buffer, c.Map.Key = 0, bufferMap, mapRecord
		}, func(context.Context) error { <-gate; return nil })
		push := func(all ...version) {
			require.NoError(t, send(context.Background(), p, versionedMetrics.make(all...)))
		}
		push(version{"a", "x", 0, 10, 1})
		time.Sleep(2 * time.Second) // in flight
		push(version{"a", "x", 1, 10, 2}, version{"a", "x", 2, 10, 3})
		time.Sleep(30 * time.Second)
		push(version{"a", "x", 2, 20, 4})
		time.Sleep(40 * time.Second)
		close(gate)
		synctest.Wait()
		got := sent()
		require.Len(t, got, 2)
		require.Equal(t, [][]version{{{"a", "x", 2, 20, 4}}}, got[1].resources)
		require.EqualValues(t, 1, p.metric(t, "items_dropped", "expired"))
		require.EqualValues(t, 1, p.metric(t, "items_superseded", ""))
		p.requireConserved(t)
	})
}

// TestDroppedPayloadsAreFreed where pdata is recycled.
func TestDroppedPayloadsAreFreed(t *testing.T) {
	usePooling(t, true)
	for name, set := range map[string]func(*Config){
		"overflow":        dropsOldest,
		"of several keys": func(c *Config) { dropsOldest(c); byService(c); c.QueueSize = 12 },
		"expired":         func(c *Config) { ages(c); c.SendBatchSize = 2 },
		"map":             func(c *Config) { dropsOldest(c); c.SendBatchMaxSize = 0; c.Buffer = bufferMap },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next, open := held()
				sink := logs.inGraph(func(ctx context.Context, _ plog.Logs) error { return next(ctx, 0) })
				p := newPipelineTo(t, logs, set, func(_ *pipeline, ctx context.Context, payload plog.Logs) error {
					return sink(ctx, payload)
				}).begun(t)
				push := logs.inGraph(func(ctx context.Context, payload plog.Logs) error { return send(ctx, p, payload) })
				var pushed []plog.Logs
				for i := range 20 {
					payload := logs.resources(1, 100*i, 100*i+1)
					pushed = append(pushed, payload)
					require.NoError(t, push(context.Background(), payload))
					time.Sleep(5 * time.Second)
				}
				open()
				synctest.Wait()
				time.Sleep(time.Minute)
				require.Positive(t, p.metric(t, "items_dropped", ""))
				require.NoError(t, p.Shutdown(context.Background()))
				for i, payload := range pushed {
					require.True(t, logs.freed(payload), i)
				}
			})
		})
	}
}
