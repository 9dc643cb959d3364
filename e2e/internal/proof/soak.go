// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
)

// SoakOptions say how long a collector runs under load, faults and reloads.
type SoakOptions struct {
	Binary    string
	Lasts     time.Duration // in all
	Cycle     time.Duration // of faults; each ends with a reload
	PerSecond int           // items of each of the three signals
}

// leastCycles are run in any case: fewer do not show whether anything grows.
const leastCycles = 4

// Sample is what the collector had at the end of a cycle, when everything had arrived and it had been reloaded.
type Sample struct {
	Minutes    float64 // since the begin
	Heap       float64 // MiB in use after a garbage collection
	Memory     float64 // MiB resident
	Goroutines int
	Files      int // descriptors
	Acked      int // items that senders were told are taken, so far
	Missing    int // of those that did not arrive
	Copies     int // items that arrived again, so far
}

// soakProcessors are one for each signal: callers that wait, a map, and keys, the last two with retry.
const soakProcessors = `
  partitionedbuffer/traces: {wait_for_result: true, num_consumers: 4, wait_timeout: 5s}
  partitionedbuffer/metrics: {buffer: map, num_consumers: 4, retry_on_failure: &retry {enabled: true, initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 10m}}
  partitionedbuffer/logs: {resource_keys: [service.instance.id], retry_on_failure: *retry}`

// Soak runs a collector. After each cycle report is called. The error says what was lost, and what grew.
func Soak(ctx context.Context, o SoakOptions, report func(Sample)) (all []Sample, err error) {
	s, err := startSoak(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	begin := time.Now()
	for len(all) < leastCycles || time.Since(begin) < o.Lasts {
		if err := s.cycle(ctx, o.Cycle); err != nil {
			return all, err
		}
		sample, err := s.sample(ctx)
		if err != nil {
			return all, err
		}
		sample.Minutes = time.Since(begin).Minutes()
		report(sample)
		all = append(all, sample)
	}
	return all, checkSamples(all)
}

// soak is a collector with a sink and a loader for each signal.
type soak struct {
	*otelcol.Collector
	dir, debug string // debug: the address of its profiles
	sinks      []*sink
	loaders    []*loader
	stopLoad   func()
}

func startSoak(ctx context.Context, o SoakOptions) (s *soak, err error) {
	s = &soak{stopLoad: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return s, err
	}
	if s.debug, err = loopback.FreeAddr(); err != nil {
		return s, err
	}
	receiver, err := loopback.FreeAddr() // the same after a reload
	if err != nil {
		return s, err
	}
	signals := []Signal{Traces, Metrics, Logs}
	var exporters, pipelines strings.Builder
	for _, signal := range signals {
		backend, err := newSink(0)
		if err != nil {
			return s, err
		}
		s.sinks = append(s.sinks, backend)
		fmt.Fprintf(&exporters, "\n  otlp_grpc/%s: {endpoint: %s, tls: {insecure: true}, timeout: 2s, sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}", signal, backend.addr)
		fmt.Fprintf(&pipelines, "\n    %[1]s: {receivers: [otlp], processors: [partitionedbuffer/%[1]s], exporters: [otlp_grpc/%[1]s]}", signal)
	}
	config := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "receivers: {otlp: {protocols: {grpc: {endpoint: %s}}}}\nextensions: {pprof: {endpoint: %s}}\nprocessors:%s\nexporters:%s\nservice:\n  extensions: [pprof]\n  pipelines:%s\n",
		receiver, s.debug, soakProcessors, &exporters, &pipelines), 0o600); err != nil {
		return s, err
	}
	if s.Collector, err = otelcol.Start(ctx, otelcol.Options{Binary: o.Binary, Configs: []string{config}, Dir: s.dir}); err != nil {
		return s, err
	}
	loading, cancel := context.WithCancel(ctx)
	s.stopLoad = cancel
	for _, signal := range signals {
		l, err := newLoader(receiver, Case{Signal: signal, Items: 10, Resources: 50})
		if err != nil {
			return s, err
		}
		s.loaders = append(s.loaders, l)
		go l.openLoop(loading, o.PerSecond, 2*o.Lasts+time.Hour) // until stopLoad
	}
	return s, nil
}

// cycle has the backends well, refusing, hanging, away and well again, each for a fifth of the time. When all that was taken has
// arrived it reloads the collector, under load.
func (s *soak) cycle(ctx context.Context, lasts time.Duration) error {
	for _, fault := range []int32{well, refuses, hangs} {
		for _, b := range s.sinks {
			b.fault.Store(fault)
		}
		if err := sleep(ctx, lasts/5); err != nil {
			return err
		}
	}
	for _, b := range s.sinks {
		b.stop()
	}
	err := sleep(ctx, lasts/5)
	for _, b := range s.sinks {
		b.fault.Store(well)
		err = errors.Join(err, b.start())
	}
	if err == nil {
		err = sleep(ctx, lasts/5)
	}
	for i, b := range s.sinks {
		err = errors.Join(err, s.loaders[i].soFarArrived(ctx, b))
	}
	if err != nil {
		return err
	}
	if err := s.Reload(); err != nil {
		return err
	}
	return s.taking(ctx)
}

// taking waits until the collector takes something of each signal again.
func (s *soak) taking(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, l := range s.loaders {
		_, before, _ := l.acked()
		for now := before; now < before+50*l.items; _, now, _ = l.acked() {
			if err := sleep(ctx, 10*time.Millisecond); err != nil {
				return fmt.Errorf("the collector takes nothing after a reload: %w\n%s", err, s.Log())
			}
		}
	}
	return nil
}

// soFarArrived waits until what was taken before the call has arrived.
func (l *loader) soFarArrived(ctx context.Context, s *sink) error {
	ids, _, _ := l.acked()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for s.missing(ids) > 0 {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d items that were taken have not arrived: %w", s.missing(ids), err)
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

var (
	heapInUse  = regexp.MustCompile(`# HeapAlloc = (\d+)`)
	goroutines = regexp.MustCompile(`goroutine profile: total (\d+)`)
)

// sample waits until what was taken has arrived, and looks at the process.
func (s *soak) sample(ctx context.Context) (x Sample, err error) {
	for i, l := range s.loaders {
		ids, acked, _ := l.acked()
		err = errors.Join(err, l.soFarArrived(ctx, s.sinks[i]))
		_, copies := s.sinks[i].arrived()
		x.Acked, x.Missing, x.Copies = x.Acked+acked, x.Missing+s.sinks[i].missing(ids), x.Copies+copies
	}
	if err != nil {
		return x, err
	}
	heap, err := s.profile(ctx, "heap?gc=1&debug=1", heapInUse)
	if err != nil {
		return x, err
	}
	if x.Goroutines, err = s.profile(ctx, "goroutine?debug=1", goroutines); err != nil {
		return x, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		return x, err
	}
	memory, err := residentMemory(s.PID())
	x.Heap, x.Memory, x.Files = float64(heap)/(1<<20), float64(memory)/(1<<20), len(files)
	return x, err
}

// profile returns a number of one of the process's profiles.
func (s *soak) profile(ctx context.Context, name string, number *regexp.Regexp) (int, error) {
	text, err := debugPage(ctx, s.debug, name)
	if err != nil {
		return 0, err
	}
	m := number.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s has no %s", name, number)
	}
	return strconv.Atoi(string(m[1]))
}

// end stops all of it.
func (s *soak) end() (err error) {
	s.stopLoad()
	if s.Collector != nil {
		err = s.Stop()
	}
	for _, l := range s.loaders {
		l.close()
	}
	for _, b := range s.sinks {
		b.stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// checkSamples says what was lost, and what the second half of the cycles had more of than the first, beyond what traffic explains.
func checkSamples(all []Sample) error {
	var errs []error
	half := len(all) / 2
	for i, s := range all {
		if s.Missing > 0 {
			errs = append(errs, fmt.Errorf("cycle %d: %d items lost", i+1, s.Missing))
		}
	}
	if len(all) < leastCycles {
		return errors.Join(append(errs, fmt.Errorf("%d cycles are too few to see whether anything grows", len(all)))...)
	}
	for _, m := range []struct {
		name    string
		of      func(Sample) float64
		allowed float64 // more, beside half of what there was
	}{
		{"MiB of heap", func(s Sample) float64 { return s.Heap }, 16},
		{"goroutines", func(s Sample) float64 { return float64(s.Goroutines) }, 50},
		{"file descriptors", func(s Sample) float64 { return float64(s.Files) }, 10},
	} {
		var values []float64
		for _, s := range all {
			values = append(values, m.of(s))
		}
		first, second := values[:half], values[half:]
		slices.Sort(first)
		slices.Sort(second)
		if before, after := median(first), median(second); after > 1.5*before+m.allowed {
			errs = append(errs, fmt.Errorf("%s grew from %.0f to %.0f", m.name, before, after))
		}
	}
	return errors.Join(errs...)
}
