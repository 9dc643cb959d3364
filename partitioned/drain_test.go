// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestDrainKeepsTrying until nine tenths of its time are over (I7): what was parked is tried at once, and then after at most a
// quarter of what is left; order per key stays.
func TestDrainKeepsTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back time.Time // when the backend is
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if time.Now().Before(back) {
				v.Rest, v.After = slices.Clone(b.Items), time.Hour
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Interval: time.Millisecond, BatchSize: Weight{Items: 2}})
		back = time.Now().Add(time.Minute + 8*time.Second)
		for id := range 4 {
			if err := q.Push(bg, parcel{key: "k", id: id}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // parked
		begin := time.Now()
		if err := q.Shutdown(within(10 * time.Second)); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 8*time.Second || took > 9*time.Second {
			t.Errorf("it took %v", took)
		}
		at := l.at[1:] // the first call was before
		if !at[0].Equal(begin) {
			t.Errorf("tried %v after Shutdown began", at[0].Sub(begin))
		}
		for i := range at[1:] {
			if left := begin.Add(9 * time.Second).Sub(at[i]); at[i+1].Sub(at[i]) > left/4 {
				t.Errorf("attempt %d came %v after the last, %v were left", i+1, at[i+1].Sub(at[i]), left)
			}
		}
		if got := fmt.Sprint(l.all()[len(l.batches)-2:]); got != "[[0 1] [2 3]]" {
			t.Error(got)
		}
		nothingLeft(t, q)
	})
}

// TestDrainWithoutADeadlineKeepsTrying at least once a second, whatever After says.
func TestDrainWithoutADeadlineKeepsTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(10 * time.Second)
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if time.Now().Before(back) {
				v.Rest, v.After = slices.Clone(b.Items), time.Hour
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Millisecond, BatchSize: Weight{Items: 2}})
		if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := q.Shutdown(bg); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("it took %v", took)
		}
		nothingLeft(t, q)
	})
}

// TestDrainTakesWhatWorksFirst, by key and by partition: a stream whose last call failed waits until nothing else is left.
func TestDrainTakesWhatWorksFirst(t *testing.T) {
	for name, byPartition := range map[string]bool{"keys": false, "partitions": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{}
				var bad string
				l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
					if b.Items[0].key == bad {
						v.Rest, v.After = slices.Clone(b.Items), 10*time.Second
					}
					time.Sleep(time.Millisecond)
					return v
				}
				q := start(t, QueueConfig[parcel]{
					Process: l.process, Key: parcelKey, OrderOnlyByPartition: byPartition, Partitions: 3, Consumers: 1, Interval: time.Hour, BatchSize: Weight{Items: 2},
				})
				keys := keysApart(t, q, "bad", "good1", "good2")
				bad = keys[0]
				if err := q.Push(bg, parcel{key: bad}, parcel{key: bad}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				for _, key := range keys[1:] {
					if err := q.Push(bg, parcel{key: key}); err != nil {
						t.Fatal(err)
					}
				}
				if err := q.Shutdown(within(time.Minute)); !errors.Is(err, ErrDropped) {
					t.Error(err)
				}
				var order []string
				for _, b := range l.batches[1:4] {
					order = append(order, b.Items[0].key)
				}
				if slices.Index(order, bad) != 2 {
					t.Errorf("%v", order)
				}
			})
		})
	}
}

// TestAnswersOfCancelledCallsCount: at nine tenths of the time the contexts are cancelled, and no further call begins. What is left
// at the end is dropped, once.
func TestAnswersOfCancelledCallsCount(t *testing.T) {
	for name, c := range map[string]struct {
		answer  Verdict[parcel]
		ignores bool
		took    time.Duration
		want    Stats
	}{
		"taken":  {Verdict[parcel]{}, false, 9 * time.Second, Stats{Forwarded: 1, Lost: 1}},
		"failed": {Verdict[parcel]{Err: errTest}, false, 9 * time.Second, Stats{Failed: 1, Lost: 1}},
		"again":  {Verdict[parcel]{Rest: []parcel{{key: "a"}}}, false, 9 * time.Second, Stats{Lost: 2}},
		"late":   {Verdict[parcel]{}, true, 10 * time.Second, Stats{Lost: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				calls := 0
				q := start(t, QueueConfig[parcel]{Key: parcelKey, Consumers: 1, Process: func(ctx context.Context, _ Batch[parcel]) Verdict[parcel] {
					calls++
					<-ctx.Done()
					if at := time.Since(begin); at != 9*time.Second {
						t.Errorf("cancelled after %v", at)
					}
					if c.ignores {
						time.Sleep(time.Minute)
					}
					return c.answer
				}})
				if err := q.Push(bg, parcel{key: "a"}, parcel{key: "b"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if err := q.Shutdown(within(10 * time.Second)); !errors.Is(err, ErrDropped) || !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if took := time.Since(begin); took != c.took {
					t.Errorf("it took %v", took)
				}
				time.Sleep(time.Hour)
				st := q.Stats()
				if calls != 1 || st.Forwarded != c.want.Forwarded || st.Failed != c.want.Failed || st.Lost != c.want.Lost {
					t.Errorf("%d calls: %+v", calls, st)
				}
				nothingLeft(t, q)
			})
		})
	}
}
