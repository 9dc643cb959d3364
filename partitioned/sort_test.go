// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestSortOrdersABatch, stably, and what is said of an item by its index is said of the same item: errors, what comes again, weights.
func TestSortOrdersABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if len(b.Items) < 5 {
				return v
			}
			v.Errs = make([]error, len(b.Items))
			for i, u := range b.Items {
				switch u.id {
				case 3:
					v.Errs[i] = errTest
				case 4:
					v.Rest, v.From = b.Items[i:i+1], []int{i}
				}
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Weigh: weighParcel, MaxBatchSize: Weight{Items: 100},
			Sort: func(a, b parcel) int { return cmp.Compare(a.key, b.key) },
		})
		push := func(items ...parcel) Result {
			r, err := q.PushResult(bg, items...)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		results := []Result{push(parcel{id: 0, n: 1})} // while it is in flight, the others become one batch
		synctest.Wait()
		results = append(results, push(parcel{id: 1, key: "b", n: 1}), push(parcel{id: 2, key: "c", n: 2}, parcel{id: 3, key: "a", n: 3}),
			push(parcel{id: 4, key: "a", n: 4}), push(parcel{id: 5, key: "b", n: 5}))
		close(l.hold)
		for i, r := range results {
			if err := r.Wait(within(time.Minute)); errors.Is(err, errTest) != (i == 2) || err != nil && i != 2 {
				t.Errorf("caller %d: %v", i, err)
			}
		}
		q.Shutdown(bg)
		if got := fmt.Sprint(l.all()); got != "[[0] [3 4 1 5 2] [4]]" {
			t.Error(got)
		}
		if st := q.Stats(); st.Returned != 3 || st.Forwarded != 13 || st.Retried != 4 {
			t.Errorf("%+v", st)
		}
		nothingLeft(t, q)
	})
}

// TestPanicOfSortLeavesTheBatchAsItWas.
func TestPanicOfSortLeavesTheBatchAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, heard := &recorder{}, ""
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Sort: func(parcel, parcel) int { panic("no order") },
			Observer: &Observer{Panicked: func(_ string, err *PanicError) { heard = err.Func }},
		})
		if err := q.PushWait(bg, parcel{id: 2}, parcel{id: 1}); err != nil {
			t.Error(err)
		}
		q.Shutdown(bg)
		if got := fmt.Sprint(l.all()); got != "[[2 1]]" || heard != "Sort" {
			t.Error(got, heard)
		}
	})
}

// TestDiscardDropsOneKey: what is pending of it and in no batch, for which callers wait too. Other keys go on, and who waits for
// capacity gets it.
func TestDiscardDropsOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		var reasons []error
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Weigh: weighParcel, Consumers: 1, Capacity: 30,
			Dropped: func(_ parcel, reason error) { reasons = append(reasons, reason) },
		})
		if err := q.Push(bg, parcel{id: 1, key: "a"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight
		if err := errors.Join(q.Push(bg, parcel{id: 2, key: "a", n: 3}), q.Push(bg, parcel{id: 3, key: "b"})); err != nil {
			t.Fatal(err)
		}
		result, err := q.PushResult(bg, parcel{id: 4, key: "a", n: 4})
		if err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error)
		go func() { waiting <- q.Push(bg, parcel{id: 5, key: "a", n: 9}) }()
		synctest.Wait()
		if st := q.Stats(); st.Callers != 1 {
			t.Fatalf("%+v", st)
		}
		if n := q.Discard("a"); n != 7 {
			t.Errorf("%d items", n)
		}
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		if err := result.Wait(within(time.Second)); !errors.Is(err, ErrDiscarded) {
			t.Error(err)
		}
		if n := q.Discard("none") + q.Discard(""); n != 0 {
			t.Errorf("%d items of no key", n)
		}
		close(l.hold)
		q.Shutdown(bg)
		if got := fmt.Sprint(l.all()); got != "[[1] [3] [5]]" && got != "[[1] [5] [3]]" {
			t.Error(got)
		}
		if st := q.Stats(); st.Evicted != 7 || len(reasons) != 2 || !errors.Is(reasons[0], ErrDiscarded) {
			t.Errorf("%+v, %v", st, reasons)
		}
		nothingLeft(t, q)
		if n := q.Discard("a"); n != 0 {
			t.Errorf("%d items after Shutdown", n)
		}
	})
}
