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
func NewFactory() xprocessor.Factory { return NewFactoryWithOptions() }

// NewFactoryWithOptions returns the factory with what the options add.
func NewFactoryWithOptions(options ...FactoryOption) xprocessor.Factory {
	var f factory
	for _, option := range options {
		option(&f)
	}
	return xprocessor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		xprocessor.WithTraces(f.createTraces, metadata.TracesStability),
		xprocessor.WithMetrics(f.createMetrics, metadata.MetricsStability),
		xprocessor.WithLogs(f.createLogs, metadata.LogsStability),
		xprocessor.WithProfiles(f.createProfiles, metadata.ProfilesStability),
	)
}

// FactoryOption adds something to the factory.
type FactoryOption func(*factory)

// WithKeyExpressions adds the key key_expressions.
func WithKeyExpressions(compiler KeyExpressionCompiler) FactoryOption {
	return func(f *factory) { f.expressions = compiler }
}
