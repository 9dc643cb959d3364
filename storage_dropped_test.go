// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

// TestStorageDropsAsAlways: what is given up is counted by its reason and deleted, so that the next run does not send it, also if it was
// restored (core#15324: an outage longer than max_elapsed_time).
func TestStorageDropsAsAlways(t *testing.T) {
	refused := func(context.Context, int) error { return consumererror.NewPermanent(errDown) }
	for name, c := range map[string]struct {
		set    func(*Config)
		next   nextFunc
		reason string
		left   int // requests of ten items, of ten
	}{
		"max_elapsed_time":        {func(c *Config) { c.RetryOnFailure.MaxElapsedTime = time.Minute }, down, "error", 0},
		"max_elapsed_time: 0s":    {nil, down, "error", 10},
		"max_age":                 {func(c *Config) { c.MaxAge = time.Minute }, down, "expired", 0},
		"a permanent error":       {nil, refused, "error", 0},
		"no retry_on_failure":     {func(c *Config) { c.RetryOnFailure.Enabled = false }, down, "error", 0},
		"drop_oldest_on_overflow": {func(c *Config) { c.QueueSize, c.SendBatchSize, c.DropOldestOnOverflow = 50, 20, true }, down, "overflow", 5},
	} {
		for _, restored := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", restored"}[restored], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := storagetest.NewDisk()
					if restored {
						anyLogs.leave(t, d, 10)
					}
					p := anyLogs.stored(t, d, c.set, c.next)
					synctest.Wait()
					first, end := 0, 10 // of its own requests
					switch {
					case restored && c.reason == "overflow":
						first, end = 10, 11 // the first that finds no capacity drops what is beyond it
					case restored:
						first = 10
					}
					for i := first; i < end; i++ {
						require.NoError(t, p.push(context.Background(), 10*i, 10))
						synctest.Wait()
					}
					time.Sleep(10 * time.Minute)
					require.EqualValues(t, 10*(end-c.left), p.metric(t, "items_dropped", c.reason))
					p.stop(t)

					p = anyLogs.stored(t, d, nil, nil)
					time.Sleep(time.Minute)
					require.Len(t, p.items(), 10*c.left)
					p.stop(t)
					require.Empty(t, storedKeys(d))
				})
			})
		}
	}
}
