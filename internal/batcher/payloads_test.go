// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/failure"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// measuredLogs counts how often a record is measured.
type measuredLogs struct {
	signal.Logs
	records *int
}

func (m measuredLogs) Size(p plog.Logs) int {
	*m.records += p.LogRecordCount()
	return m.Logs.Size(p)
}

func (m measuredLogs) SizeOf(p plog.Logs, i int) int {
	*m.records += m.ItemsOf(p, i)
	return m.Logs.SizeOf(p, i)
}

// TestRequestIsMeasuredOnce, also one that is taken apart by its resources, and none where no setting is about bytes.
func TestRequestIsMeasuredOnce(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*Settings)
		want int
	}{
		"no bytes":  {func(s *Settings) { s.ResourceKeys = []string{"service.name"} }, 0},
		"whole":     {func(s *Settings) { s.Bytes, s.BatchSize.Bytes = true, 1<<20 }, 6},
		"divided":   {func(s *Settings) { s.Bytes, s.BatchSize.Bytes, s.ResourceKeys = true, 1<<20, []string{"service.name"} }, 6},
		"one key":   {func(s *Settings) { s.Bytes, s.BatchSize.Bytes, s.ResourceKeys = true, 1<<20, []string{"none"} }, 6},
		"sizer":     {func(s *Settings) { s.Bytes, s.Unit = true, partitioned.UnitBytes }, 6},
		"both caps": {func(s *Settings) { s.Bytes, s.MaxBatchSize = true, partitioned.Weight{Items: 8192, Bytes: 1 << 20} }, 6},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testSettings()
			test.set(&cfg)
			records, tel := 0, componenttest.NewTelemetry()
			kind := signal.OfLogs()
			kind.Signal = measuredLogs{records: &records}
			b, err := New(metadatatest.NewSettings(tel), cfg, kind, nil, Next[plog.Logs]{Consume: func(context.Context, plog.Logs) error { return nil }})
			require.NoError(t, err)
			b.telemetry.bytes = false // the detailed level measures too, what is sent
			require.NoError(t, b.Start(context.Background(), componenttest.NewNopHost()))
			require.NoError(t, b.Consume(context.Background(), logsOf(2, "a", "b", "c")))
			require.Equal(t, test.want, records)
			require.NoError(t, b.Shutdown(context.Background()))
			require.NoError(t, tel.Shutdown(context.Background()))
		})
	}
}

// uncuttable is a signal whose payloads cannot be cut, against its word.
type uncuttable struct{ signal.Logs }

func (uncuttable) Cut(plog.Logs, signal.Measure) signal.Cutter[plog.Logs] { panic("cannot be cut") }

// A payload that panics when it is cut goes on as it is, alone or a part of one that was divided; the batcher goes on too.
func TestPanickingCutIsNoEnd(t *testing.T) {
	for name, keys := range map[string][]string{"whole": nil, "divided": {"service.name"}} {
		t.Run(name, func(t *testing.T) {
			sizes := uncuttableSizes(t, func(s *Settings) {
				s.BatchSize.Items, s.MaxBatchSize.Items, s.ResourceKeys = 3, 3, keys
			}, logsOf(5, "a"), logsOf(2, "b"), logsOf(4, "c", "d"))
			if keys == nil {
				require.Equal(t, []int{5, 2, 8}, sizes)
			} else {
				require.ElementsMatch(t, []int{5, 2, 4, 4}, sizes)
			}
		})
	}
}

// A resource that panics when it is cut goes on as it is too, with all that was folded into it, though it is looked at twice.
func TestPanickingCutOfAResource(t *testing.T) {
	require.Equal(t, []int{7, 7}, uncuttableSizes(t, func(s *Settings) {
		s.Map, s.BatchSize.Items, s.MaxBatchSize.Items = &Map{}, 10, 10
	}, logsOf(1, "a", "b"), logsOf(6, "a", "b")))
}

// uncuttableSizes lists the sizes of the batches that these payloads become though they cannot be cut.
func uncuttableSizes(t *testing.T, set func(*Settings), payloads ...plog.Logs) (sizes []int) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testSettings()
		set(&cfg)
		kind := signal.OfLogs()
		kind.Signal = uncuttable{}
		b, err := New(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, kind, nil, Next[plog.Logs]{Consume: func(_ context.Context, ld plog.Logs) error {
			sizes = append(sizes, ld.LogRecordCount())
			return nil
		}})
		require.NoError(t, err)
		require.NoError(t, b.Start(context.Background(), componenttest.NewNopHost()))
		for _, payload := range payloads {
			require.NoError(t, b.Consume(context.Background(), payload))
		}
		require.NoError(t, b.Shutdown(context.Background()))
	})
	return sizes
}

func TestEmptySubsetSaysNothing(t *testing.T) {
	p := newPayloads(testSettings(), signal.OfLogs().Signal, false, zap.NewNop())
	examined := func(err error) *failed[plog.Logs] {
		f := &failed[plog.Logs]{Failure: failure.Of(err), err: err, out: &outgoing[plog.Logs]{items: 5}}
		f.examine(p)
		return f
	}
	none, two := consumererror.NewLogs(errNext, logsOf(0, "a")), consumererror.NewLogs(errNext, logsOf(2, "a"))
	require.False(t, examined(none).partial)
	require.Equal(t, 5, examined(none).items)
	require.False(t, examined(errors.Join(two, errNext)).partial, "beside another error")
	require.Equal(t, 2, examined(errors.Join(two)).items)
}
