// SPDX-License-Identifier: Apache-2.0

// Package partitionedbufferprocessor is a Collector processor that batches traces, metrics, logs and profiles in a
// partitioned, double-buffered queue: a drop-in replacement for the batch processor.
package partitionedbufferprocessor

import (
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadata"
)

//go:generate make generate

// NewFactory returns the factory of the partitionedbuffer processor.
func NewFactory() xprocessor.Factory {
	return xprocessor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		xprocessor.WithTraces(createTraces, metadata.TracesStability),
		xprocessor.WithMetrics(createMetrics, metadata.MetricsStability),
		xprocessor.WithLogs(createLogs, metadata.LogsStability),
		xprocessor.WithProfiles(createProfiles, metadata.ProfilesStability),
	)
}
