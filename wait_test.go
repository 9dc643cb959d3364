// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

func waits(c *Config) { c.WaitForResult = true }

// pushAll pushes requests of so many items each, one behind the other but at once, and returns their results.
func pushAll(p *pipeline, ctx func(i int) context.Context, sizes ...int) []error {
	results := make([]error, len(sizes))
	var wg sync.WaitGroup
	first := 0
	for i, n := range sizes {
		at := first
		wg.Go(func() { results[i] = p.push(ctx(i), at, n) })
		synctest.Wait()
		first += n
	}
	wg.Wait()
	return results
}

func background(int) context.Context { return context.Background() }

func TestWaitReturnsWhenAllIsDelivered(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.answered(t, func(c *Config) {
					waits(c)
					c.SendBatchSize, c.SendBatchMaxSize = 4, 4
				}, func(*answer) error {
					time.Sleep(time.Second)
					return nil
				}).begun(t)
				require.NoError(t, p.push(context.Background(), 0, 10), "in three parts")
				require.Equal(t, 3*time.Second, time.Since(p.begin))
				require.Equal(t, k.list(0, 10), p.items())
				require.EqualValues(t, 10, p.metric(t, "items_forwarded", ""))
				p.requireConserved(t)
			})
		})
	}
}

// The items of three requests go out as 4 and 4: the second request has parts in both batches.
func TestAnErrorReachesThoseWithItemsInItsBatch(t *testing.T) {
	for _, k := range kinds {
		for failing, want := range [][]bool{{true, true, false}, {false, true, true}} {
			t.Run(fmt.Sprint(k.name, failing), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := k.answered(t, func(c *Config) {
						waits(c)
						c.SendBatchSize, c.SendBatchMaxSize = 4, 4
					}, func(a *answer) error {
						time.Sleep(time.Second) // the first is of another request, that the three gather behind
						if a.call == failing+2 {
							return errNext
						}
						return nil
					}).begun(t)
					results := pushAll(p, background, 4, 3, 3, 2)
					require.NoError(t, results[0])
					for i, failed := range want {
						if failed {
							require.ErrorIs(t, results[i+1], errNext)
						} else {
							require.NoError(t, results[i+1])
						}
					}
					require.EqualValues(t, 4, p.metric(t, "items_returned", ""))
					require.EqualValues(t, 8, p.metric(t, "items_forwarded", ""))
					require.Zero(t, p.metric(t, "items_dropped", ""))
					p.requireConserved(t)
				})
			})
		}
	}
}

// Whose an item is, pdata does not tell. So the subset that failed is for the caller that had all of the batch. Callers that shared
// it get back all that they had in it.
func TestErrorCarriesWhatWasNotDelivered(t *testing.T) {
	for _, k := range kinds {
		for _, permanent := range []bool{false, true} {
			t.Run(fmt.Sprint(k.name, permanent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					failure := errNext
					if permanent {
						failure = consumererror.NewPermanent(errNext)
					}
					p := k.answered(t, waits, func(a *answer) error {
						time.Sleep(time.Second)
						return a.partly(failure, 1, 3)
					}).begun(t)
					results := pushAll(p, background, 4, 3, 2)
					require.Equal(t, k.list(0, 4)[1:3], k.subset(results[0]))
					for _, err := range results {
						require.ErrorIs(t, err, errNext)
						require.ErrorContains(t, err, errNext.Error())
						require.Equal(t, permanent, consumererror.IsPermanent(err))
					}
					require.Equal(t, k.list(4, 3), k.subset(results[1]), "two share a batch")
					require.Equal(t, k.list(7, 2), k.subset(results[2]))
					require.EqualValues(t, 4, p.metric(t, "items_returned", ""), "two of four, two of five")
					require.EqualValues(t, 5, p.metric(t, "items_forwarded", ""))
					p.requireConserved(t)
				})
			})
		}
	}
}

// TestErrorLeavesOutWhatOfASubsetWasDelivered: what an error names of a batch comes again, is too large, and only one half of it is delivered.
func TestErrorLeavesOutWhatOfASubsetWasDelivered(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.answered(t, func(c *Config) {
					waits(c)
					splits(c)
					retries(c)
				}, func(a *answer) error {
					switch a.call {
					case 1:
						return a.partly(errNext, 4, 8)
					case 2:
						return errTooLarge
					case 3:
						return nil
					default:
						return consumererror.NewPermanent(errNext)
					}
				}).begun(t)
				err := p.push(context.Background(), 0, 8)
				require.True(t, consumererror.IsPermanent(err), "%v", err)
				require.Equal(t, k.list(0, 8)[6:], k.subset(err))
				require.Equal(t, k.list(0, 8)[:6], p.items())
				p.requireConserved(t)
			})
		})
	}
}

// A request of three parts, with what becomes of each.
func TestErrorOfARequestInParts(t *testing.T) {
	rejected := consumererror.NewPermanent(errors.New("rejected"))
	for name, test := range map[string]struct {
		answers   []error
		partly    int // the part of which only an item failed, from 1
		permanent bool
		back      []int // items that the error carries
	}{
		"one fails":                          {[]error{nil, errNext, nil}, 0, false, []int{4, 5, 6, 7}},
		"a subset of one fails":              {[]error{nil, errNext, nil}, 2, false, []int{6}},
		"a subset and another":               {[]error{errNext, errNext, nil}, 2, false, []int{0, 1, 2, 3, 6}},
		"permanent and retryable":            {[]error{rejected, errNext, nil}, 0, false, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		"all that failed permanently":        {[]error{rejected, nil, rejected}, 0, true, []int{0, 1, 2, 3, 8, 9, 10, 11}},
		"a permanent subset and another one": {[]error{rejected, rejected, rejected}, 1, true, []int{4, 5, 6, 7, 8, 9, 10, 11, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.answered(t, func(c *Config) {
					waits(c)
					c.SendBatchSize, c.SendBatchMaxSize = 4, 4
				}, func(a *answer) error {
					if a.call == test.partly {
						return a.partly(test.answers[a.call-1], 2, 3)
					}
					return test.answers[a.call-1]
				}).begun(t)
				err := p.push(context.Background(), 0, 12)
				require.Error(t, err)
				require.Equal(t, test.permanent, consumererror.IsPermanent(err))
				for _, failed := range test.answers {
					if failed != nil {
						require.ErrorContains(t, err, failed.Error())
					}
				}
				var back []string
				for _, i := range test.back {
					back = append(back, anyLogs.list(0, 12)[i])
				}
				require.Equal(t, back, anyLogs.subset(err))
				p.requireConserved(t)
			})
		})
	}
}

// What a caller does not wait for any more goes out all the same, and is counted as what it becomes.
func TestCallerGivesUpWaitingForItsResult(t *testing.T) {
	for name, failure := range map[string]error{"taken": nil, "failed": errNext} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.answered(t, waits, func(*answer) error {
					time.Sleep(time.Minute)
					return failure
				}).begun(t)
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(time.Second, cancel)
				err := p.push(ctx, 0, 3)
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, partitioned.ErrAbandoned)
				require.False(t, consumererror.IsPermanent(err))
				require.Equal(t, time.Second, time.Since(p.begin))
				require.EqualValues(t, 3, p.metric(t, "items_pending", ""))
				time.Sleep(time.Minute)
				synctest.Wait()
				want := map[string]int64{"items_forwarded": 3, "items_dropped": 0}
				if failure != nil {
					want = map[string]int64{"items_forwarded": 0, "items_dropped": 3}
				}
				for metric, n := range want {
					require.Equal(t, n, p.metric(t, metric, ""), metric)
				}
				require.Zero(t, p.metric(t, "items_returned", ""))
				p.requireConserved(t)
			})
		})
	}
}

// No timer is waited for, however many producers there are and however far they are from the trigger: I6.
func TestClosedLoopProducersNeverStall(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"one consumer": func(*Config) {},
		"several":      func(c *Config) { c.NumConsumers = 10 },
		"no room":      func(c *Config) { c.Sizer, c.QueueSize = "requests", 40 },
		"keys":         func(c *Config) { c.MetadataKeys = []string{"tenant"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.start(t, func(c *Config) {
					waits(c)
					c.Timeout = time.Hour
					set(c)
				}, func(context.Context, int) error {
					time.Sleep(ms)
					return nil
				})
				var producers sync.WaitGroup
				for producer := range 64 {
					producers.Go(func() {
						for i := range 20 {
							if err := p.push(from("tenant", fmt.Sprint(producer%7)), producer*1000+i*10, 10); err != nil {
								t.Error(err)
							}
						}
					})
				}
				producers.Wait()
				require.Len(t, p.items(), 64*20*10)
				require.Less(t, time.Since(p.begin), time.Second)
			})
		})
	}
}

// A refusal leaves the payload with the caller; a result does not, even if it is the same error of a queue behind this one.
func TestRefusalIsToldFromResult(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.answered(t, func(c *Config) {
					waits(c)
					c.SendBatchSize, c.QueueSize, c.BlockOnOverflow = 4, 4, false
				}, func(*answer) error {
					time.Sleep(time.Second)
					return partitioned.ErrFull
				}).begun(t)
				results := pushAll(p, background, 4, 1)
				require.ErrorIs(t, results[0], partitioned.ErrFull)
				require.Equal(t, partitioned.ErrFull.Error(), results[0].Error())
				require.ErrorIs(t, results[1], partitioned.ErrFull)
				require.ErrorContains(t, results[1], "queue_size is 4")
				require.EqualValues(t, 4, p.metric(t, "items_returned", ""))
				require.EqualValues(t, 1, p.metric(t, "items_refused", ""))
				p.requireConserved(t)
			})
		})
	}
}

func TestDeadlineOfACall(t *testing.T) {
	type caller func(p *pipeline) (context.Context, context.CancelFunc)
	after := func(d time.Duration) caller {
		return func(p *pipeline) (context.Context, context.CancelFunc) {
			return context.WithDeadline(context.Background(), p.begin.Add(d))
		}
	}
	none := func(*pipeline) (context.Context, context.CancelFunc) { return context.Background(), func() {} }
	for name, test := range map[string]struct {
		set     func(*Config)
		callers []caller
		want    time.Duration // 0: none
		back    int           // items that were taken back
	}{
		"the latest":     {waits, []caller{after(5 * time.Second), after(9 * time.Second), after(3 * time.Second)}, 9 * time.Second, 0},
		"one has none":   {waits, []caller{after(5 * time.Second), none, after(3 * time.Second)}, 0, 0},
		"over, but one":  {waits, []caller{after(500 * ms), after(3 * time.Second)}, 3 * time.Second, 1},
		"all are over":   {waits, []caller{after(500 * ms), after(600 * ms)}, 0, 2},
		"nobody waits":   {func(c *Config) { c.Timeout = ms }, []caller{after(5 * time.Second), after(9 * time.Second)}, 0, 0},
		"export_timeout": {func(c *Config) { waits(c); c.ExportTimeout = time.Second }, []caller{after(5 * time.Second)}, 2 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var deadline time.Time
				p := anyLogs.answered(t, test.set, func(a *answer) error {
					if a.call == 1 { // holds the others up until they are together
						time.Sleep(time.Second)
						return nil
					}
					deadline, _ = a.ctx.Deadline()
					return nil
				}).begun(t)
				pushAll(p, func(i int) context.Context {
					if i == 0 {
						return context.Background()
					}
					ctx, cancel := test.callers[i-1](p)
					t.Cleanup(cancel)
					return ctx
				}, slices.Repeat([]int{1}, len(test.callers)+1)...)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				require.Len(t, p.items(), len(test.callers)+1-test.back, "all others went out")
				require.EqualValues(t, test.back, p.metric(t, "items_returned", ""))
				if test.want == 0 {
					require.Zero(t, deadline)
				} else {
					require.Equal(t, test.want, deadline.Sub(p.begin))
				}
			})
		})
	}
}

// What a call's context has is the same whether its request was alone or not.
func TestContextHasTheKeysAndNothingElse(t *testing.T) {
	type secret struct{}
	for _, wait := range []bool{false, true} {
		for _, retry := range []bool{false, true} {
			t.Run(fmt.Sprint("wait ", wait, " retry ", retry), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := anyLogs.answered(t, func(c *Config) {
						c.WaitForResult, c.RetryOnFailure.Enabled, c.MetadataKeys = wait, retry, []string{"Tenant"}
					}, func(a *answer) error {
						info := client.FromContext(a.ctx)
						if got := info.Metadata.Get("tenant"); !slices.Equal(got, []string{"x"}) {
							t.Error("tenant is", got)
						}
						if info.Addr != nil || info.Auth != nil || info.Metadata.Get("other") != nil || a.ctx.Value(secret{}) != nil {
							t.Errorf("%+v", info)
						}
						if time.Sleep(ms); a.call%2 == 0 && retry {
							return errNext
						}
						return nil
					}).begun(t)
					results := pushAll(p, func(int) context.Context {
						metadata := client.NewMetadata(map[string][]string{"tenant": {"x"}, "other": {"y"}})
						ctx := client.NewContext(context.Background(), client.Info{Addr: address{}, Metadata: metadata})
						return context.WithValue(ctx, secret{}, "s")
					}, 1, 2, 3)
					require.NoError(t, errors.Join(results...))
					time.Sleep(time.Minute)
					synctest.Wait()
					require.Len(t, p.items(), 6)
				})
			})
		}
	}
}

type address struct{}

func (address) Network() string { return "tcp" }
func (address) String() string  { return "192.0.2.1:1" }

// wait_timeout ends the wait of a caller without a deadline of its own, for room and for its result together.
func TestWaitTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*Config)
		want string
	}{
		"for room":     {func(c *Config) { c.QueueSize, c.SendBatchSize = 1, 1 }, "waiting for capacity: wait_timeout, which is 2s, was over"},
		"for a result": {waits, "waiting for its result (wait_for_result is true): wait_timeout, which is 2s, was over"},
		"for both":     {func(c *Config) { waits(c); c.QueueSize, c.SendBatchSize = 1, 1 }, "wait_timeout, which is 2s, was over"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.answered(t, func(c *Config) {
					test.set(c)
					c.WaitTimeout = 2 * time.Second
				}, func(a *answer) error {
					if a.call == 1 {
						time.Sleep(1500 * ms) // of the two seconds of the second caller
						return nil
					}
					time.Sleep(time.Hour)
					return nil
				}).begun(t)
				go func() { _ = p.push(context.Background(), 0, 1) }()
				synctest.Wait()
				if name == "for room" {
					go func() { _ = p.push(context.Background(), 1, 1) }()
					time.Sleep(1501 * ms) // then that one has its turn: as many as queue_size may wait
				}
				begin := time.Now()
				err := p.push(context.Background(), 2, 1)
				require.ErrorContains(t, err, test.want)
				require.False(t, consumererror.IsPermanent(err))
				require.NotErrorIs(t, err, context.DeadlineExceeded, "no deadline of the sender's was over")
				require.Equal(t, 2*time.Second, time.Since(begin))
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// What is not sent yet when its caller gives up is the caller's again, and is not sent.
func TestCallerTakesBackWhatIsNotSent(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.answered(t, func(c *Config) {
					waits(c)
					c.SendBatchSize, c.SendBatchMaxSize = 4, 4
				}, func(*answer) error {
					time.Sleep(time.Second)
					return nil
				}).begun(t)
				ctx, cancel := context.WithTimeout(context.Background(), 1500*ms)
				defer cancel()
				err := p.push(ctx, 0, 12)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, k.list(0, 12)[4:], k.subset(err), "four are delivered, four are in flight")
				time.Sleep(time.Minute)
				require.Equal(t, k.list(0, 8), p.items())
				require.EqualValues(t, 4, p.metric(t, "items_returned", ""))
				p.requireConserved(t)
			})
		})
	}
}
