// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/batcher"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// adapter is what the processors of all signals have in common. It adds nothing to the batcher but what consumers ask for.
type adapter[P any] struct{ *batcher.Batcher[P] }

// factory makes processors, with what options have added.
type factory struct { // immutable
	expressions KeyExpressionCompiler
}

// newBatcher makes the batcher of one pipeline, and logs what its configuration has that is of no effect.
func newBatcher[P, R any](set processor.Settings, cfg *Config, kind signal.Descriptor[P, R], compile compileFunc[P], next batcher.Next[P]) (adapter[P], error) {
	keys, err := compileKeys(cfg, set.TelemetrySettings, kind.Name, compile)
	if err != nil {
		return adapter[P]{}, err
	}
	for _, warning := range cfg.warnings() {
		set.Logger.Warn(warning)
	}
	b, err := batcher.New(set, cfg.settings(), kind, keys, next)
	return adapter[P]{b}, err
}

// nextOf describes the next consumer.
func nextOf[P any](next interface{ Capabilities() consumer.Capabilities }, consume func(context.Context, P) error) batcher.Next[P] {
	return batcher.Next[P]{Consume: consume, Mutates: next.Capabilities().MutatesData}
}

// Capabilities says that payloads are moved into batches.
func (adapter[P]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

type tracesProcessor struct{ adapter[ptrace.Traces] }

func (p tracesProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return p.Consume(ctx, td)
}

func (f factory) createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	b, err := newBatcher(set, cfg.(*Config), signal.OfTraces(), f.expressions.Traces, nextOf(next, next.ConsumeTraces))
	return tracesProcessor{b}, err
}

type metricsProcessor struct{ adapter[pmetric.Metrics] }

func (p metricsProcessor) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return p.Consume(ctx, md)
}

func (f factory) createMetrics(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	c := cfg.(*Config)
	if c.ofRecords() && c.ignores() && c.Partitions > 1 && c.PartitionBy == partitionByTrace {
		return nil, fmt.Errorf("%s; with map.ignore_attributes or map.ignore_fields, data points are spread by their identity", is("partition_by", c.PartitionBy))
	}
	if c.ofRecords() && c.Map.CountAttribute+c.Map.FirstTimeAttribute != "" {
		return nil, fmt.Errorf("%s, %s; not for metrics, as each number would begin another series: give their pipeline a processor of its own",
			is("map.count_attribute", c.Map.CountAttribute), is("map.first_time_attribute", c.Map.FirstTimeAttribute))
	}
	b, err := newBatcher(set, c, signal.OfMetrics(), f.expressions.Metrics, nextOf(next, next.ConsumeMetrics))
	return metricsProcessor{b}, err
}

type logsProcessor struct{ adapter[plog.Logs] }

func (p logsProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return p.Consume(ctx, ld)
}

func (f factory) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	c := cfg.(*Config)
	if c.ofRecords() && len(c.Map.LogKeys) == 0 {
		return nil, errors.New("map.log_keys is empty; a logs pipeline with map.key record needs the attributes that tell records apart")
	}
	if c.ofRecords() && c.PartitionBy == partitionByTrace {
		return nil, fmt.Errorf("%s; with map.key record, log records are spread by map.log_keys", is("partition_by", c.PartitionBy))
	}
	b, err := newBatcher(set, c, signal.OfLogs(), f.expressions.Logs, nextOf(next, next.ConsumeLogs))
	return logsProcessor{b}, err
}

type profilesProcessor struct{ adapter[pprofile.Profiles] }

func (p profilesProcessor) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	return p.Consume(ctx, pd)
}

func (f factory) createProfiles(_ context.Context, set processor.Settings, cfg component.Config, next xconsumer.Profiles) (xprocessor.Profiles, error) {
	c := cfg.(*Config)
	if key := c.bytesKey(); key != "" {
		return nil, fmt.Errorf("%s: not for profiles, which have no size in bytes before they are encoded", key)
	}
	if c.Buffer == bufferMap {
		return nil, fmt.Errorf("buffer is %q; profiles can only be in a queue, as their parts refer to one dictionary a payload and are not merged by resource", bufferMap)
	}
	b, err := newBatcher(set, c, signal.OfProfiles(), f.expressions.Profiles, nextOf(next, next.ConsumeProfiles))
	return profilesProcessor{b}, err
}
