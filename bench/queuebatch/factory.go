// SPDX-License-Identifier: Apache-2.0

// Package queuebatch is a rival: exporterhelper's queue and batcher as a processor, which is how the Collector replaces
// batchprocessor. At v0.161.0 that replacement exists in the Collector's repository but is not published, hence these few lines.
// It is a module of its own, so that a collector can be built with it.
package queuebatch

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/processor"
)

// NewFactory returns the factory of the processor queuebatch.
func NewFactory() processor.Factory {
	const level = component.StabilityLevelDevelopment
	return processor.NewFactory(component.MustNewType("queuebatch"), DefaultConfig,
		processor.WithTraces(newTraces, level),
		processor.WithMetrics(newMetrics, level),
		processor.WithLogs(newLogs, level),
	)
}

// DefaultConfig returns the replacement's documented defaults: one consumer, a queue of 10 requests that blocks its callers when it
// is full, batches of 8192 items or after 200 ms. A request keeps its place in the queue until its batch was exported. So with
// requests of fewer than 819 items callers wait for the timer: this is the case "stalls" of the benchmarks.
func DefaultConfig() component.Config {
	cfg := exporterhelper.NewDefaultQueueConfig()
	cfg.NumConsumers = 1
	cfg.QueueSize = 10
	cfg.BlockOnOverflow = true
	cfg.Batch.GetOrInsertDefault()
	return &cfg
}

// Options are those with which exporterhelper makes a processor of cfg, which comes from [DefaultConfig].
func Options(cfg component.Config) []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithQueue(configoptional.Some(*cfg.(*exporterhelper.QueueBatchConfig))),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
		// The helper's own five seconds a call are an exporter's default, no processor's.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
	}
}

// Settings are those of a processor, for exporterhelper.
func Settings(set processor.Settings) exporter.Settings {
	return exporter.Settings{ID: set.ID, TelemetrySettings: set.TelemetrySettings, BuildInfo: set.BuildInfo}
}

func newTraces(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	return exporterhelper.NewTraces(ctx, Settings(set), cfg, next.ConsumeTraces, Options(cfg)...)
}

func newMetrics(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	return exporterhelper.NewMetrics(ctx, Settings(set), cfg, next.ConsumeMetrics, Options(cfg)...)
}

func newLogs(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return exporterhelper.NewLogs(ctx, Settings(set), cfg, next.ConsumeLogs, Options(cfg)...)
}
