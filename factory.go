// SPDX-License-Identifier: Apache-2.0

// Package partitionedbufferprocessor is a Collector processor that batches traces, metrics, logs and profiles in a
// partitioned, double-buffered queue: a drop-in replacement for the batch processor.
package partitionedbufferprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadata"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
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

type tracesProcessor struct{ *buffer[ptrace.Traces] }

func (p tracesProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return p.consume(ctx, td)
}

func createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	b, err := newBuffer(set, cfg.(*Config), "traces", signal.Traces{}, newMap[ptrace.Traces, signal.Span], next.ConsumeTraces)
	return tracesProcessor{b}, err
}

type metricsProcessor struct{ *buffer[pmetric.Metrics] }

func (p metricsProcessor) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return p.consume(ctx, md)
}

func createMetrics(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	b, err := newBuffer(set, cfg.(*Config), "metrics", signal.Metrics{}, newMap[pmetric.Metrics, signal.Point], next.ConsumeMetrics)
	return metricsProcessor{b}, err
}

type logsProcessor struct{ *buffer[plog.Logs] }

func (p logsProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return p.consume(ctx, ld)
}

func createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	b, err := newBuffer(set, cfg.(*Config), "logs", signal.Logs{}, newMap[plog.Logs, signal.LogRecord], next.ConsumeLogs)
	return logsProcessor{b}, err
}

type profilesProcessor struct{ *buffer[pprofile.Profiles] }

func (p profilesProcessor) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	return p.consume(ctx, pd)
}

func createProfiles(_ context.Context, set processor.Settings, cfg component.Config, next xconsumer.Profiles) (xprocessor.Profiles, error) {
	b, err := newBuffer(set, cfg.(*Config), "profiles", signal.Profiles{}, nil, next.ConsumeProfiles)
	return profilesProcessor{b}, err
}
