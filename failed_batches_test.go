// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap/zapcore"
)

func TestFailedBatchesAreDroppedAndCounted(t *testing.T) {
	for name, failure := range map[string]error{
		"retryable": errNext,
		"permanent": consumererror.NewPermanent(errNext),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				p := anyLogs.start(t, func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 4, 4 }, func(context.Context, int) error {
					if calls++; calls == 2 {
						return failure
					}
					return nil
				})
				require.NoError(t, p.push(context.Background(), 0, 11))
				require.NoError(t, p.Shutdown(context.Background()), "what it could do is done")
				require.Equal(t, 3, calls, "no call again")
				require.Equal(t, []int{4, 3}, p.sizes())
				losses := p.log.FilterLevelExact(zapcore.ErrorLevel).All()
				require.Len(t, losses, 1)
				require.EqualValues(t, 4, losses[0].ContextMap()["items"])
				require.Contains(t, losses[0].ContextMap()["error"], errNext.Error())
			})
		})
	}
}

// I8: the batch of the call is lost, nothing else.
func TestPanicOfTheNextConsumerCostsItsBatch(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				p := k.start(t, func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 4, 4 }, func(context.Context, int) error {
					if calls++; calls == 2 {
						panic("the exporter's own fault")
					}
					return nil
				})
				require.NoError(t, p.push(context.Background(), 0, 8))
				synctest.Wait()
				require.EqualValues(t, 4, p.metric(t, "items_dropped", "error"))
				require.NoError(t, p.push(context.Background(), 8, 4))
				synctest.Wait()
				require.Equal(t, append(k.list(0, 8)[:4], k.list(8, 4)...), p.items())
				p.requireConserved(t)
				entries := p.log.FilterLevelExact(zapcore.ErrorLevel).FilterMessageSnippet("panicked").All()
				require.Len(t, entries, 1)
				require.Contains(t, fmt.Sprint(entries[0].ContextMap()), "the exporter's own fault")
				require.Contains(t, entries[0].ContextMap()["stack"], "failed_batches_test.go", "where it happened")
			})
		})
	}
}

func TestExportTimeoutEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) { c.SendBatchSize, c.ExportTimeout = 1, 3*time.Second }, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.NoError(t, p.push(context.Background(), 0, 1))
		require.NoError(t, p.push(context.Background(), 1, 1))
		time.Sleep(3*time.Second - 1)
		synctest.Wait()
		require.Zero(t, p.metric(t, "items_dropped", "error"))
		time.Sleep(3*time.Second + 1)
		synctest.Wait()
		require.EqualValues(t, 2, p.metric(t, "items_dropped", "error"), "one after another")
	})
}
