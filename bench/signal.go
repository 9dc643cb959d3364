// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"iter"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Signal is a telemetry signal as the harness sees it; T is its payload.
type Signal[T any] struct {
	Name string
	// Make builds a request whose items carry the numbers first, first+1, … in order.
	Make func(r Request, first int) T
	// Count counts a payload's items.
	Count func(T) int
	// Read looks at the number that each item carries, and returns their sum.
	Read func(T) int

	open func(r Rival, cfg component.Config, t Telemetry, next func(context.Context, T) error) (*Subject[T], error)
}

// Subject is one running (or not yet started) processor.
type Subject[T any] struct {
	component.Component
	Consume func(context.Context, T) error
}

// Open creates a rival in front of next. It is not started yet.
func (s Signal[T]) Open(r Rival, set Settings, t Telemetry, next func(context.Context, T) error) (*Subject[T], error) {
	cfg, err := r.config(set)
	if err != nil {
		return nil, err
	}
	return s.open(r, cfg, t, next)
}

// capabilities are those of the next consumer.
func (r Rival) capabilities() consumer.Option {
	return consumer.WithCapabilities(consumer.Capabilities{MutatesData: r.NextMutates})
}

// Traces are counted in spans.
var Traces = Signal[ptrace.Traces]{
	Name: "traces", Make: makeTraces, Count: ptrace.Traces.SpanCount, Read: readTraces,
	open: func(r Rival, cfg component.Config, t Telemetry, next func(context.Context, ptrace.Traces) error) (*Subject[ptrace.Traces], error) {
		c, err := consumer.NewTraces(next, r.capabilities())
		if err != nil {
			return nil, err
		}
		p, err := r.Factory.CreateTraces(context.Background(), r.createSettings(t), cfg, c)
		if err != nil {
			return nil, err
		}
		return &Subject[ptrace.Traces]{Component: p, Consume: p.ConsumeTraces}, nil
	},
}

// Metrics are counted in data points.
var Metrics = Signal[pmetric.Metrics]{
	Name: "metrics", Make: makeMetrics, Count: pmetric.Metrics.DataPointCount, Read: readMetrics,
	open: func(r Rival, cfg component.Config, t Telemetry, next func(context.Context, pmetric.Metrics) error) (*Subject[pmetric.Metrics], error) {
		c, err := consumer.NewMetrics(next, r.capabilities())
		if err != nil {
			return nil, err
		}
		p, err := r.Factory.CreateMetrics(context.Background(), r.createSettings(t), cfg, c)
		if err != nil {
			return nil, err
		}
		return &Subject[pmetric.Metrics]{Component: p, Consume: p.ConsumeMetrics}, nil
	},
}

// Logs are counted in records.
var Logs = Signal[plog.Logs]{
	Name: "logs", Make: makeLogs, Count: plog.Logs.LogRecordCount, Read: readLogs,
	open: func(r Rival, cfg component.Config, t Telemetry, next func(context.Context, plog.Logs) error) (*Subject[plog.Logs], error) {
		c, err := consumer.NewLogs(next, r.capabilities())
		if err != nil {
			return nil, err
		}
		p, err := r.Factory.CreateLogs(context.Background(), r.createSettings(t), cfg, c)
		if err != nil {
			return nil, err
		}
		return &Subject[plog.Logs]{Component: p, Consume: p.ConsumeLogs}, nil
	},
}

func readTraces(td ptrace.Traces) (sum int) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				sum += number(sp.Attributes())
			}
		}
	}
	return sum
}

func readLogs(ld plog.Logs) (sum int) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				sum += number(lr.Attributes())
			}
		}
	}
	return sum
}

func readMetrics(md pmetric.Metrics) (sum int) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					sum += readPoints(m.Gauge().DataPoints().All())
				case pmetric.MetricTypeSum:
					sum += readPoints(m.Sum().DataPoints().All())
				case pmetric.MetricTypeHistogram:
					sum += readPoints(m.Histogram().DataPoints().All())
				case pmetric.MetricTypeExponentialHistogram:
					sum += readPoints(m.ExponentialHistogram().DataPoints().All())
				case pmetric.MetricTypeSummary:
					sum += readPoints(m.Summary().DataPoints().All())
				}
			}
		}
	}
	return sum
}

func readPoints[P interface{ Attributes() pcommon.Map }](points iter.Seq2[int, P]) (sum int) {
	for _, p := range points {
		sum += number(p.Attributes())
	}
	return sum
}

func number(attributes pcommon.Map) int {
	v, _ := attributes.Get("item")
	return int(v.Int())
}
