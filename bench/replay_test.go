// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// script is what one producer does. Every duration in it is of the bubble's fake clock.
type script struct {
	Settings Settings
	Steps    []step
	AtRest   bool          // after each call wait until the processor has nothing left to do
	Delay    time.Duration // how long the next consumer takes for a call
}

// step is a pause, then a call of Consume.
type step struct {
	Pause   time.Duration
	Request Request
}

// delivery is one batch as the next consumer received it.
type delivery struct {
	At    time.Duration // since Start
	Items flat
}

// replay runs a script against a rival, ends with Shutdown, and returns the batches in order. It makes a bubble of its
// own, so nothing in it may fail the test: rapid has to see a failure to shrink it, hence the error.
func replay[T any](t *testing.T, sig testSignal[T], r Rival, s script) (out []delivery, err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		start := time.Now()
		var subject *Subject[T]
		// One consumer, so calls come one at a time and out needs no lock: the race detector would tell.
		set := maps.Clone(s.Settings)
		if r.Name == ours {
			set["shutdown_timeout"] = 24 * time.Hour
		}
		subject, err = sig.Open(r, set, NoTelemetry, func(_ context.Context, data T) error {
			at := time.Since(start)
			time.Sleep(s.Delay)
			out = append(out, delivery{At: at, Items: sig.flatten(data)})
			return nil
		})
		if err != nil {
			return
		}
		if err = subject.Start(context.Background(), nil); err != nil {
			return
		}
		synctest.Wait()
		first := 0
		for i, st := range s.Steps {
			time.Sleep(st.Pause)
			if e := subject.Consume(context.Background(), sig.Make(st.Request, first)); e != nil {
				err = errors.Join(err, fmt.Errorf("call %d: %w", i, e))
			}
			first += st.Request.Items()
			if s.AtRest {
				synctest.Wait()
			}
		}
		err = errors.Join(err, subject.Shutdown(context.Background()))
	})
	return out, err
}

func sizes(ds []delivery) []int {
	out := make([]int, len(ds))
	for i, d := range ds {
		out[i] = len(d.Items)
	}
	return out
}

func times(ds []delivery) []time.Duration {
	out := make([]time.Duration, len(ds))
	for i, d := range ds {
		out[i] = d.At
	}
	return out
}

// testSignal is a signal whose payloads can be compared.
type testSignal[T any] struct {
	Signal[T]
	flatten func(T) flat
}

var (
	testTraces  = testSignal[ptrace.Traces]{Traces, flattenTraces}
	testMetrics = testSignal[pmetric.Metrics]{Metrics, flattenMetrics}
	testLogs    = testSignal[plog.Logs]{Logs, flattenLogs}
)
