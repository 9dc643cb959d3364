// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var errRejected = consumererror.NewPermanent(status.Error(codes.InvalidArgument, "string field contains invalid UTF-8"))

func isolates(c *Config) { c.SplitOnRejected = true }

// TestHalvesWeighTheirBytes: what waits while the first half is in a call counts in bytes too.
func TestHalvesWeighTheirBytes(t *testing.T) {
	for name, set := range map[string]func(*Config){"": func(*Config) {}, "wait": waits} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				halves := 0
				pending := make(chan int64, 3)
				p := newPipelineTo(t, logs, func(c *Config) {
					isolates(c)
					c.Sizer = sizerBytes
					set(c)
				}, func(p *pipeline, _ context.Context, ld plog.Logs) error {
					pending <- p.metric(t, "queue_size", "")
					if ld.LogRecordCount() == 2 {
						return errRejected
					}
					halves++
					return nil
				}).begun(t)
				require.NoError(t, send(context.Background(), p, logsOf(100, 100)))
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, 2, halves)
				whole, first, second := <-pending, <-pending, <-pending
				require.EqualValues(t, encodedSize(t, logsOf(100, 100)), whole)
				require.GreaterOrEqual(t, first, whole, "both halves")
				require.EqualValues(t, encodedSize(t, logsOf(100)), second)
			})
		})
	}
}

// Bad items cost themselves, wherever they stand. The others arrive in their order.
func TestBadItemsCostThemselves(t *testing.T) {
	for _, k := range kinds {
		for _, bad := range [][]int{{0}, {5}, {10}, {3, 4}, {0, 10}, {1, 5, 9}} {
			t.Run(fmt.Sprint(k.name, bad), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					all := slices.Concat(k.list(0, 4), k.list(4, 7))
					calls := 0
					p := k.answered(t, func(c *Config) {
						isolates(c)
						c.SendBatchSize = 11
					}, func(a *answer) error {
						calls++
						for _, i := range bad {
							if slices.Contains(a.items, all[i]) {
								return errRejected
							}
						}
						return nil
					}).begun(t)
					require.NoError(t, p.push(context.Background(), 0, 4))
					require.NoError(t, p.push(context.Background(), 4, 7))
					synctest.Wait()
					var want []string
					for i, item := range all {
						if !slices.Contains(bad, i) {
							want = append(want, item)
						}
					}
					require.Equal(t, want, p.items())
					require.EqualValues(t, len(want), p.metric(t, "items_forwarded", ""))
					require.EqualValues(t, len(bad), p.metric(t, "items_dropped", "error"))
					require.EqualValues(t, len(bad), p.metric(t, "items_rejected", ""))
					require.LessOrEqual(t, calls, 1+2*4*len(bad))
					p.requireConserved(t)
				})
			})
		}
	}
}

// Callers that shared a batch with a bad item are delivered, and told so. Only the one that brought it gets the error, for good.
func TestInnocentCallersAreDelivered(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"":          func(*Config) {},
		"retry":     retries,
		"too large": splits,
		"map":       byResource,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := anyLogs.list(5, 4)[2]
				p := anyLogs.answered(t, func(c *Config) { waits(c); isolates(c); set(c) }, func(a *answer) error {
					time.Sleep(time.Second)
					if slices.Contains(a.items, bad) {
						return errRejected
					}
					return nil
				}).begun(t)
				results := pushAll(p, background, 1, 4, 4, 4) // the first opens, the others share a batch
				require.NotContains(t, p.items(), bad)
				require.Len(t, p.items(), 12)
				p.requireConserved(t)
				if name == "map" {
					return // callers whose resource became one share the error too
				}
				for i, err := range results {
					if i == 2 {
						require.True(t, consumererror.IsPermanent(err), "%d: %v", i, err)
						require.ErrorContains(t, err, "invalid UTF-8")
					} else {
						require.NoError(t, err, "%d", i)
					}
				}
			})
		})
	}
}

// An answer that always comes is not about the data. It costs few calls more, whatever the batch, and is not taken for a
// rejection that splitting helps against.
func TestAnAnswerThatAlwaysComesIsNotAboutTheData(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100, 1000, 5000} {
		for name, set := range map[string]func(*Config){"": func(*Config) {}, "wait": waits, "retry": retries} {
			t.Run(fmt.Sprint(n, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					calls := 0
					p := anyLogs.answered(t, func(c *Config) { isolates(c); set(c) }, func(*answer) error {
						calls++
						return errRejected
					}).begun(t)
					err := p.push(context.Background(), 0, n)
					time.Sleep(time.Minute)
					synctest.Wait()
					require.LessOrEqual(t, calls, 1+bits.Len(uint(n-1))+8)
					require.Zero(t, p.metric(t, "items_pending", ""))
					if name == "wait" {
						require.True(t, consumererror.IsPermanent(err), "%v", err)
						require.EqualValues(t, n, p.metric(t, "items_returned", ""))
					} else {
						require.NoError(t, err)
						require.EqualValues(t, n, p.metric(t, "items_dropped", "error"))
					}
					p.requireConserved(t)
				})
			})
		}
	}
}

// A backend that says so for a while, and marks it as something that may pass, gets its batch again once the search is given up; but
// an item that was found to be bad is not sent for ever.
func TestRejectionsThatAreNotMarkedPermanent(t *testing.T) {
	transient := status.Error(codes.InvalidArgument, "not now")
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := anyLogs.answered(t, func(c *Config) { isolates(c); retries(c) }, func(*answer) error {
			if calls++; calls <= 12 {
				return transient
			}
			return nil
		}).begun(t)
		require.NoError(t, p.push(context.Background(), 0, 16))
		time.Sleep(time.Minute)
		synctest.Wait()
		// Of 16 items, 12 rejections in a row end the search. Until then single items were found to be bad.
		require.EqualValues(t, 16, p.metric(t, "items_forwarded", "")+p.metric(t, "items_dropped", "error"))
		require.Greater(t, p.metric(t, "items_forwarded", ""), int64(8))
		p.requireConserved(t)
	})
	synctest.Test(t, func(t *testing.T) {
		bad := anyLogs.list(0, 16)[3]
		p := anyLogs.answered(t, func(c *Config) {
			isolates(c)
			retries(c)
			c.RetryOnFailure.MaxElapsedTime = 0
		}, func(a *answer) error {
			if slices.Contains(a.items, bad) {
				return transient
			}
			return nil
		}).begun(t)
		require.NoError(t, p.push(context.Background(), 0, 16))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 15, p.metric(t, "items_forwarded", ""))
		require.EqualValues(t, 1, p.metric(t, "items_dropped", "error"))
		p.requireConserved(t)
	})
}

// An answer that is not about the data is not split, and neither is one without the setting.
func TestWhatIsNotAboutTheDataIsNotSplit(t *testing.T) {
	for name, test := range map[string]struct {
		set func(*Config)
		err error
	}{
		"401": {isolates, consumererror.NewPermanent(status.Error(codes.Unauthenticated, "responded with HTTP Status Code 401"))},
		"403": {isolates, consumererror.NewPermanent(status.Error(codes.PermissionDenied, "responded with HTTP Status Code 403"))},
		"off": {func(*Config) {}, errRejected},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				p := anyLogs.answered(t, test.set, func(*answer) error {
					calls++
					return test.err
				}).begun(t)
				require.NoError(t, p.push(context.Background(), 0, 8))
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, 1, calls)
				require.Zero(t, p.metric(t, "items_rejected", ""))
				p.accounts(t, 0, 0, 8, 0)
			})
		})
	}
}
