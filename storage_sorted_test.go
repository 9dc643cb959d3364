// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

// TestStorageKeepsTheHalvesThatAreLeft: a batch is sorted by time, which is the reverse of how its requests came, and is halved. Whatever is delivered
// before a crash, everything that was accepted arrives by the end of the next run.
func TestStorageKeepsTheHalvesThatAreLeft(t *testing.T) {
	const records = 10
	for takes := range 4 { // calls, before the backend is down
		for limit, requests := range map[int]int{20: 4, 15: 3, 5: 2} { // the seam is between two requests, or within one
			t.Run(fmt.Sprintf("takes=%d/requests=%d", takes, requests), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d, taken, up := storagetest.NewDisk(), 0, false
					got := map[pcommon.Timestamp]bool{}
					next := func(p *pipeline, _ context.Context, ld plog.Logs) error {
						p.mu.Lock()
						defer p.mu.Unlock()
						if ld.LogRecordCount() > limit {
							return errTooLarge
						}
						if taken == takes && !up {
							return errDown
						}
						taken++
						for _, times := range timesOf(ld) {
							for _, at := range times {
								got[at] = true
							}
						}
						return nil
					}
					set := withStorage(func(c *Config) {
						splits(c)
						c.SortByTime, c.SendBatchSize, c.Timeout = true, int64(requests*records), time.Hour
					})
					p := newPipelineTo(t, logs, set, next)
					require.NoError(t, p.Start(context.Background(), onDisk(d)))
					at := pcommon.Timestamp(requests * records)
					for range requests {
						var times []pcommon.Timestamp
						for range records {
							times = append(times, at)
							at--
						}
						require.NoError(t, send(context.Background(), p, timedLogs("a", times...)))
					}
					later(time.Second)
					crashed := d.Crash()
					p.stop(t)

					up = true
					p = newPipelineTo(t, logs, set, next)
					require.NoError(t, p.Start(context.Background(), onDisk(crashed)))
					later(time.Second)
					p.stop(t)
					require.Len(t, got, requests*records)
					require.Empty(t, storedKeys(crashed))
				})
			})
		}
	}
}
