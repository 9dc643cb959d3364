// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// anyKind is a kind with its payload's type hidden, so that one table holds all of them.
type anyKind struct {
	name string
	list func(first, n int) []string // the items of such a push, as a sink lists them
	size func(first, n int) int      // of such a push, in bytes
	make func(t *testing.T, set func(*Config), next nextFunc) *pipeline

	// answered is make with a next consumer that can do more.
	answered func(t *testing.T, set func(*Config), next func(*answer) error) *pipeline
	subset   func(err error) []string            // the items that err says have failed; nil: it does not say
	partial  func(err error, first, n int) error // an error that says that these have failed
}

// answer is one call of the next consumer, and what can become of it.
type answer struct {
	ctx     context.Context
	call    int // counted from 1
	payload any
	items   []string
	size    func() int                          // of the payload, in bytes
	partly  func(err error, from, to int) error // all but these of the items are taken
	spoil   func()                              // empties the payload, as one may who moves things out of it
}

// nextFunc is the next consumer, told how many items the batch has.
type nextFunc func(ctx context.Context, items int) error

var kinds = []anyKind{hide("traces", traces), hide("metrics", metrics), hide("logs", logs), hide("profiles", profiles)}

// anyLogs is for tests in which the kind does not matter.
var anyLogs = kinds[2]

// pipeline is a processor between a test and a sink. What it reports of itself is kept.
type pipeline struct {
	component.Component
	push      func(ctx context.Context, first, n int) error
	waits     bool                                                  // for results
	consume   any                                                   // func(ctx context.Context, payload P) error
	pushAll   func(ctx context.Context, n int, firsts ...int) error // in one payload, a resource each
	telemetry *componenttest.Telemetry
	log       *observer.ObservedLogs

	begin time.Time
	next  nextFunc // nil: all is taken
	mu    sync.Mutex
	sent  []batch // that next took
}

// batch is one call of the next consumer.
type batch struct {
	items []string
	after time.Duration // since the pipeline was made
	info  client.Info   // in the context
}

func hide[P payload](name string, k kind[P]) anyKind {
	return anyKind{
		name: name,
		list: func(first, n int) []string { return k.items(k.payload(first, n)) },
		size: func(first, n int) int { return k.Size(k.payload(first, n)) },
		make: func(t *testing.T, set func(*Config), next nextFunc) *pipeline {
			return newPipeline(t, k, set, next)
		},
		answered: func(t *testing.T, set func(*Config), next func(*answer) error) *pipeline {
			var calls atomic.Int64
			return newPipelineTo(t, k, set, func(p *pipeline, ctx context.Context, payload P) error {
				a := &answer{ctx: ctx, call: int(calls.Add(1)), items: k.items(payload), payload: payload}
				after := time.Since(p.begin)
				a.size = func() int { return k.Size(payload) }
				a.partly = func(err error, from, to int) error {
					all := k.Cut(k.Copy(payload), signal.Measure{})
					if from > 0 {
						all.Take(signal.Items(from))
					}
					p.take(ctx, slices.Concat(a.items[:from], a.items[to:]), after)
					failed, _ := all.Take(signal.Items(to - from))
					return k.partial(err, failed)
				}
				a.spoil = func() { k.Merge(k.payload(0, 1), payload) }
				err := next(a)
				if err == nil {
					p.take(ctx, a.items, after)
				}
				return err
			})
		},
		subset: func(err error) []string {
			p, ok := k.Subset(err)
			if !ok {
				return nil
			}
			return k.items(p)
		},
		partial: func(err error, first, n int) error { return k.partial(err, k.payload(first, n)) },
	}
}

func newPipeline[P payload](t *testing.T, k kind[P], set func(*Config), next nextFunc) *pipeline {
	p := newPipelineTo(t, k, set, func(p *pipeline, ctx context.Context, payload P) error {
		return p.receive(ctx, k.items(payload))
	})
	p.next = next
	return p
}

// newPipelineTo is newPipeline with a next consumer that gets the payloads themselves.
func newPipelineTo[P payload](t *testing.T, k kind[P], set func(*Config), next func(p *pipeline, ctx context.Context, payload P) error) *pipeline {
	p := &pipeline{begin: time.Now(), telemetry: componenttest.NewTelemetry()}
	settings := metadatatest.NewSettings(p.telemetry)
	core, log := observer.New(zap.DebugLevel)
	p.log = log
	settings.Logger = zap.New(core)
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if set != nil {
		set(cfg)
	}
	require.NoError(t, cfg.Validate())
	c, consume, err := k.create(settings, cfg, func(ctx context.Context, payload P) error {
		return next(p, ctx, payload)
	})
	require.NoError(t, err)
	p.Component, p.waits = c, cfg.WaitForResult
	p.push = func(ctx context.Context, first, n int) error { return consume(ctx, k.payload(first, n)) }
	p.consume = consume
	p.pushAll = func(ctx context.Context, n int, firsts ...int) error {
		return consume(ctx, k.resources(n, firsts...))
	}
	t.Cleanup(func() { require.NoError(t, p.telemetry.Shutdown(context.Background())) })
	return p
}

// start makes a pipeline that is shut down, without an error, when the test ends.
func (k anyKind) start(t *testing.T, set func(*Config), next nextFunc) *pipeline {
	return k.make(t, set, next).begun(t)
}

// begun starts p, and has it shut down, without an error, when the test ends.
func (p *pipeline) begun(t *testing.T) *pipeline {
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })
	return p
}

// send pushes a payload of the pipeline's kind.
func send[P payload](ctx context.Context, p *pipeline, payload P) error {
	return p.consume.(func(context.Context, P) error)(ctx, payload)
}

// losses returns the errors of what Shutdown logged as lost.
func (p *pipeline) losses() (errs []string) {
	for _, e := range p.log.FilterLevelExact(zap.ErrorLevel).FilterMessage("Shutdown dropped what was pending").All() {
		errs = append(errs, e.ContextMap()["error"].(string))
	}
	return errs
}

func (p *pipeline) receive(ctx context.Context, items []string) error {
	after := time.Since(p.begin)
	if p.next != nil {
		if err := p.next(ctx, len(items)); err != nil {
			return err
		}
	}
	p.take(ctx, items, after)
	return nil
}

func (p *pipeline) take(ctx context.Context, items []string, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, batch{items, after, client.FromContext(ctx)})
}

func (p *pipeline) batches() []batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// sizes lists how many items the batches had.
func (p *pipeline) sizes() (sizes []int) {
	for _, b := range p.batches() {
		sizes = append(sizes, len(b.items))
	}
	return sizes
}

// times lists when the batches were sent.
func (p *pipeline) times() (times []time.Duration) {
	for _, b := range p.batches() {
		times = append(times, b.after)
	}
	return times
}

// items lists all that arrived, in order.
func (p *pipeline) items() (items []string) {
	for _, b := range p.batches() {
		items = append(items, b.items...)
	}
	return items
}

// gauge returns the value of a metric that is no whole number.
func (p *pipeline) gauge(t *testing.T, name string) float64 {
	return p.collect(t)[name].Data.(metricdata.Gauge[float64]).DataPoints[0].Value
}

// metric returns the sum of all points of a metric, over the values of its attribute reason if that is not named; 0 if
// the processor does not report it.
func (p *pipeline) metric(t *testing.T, name, reason string) int64 {
	var all metricdata.ResourceMetrics
	require.NoError(t, p.telemetry.Reader.Collect(context.Background(), &all))
	var sum int64
	add := func(points []metricdata.DataPoint[int64]) {
		for _, point := range points {
			if value, _ := point.Attributes.Value("reason"); reason == "" || value.AsString() == reason {
				sum += point.Value
			}
		}
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != "otelcol_processor_partitionedbuffer_"+name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				add(data.DataPoints)
			case metricdata.Gauge[int64]:
				add(data.DataPoints)
			default:
				t.Fatalf("%s is a %T", name, data)
			}
		}
	}
	return sum
}

// stats are the accounts behind the metrics, which end at Shutdown.
func (p *pipeline) stats() partitioned.Stats {
	return p.Component.(interface{ Stats() partitioned.Stats }).Stats()
}

// requireConserved checks I1 in the metrics, at rest: all that was accepted is accounted for.
func (p *pipeline) requireConserved(t *testing.T) {
	t.Helper()
	require.Equal(t, p.metric(t, "items_accepted", ""),
		p.metric(t, "items_forwarded", "")+p.metric(t, "items_returned", "")+p.metric(t, "items_dropped", "")+p.metric(t, "items_superseded", "")+p.metric(t, "items_pending", "")+p.metric(t, "items_kept", ""), "I1")
}

// from returns a context with client metadata: names and values in turn.
func from(pairs ...string) context.Context {
	values := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = append(values[pairs[i]], pairs[i+1])
	}
	return client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(values)})
}
