// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeoutCountsFromTheOldestItem is the first deliberate difference: an item waits for its flush at most the timeout
// and, short of another reason, not less. batch has a ticker that is reset by flushes and else runs freely, so that what
// arrives shortly before it ticks goes out almost alone: half-empty batches.
func TestTimeoutCountsFromTheOldestItem(t *testing.T) {
	s := script{Settings: settings(timeout, 8192, 0), AtRest: true, Steps: []step{
		{Pause: timeout * 9 / 10, Request: Flat(1)}, // the ticker ticks at 1.0 timeouts,
		{Pause: timeout * 5 / 10, Request: Flat(2)}, // at 2.0,
		{Pause: timeout * 7 / 10, Request: Flat(4)}, // now is 2.1; at 3.0
		{Pause: timeout * 10, Request: Flat(8)},     // now is 12.1; at 13.0
		{Pause: timeout * 11 / 10, Request: Flat(16)},
	}}
	for _, tc := range []struct {
		rival Rival
		sizes []int
		times []time.Duration // in tenths of the timeout; the last batch goes out at Shutdown
	}{
		{Batch, []int{1, 2, 4, 8, 16}, []time.Duration{10, 20, 30, 130, 132}},
		{Ours, []int{1 + 2, 4, 8, 16}, []time.Duration{19, 31, 131, 132}},
	} {
		got, err := replay(t, testTraces, tc.rival, s)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tc.times {
			tc.times[i] *= timeout / 10
		}
		if !slices.Equal(sizes(got), tc.sizes) || !slices.Equal(times(got), tc.times) {
			t.Errorf("%s: batches %v at %v, want %v at %v", tc.rival.Name, sizes(got), times(got), tc.sizes, tc.times)
		}
	}
}

// TestFillsDuringDelivery is the second deliberate difference: a caller waits for room only, not for the next consumer.
// batch fills and delivers in one goroutine: behind a delivery wait all callers but as many as there are CPUs, which is
// the length of its channel.
func TestFillsDuringDelivery(t *testing.T) {
	const delay = time.Second
	calls := 2*runtime.NumCPU() + 20
	for _, tc := range []struct {
		rival Rival
		waits bool
	}{{Batch, true}, {Ours, false}} {
		t.Run(tc.rival.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arrived := 0
				subject, err := Traces.Open(tc.rival, settings(timeout, 10, 0), NoTelemetry, sinkAfter(delay, Traces, &arrived))
				if err != nil {
					t.Fatal(err)
				}
				if err := subject.Start(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for i := range calls {
					if err := subject.Consume(t.Context(), Traces.Make(Flat(10), 10*i)); err != nil {
						t.Fatal(err)
					}
				}
				if waited := time.Since(start); (waited > 0) != tc.waits {
					t.Errorf("the callers waited for %v", waited)
				}
				time.Sleep(time.Duration(calls) * delay) // Shutdown is bounded in ours
				if err := subject.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				if arrived != 10*calls {
					t.Errorf("%d of %d items arrived", arrived, 10*calls)
				}
			})
		})
	}
}

// sinkAfter is a next consumer that takes its time and counts. Only one call at a time may be made.
func sinkAfter[T any](delay time.Duration, sig Signal[T], arrived *int) func(context.Context, T) error {
	return func(_ context.Context, data T) error {
		time.Sleep(delay)
		*arrived += sig.Count(data)
		return nil
	}
}
