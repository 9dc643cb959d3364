// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
)

// Options say how a case is measured.
type Options struct {
	Binary    string        // of the collector
	Lasts     time.Duration // each of the loads
	Producers int           // of the closed loop
	PerSecond int           // items, of the open loop
	Delay     time.Duration // of each call of the backend
}

// Result is what one round of a case gave.
type Result struct {
	CPU        float64 // seconds of the collector for a million items, in the closed loop
	CPUAtRate  float64 // the same at the fixed rate
	Memory     float64 // most resident memory, in MiB
	Held       float64 // resident memory while as many items are pending as for every other case, in MiB
	HeldPeak   float64 // the most until they were delivered
	Pending    float64 // these items, encoded, in MiB
	Throughput float64 // items a second, in the closed loop
	Wire       float64 // bytes on the wire for an item
	Encoded    float64 // bytes for an item before compression
	Batch      float64 // items a call, in the closed loop
	P50, P99   float64 // milliseconds from the turn of an item until the backend has it, at the fixed rate
	Lost       int     // items that the sender was told are taken, and that did not arrive
	Failed     int     // requests that the sender was told failed
	Copies     int     // items that arrived again
}

// Run measures one round of a case. The load of the closed loop comes first, and that at a fixed rate when all has arrived.
func Run(ctx context.Context, c Case, o Options) (r Result, err error) {
	err = with(ctx, c, o, func(p *process, s *sink, l *loader) error {
		if err := r.closed(ctx, o, p, s, l); err != nil {
			return err
		}
		if err := r.atRate(ctx, o, p, s, l); err != nil {
			return err
		}
		memory, err := peakMemory(p.PID())
		r.Memory = float64(memory) / (1 << 20)
		r.count(s, l)
		return err
	})
	return r, err
}

// Closed measures the closed loop only.
func Closed(ctx context.Context, c Case, o Options) (r Result, err error) {
	err = with(ctx, c, o, func(p *process, s *sink, l *loader) error { return r.closed(ctx, o, p, s, l) })
	return r, err
}

func (r *Result) closed(ctx context.Context, o Options, p *process, s *sink, l *loader) error {
	l.closedLoop(ctx, o.Producers, o.Lasts/8) // warm
	if err := l.allArrived(ctx, s); err != nil {
		return err
	}
	u, err := p.during(s, func() error {
		l.closedLoop(ctx, o.Producers, o.Lasts)
		return l.allArrived(ctx, s)
	})
	r.CPU, r.Throughput, r.Batch = u.cpu.Seconds()*1e6/u.items, u.items/u.took.Seconds(), u.items/u.calls
	r.Wire, r.Encoded = u.wire/u.items, u.encoded/u.items
	return err
}

func (r *Result) atRate(ctx context.Context, o Options, p *process, s *sink, l *loader) error {
	s.takeDelays()
	u, err := p.during(s, func() error {
		l.openLoop(ctx, o.PerSecond, o.Lasts)
		return l.allArrived(ctx, s)
	})
	d := s.takeDelays()
	r.CPUAtRate = u.cpu.Seconds() * 1e6 / u.items
	r.P50, r.P99 = milliseconds(d.quantile(0.5)), milliseconds(d.quantile(0.99))
	return err
}

// count says what became of the items.
func (r *Result) count(s *sink, l *loader) {
	ids, _, failed := l.acked()
	r.Lost, r.Failed = s.missing(ids), failed
	_, r.Copies = s.arrived()
}

// Killed runs a case whose backend is away for the middle third of the load. Exporters do not retry. Only what became of the items
// is in the result.
func Killed(ctx context.Context, c Case, o Options) (r Result, err error) {
	err = with(ctx, c, o, func(p *process, s *sink, l *loader) error {
		restarted := make(chan error, 1)
		go func() {
			time.Sleep(o.Lasts / 3)
			s.stop()
			time.Sleep(o.Lasts / 3)
			restarted <- s.start()
		}()
		l.closedLoop(ctx, o.Producers, o.Lasts)
		if err := <-restarted; err != nil {
			return err
		}
		if err := p.Stop(); err != nil { // it sends what it holds
			return err
		}
		r.count(s, l)
		return nil
	})
	return r, err
}

// process is a collector that is measured.
type process struct{ *otelcol.Collector }

// with runs f with a collector, what it sends to, and what sends to it.
func with(ctx context.Context, c Case, o Options, f func(*process, *sink, *loader) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%v: %w", c, err)
		}
	}()
	s, err := newSink(o.Delay)
	if err != nil {
		return err
	}
	defer func() { s.stop() }()
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(c.config(s.addr, dir)), 0o600); err != nil {
		return err
	}
	collector, err := otelcol.Start(ctx, otelcol.Options{Binary: o.Binary, Configs: []string{config}, Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, collector.Kill()) }()
	l, err := newLoader(collector.GRPC, c)
	if err != nil {
		return err
	}
	defer l.close()
	return f(&process{collector}, s, l)
}

// used is what a load took.
type used struct {
	cpu, took                   time.Duration
	items, calls, wire, encoded float64
}

// during measures what f takes.
func (p *process) during(s *sink, f func() error) (u used, err error) {
	cpu, err := cpuTime(p.PID())
	if err != nil {
		return u, err
	}
	items, _ := s.arrived()
	calls, wire, encoded, begin := s.calls.Load(), s.wire.Load(), s.unpacked.Load(), time.Now()
	if err := f(); err != nil {
		return u, err
	}
	u.took = time.Since(begin)
	after, err := cpuTime(p.PID())
	now, _ := s.arrived()
	u.cpu, u.items, u.calls = after-cpu, float64(now-items), float64(s.calls.Load()-calls)
	u.wire, u.encoded = float64(s.wire.Load()-wire), float64(s.unpacked.Load()-encoded)
	return u, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }
