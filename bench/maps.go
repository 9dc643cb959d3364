// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/groupbyattrsprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/intervalprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/batchprocessor"
)

// The rivals of buffer: map.
var (
	Grouped  = Rival{Name: "batch+groupbyattrs", Factory: newGroupedFactory()}
	Interval = Rival{Name: "interval", Factory: intervalprocessor.NewFactory()}
)

const groupedMap = "ours(buffer=map)"

// newGroupedFactory makes batch followed by groupbyattrs without keys, as its README recommends it to merge equal resources.
func newGroupedFactory() processor.Factory {
	first, second := batchprocessor.NewFactory(), groupbyattrsprocessor.NewFactory()
	of := func(set processor.Settings, f processor.Factory) processor.Settings {
		set.ID = component.NewID(f.Type())
		return set
	}
	const level = component.StabilityLevelBeta
	return processor.NewFactory(component.MustNewType("grouped"), first.CreateDefaultConfig,
		processor.WithTraces(func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
			group, err := second.CreateTraces(ctx, of(set, second), second.CreateDefaultConfig(), next)
			if err != nil {
				return nil, err
			}
			b, err := first.CreateTraces(ctx, of(set, first), cfg, group)
			return tracesInRow{b, row{b, group}}, err
		}, level),
		processor.WithMetrics(func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
			group, err := second.CreateMetrics(ctx, of(set, second), second.CreateDefaultConfig(), next)
			if err != nil {
				return nil, err
			}
			b, err := first.CreateMetrics(ctx, of(set, first), cfg, group)
			return metricsInRow{b, row{b, group}}, err
		}, level),
		processor.WithLogs(func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
			group, err := second.CreateLogs(ctx, of(set, second), second.CreateDefaultConfig(), next)
			if err != nil {
				return nil, err
			}
			b, err := first.CreateLogs(ctx, of(set, first), cfg, group)
			return logsInRow{b, row{b, group}}, err
		}, level),
	)
}

// row starts the last first, and stops the first first, as a collector does.
type row []component.Component

func (r row) Start(ctx context.Context, host component.Host) (err error) {
	for i := len(r) - 1; i >= 0; i-- {
		err = errors.Join(err, r[i].Start(ctx, host))
	}
	return err
}

func (r row) Shutdown(ctx context.Context) (err error) {
	for _, c := range r {
		err = errors.Join(err, c.Shutdown(ctx))
	}
	return err
}

type (
	tracesInRow struct {
		consumer.Traces
		row
	}
	metricsInRow struct {
		consumer.Metrics
		row
	}
	logsInRow struct {
		consumer.Logs
		row
	}
)

// fifty is request i of a load that comes from fifty resources in turn, each with the attributes that an agent gives a pod.
func fifty(i, items, first int) ptrace.Traces {
	td := makeTraces(Flat(items), first)
	at := td.ResourceSpans().At(0).Resource().Attributes()
	at.PutStr("service.name", fmt.Sprint("service-", i%50))
	at.PutStr("service.instance.id", fmt.Sprintf("627cc493-f310-47de-96bd-71410b7d%04d", i%50))
	at.PutStr("k8s.namespace.name", "shop")
	at.PutStr("k8s.pod.name", fmt.Sprintf("service-%d-5d4b8c7f9b-x2x7k", i%50))
	at.PutStr("telemetry.sdk.language", "go")
	at.PutStr("telemetry.sdk.name", "opentelemetry")
	at.PutStr("telemetry.sdk.version", "1.40.0")
	return td
}

var fromFifty = func() Signal[ptrace.Traces] {
	s := Traces
	s.Make = func(r Request, first int) ptrace.Traces { return fifty(first/r.Items(), r.Items(), first) }
	return s
}()

// resourceCase merges equal resources.
func resourceCase() Case {
	l := Load{Producers: 8, Calls: 30_000, Items: 10}
	return Case{
		Group: "Maps", Name: "resource",
		About: fmt.Sprintf("%d-span requests from 50 resources with 10 attributes in turn; no-op next consumer, 8 producers, %d calls a round, closed loop, drain included. "+
			"These requests were made long before, so that whoever reads their resources waits for memory. load=decoded has each producer decode a request and hand it on, as "+
			"a receiver does; own is without what decoding alone took a moment before.", l.Items, l.Calls),
		Columns: []Column{{Unit: "ns/op", Ratio: true}, {Unit: "cpu-ns/op", Ratio: true}, {Unit: "B/op"}, {Unit: "allocs/op"}},
		Variants: []Variant{
			{Rival: Ours},
			{Rival: Ours, Label: groupedMap, Settings: Settings{"buffer": "map"}},
			{Rival: Batch},
			{Rival: Grouped},
		},
		Targets: []Target{
			{Column: "cpu-ns/op", Of: groupedMap, Over: "batch+groupbyattrs", AtMost: 0.5},
			{Column: "ns/op", Of: groupedMap, Over: ours, AtMost: 3},
			{Column: "cpu-ns/op", Of: groupedMap, Over: ours, AtMost: 3},
		},
		Run: func(v Variant) ([]float64, error) {
			o, err := Closed(fromFifty, v, l)
			n := float64(o.Calls)
			return []float64{float64(o.Wall) / n, float64(o.CPU) / n, float64(o.Bytes) / n, float64(o.Allocs) / n}, err
		},
	}
}

// bytesCase is what merging saves on the wire.
func bytesCase() Case {
	const calls, items = 10_000, 10
	return Case{
		Group: "Maps", Name: "bytes",
		About:   fmt.Sprintf("Bytes out for %d requests of %d spans from 50 resources, encoded batch by batch, and each compressed by its own.", calls, items),
		Columns: []Column{{Unit: "B", Ratio: true}, {Unit: "gzip-B", Ratio: true}, {Unit: "zstd-B", Ratio: true}},
		Variants: []Variant{
			{Rival: Ours},
			{Rival: Ours, Label: groupedMap, Settings: Settings{"buffer": "map"}},
		},
		Run: func(v Variant) ([]float64, error) {
			sizes := make([]float64, 3)
			z, err := zstd.NewWriter(nil)
			if err != nil {
				return nil, err
			}
			v.Settings = with(v.Settings, Settings{"timeout": time.Minute})
			s, err := Traces.Open(v.Rival, v.Settings, NoTelemetry, func(_ context.Context, td ptrace.Traces) error {
				raw, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
				var packed bytes.Buffer
				w := gzip.NewWriter(&packed)
				_, e := w.Write(raw)
				err = errors.Join(err, e, w.Close())
				sizes[0] += float64(len(raw))
				sizes[1] += float64(packed.Len())
				sizes[2] += float64(len(z.EncodeAll(raw, nil)))
				return err
			})
			if err != nil {
				return nil, err
			}
			err = s.Start(context.Background(), nil)
			for i := range calls {
				err = errors.Join(err, s.Consume(context.Background(), fifty(i, items, i*items)))
			}
			return sizes, errors.Join(err, s.Shutdown(context.Background()))
		},
	}
}

func with(a, b Settings) Settings {
	all := Settings{}
	for _, s := range []Settings{a, b} {
		for k, v := range s {
			all[k] = v
		}
	}
	return all
}

// seriesOf makes one request of cumulative points of so many series, from first on, at a time.
func seriesOf(first, n, at int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	fillResource(Resource{Name: "checkout"}, rm.Resource())
	sm := rm.ScopeMetrics().AppendEmpty()
	fillScope(Scope{Name: "github.com/example/instrumentation", Version: "1.2.3"}, sm.Scope())
	m := sm.Metrics().AppendEmpty()
	m.SetName("http.server.requests")
	m.SetUnit("{request}")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.DataPoints().EnsureCapacity(n)
	for i := first; i < first+n; i++ {
		p := sum.DataPoints().AppendEmpty()
		p.SetStartTimestamp(1)
		p.SetTimestamp(pcommon.Timestamp(at))
		p.SetIntValue(int64(at))
		p.Attributes().EnsureCapacity(3)
		p.Attributes().PutStr("http.route", "/cart/{id}")
		p.Attributes().PutStr("http.request.method", "POST")
		p.Attributes().PutInt("item", int64(i))
	}
	return md
}

// recordCase keeps the newest point of each of many series.
func recordCase() Case {
	const series, a, rounds = 100_000, 1000, 10
	const byRecord = "ours(buffer=map,key=record)"
	return Case{
		Group: "Maps", Name: "record",
		About:   fmt.Sprintf("%d series of cumulative sums, %d points each, in requests of %d; no flush but the one at the end, which is included.", series, rounds, a),
		Columns: []Column{{Unit: "points/s", Ratio: true}, {Unit: "cpu-ns/point", Ratio: true}, {Unit: "B/point"}},
		Variants: []Variant{
			{Rival: Ours, Label: byRecord, Settings: Settings{
				"buffer": "map", "map": map[string]any{"key": "record"}, "timeout": time.Hour, "send_batch_size": 10_000_000, "shutdown_timeout": time.Minute,
			}},
			{Rival: Interval, Settings: Settings{"interval": time.Hour}},
		},
		Targets: []Target{{Column: "points/s", Of: byRecord, Over: "interval", AtLeast: 2}},
		Run: func(v Variant) ([]float64, error) {
			arrived := 0
			s, err := Metrics.Open(v.Rival, v.Settings, NoTelemetry, func(_ context.Context, md pmetric.Metrics) error {
				arrived += md.DataPointCount()
				return nil
			})
			if err != nil {
				return nil, err
			}
			var all []pmetric.Metrics
			for at := range rounds {
				for first := 0; first < series; first += a {
					all = append(all, seriesOf(first, a, at+1))
				}
			}
			if err := s.Start(context.Background(), nil); err != nil {
				return nil, err
			}
			grow(512 << 20)
			cost, err := measure(func() error {
				for i := range all {
					if err := s.Consume(context.Background(), all[i]); err != nil {
						return err
					}
					all[i] = pmetric.Metrics{}
				}
				return s.Shutdown(context.Background())
			})
			if err == nil && arrived != series {
				err = fmt.Errorf("%s: %d of %d series arrived", v.label(), arrived, series)
			}
			const n = series * rounds
			return []float64{n / cost.Wall.Seconds(), float64(cost.CPU) / n, float64(cost.Bytes) / n}, err
		},
	}
}
