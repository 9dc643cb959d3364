// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
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
