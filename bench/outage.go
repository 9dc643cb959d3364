// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// OutageLoad is requests that come while the backend is down, with file_storage on a real file, without fsync.
type OutageLoad struct {
	Requests   int
	Spans      int  // of each
	MemorySize int  // memory_size
	Restart    bool // the processor stops at the end of the outage, and another one delivers
	Backend    OutageBackend
}

// Outage is what becomes of an OutageLoad. Heaps are the most bytes, garbage and all, above those before the first request.
type Outage struct {
	File       int64         // its size at the end
	Accepting  time.Duration // of all requests
	Full       int64         // heap while they are accepted
	Start      time.Duration // of the call of Start, with Restart
	First      time.Duration // from then, or from the end of the outage, until something is delivered
	Delivering time.Duration // until all is
	Drain      int64         // heap meanwhile
}

// Measure has all requests accepted while the next consumer fails, and then delivered.
func (l OutageLoad) Measure() (o Outage, err error) {
	host, err := newFileStorage(nil)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, host.remove()) }()
	send, end, err := l.Backend.open()
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, end()) }()
	b := &recovering{send: send, want: int64(l.Requests * l.Spans), first: make(chan struct{}), all: make(chan struct{})}
	subject, err := l.open(b, host)
	if err != nil {
		return o, err
	}
	defer func() {
		if subject != nil {
			err = errors.Join(err, subject.Shutdown(context.Background()))
		}
	}()
	watch := watchHeap()
	defer watch.stop()
	start := time.Now()
	if err := l.accept(subject); err != nil {
		return o, err
	}
	o.Accepting, o.Full = time.Since(start), watch.most()
	start = time.Now()
	if l.Restart {
		if err := subject.Shutdown(context.Background()); err != nil {
			return o, err
		}
		subject = nil // a second Shutdown would wait for nothing
		heap()        // collects what the first one left
		watch.most()
		b.up.Store(true)
		start = time.Now()
		if subject, err = l.open(b, host); err != nil {
			return o, err
		}
		o.Start = time.Since(start)
	}
	b.up.Store(true)
	<-b.first
	o.First = time.Since(start)
	<-b.all
	o.Delivering, o.Drain = time.Since(start), watch.most()
	o.File = host.size()
	return o, nil
}

func (l OutageLoad) open(b *recovering, host *storageHost) (*Subject[ptrace.Traces], error) {
	s, err := Traces.Open(Ours, Settings{
		"storage": "file_storage", "memory_size": l.MemorySize, "queue_size": 1 << 31, "shutdown_timeout": "1s",
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "100ms", "max_interval": "100ms", "max_elapsed_time": "0s"},
	}, NormalTelemetry, b.consume)
	if err == nil {
		err = s.Start(context.Background(), host)
	}
	return s, err
}

// accept has 64 producers push the requests, which each makes when it needs it.
func (l OutageLoad) accept(s *Subject[ptrace.Traces]) error {
	var next atomic.Int64
	errs := make([]error, 64)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for errs[i] == nil && next.Add(1) <= int64(l.Requests) {
				errs[i] = s.Consume(context.Background(), Traces.Make(Flat(l.Spans), 0))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// heapWatch looks at the heap a hundred times a second.
type heapWatch struct {
	before  int64
	highest atomic.Int64
	end     chan struct{}
	ended   chan struct{}
}

func watchHeap() *heapWatch {
	w := &heapWatch{before: int64(heap()), end: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-w.end:
				return
			}
			metrics.Read(sample)
			w.highest.Store(max(w.highest.Load(), int64(sample[0].Value.Uint64())))
		}
	}()
	return w
}

// most returns the most bytes since it was last called.
func (w *heapWatch) most() int64 { return w.highest.Swap(0) - w.before }

func (w *heapWatch) stop() {
	close(w.end)
	<-w.ended
}

// size is that of all files.
func (h *storageHost) size() (bytes int64) {
	files, _ := filepath.Glob(filepath.Join(h.dir, "*"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// String is a row of a table.
func (o Outage) String() string {
	mib := func(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }
	short := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |", mib(o.File), short(o.Accepting), mib(o.Full), short(o.Start), short(o.First), short(o.Delivering), mib(o.Drain))
}
