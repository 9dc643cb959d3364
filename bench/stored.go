// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/ptrace"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// storedCases keep what is accepted in file_storage, on a real file. The two differ in what a request costs there, so each has as many calls
// as take about a second.
func storedCases() []Case {
	var cases []Case
	for _, c := range []struct {
		producers    int
		fsync        bool
		ours, theirs int // calls
		targets      []Target
	}{
		{64, true, 20_000, 1000, []Target{
			{Column: "acknowledged/s", Of: ours, Over: persistentQueue, AtLeast: 20},
			{Column: "delivered/s", Of: ours, Over: persistentQueue, AtLeast: 20},
			{Column: "cpu-µs/op", Of: ours, Over: persistentQueue, AtMost: 0.1},
		}},
		{64, false, 20_000, 4000, []Target{
			{Column: "acknowledged/s", Of: ours, Over: persistentQueue, AtLeast: 6},
			{Column: "delivered/s", Of: ours, Over: persistentQueue, AtLeast: 6},
			{Column: "cpu-µs/op", Of: ours, Over: persistentQueue, AtMost: 0.1},
		}},
		{1, true, 400, 400, []Target{{Column: "acknowledged/s", Of: ours, Over: persistentQueue, AtLeast: 1}}},
		{1, false, 3000, 3000, []Target{{Column: "acknowledged/s", Of: ours, Over: persistentQueue, AtLeast: 1}}},
	} {
		cases = append(cases, Case{
			Group: storedGroup, Name: fmt.Sprintf("fsync=%t", c.fsync), Param: fmt.Sprintf("producers=%d", c.producers),
			About: "With `storage: file_storage` on a real file, 10-span requests, no-op next consumer, closed loop. The rival is exporterhelper's persistent " +
				"queue with its batcher and ten consumers. A request is acknowledged when Consume returned, and delivered when the next consumer has it.",
			Columns: []Column{{Unit: "acknowledged/s", Ratio: true}, {Unit: "delivered/s", Ratio: true}, {Unit: "cpu-µs/op", Ratio: true}},
			Variants: []Variant{
				{Rival: Ours, Calls: c.ours, Settings: Settings{"storage": "file_storage", "queue_size": 1_000_000}},
				{Rival: Queuebatch, Label: persistentQueue, Calls: c.theirs, Settings: Settings{
					"storage": "file_storage", "queue_size": 1_000_000, "num_consumers": 10,
				}},
			},
			Targets: c.targets,
			Run: func(v Variant) ([]float64, error) {
				o, err := stored(v, Load{Producers: c.producers, Items: 10, Shared: true}, c.fsync)
				if err != nil {
					return nil, err
				}
				calls := float64(v.Calls)
				return []float64{calls / o.Accepting.Seconds(), calls / o.Wall.Seconds(), float64(o.CPU.Microseconds()) / calls}, nil
			},
		})
	}
	return cases
}

const (
	storedGroup     = "Stored"
	persistentQueue = "persistent queue"
)

// stored runs a load against a variant with a storage, until all is delivered.
func stored(v Variant, l Load, fsync bool) (o Outcome, err error) {
	l.Calls = v.Calls
	host, err := newFileStorage(func(c *filestorage.Config) { c.FSync = fsync })
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, host.remove()) }()
	var arrived atomic.Int64
	all := make(chan struct{})
	subject, err := Traces.Open(v.Rival, v.Settings, NormalTelemetry, func(_ context.Context, p ptrace.Traces) error {
		if arrived.Add(int64(p.SpanCount())) == int64(l.Calls*l.Items) {
			close(all)
		}
		return nil
	})
	if err != nil {
		return o, err
	}
	payloads := prepare(Traces, l)
	if err := subject.Start(context.Background(), host); err != nil {
		return o, err
	}
	p := startProducers(subject, l, payloads)
	o.Cost, err = measure(func() error {
		start := time.Now()
		err := p.run()
		o.Accepting = time.Since(start)
		if err == nil {
			select {
			case <-all:
			case <-time.After(time.Minute):
				err = fmt.Errorf("%d of %d items arrived", arrived.Load(), l.Calls*l.Items)
			}
		}
		return err
	})
	if err = errors.Join(err, subject.Shutdown(context.Background())); err != nil {
		return o, fmt.Errorf("%s: %w", v.label(), err)
	}
	return o, nil
}

// storageHost is a host with file_storage in a folder of its own.
type storageHost struct {
	extension.Extension
	id  component.ID
	dir string
}

// newFileStorage starts a file_storage that set, if not nil, sets up.
func newFileStorage(set func(*filestorage.Config)) (*storageHost, error) {
	dir, err := os.MkdirTemp("", "stored")
	if err != nil {
		return nil, err
	}
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	if cfg.Directory = dir; set != nil {
		set(cfg)
	}
	h := &storageHost{id: component.NewID(f.Type()), dir: dir}
	h.Extension, err = f.Create(context.Background(), extension.Settings{
		ID: h.id,
		TelemetrySettings: component.TelemetrySettings{
			Logger: zap.NewNop(), TracerProvider: nooptrace.NewTracerProvider(), MeterProvider: noopmetric.NewMeterProvider(),
		},
		BuildInfo: component.NewDefaultBuildInfo(),
	}, cfg)
	if err == nil {
		err = h.Start(context.Background(), h)
	}
	return h, err
}

// GetExtensions implements component.Host.
func (h *storageHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{h.id: h.Extension}
}

func (h *storageHost) remove() error {
	return errors.Join(h.Shutdown(context.Background()), os.RemoveAll(h.dir))
}
