// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestUpdateChangesWhatIsNamed, and nothing else; with the original what was not named got its default.
func TestUpdateChangesWhatIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		var deadlines []time.Duration
		cfg := QueueConfig[parcel]{
			Process: func(ctx context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				d, ok := ctx.Deadline()
				if !ok {
					t.Error("no ProcessTimeout")
				}
				deadlines = append(deadlines, time.Until(d))
				return l.process(ctx, b)
			},
			Interval: time.Minute, BatchSize: Weight{Items: 3}, MaxBatchSize: Weight{Items: 4}, ProcessTimeout: time.Hour,
		}
		q := start(t, cfg)
		push := func(n int) {
			t.Helper()
			for range n {
				if err := q.Push(bg, parcel{}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		sizes := func() (all []int) {
			for _, b := range l.all() {
				all = append(all, len(b))
			}
			return all
		}
		change := func(c Change) {
			t.Helper()
			if err := q.Update(c); err != nil {
				t.Fatal(err)
			}
		}
		check := func(want ...int) {
			t.Helper()
			if got := sizes(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("batches of %v, want %v", got, want)
			}
		}
		two, four := Weight{Items: 2}, Weight{Items: 4}
		second, hour := time.Second, 2*time.Hour
		push(3)
		check(3)
		change(Change{BatchSize: &two})
		push(3) // two, and one that waits for a minute, as before
		time.Sleep(59 * time.Second)
		check(3, 2)
		time.Sleep(time.Second)
		synctest.Wait()
		check(3, 2, 1)
		change(Change{Interval: &second})
		push(3)
		time.Sleep(time.Second)
		synctest.Wait()
		check(3, 2, 1, 2, 1)
		change(Change{ProcessTimeout: &hour})
		change(Change{BatchSize: &four}) // MaxBatchSize is 4 still
		push(5)
		check(3, 2, 1, 2, 1, 4)
		q.Shutdown(bg)
		check(3, 2, 1, 2, 1, 4, 1)
		if deadlines[4] != time.Hour || deadlines[5] != 2*time.Hour {
			t.Errorf("%v", deadlines)
		}
		conserved(t, q.Stats())
	})
}

// TestUpdatesStarveNobody: deadlines run on; with the original each call began them anew.
func TestUpdatesStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		q := start(t, QueueConfig[parcel]{Process: l.process, Partitions: 3, Interval: time.Second, BatchSize: Weight{Items: 100}})
		begin := time.Now()
		for id := range 3 {
			if err := q.Push(bg, parcel{id: id}); err != nil {
				t.Fatal(err)
			}
		}
		for range 30 {
			interval := time.Second
			if err := q.Update(Change{Interval: &interval}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if l.calls() != 3 {
			t.Fatalf("%d calls after three intervals", l.calls())
		}
		for _, at := range l.at {
			if took := at.Sub(begin); took != time.Second {
				t.Errorf("waited for %v", took)
			}
		}
		q.Shutdown(bg)
	})
}

// TestUpdateMovesDeadlinesThatRun, both ways, and makes due at once what has reached a new size or waited for longer.
func TestUpdateMovesDeadlinesThatRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Change)
		want   time.Duration // from the push
	}{
		{"shorter", func(c *Change) { d := 3 * time.Second; c.Interval = &d }, 3 * time.Second},
		{"over", func(c *Change) { d := time.Second; c.Interval = &d }, 2 * time.Second},
		{"longer", func(c *Change) { d := time.Minute; c.Interval = &d }, time.Minute},
		{"none, which a Flush ends", func(c *Change) { d := time.Duration(0); c.Interval = &d }, 122 * time.Second},
		{"smaller", func(c *Change) { c.BatchSize = &Weight{Items: 2} }, 2 * time.Second},
		{"larger", func(c *Change) { c.BatchSize = &Weight{Items: 2000} }, 10 * time.Second},
		{"nothing", func(*Change) {}, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{}
				q := start(t, QueueConfig[parcel]{
					Process: l.process, Key: parcelKey, Interval: 10 * time.Second, BatchSize: Weight{Items: 1000},
				})
				begin := time.Now()
				for range 2 {
					if err := q.Push(bg, parcel{key: "a"}, parcel{key: "b"}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Second)
				var change Change
				c.change(&change)
				if err := q.Update(change); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				if change.Interval != nil && *change.Interval == 0 {
					q.Flush(bg)
				}
				if st := q.Stats(); st.Forwarded != 4 {
					t.Errorf("%+v", st)
				}
				for _, at := range l.at {
					if took := at.Sub(begin); took != c.want {
						t.Errorf("waited for %v, want %v", took, c.want)
					}
				}
				q.Shutdown(bg)
			})
		})
	}
}

// TestUpdateIsAllOrNothing: an error names the field, and the queue is as it was.
func TestUpdateIsAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 2}})
		minus, ten, five := -time.Second, Weight{Items: 10}, Weight{Items: 5}
		for want, c := range map[string]Change{
			"Interval":       {BatchSize: &ten, Interval: &minus},
			"ProcessTimeout": {BatchSize: &ten, ProcessTimeout: &minus},
			"MaxBatchSize":   {BatchSize: &ten, MaxBatchSize: &five},
		} {
			if err := q.Update(c); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
		q.Push(bg, parcel{}, parcel{}, parcel{}, parcel{})
		synctest.Wait()
		if got := fmt.Sprint(l.all()); got != "[[0 0] [0 0]]" {
			t.Error(got)
		}
		q.Shutdown(bg)
		if err := q.Update(Change{BatchSize: &ten}); err != nil { // changes nothing any more, and harms nothing
			t.Error(err)
		}
	})
}
