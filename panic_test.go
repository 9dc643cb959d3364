// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// A panic is a failure of the batch like any other to those who watch: its span ends, its call has a duration.
func TestPanickedBatchIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, nil, func(context.Context, int) error { panic("the exporter's own fault") })
		require.NoError(t, p.push(context.Background(), 0, 2))
		require.NoError(t, p.Shutdown(context.Background()))
		spans := p.telemetry.SpanRecorder.Ended()
		require.Len(t, spans, 1)
		require.Equal(t, codes.Error, spans[0].Status().Code)
		require.EqualValues(t, 1, p.collect(t)["send_duration"].Data.(metricdata.Histogram[float64]).DataPoints[0].Count)
	})
}

// uncuttable is a signal whose payloads cannot be cut, against its word.
type uncuttable struct{ signal.Logs }

func (uncuttable) Cut(plog.Logs, int) signal.Cutter[plog.Logs] { panic("cannot be cut") }

// A payload that panics when it is cut goes on as it is; the processor goes on too.
func TestPanickingCutIsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.SendBatchSize, cfg.SendBatchMaxSize = 3, 3
		var got []int
		b, err := newBuffer(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, "logs", uncuttable{}, nil,
			func(_ context.Context, ld plog.Logs) error {
				got = append(got, ld.LogRecordCount())
				return nil
			})
		require.NoError(t, err)
		require.NoError(t, b.Start(context.Background(), componenttest.NewNopHost()))
		require.NoError(t, b.consume(context.Background(), logs.payload(0, 5)))
		require.NoError(t, b.consume(context.Background(), logs.payload(5, 2)))
		require.NoError(t, b.Shutdown(context.Background()))
		require.Equal(t, []int{5, 2}, got)
	})
}

// A resource that panics when it is cut goes on as it is too, with all that was folded into it, though it is looked at twice.
func TestPanickingCutOfAResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.Buffer, cfg.SendBatchSize, cfg.SendBatchMaxSize = bufferMap, 10, 10
		require.NoError(t, cfg.Validate())
		var got []int
		b, err := newBuffer(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, "logs", uncuttable{}, newMap[plog.Logs, signal.LogRecord],
			func(_ context.Context, ld plog.Logs) error {
				got = append(got, ld.LogRecordCount())
				return nil
			})
		require.NoError(t, err)
		require.NoError(t, b.Start(context.Background(), componenttest.NewNopHost()))
		for _, n := range []int{1, 6} {
			ld := plog.NewLogs()
			for _, service := range []string{"a", "b"} {
				r := ld.ResourceLogs().AppendEmpty()
				r.Resource().Attributes().PutStr("service.name", service)
				records := r.ScopeLogs().AppendEmpty().LogRecords()
				for range n {
					records.AppendEmpty()
				}
			}
			require.NoError(t, b.consume(context.Background(), ld))
		}
		require.NoError(t, b.Shutdown(context.Background()))
		require.Equal(t, []int{7, 7}, got)
	})
}
