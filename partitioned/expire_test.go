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

// born is when a test began to push, and each id came so many seconds later.
func expiresAfter(age time.Duration, born time.Time) func(parcel, time.Time) bool {
	return func(p parcel, now time.Time) bool {
		return now.Sub(born.Add(time.Duration(p.id)*time.Second)) > age
	}
}

// TestExpiredItemsLeaveWhenTheirTurnComes: the others make a full batch in their order, capacity is free for those who wait, and each
// caller is told once. What is in flight stays.
func TestExpiredItemsLeaveWhenTheirTurnComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		var dropped []string
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Capacity: 6, Interval: time.Hour, BatchSize: Weight{Items: 2},
			Expired: expiresAfter(10*time.Second, time.Now()),
			Dropped: func(p parcel, reason error) { dropped = append(dropped, fmt.Sprint(p.id, " ", reason)) },
		})
		q.Push(bg, parcel{id: 0}, parcel{id: 0})
		synctest.Wait() // in flight
		told := make(chan error, 2)
		go func() { told <- q.PushWait(bg, parcel{id: 1}, parcel{id: 2}, parcel{id: 20}) }()
		synctest.Wait()
		q.Push(bg, parcel{id: 21})
		go func() { told <- q.Push(bg, parcel{id: 22}, parcel{id: 23}) }() // waits for capacity
		time.Sleep(15 * time.Second)
		if st := q.Stats(); st.Callers != 1 || st.Queued != 4 {
			t.Errorf("%+v", st)
		}
		l.hold <- struct{}{}
		synctest.Wait()
		if err := <-told; err != nil {
			t.Errorf("the one who waits for capacity: %v", err)
		}
		if st := q.Stats(); st.Expired != 2 || st.Queued != 2 || st.InFlight != 2 {
			t.Errorf("%+v", st)
		}
		conserved(t, q.Stats())
		close(l.hold)
		if err := <-told; err != ErrExpired { //nolint:errorlint // once, and as it is
			t.Errorf("told %v", err)
		}
		q.Shutdown(bg)
		if got := fmt.Sprint(l.all()); got != "[[0 0] [20 21] [22 23]]" {
			t.Error(got)
		}
		if got := fmt.Sprint(dropped); got != "[1 partitioned: dropped, expired 2 partitioned: dropped, expired]" {
			t.Error(got)
		}
		nothingLeft(t, q)
	})
}

// TestExpiredRestIsNotTriedAgain.
func TestExpiredRestIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{answer: func(b Batch[parcel]) Verdict[parcel] {
			return Verdict[parcel]{Rest: slices.Clone(b.Items), Groups: []int{len(b.Items)}, After: 4 * time.Second}
		}}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 2},
			Expired: expiresAfter(10*time.Second, time.Now()),
		})
		q.Push(bg, parcel{id: 0}, parcel{id: 3})
		time.Sleep(time.Minute)
		if got := fmt.Sprint(l.all()); got != "[[0 3] [0 3] [0 3] [3]]" {
			t.Error(got)
		}
		if st := q.Stats(); st.Expired != 2 {
			t.Errorf("%+v", st)
		}
		nothingLeft(t, q)
		q.Shutdown(bg)
	})
}

// TestPanicOfExpiredCostsItsItem (I8).
func TestPanicOfExpiredCostsItsItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		q := start(t, QueueConfig[parcel]{Process: l.process, Expired: func(p parcel, _ time.Time) bool {
			if p.id == 1 {
				panic("one")
			}
			return false
		}})
		err := q.PushWait(bg, parcel{id: 1})
		if p := (*PanicError)(nil); !errors.As(err, &p) || p.Value != "one" {
			t.Errorf("told %v", err)
		}
		if err := q.PushWait(bg, parcel{id: 2}); err != nil {
			t.Error(err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestExpiredVersionIsNotRemembered: an older value of the key is taken after it.
func TestExpiredVersionIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		m, err := NewUnstartedMap(MapQueueConfig[string, int]{
			QueueConfig: QueueConfig[Entry[string, int]]{
				Process: func(_ context.Context, b Batch[Entry[string, int]]) (v Verdict[Entry[string, int]]) {
					for _, e := range b.Items {
						got = append(got, fmt.Sprint(e.Key, e.Value))
					}
					return v
				},
				Interval: time.Second, BatchSize: Weight{Items: NoTrigger},
				Expired: func(e Entry[string, int], _ time.Time) bool { return e.Value == 1 },
			},
			Remember: time.Hour,
		})
		if err != nil || m.Start() != nil {
			t.Fatal(err)
		}
		m.PutNewer(bg, "a", 1, 10)
		time.Sleep(2 * time.Second)
		m.PutNewer(bg, "a", 2, 5)
		time.Sleep(2 * time.Second)
		m.PutNewer(bg, "a", 3, 5)
		m.Shutdown(bg)
		if fmt.Sprint(got) != "[a2]" {
			t.Error(got)
		}
		if st := m.Stats(); st.Expired != 1 || st.Superseded != 1 || st.Remembered != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestShutdownCountsWhatACutDropped once: its deadline is over while Expired is asked.
func TestShutdownCountsWhatACutDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[parcel]{Process: (&recorder{}).process, Expired: func(parcel, time.Time) bool {
			<-hold
			return true
		}})
		told := make(chan error, 1)
		go func() { told <- q.PushWait(bg, parcel{}) }()
		synctest.Wait()
		q.Shutdown(within(time.Second))
		close(hold)
		if err := <-told; !errors.Is(err, ErrDropped) {
			t.Errorf("told %v", err)
		}
		synctest.Wait()
		if st := q.Stats(); st.Lost != 1 || st.Expired != 0 {
			t.Errorf("%+v", st)
		}
		nothingLeft(t, q)
	})
}
