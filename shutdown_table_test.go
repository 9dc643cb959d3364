// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
)

// The table "shutdown while" of the README, with what becomes of each item. (Producers that are still sending have
// TestConsumeWhileShutdownRuns, batches that are to be sent again TestShutdownWhileABatchIsToBeSentAgain.)
func TestShutdownTable(t *testing.T) {
	type accounts struct{ forwarded, returned, failed, lost int64 }
	for name, test := range map[string]struct {
		set  func(*Config)
		push int // items, in batches of 4
		next func(a *answer) error
		ctx  time.Duration // of Shutdown; 0: no deadline; below: over already
		took time.Duration
		want accounts
	}{
		"idle":    {func(*Config) {}, 0, nil, 0, 0, accounts{}},
		"pending": {func(c *Config) { c.Timeout = time.Hour }, 3, nil, 0, 0, accounts{forwarded: 3}},
		"slow":    {func(*Config) {}, 10, func(*answer) error { time.Sleep(3 * time.Second); return nil }, 0, 9 * time.Second, accounts{forwarded: 10}},
		"too slow": {
			func(*Config) {}, 10, func(*answer) error { time.Sleep(4 * time.Second); return nil }, 0, 10 * time.Second, accounts{forwarded: 8, lost: 2},
		},
		"stuck, but heeds its context": {
			func(*Config) {}, 10, func(a *answer) error { <-a.ctx.Done(); return a.ctx.Err() }, 0, 9 * time.Second, accounts{failed: 4, lost: 6},
		},
		"stuck for ever": {func(*Config) {}, 10, func(*answer) error { time.Sleep(time.Hour); return nil }, 0, 10 * time.Second, accounts{lost: 10}},
		"stuck, by the collector's deadline": {
			func(*Config) {}, 10, func(*answer) error { time.Sleep(time.Hour); return nil }, time.Second, time.Second, accounts{lost: 10},
		},
		"stuck, others go on": {
			func(c *Config) { c.NumConsumers = 2 }, 10, func(a *answer) error {
				if a.call == 1 {
					time.Sleep(time.Hour)
				}
				return nil
			}, 0, 10 * time.Second, accounts{forwarded: 6, lost: 4},
		},
		"export_timeout ends it": {
			func(c *Config) { c.ExportTimeout = time.Second }, 10, func(a *answer) error { <-a.ctx.Done(); return a.ctx.Err() }, 0, 3 * time.Second, accounts{failed: 10},
		},
		"over already": {func(*Config) {}, 10, func(*answer) error { time.Sleep(time.Second); return nil }, -1, 0, accounts{lost: 10}},
		"a caller waits": {
			func(c *Config) { waits(c); c.Timeout = time.Hour }, 10, func(*answer) error { time.Sleep(time.Second); return errNext }, 0, 3 * time.Second, accounts{returned: 10},
		},
		"a caller waits, stuck": {waits, 10, func(*answer) error { time.Sleep(time.Hour); return nil }, 0, 10 * time.Second, accounts{lost: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := anyLogs.answered(t, func(c *Config) {
					c.SendBatchSize, c.SendBatchMaxSize, c.ShutdownTimeout = 4, 4, 10*time.Second
					test.set(c)
				}, func(a *answer) error {
					if test.next == nil {
						return nil
					}
					return test.next(a)
				})
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				result := make(chan error, 1)
				go func() {
					if test.push > 0 {
						result <- p.push(context.Background(), 0, test.push)
					} else {
						result <- nil
					}
				}()
				synctest.Wait()
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if test.ctx != 0 {
					ctx, cancel = context.WithTimeout(ctx, test.ctx)
				}
				defer cancel()
				begin := time.Now()
				require.NoError(t, p.Shutdown(ctx))
				require.Equal(t, test.took, time.Since(begin))
				require.Equal(t, test.want.lost > 0, len(p.losses()) == 1)
				st := p.stats()
				require.Equal(t, test.want, accounts{st.Forwarded, st.Returned, st.Failed, st.Lost})
				require.Equal(t, int64(test.push), st.Accepted)
				told := <-result
				require.Equal(t, p.waits && test.push > 0, told != nil)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				require.Equal(t, st, p.stats(), "what goes on after it changes nothing")
			})
		})
	}
}
