// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Variant is a rival with settings, as one row of a table.
type Variant struct {
	Rival
	Label    string // how tables call it; the rival's name if empty
	Settings Settings
	Calls    int // instead of the load's, for who would take minutes over it; 0: the load's
}

func (v Variant) label() string {
	if v.Label != "" {
		return v.Label
	}
	return v.Name
}

// Load is a closed loop: each producer calls Consume again as soon as the last call returned.
type Load struct {
	Producers int
	Calls     int               // over all producers
	Items     int               // a request
	Resources int               // that the items of a request are spread over; 0: one
	Delay     time.Duration     // how long the next consumer takes for a call
	Reads     bool              // the next consumer reads each item before it returns, and else does nothing with the batch
	Shared    bool              // producers take the next call of all, instead of having a share each: they end together
	Contexts  []context.Context // call i gets Contexts[i%len]; empty: the background context
}

// Outcome of a load.
type Outcome struct {
	Cost                     // from the first call until Shutdown returned
	Accepting  time.Duration // from the first call until the last one returned
	Steady     time.Duration // from the first call until the first producer had none left
	Calls      int
	Items      int
	Batches    int
	Goroutines int // the processor's own, when the last call had returned
}

// sink is the next consumer. It keeps what it receives, to be counted when the clock has stopped: a receiver that counts
// would cost more than some of the rivals.
type sink[T any] struct {
	delay time.Duration
	read  func(T) int // what is done with a batch; nil: nothing

	mu struct { // guards everything in it
		sync.Mutex
		batches []T
	}
}

func (s *sink[T]) consume(_ context.Context, data T) error {
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	if s.read != nil {
		s.read(data)
	}
	s.mu.Lock()
	s.mu.batches = append(s.mu.batches, data)
	s.mu.Unlock()
	return nil
}

// Closed runs a load against a variant. An item that does not arrive is an error: a rival that loses data has no speed.
func Closed[T any](sig Signal[T], v Variant, l Load) (Outcome, error) {
	if v.Calls > 0 {
		l.Calls = v.Calls
	}
	out := &sink[T]{delay: l.Delay}
	if l.Reads {
		out.read = sig.Read
	}
	out.mu.batches = make([]T, 0, l.Calls)
	subject, err := sig.Open(v.Rival, v.Settings, NormalTelemetry, out.consume)
	if err != nil {
		return Outcome{}, err
	}
	payloads := prepare(sig, l)
	idle := runtime.NumGoroutine()
	if err := subject.Start(context.Background(), nil); err != nil {
		return Outcome{}, err
	}

	o := Outcome{Calls: l.Calls, Items: l.Calls * l.Items}
	p := startProducers(subject, l, payloads)
	o.Cost, err = measure(func() error {
		start := time.Now()
		err := p.run()
		o.Accepting = time.Since(start)
		o.Steady = time.Duration(p.first.Load() - start.UnixNano())
		for range 100 { // lets the producers' goroutines end, which would be counted otherwise
			runtime.Gosched()
		}
		o.Goroutines = runtime.NumGoroutine() - idle
		return errors.Join(err, subject.Shutdown(context.Background()))
	})
	if err != nil {
		return o, fmt.Errorf("%s: %w", v.label(), err)
	}
	arrived := 0
	for _, b := range out.mu.batches {
		arrived += sig.Count(b)
	}
	o.Batches = len(out.mu.batches)
	if arrived != o.Items {
		return o, fmt.Errorf("%s: %d of %d items arrived", v.label(), arrived, o.Items)
	}
	return o, nil
}

// prepare makes one payload a call, since a processor owns and empties what it is given. All cores take part: most of
// a round's time goes here.
func prepare[T any](sig Signal[T], l Load) []T {
	payloads := make([]T, l.Calls)
	shape := Flat(l.Items)
	if l.Resources > 1 {
		shape = Request{Resources: slices.Repeat(Flat(l.Items/l.Resources).Resources, l.Resources)}
	}
	var wg sync.WaitGroup
	for part := range split(l.Calls, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := part.from; i < part.to; i++ {
				payloads[i] = sig.Make(shape, i*l.Items)
			}
		})
	}
	wg.Wait()
	return payloads
}

type span struct{ from, to int }

// split yields n spans of almost equal length that cover 0..total.
func split(total, n int) func(yield func(span) bool) {
	return func(yield func(span) bool) {
		for i := range n {
			if !yield(span{total * i / n, total * (i + 1) / n}) {
				return
			}
		}
	}
}

// producers wait at a gate, so that starting them is not measured.
type producers struct {
	gate  chan struct{}
	done  sync.WaitGroup
	errs  []error      // one a producer, read after done
	next  atomic.Int64 // call, where they are shared
	first atomic.Int64 // when the first producer had none left, in Unix nanoseconds; 0: none yet
}

func startProducers[T any](s *Subject[T], l Load, payloads []T) *producers {
	p := &producers{gate: make(chan struct{}), errs: make([]error, l.Producers)}
	contexts := l.Contexts
	if len(contexts) == 0 {
		contexts = []context.Context{context.Background()}
	}
	id := 0
	for part := range split(len(payloads), l.Producers) {
		failed := &p.errs[id]
		id++
		p.done.Go(func() {
			<-p.gate
			for i := part.from; i < part.to; i++ {
				if l.Shared {
					part.to = len(payloads)
					if i = int(p.next.Add(1) - 1); i >= part.to {
						break
					}
				}
				if err := s.Consume(contexts[i%len(contexts)], payloads[i]); err != nil {
					*failed = err
					return
				}
			}
			p.first.CompareAndSwap(0, time.Now().UnixNano())
		})
	}
	return p
}

// run opens the gate and waits until every producer is done.
func (p *producers) run() error {
	close(p.gate)
	p.done.Wait()
	return errors.Join(p.errs...)
}
