// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// TestMapOfRecordsIsFlushedByTimeoutAlone: the newest point of each series, once a minute, however many series there are. With
// batch's default trigger of 8192 the map would be flushed within each scrape, and hold nothing twice.
func TestMapOfRecordsIsFlushedByTimeoutAlone(t *testing.T) {
	const series = 9000
	scrape := func(second int) pmetric.Metrics {
		md := pmetric.NewMetrics()
		m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("requests")
		points := m.SetEmptyGauge().DataPoints()
		for i := range series {
			dp := points.AppendEmpty()
			dp.SetTimestamp(pcommon.Timestamp(1 + second))
			dp.SetIntValue(int64(second))
			dp.Attributes().PutInt("series", int64(i))
		}
		return md
	}
	for name, test := range map[string]struct {
		set   map[string]any
		sizes []int
	}{
		"by default":      {nil, []int{series}},
		"set to 0":        {map[string]any{"send_batch_size": 0}, []int{series}},
		"with a cap":      {map[string]any{"send_batch_max_size": 5000}, []int{5000, 4000}},
		"with a trigger":  {map[string]any{"send_batch_size": 100}, []int{series, series, series, series}},
		"full flushes it": {map[string]any{"queue_size": 100}, []int{series, series, series, series}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conf := confmap.NewFromStringMap(map[string]any{"timeout": "1m", "buffer": "map", "map": map[string]any{"key": "record"}})
				require.NoError(t, conf.Merge(confmap.NewFromStringMap(test.set)))
				cfg, err := load(conf)
				require.NoError(t, err)
				sink := new(consumertest.MetricsSink)
				p, err := NewFactory().CreateMetrics(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, sink)
				require.NoError(t, err)
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				for i := range 4 {
					require.NoError(t, p.ConsumeMetrics(context.Background(), scrape(15*i)))
					time.Sleep(14 * time.Second)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				var sizes []int
				for _, md := range sink.AllMetrics() {
					sizes = append(sizes, md.DataPointCount())
				}
				require.Equal(t, test.sizes, sizes)
				require.NoError(t, p.Shutdown(context.Background()))
			})
		})
	}
}
