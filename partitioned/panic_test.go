// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestPanicOfMergeCostsItsEntry: what is held stays, who waits is told, and no lock stays held (I8).
func TestPanicOfMergeCostsItsEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		var heard []*PanicError
		cfg := one(r)
		cfg.Merge = func(held, added kv) int {
			if added.Value < 0 {
				panic("negative")
			}
			return held.Value + added.Value
		}
		cfg.Observer = &Observer{Panicked: func(_ string, err *PanicError) { heard = append(heard, err) }}
		m := startMap(t, cfg)
		if err := errors.Join(m.Merge(bg, "a", 1), m.Merge(bg, "a", -1), m.Merge(bg, "a", 2)); err != nil {
			t.Fatal(err)
		}
		res, err := m.MergeAllResult(bg, kv{Key: "b", Value: 5}, kv{Key: "a", Value: -5})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var p *PanicError
		if err := res.Wait(within(time.Second)); !errors.As(err, &p) || p.Func != "Merge" || p.Value != "negative" || len(p.Stack) == 0 {
			t.Errorf("%v", err)
		}
		m.Shutdown(bg)
		if got := fmt.Sprint(r.batches); got != "[[{a 3 0 1} {b 5 0 0}]]" {
			t.Error(got)
		}
		if st := m.Stats(); st.Failed != 1 || st.Returned != 1 || st.Superseded != 1 || st.Forwarded != 2 || st.Used != 0 {
			t.Errorf("%+v", st)
		}
		if len(heard) != 2 {
			t.Errorf("the Observer heard of %d", len(heard))
		}
		nothingLeft(t, &m.queue)
	})
}

// TestPanicOfSplitAndWeighCostsNothingElse: the item goes whole, and weighs what it did.
func TestPanicOfSplitAndWeighCostsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		heard := 0
		badWeight := false
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if b.Items[0].id == 3 && !badWeight {
				badWeight = true
				v.Rest = b.Items
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, BatchSize: Weight{Items: 4}, MaxBatchSize: Weight{Items: 4}, Interval: time.Second,
			Weigh: func(u parcel) Weight {
				if badWeight && u.id == 3 {
					panic("weighs nothing")
				}
				return weighParcel(u)
			},
			Split: func(u parcel, room Weight) (head, tail parcel, ok bool) {
				if u.id == 1 {
					panic("cannot")
				}
				return splitParcel(u, room)
			},
			Observer: &Observer{Panicked: func(string, *PanicError) { heard++ }},
		})
		if err := q.Push(bg, parcel{id: 1, n: 9}, parcel{id: 2, n: 4}, parcel{id: 3, n: 2}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		q.Shutdown(bg)
		if got := fmt.Sprint(l.all()); got != "[[1] [2] [3] [3]]" {
			t.Error(got)
		}
		if heard == 0 {
			t.Error("the Observer did not hear of it")
		}
		conserved(t, q.Stats())
		if st := q.Stats(); st.Used != 0 || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestPanicOfKeyAndWeighIsThePushers, and leaves nothing behind.
func TestPanicOfKeyAndWeighIsThePushers(t *testing.T) {
	for name, cfg := range map[string]QueueConfig[parcel]{
		"Key":   {Key: func(u parcel) string { panic("no key") }},
		"Weigh": {Key: parcelKey, Weigh: func(u parcel) Weight { panic("no weight") }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Process, cfg.MaxKeys = Plain(func(context.Context, []parcel) error { return nil }), 1
			q := start(t, cfg)
			func() {
				defer func() {
					if recover() == nil {
						t.Error("nobody hears of it")
					}
				}()
				_ = q.Push(bg, parcel{key: "a"}, parcel{key: "b"})
			}()
			nothingLeft(t, q)
			q.Shutdown(bg)
		})
	}
}

// TestWeightCountsAsItWasAdmitted, whatever Weigh says of the item later.
func TestWeightCountsAsItWasAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		weight := 5
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Consumers: 1, Interval: time.Hour, BatchSize: Weight{Items: 5},
			Weigh: func(parcel) Weight { return Weight{Items: weight} }, Capacity: 100, Overflow: OverflowDropOldest,
		})
		for id := range 12 { // six are dropped for others
			if err := q.Push(bg, parcel{id: id}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			weight = 5 + id%3
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
		if st := q.Stats(); st.Evicted+st.Forwarded != st.Accepted || st.Evicted == 0 {
			t.Errorf("%+v", st)
		}
	})
}
