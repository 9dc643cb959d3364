// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// The walk over a whole batch for its size is for those who look at it: a collector below the detailed level drops the
// metric by a view.
func TestBytesAreCountedOnlyForSomebody(t *testing.T) {
	for name, test := range map[string]struct {
		options []componenttest.TelemetryOption
		want    bool
	}{
		"detailed": {nil, true},
		"normal": {[]componenttest.TelemetryOption{componenttest.WithMetricOptions(sdkmetric.WithView(sdkmetric.NewView(
			sdkmetric.Instrument{
				Name:  "otelcol_processor_batch_batch_send_size_bytes",
				Scope: instrumentation.Scope{Name: "go.opentelemetry.io/collector/processor/batchprocessor"},
			},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}},
		)))}, false},
		"a view of one's own": {[]componenttest.TelemetryOption{componenttest.WithMetricOptions(sdkmetric.WithView(sdkmetric.NewView(
			sdkmetric.Instrument{Name: "otelcol_processor_partitionedbuffer_batch_send_size_bytes"},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}},
		)))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			recorder, err := newTelemetry(metadatatest.NewSettings(componenttest.NewTelemetry(test.options...)), "logs")
			require.NoError(t, err)
			require.Equal(t, test.want, recorder.bytes)
		})
	}
}
