// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

// Requests with three services, one of which hangs: until it counts as stalled the request is held up, from then on its part is
// dropped, counted and logged with its name, and the others get all of theirs. When all hang, nothing is dropped.
func TestStalledKey(t *testing.T) {
	for name, wait := range map[string]bool{"accepted": false, "wait for result": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var down atomic.Bool // the others too
				back := make(chan struct{})
				p := anyLogs.make(t, func(c *Config) {
					c.ResourceKeys, c.SendBatchSize, c.QueueSize = []string{"service.name"}, 10, 200
					c.StalledKeyTimeout, c.NumConsumers, c.WaitForResult = 10*time.Second, 5, wait
				}, func(ctx context.Context, _ int) error {
					if down.Load() || slices.Contains(everything(ctx)["service.name"], "service 0") {
						<-back
					}
					return nil
				}).begun(t)
				push := func() error {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					return p.pushAll(ctx, 10, 0, 10, 20)
				}
				begin := time.Now()
				var last atomic.Pointer[error]
				for time.Since(begin) < 3*time.Minute {
					if wait {
						go func() { err := push(); last.Store(&err) }()
						time.Sleep(time.Second)
						continue
					}
					require.NoError(t, push())
					time.Sleep(time.Second)
				}
				dropped := p.metric(t, "items_dropped", "stalled")
				require.Greater(t, dropped, int64(1000), "of 1800")
				require.Greater(t, p.metric(t, "items_forwarded", ""), int64(2*1000), "of 3600")
				require.NotZero(t, p.log.FilterMessageSnippet("stalled").FilterFieldKey("key").Len())
				p.requireConserved(t)
				if wait {
					synctest.Wait()
					require.ErrorContains(t, *last.Load(), "stalled")
					require.True(t, consumererror.IsPermanent(*last.Load()))
				}

				down.Store(true)
				time.Sleep(2 * time.Minute) // what waits has given up
				for range 30 {
					go func() { _ = push() }()
					time.Sleep(time.Second)
				}
				time.Sleep(2 * time.Minute)
				dropped = p.metric(t, "items_dropped", "stalled")
				for range 60 {
					go func() { _ = push() }()
					time.Sleep(time.Second)
				}
				require.Equal(t, dropped, p.metric(t, "items_dropped", "stalled"), "it is the backend, so callers are held up")
				time.Sleep(2 * time.Minute)
				close(back)
				synctest.Wait()
				require.NoError(t, push(), "all is as before")
				synctest.Wait()
				require.Equal(t, dropped, p.metric(t, "items_dropped", "stalled"))
			})
		})
	}
}
