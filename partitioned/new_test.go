// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestZeroValuesOfConfig: a size alone gathers until the size, an interval alone until the interval, and nothing at all makes
// batches of what is there.
func TestZeroValuesOfConfig(t *testing.T) {
	byTwo := func(int) int { return 2 }
	for name, c := range map[string]struct {
		cfg          Config[int]
		calls, later string // after the pushes; and a day later
	}{
		"neither":           {Config[int]{}, "[1 9]", "[1 9]"},
		"size":              {Config[int]{Size: 4}, "[4 4]", "[4 4]"},
		"interval":          {Config[int]{Interval: time.Hour}, "[]", "[10]"},
		"size and interval": {Config[int]{Size: 4, Interval: time.Hour}, "[4 4]", "[4 4 2]"},
		"bytes":             {Config[int]{Bytes: byTwo, MaxBytes: 7}, "[3 3 3]", "[3 3 3]"},
		"one by one":        {Config[int]{Size: 1}, "[1 1 1 1 1 1 1 1 1 1]", "[1 1 1 1 1 1 1 1 1 1]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex // guards calls
				calls := []int{}
				called := func() string {
					mu.Lock()
					defer mu.Unlock()
					return fmt.Sprint(calls)
				}
				q, err := New(func(_ context.Context, items []int) error {
					mu.Lock()
					calls = append(calls, len(items))
					mu.Unlock()
					time.Sleep(time.Minute)
					return nil
				}, c.cfg)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 10 {
					q.Push(bg, i)
					synctest.Wait() // the first is in Process, if it is due
				}
				time.Sleep(30 * time.Minute)
				if got := called(); got != c.calls {
					t.Errorf("%v, want %v", got, c.calls)
				}
				time.Sleep(24 * time.Hour)
				if got := called(); got != c.later {
					t.Errorf("a day later %v, want %v", got, c.later)
				}
				q.Shutdown(bg)
				if st := q.Stats(); st.Forwarded != 10 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestWithoutIntervalNoTimerIsSet: a program under test that waits for ever is found to, instead of being woken in a hundred years.
func TestWithoutIntervalNoTimerIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		q, err := New(func(context.Context, []int) error { calls++; return nil }, Config[int]{Size: 4})
		if err != nil {
			t.Fatal(err)
		}
		q.Push(bg, 1)
		time.Sleep(250 * 365 * 24 * time.Hour)
		if synctest.Wait(); calls != 0 {
			t.Error("flushed without a size or an interval")
		}
		interval := time.Second
		if err := q.Update(Change{Interval: &interval}); err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); calls != 1 {
			t.Error("an Interval that was set later is over, and nothing was flushed")
		}
		q.Shutdown(bg)
	})
}

func TestNewMapRuns(t *testing.T) {
	var got [][]Entry[string, int]
	m, err := NewMap(func(_ context.Context, entries []Entry[string, int]) error {
		got = append(got, entries)
		return nil
	}, MapConfig[string, int]{
		Size: 2, Interval: time.Hour,
		Merge: func(held, added Entry[string, int]) int { return held.Value + added.Value },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a", "b"} {
		m.Merge(bg, key, 1)
	}
	if err := m.Shutdown(bg); err != nil {
		t.Fatal(err)
	}
	if want := "[[{a 2 0 1} {b 1 0 0}]]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestContradictionsAreRefused: what contradicts itself, and what has no effect, is an error that names the field.
func TestContradictionsAreRefused(t *testing.T) {
	key := func(int) string { return "" }
	split := func(i int, _ Weight) (int, int, bool) { return i, i, false }
	weigh := func(int) Weight { return Weight{Items: 1, Bytes: 1} }
	for field, cfg := range map[string]QueueConfig[int]{
		"Interval is 0":           {BatchSize: Weight{Items: NoTrigger}},
		"BatchSize.Bytes 5":       {BatchSize: Weight{Bytes: 5}},
		"MaxBatchSize.Bytes 5":    {MaxBatchSize: Weight{Bytes: 5}},
		"MaxBatchSize":            {BatchSize: Weight{Items: 5}, MaxBatchSize: Weight{Items: 4}},
		"Split":                   {Split: split, BatchSize: Weight{Items: 5}},
		"Split needs a Weigh":     {Split: split, MaxBatchSize: Weight{Items: 5}},
		"UnitBytes":               {Unit: UnitBytes, Capacity: 5},
		"Overflow 1":              {Overflow: OverflowRefuse},
		"Overflow 2":              {Overflow: OverflowDropOldest},
		"StallTimeout 1s":         {Key: key, StallTimeout: time.Second},
		"StallTimeout 2s":         {StallTimeout: 2 * time.Second, Capacity: 1},
		"KeyCapacity 6":           {Key: key, KeyCapacity: 6, Capacity: 5},
		"KeyCapacity 7":           {KeyCapacity: 7, Capacity: 9},
		"MaxKeys 3":               {MaxKeys: 3},
		"Consumers 3":             {Partitions: 2, Consumers: 3},
		"Consumers 4":             {Partitions: 2, Consumers: 4, Key: key, OrderOnlyByPartition: true},
		"OrderOnlyByPartition":    {OrderOnlyByPartition: true},
		"Interval is negative":    {Interval: -1},
		"Capacity is negative: -": {Capacity: -1},
		"unknown Unit: 9":         {Unit: 9},
		"unknown Overflow: 9":     {Overflow: 9},
	} {
		cfg.Process = Plain(func(context.Context, []int) error { return nil })
		_, err := NewUnstarted(cfg)
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, cfg := range []QueueConfig[int]{
		{},
		{Unit: UnitBytes, Weigh: weigh},
		{Interval: time.Second},
		{MaxBatchSize: Weight{Items: 3}},
		{MaxBatchSize: Weight{Items: 3}, Split: split, Weigh: weigh},
		{Consumers: 3},
		{Key: key, OrderOnlyByPartition: true, Partitions: 2},
	} {
		cfg.Process = Plain(func(context.Context, []int) error { return nil })
		if _, err := NewUnstarted(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	for field, cfg := range map[string]MapQueueConfig[int, int]{
		"MaxRemembered 5": {MaxRemembered: 5},
		"Consumers 3":     {QueueConfig: QueueConfig[Entry[int, int]]{Partitions: 2, Consumers: 3}},
	} {
		cfg.Process = Plain(func(context.Context, []Entry[int, int]) error { return nil })
		_, err := NewUnstartedMap(cfg)
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
