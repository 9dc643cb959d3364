// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestErrsAreThoseOfTheirItems: each caller learns what became of its own items, and each item is counted as what it weighed when it
// was admitted.
func TestErrsAreThoseOfTheirItems(t *testing.T) {
	errBad, errWorse := errors.New("bad"), errors.New("worse")
	for name, c := range map[string]struct {
		answer func(Batch[parcel]) Verdict[parcel]
		want   [4]error // of callers: items 1; 2; 3 and 4; 5. Nobody waits for item 6
		stats  Stats    // forwarded, returned, failed
	}{
		"one of two": {
			func(Batch[parcel]) (v Verdict[parcel]) {
				v.Errs = []error{nil, errBad, nil, errWorse, nil, errBad}
				return v
			},
			[4]error{nil, errBad, errWorse, nil},
			Stats{Forwarded: 1 + 3 + 5, Returned: 2 + 4, Failed: 6},
		},
		"none": {
			func(Batch[parcel]) (v Verdict[parcel]) {
				v.Errs = make([]error, 6)
				return v
			},
			[4]error{},
			Stats{Forwarded: 21},
		},
		"in place of Err and Taken": {
			func(Batch[parcel]) (v Verdict[parcel]) {
				v.Err, v.Taken, v.Errs = errBad, 21, []error{errWorse, nil, nil, nil, nil, nil}
				return v
			},
			[4]error{errWorse, nil, nil, nil},
			Stats{Forwarded: 20, Returned: 1},
		},
		"of another length": {
			func(Batch[parcel]) (v Verdict[parcel]) {
				v.Errs = make([]error, 5)
				return v
			},
			[4]error{errAny, errAny, errAny, errAny},
			Stats{Returned: 15, Failed: 6},
		},
		"and one comes again": {
			func(b Batch[parcel]) (v Verdict[parcel]) {
				if len(b.Items) == 1 {
					return v
				}
				v.Errs = []error{errBad, errBad, nil, nil, nil, errBad}
				v.Rest, v.From = b.Items[1:2], []int{1}
				return v
			},
			[4]error{errBad, nil, nil, nil},
			Stats{Forwarded: 2 + 3 + 4 + 5, Returned: 1, Failed: 6},
		},
		"all come again": {
			func(b Batch[parcel]) (v Verdict[parcel]) {
				if b.Items[0].n == 1 {
					v.Errs = []error{errBad, errBad, errBad, errBad, errBad, errBad}
					v.Rest = b.Items
					v.Rest[0].n = 7
				}
				return v
			},
			[4]error{},
			Stats{Forwarded: 27},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{hold: make(chan struct{})}
				l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
					if b.Items[0].id == 0 {
						return v
					}
					return c.answer(b)
				}
				q := start(t, QueueConfig[parcel]{Process: l.process, Weigh: weighParcel, Capacity: 100})
				push := func(items ...parcel) Result {
					r, err := q.PushResult(bg, items...)
					if err != nil {
						t.Fatal(err)
					}
					return r
				}
				push(parcel{id: 0, n: 1}) // while it is in flight, the others become one batch
				synctest.Wait()
				results := []Result{
					push(parcel{id: 1, n: 1}), push(parcel{id: 2, n: 2}), push(parcel{id: 3, n: 3}, parcel{id: 4, n: 4}), push(parcel{id: 5, n: 5}),
				}
				if err := q.Push(bg, parcel{id: 6, n: 6}); err != nil {
					t.Fatal(err)
				}
				close(l.hold)
				for i, r := range results {
					err := r.Wait(within(time.Minute))
					if ok := errors.Is(err, c.want[i]); !ok && (!errors.Is(c.want[i], errAny) || err == nil) {
						t.Errorf("caller %d: %v, want %v", i, err, c.want[i])
					}
				}
				q.Shutdown(bg)
				st := q.Stats()
				if st.Forwarded != c.stats.Forwarded+1 || st.Returned != c.stats.Returned || st.Failed != c.stats.Failed {
					t.Errorf("%+v, want %+v; %v", st, c.stats, fmt.Sprint(l.all()))
				}
				nothingLeft(t, q)
			})
		})
	}
}

var errAny = errors.New("any")

// TestErrsOfAMapSayWhatIsRemembered: the version of a key that failed is not, so that its repetition is processed.
func TestErrsOfAMapSayWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		r.answer = func(b Batch[kv]) (v Verdict[kv]) {
			if len(b.Items) == 2 {
				v.Errs = []error{errTest, nil}
			}
			return v
		}
		cfg := one(r)
		cfg.Remember = time.Hour
		m := startMap(t, cfg)
		for range 2 {
			if err := m.PutAllNewer(bg, kv{Key: "a", Value: 1, Version: 7}, kv{Key: "b", Value: 2, Version: 7}); err != nil {
				t.Fatal(err)
			}
			if err := m.Flush(bg); err != nil {
				t.Error(err)
			}
		}
		if got := fmt.Sprint(r.batches); got != "[[{a 1 7 0} {b 2 7 0}] [{a 1 7 0}]]" {
			t.Error(got)
		}
		m.Shutdown(bg)
		if st := m.Stats(); st.Forwarded != 2 || st.Failed != 1 || st.Superseded != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestBadItemsDoNotMakeTheirKeyAFailingOne: a key of which something was taken has all consumers.
func TestBadItemsDoNotMakeTheirKeyAFailingOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		bad := 1 // of each batch
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			v.Errs = make([]error, len(b.Items))
			for i := range bad {
				v.Errs[i] = errTest
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Consumers: 4})
		round := func() (calls int) {
			for key := range 4 {
				if err := q.Push(bg, parcel{key: fmt.Sprint(key)}, parcel{key: fmt.Sprint(key)}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			calls = int(q.Stats().Calls)
			for range 4 {
				l.hold <- struct{}{}
			}
			synctest.Wait()
			return calls
		}
		if a, b := round(), round(); a != 4 || b != 4 {
			t.Errorf("one of two is bad: %d and %d calls at once, want 4", a, b)
		}
		bad = 2
		if a, b := round(), round(); a != 4 || b != 2 {
			t.Errorf("both are bad: %d and %d calls at once, want 4 and 2", a, b)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}
