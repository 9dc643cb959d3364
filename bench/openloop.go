// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// OpenLoad is an open loop: calls start by a schedule, whether or not earlier ones have returned, as requests reach a
// server. A closed loop would stop asking while it waits and so hide most of the waiting.
type OpenLoad struct {
	Items     int     // a request
	PerSecond float64 // requests
	Lasts     time.Duration
	Delay     time.Duration // how long the next consumer takes for a call
}

// Latency is the distribution of the duration of Consume.
type Latency struct {
	P50, P99, Max time.Duration
}

// Open runs an open loop against a variant. A call's time starts when its goroutine makes it: the schedule's own
// lateness, which is the machine's, is not the rival's.
func Open[T any](sig Signal[T], v Variant, l OpenLoad) (Latency, error) {
	out := &sink[T]{delay: l.Delay}
	subject, err := sig.Open(v.Rival, v.Settings, NormalTelemetry, out.consume)
	if err != nil {
		return Latency{}, err
	}
	calls := int(l.PerSecond * l.Lasts.Seconds())
	interval := time.Duration(float64(time.Second) / l.PerSecond)
	payloads := prepare(sig, Load{Calls: calls, Items: l.Items})
	if err := subject.Start(context.Background(), nil); err != nil {
		return Latency{}, err
	}

	took := make([]time.Duration, calls)
	errs := make([]error, calls)
	_, err = measure(func() error {
		var wg sync.WaitGroup
		start := time.Now()
		for i := range calls {
			time.Sleep(time.Until(start.Add(time.Duration(i) * interval)))
			wg.Go(func() {
				called := time.Now()
				errs[i] = subject.Consume(context.Background(), payloads[i])
				took[i] = time.Since(called)
			})
		}
		wg.Wait()
		return errors.Join(append(errs, subject.Shutdown(context.Background()))...)
	})
	if err != nil {
		return Latency{}, fmt.Errorf("%s: %w", v.label(), err)
	}
	slices.Sort(took)
	return Latency{
		P50: took[len(took)/2],
		P99: took[len(took)*99/100],
		Max: took[len(took)-1],
	}, nil
}
