// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/failure"
)

// TestRetryAfterOfExporterhelper: the delay stands only in the text of an error without an exported type, so the real one has to
// be tried.
func TestRetryAfterOfExporterhelper(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond, 1500 * time.Millisecond, 90 * time.Second, time.Hour} {
		err := exporterhelper.NewThrottleRetry(status.Error(codes.Unavailable, "busy"), d)
		require.Equal(t, d, failure.Of(err).Delay())
		require.Equal(t, d, failure.Of(fmt.Errorf("no more retries left: %w", err)).Delay(), "wrapped")
		require.Equal(t, d, failure.Of(errors.Join(err, errors.New("another"))).Delay(), "of a fan-out")
	}
	require.Zero(t, failure.Of(exporterhelper.NewThrottleRetry(errors.New("busy"), -time.Minute)).Delay(), "a date that is over")
}
