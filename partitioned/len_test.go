// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestLenTakesNoLock, and allocates nothing: somebody may ask all the time, for whom no push waits.
func TestLenTakesNoLock(t *testing.T) {
	l := &recorder{}
	q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Partitions: 4, Interval: time.Hour})
	if err := q.Push(bg, parcel{key: "a"}, parcel{key: "b"}, parcel{key: "c"}); err != nil {
		t.Fatal(err)
	}
	q.waitList.mu.Lock()
	for _, p := range q.partitions {
		p.mu.Lock()
	}
	queued, inFlight := q.Len()
	allocs := testing.AllocsPerRun(100, func() { q.Len() })
	for _, p := range q.partitions {
		p.mu.Unlock()
	}
	q.waitList.mu.Unlock()
	if queued != 3 || inFlight != 0 || allocs > 0 {
		t.Errorf("%d and %d, %v allocations", queued, inFlight, allocs)
	}
	q.Shutdown(bg)
	nothingLeft(t, q)
}

// TestLenIsWhatStatsSays, whatever Capacity counts, with items that are split, come again, are restored and are withdrawn.
func TestLenIsWhatStatsSays(t *testing.T) {
	for _, unit := range []Unit{UnitItems, UnitBytes, UnitRequests} {
		t.Run(fmt.Sprint(unit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{hold: make(chan struct{})}
				l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
					if b.Items[0].id == 1 {
						v.Rest, v.After = slices.Clone(b.Items[:1]), time.Minute
						v.Rest[0].id = 2
					}
					return v
				}
				q := start(t, QueueConfig[parcel]{
					Process: l.process, Key: parcelKey, Partitions: 2, Consumers: 2, Weigh: weighParcel, Split: splitParcel, Unit: unit,
					Interval: time.Hour, MaxBatchSize: Weight{Items: 4}, Capacity: 100, KeyCapacity: 50,
				})
				check := func(when string) {
					t.Helper()
					synctest.Wait()
					queued, inFlight := q.Len()
					if st := q.Stats(); int64(queued) != st.Queued || int64(inFlight) != st.InFlight || queued+inFlight == 0 {
						t.Errorf("%s: %d and %d, %+v", when, queued, inFlight, st)
					}
				}
				if err := q.Restore(parcel{key: "r", n: 60}); err != nil {
					t.Fatal(err)
				}
				check("restored")
				if err := q.Push(bg, parcel{key: "a", id: 1, n: 3, size: 10}, parcel{key: "a", n: 7, size: 10}); err != nil {
					t.Fatal(err)
				}
				check("in flight")
				ctx := within(time.Second)
				go q.PushWait(ctx, parcel{key: "b", n: 5})
				check("awaited")
				time.Sleep(2 * time.Second)
				check("withdrawn")
				for range 3 {
					l.hold <- struct{}{}
					check("settled")
				}
				time.Sleep(2 * time.Minute)
				check("it came again")
				close(l.hold)
				q.Shutdown(bg)
				nothingLeft(t, q)
			})
		})
	}
}
