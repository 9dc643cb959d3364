// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// What the processor makes itself, by cutting or by copying what is shared, is freed once too, and so is what it was made
// of.
func TestPooledPartsAndCopiesAreFreedOnce(t *testing.T) {
	three := func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 3, 3 }
	for name, c := range map[string]pooledCase{
		"split":              {three, []int{10}, false, nil},
		"merged and split":   {three, []int{2, 2, 7, 1, 1}, false, nil},
		"failed when split":  {three, []int{2, 8}, false, errNext},
		"shared":             {nil, []int{3}, true, nil},
		"shared, merged":     {nil, []int{3, 1, 4}, true, nil},
		"shared, split":      {three, []int{2, 8}, true, nil},
		"failed when shared": {nil, []int{3, 3}, true, errNext},
	} {
		t.Run(name, c.run)
	}
}

// The same without a reference of the next consumer's own: a queue-less exporter.
func TestPartsAreForwardedOnceInAGraph(t *testing.T) {
	usePooling(t, true)
	for _, readOnly := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			cfg.SendBatchSize, cfg.SendBatchMaxSize = 3, 3
			tt := componenttest.NewTelemetry()
			p, consume, err := logs.create(metadatatest.NewSettings(tt), cfg, logs.inGraph(func(context.Context, plog.Logs) error { return nil }))
			require.NoError(t, err)
			require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
			ld := logs.payload(0, 7)
			if readOnly {
				ld.MarkReadOnly()
			}
			require.NoError(t, logs.inGraph(consume)(context.Background(), ld))
			time.Sleep(time.Second)
			synctest.Wait()
			metadatatest.AssertEqualProcessorPartitionedbufferItemsForwarded(t, tt, number[int64]("logs", 7), values...)
			require.NoError(t, p.Shutdown(context.Background()))
		})
	}
}
