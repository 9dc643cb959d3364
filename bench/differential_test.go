// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// One producer sees from partitionedbuffer what it sees from batchprocessor: the same batches in the same order, item by
// item. batchprocessor is the model; no expectation is written down but its own.
//
// Two differences are deliberate and tested in differences_test.go. The scripts here stay clear of them:
//
//   - The timeout counts from the oldest item, not from a ticker that runs freely. The batches are nevertheless the same
//     when everything that a flush by timeout takes arrived at one instant, and the next input comes later than a timeout
//     after it: then either clock finds the same items, however it was set. So pauses in a script are none or longer than
//     the timeout, and never a multiple of it, where ticker and input would race at the same instant.
//   - Filling goes on during a delivery. That shows in when Consume returns, and in the batches only if the timeout runs
//     out meanwhile; so a slow next consumer comes with a timeout that never does.
//
// Nor does replay let our shutdown_timeout run out, which batchprocessor has no equal of: it waits for ever.
//
// There is a third, which is batchprocessor's defect: splitting a metric, it loses the metric's metadata. No metric here
// has any.

const timeout = 200 * time.Millisecond

func TestSameBatchesAsBatch(t *testing.T) {
	// 25 items in three resources, of which the middle one is larger than the caps below.
	mixed := Request{Resources: []Resource{
		{Name: "a", Schema: "s1", Scopes: []Scope{{Name: "x", Version: "1", Groups: []int{2, 1}}, {Name: "y", Schema: "s2", Groups: []int{2}}}},
		{Name: "b", Scopes: []Scope{{Name: "x", Groups: []int{1, 12, 2}}}},
		{Name: "c", Scopes: []Scope{{Groups: []int{}}, {Name: "z", Groups: []int{5}}}},
	}}
	empty := Request{Resources: []Resource{{Name: "a", Scopes: []Scope{{Name: "x"}}}}}
	repeat := func(n int, r Request) []step { return slices.Repeat([]step{{Request: r}}, n) }

	for name, s := range map[string]script{
		"size trigger":           {Settings: settings(timeout, 30, 0), Steps: repeat(7, mixed)},
		"size trigger, exact":    {Settings: settings(timeout, 30, 0), Steps: repeat(9, Flat(10))},
		"cap":                    {Settings: settings(timeout, 7, 9), Steps: repeat(5, mixed)},
		"cap equals trigger":     {Settings: settings(timeout, 10, 10), Steps: repeat(5, mixed)},
		"request far above cap":  {Settings: settings(timeout, 8, 8), Steps: repeat(2, Flat(1003))},
		"cap of one":             {Settings: settings(timeout, 1, 1), Steps: repeat(2, mixed)},
		"timeout 0":              {Settings: settings(0, 100, 0), Steps: repeat(4, mixed)},
		"timeout 0 with cap":     {Settings: settings(0, 10, 10), Steps: repeat(4, mixed)},
		"size 0":                 {Settings: settings(timeout, 0, 0), Steps: repeat(4, mixed)},
		"size 0 with cap":        {Settings: settings(timeout, 0, 10), Steps: repeat(4, mixed)},
		"size 0 and timeout 0":   {Settings: settings(0, 0, 4), Steps: repeat(4, mixed)},
		"flush on shutdown":      {Settings: settings(timeout, 8192, 0), Steps: repeat(3, mixed)},
		"flush on shutdown, cap": {Settings: settings(timeout, 40, 60), Steps: repeat(5, mixed)},
		"flush by timeout": {Settings: settings(timeout, 8192, 0), Steps: slices.Concat(
			repeat(3, mixed), []step{{Pause: timeout + time.Millisecond, Request: Flat(4)}}, repeat(2, mixed),
		)},
		"empty requests": {Settings: settings(timeout, 30, 0), Steps: slices.Concat(repeat(2, empty), repeat(2, mixed), repeat(1, empty))},
		"only empty":     {Settings: settings(0, 0, 0), Steps: repeat(2, empty)},
		"nothing":        {Settings: settings(timeout, 10, 0)},
		"slow consumer":  {Settings: settings(time.Hour, 20, 30), Steps: repeat(40, mixed), Delay: 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s.AtRest = range []bool{true, false} {
				for signal, problem := range compareAll(t, s) {
					t.Errorf("%s, at rest %t: %s", signal, s.AtRest, problem)
				}
			}
		})
	}
}

// TestFlushesAtTheSameTime: input at the start, where both clocks were set, is flushed at one and the same instant.
func TestFlushesAtTheSameTime(t *testing.T) {
	s := script{Settings: settings(timeout, 8192, 0), AtRest: true, Steps: []step{
		{Request: Flat(10)}, {Request: Flat(5)}, {Pause: timeout + time.Millisecond, Request: Flat(3)},
	}}
	theirs, err := replay(t, testTraces, Batch, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := replay(t, testTraces, Ours, s)
	if err != nil {
		t.Fatal(err)
	}
	if want := times(theirs); !slices.Equal(times(got), want) || want[0] != timeout {
		t.Errorf("flushed at %v, batch at %v", times(got), want)
	}
}

func TestSameBatchesAsBatchRandom(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, sameBatches(t, testTraces)) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, sameBatches(t, testMetrics)) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, sameBatches(t, testLogs)) })
}

func sameBatches[T any](t *testing.T, sig testSignal[T]) func(*rapid.T) {
	return func(rt *rapid.T) {
		s := drawScript(rt)
		if problem := compare(t, sig, s); problem != "" {
			rt.Fatal(problem) // rapid prints what it drew
		}
	}
}

// compareAll yields the signals for which the two differ.
func compareAll(t *testing.T, s script) map[string]string {
	t.Helper()
	problems := map[string]string{
		"traces":  compare(t, testTraces, s),
		"metrics": compare(t, testMetrics, s),
		"logs":    compare(t, testLogs, s),
	}
	for signal, p := range problems {
		if p == "" {
			delete(problems, signal)
		}
	}
	return problems
}

// compare replays a script against both and describes the first difference, if there is one.
func compare[T any](t *testing.T, sig testSignal[T], s script) string {
	t.Helper()
	want, err := replay(t, sig, Batch, s)
	if err != nil {
		return fmt.Sprintf("batch: %v", err)
	}
	got, err := replay(t, sig, Ours, s)
	if err != nil {
		return fmt.Sprintf("ours: %v", err)
	}
	if !slices.Equal(sizes(got), sizes(want)) {
		return fmt.Sprintf("sizes of batches:\n got %v\nwant %v", sizes(got), sizes(want))
	}
	for b := range want {
		for i := range want[b].Items {
			if got[b].Items[i] != want[b].Items[i] {
				return fmt.Sprintf("batch %d, item %d:\n got %s\nwant %s", b, i, got[b].Items[i], want[b].Items[i])
			}
		}
	}
	return ""
}

func settings(timeout time.Duration, size, limit int) Settings {
	return Settings{"timeout": timeout, "send_batch_size": size, "send_batch_max_size": limit}
}

// TestSameNumberOfBatchesAtASteadyRate: what a cut leaves behind is as old as its own first item, so it does not go early.
func TestSameNumberOfBatchesAtASteadyRate(t *testing.T) {
	for name, c := range map[string]struct {
		size, items int
		every       time.Duration
		pushes      int
	}{
		"a batch takes less than the timeout": {8192, 500, 11 * time.Millisecond, 400},
		"a batch takes about the timeout":     {100, 30, 55 * time.Millisecond, 600},
	} {
		t.Run(name, func(t *testing.T) {
			s := script{Settings: settings(timeout, c.size, c.size), AtRest: true}
			for range c.pushes {
				s.Steps = append(s.Steps, step{Pause: c.every, Request: Flat(c.items)})
			}
			count := func(rival Rival) (batches, short int) {
				got, err := replay(t, testLogs, rival, s)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range sizes(got) {
					if n < c.size {
						short++
					}
				}
				return len(got), short
			}
			theirs, theirShort := count(Batch)
			ours, short := count(Ours)
			t.Logf("batch: %d, of which %d are short; ours: %d, %d", theirs, theirShort, ours, short)
			if ours > theirs || short > theirShort {
				t.Errorf("batch makes %d, of which %d are short; ours are %d, %d", theirs, theirShort, ours, short)
			}
		})
	}
}
