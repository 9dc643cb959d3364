// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/processor"
)

// newQueuebatchFactory wraps exporterhelper's queue and batcher as a processor, which is how the Collector replaces
// batchprocessor. At v0.161.0 that replacement exists in the Collector's repository but is not published, hence these
// few lines.
func newQueuebatchFactory() processor.Factory {
	const level = component.StabilityLevelDevelopment
	return processor.NewFactory(component.MustNewType("queuebatch"), defaultQueuebatchConfig,
		processor.WithTraces(newQueuebatchTraces, level),
		processor.WithMetrics(newQueuebatchMetrics, level),
		processor.WithLogs(newQueuebatchLogs, level),
	)
}

// defaultQueuebatchConfig gives the replacement's documented defaults: one consumer, a queue of 10 requests that blocks
// its callers when it is full, batches of 8192 items or after 200 ms. A request keeps its place in the queue until its
// batch was exported, so with requests of fewer than 819 items callers wait for the timer: this is the case "stalls".
func defaultQueuebatchConfig() component.Config {
	cfg := exporterhelper.NewDefaultQueueConfig()
	cfg.NumConsumers = 1
	cfg.QueueSize = 10
	cfg.BlockOnOverflow = true
	cfg.Batch.GetOrInsertDefault()
	return &cfg
}

func queuebatchOptions(cfg component.Config) []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithQueue(configoptional.Some(*cfg.(*exporterhelper.QueueBatchConfig))),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
		// The helper's own five seconds a call are an exporter's default, no processor's.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
	}
}

func exporterSettings(set processor.Settings) exporter.Settings {
	return exporter.Settings{ID: set.ID, TelemetrySettings: set.TelemetrySettings, BuildInfo: set.BuildInfo}
}

func newQueuebatchTraces(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	return exporterhelper.NewTraces(ctx, exporterSettings(set), cfg, next.ConsumeTraces, queuebatchOptions(cfg)...)
}

func newQueuebatchMetrics(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	return exporterhelper.NewMetrics(ctx, exporterSettings(set), cfg, next.ConsumeMetrics, queuebatchOptions(cfg)...)
}

func newQueuebatchLogs(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return exporterhelper.NewLogs(ctx, exporterSettings(set), cfg, next.ConsumeLogs, queuebatchOptions(cfg)...)
}
