// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// A fan-out gives one payload, read-only, to several consumers: here two processors and the test, which all see all of it,
// though one cuts it, one merges it, and what both send is changed behind them.
func TestSharedPayloadIsNotAltered(t *testing.T) {
	t.Run("traces", func(t *testing.T) { sharedPayloadIsNotAltered(t, traces) })
	t.Run("metrics", func(t *testing.T) { sharedPayloadIsNotAltered(t, metrics) })
	t.Run("logs", func(t *testing.T) { sharedPayloadIsNotAltered(t, logs) })
	t.Run("profiles", func(t *testing.T) { sharedPayloadIsNotAltered(t, profiles) })
}

func sharedPayloadIsNotAltered[P payload](t *testing.T, k kind[P]) {
	synctest.Test(t, func(t *testing.T) {
		var got [2][]string
		first, second := k.payload(0, 7), k.payload(7, 4)
		first.MarkReadOnly()
		second.MarkReadOnly()
		processors := map[component.Component]func(context.Context, P) error{}
		for i, size := range []int64{3, 100} {
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			cfg.SendBatchSize, cfg.SendBatchMaxSize = size, size
			p, consume, err := k.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(_ context.Context, p P) error {
				require.False(t, p.IsReadOnly())
				got[i] = append(got[i], k.items(p)...)
				k.Merge(p, k.payload(500, 1)) // an exporter may do as it likes
				return nil
			})
			require.NoError(t, err)
			require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
			require.NoError(t, consume(context.Background(), first))
			processors[p] = consume
		}
		for p, consume := range processors {
			require.NoError(t, consume(context.Background(), second))
			require.NoError(t, p.Shutdown(context.Background()))
		}
		want := append(k.items(k.payload(0, 7)), k.items(k.payload(7, 4))...)
		require.Equal(t, [2][]string{want, want}, got)
		require.Equal(t, want, append(k.items(first), k.items(second)...))
	})
}
