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

// TestRestAloneIsNotMerged: each item of such a Rest is a batch, at once, in order, before what came meanwhile, also when
// one of them comes back again.
func TestRestAloneIsNotMerged(t *testing.T) {
	for _, consumers := range []int{1, 2} { // ordered, and not
		t.Run(fmt.Sprint(consumers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{}
				l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
					time.Sleep(time.Millisecond)
					switch l.calls() {
					case 1:
						v.Rest, v.Alone = []parcel{{id: 1}, {id: 23, n: 2}}, true
					case 2:
						v.Rest, v.Alone, v.After = slices.Clone(b.Items), true, time.Second
					}
					return v
				}
				q := start(t, QueueConfig[parcel]{Process: l.process, Weigh: weighParcel, Consumers: consumers, Interval: time.Hour, BatchSize: Weight{Items: 3}})
				if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}, parcel{id: 3}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
				if err := q.Push(bg, parcel{id: 4}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got, want := fmt.Sprint(l.all()), "[[1 2 3] [1] [1] [23]]"; got != want {
					t.Errorf("%v, want %v", got, want)
				}
				q.Shutdown(bg)
				if got, want := fmt.Sprint(l.all()), "[[1 2 3] [1] [1] [23] [4]]"; got != want {
					t.Errorf("%v, want %v", got, want)
				}
				nothingLeft(t, q)
			})
		})
	}
}

// TestTakenOfAFailedBatch is forwarded; only the others were returned or dropped.
func TestTakenOfAFailedBatch(t *testing.T) {
	for _, c := range []struct{ taken, forwarded int64 }{{0, 0}, {3, 3}, {5, 5}, {7, 5}, {-1, 0}} {
		q := start(t, QueueConfig[parcel]{Weigh: weighParcel, Process: func(context.Context, Batch[parcel]) Verdict[parcel] {
			return Verdict[parcel]{Err: errTest, Taken: int(c.taken)}
		}})
		if err := q.PushWait(bg, parcel{n: 5}); !errors.Is(err, errTest) {
			t.Error(err)
		}
		if err := q.Push(bg, parcel{n: 5}); err != nil {
			t.Error(err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
		if st := q.Stats(); st.Forwarded != 2*c.forwarded || st.Returned != 5-c.forwarded || st.Failed != 5-c.forwarded {
			t.Errorf("%+v: %+v", c, st)
		}
	}
}

// TestPushResultTellsRefusalFromResult, even where both are the same error; and a single error stays as it is.
func TestPushResultTellsRefusalFromResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[parcel]{Capacity: 1, Overflow: Refuse, Process: func(context.Context, Batch[parcel]) Verdict[parcel] {
			<-hold
			return Verdict[parcel]{Err: ErrFull}
		}})
		r, err := q.PushResult(bg, parcel{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.PushResult(bg, parcel{}); !errors.Is(err, ErrFull) {
			t.Error(err)
		}
		close(hold)
		if err := r.Wait(bg); err != ErrFull { //nolint:errorlint // it is to be the very same
			t.Error(err)
		}
		if r, err := q.PushResult(bg); err != nil || r.Wait(cancelled()) != nil {
			t.Error("of nothing:", err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestLongestWait is that of the common line and of all keys' lines, and of those who still wait.
func TestLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[parcel]{Key: parcelKey, Consumers: 3, Capacity: 3, KeyCapacity: 1, Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
			<-hold
			return v
		}})
		push := func(key string) { go q.Push(bg, parcel{key: key}) }
		expect := func(want time.Duration) {
			t.Helper()
			time.Sleep(time.Second)
			if got := q.LongestWait(); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		push("a")
		expect(0)
		push("a") // waits for room of its key
		expect(time.Second)
		push("b")
		expect(2 * time.Second)
		push("c")
		synctest.Wait()
		push("d") // waits for room in the queue
		expect(3 * time.Second)
		hold <- struct{}{} // of one that is done, whichever
		hold <- struct{}{}
		hold <- struct{}{}
		expect(0)
		close(hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}
