// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// TestPanicCostsItsBatchOnly: its callers get a PanicError, all others their own result.
func TestPanicCostsItsBatchOnly(t *testing.T) {
	l := &recorder{answer: func(b Batch[parcel]) (v Verdict[parcel]) {
		if b.Items[0].id == 3 {
			panic("three")
		}
		return v
	}}
	q := start(t, QueueConfig[parcel]{Process: l.process})
	for id := range 6 {
		err := q.PushWait(bg, parcel{id: id})
		var p *PanicError
		if id == 3 {
			if !errors.As(err, &p) || p.Value != "three" || !strings.Contains(err.Error(), "three") || !strings.Contains(string(p.Stack), "TestPanicCostsItsBatchOnly") {
				t.Errorf("%v", err)
			}
		} else if err != nil {
			t.Errorf("%d: %v", id, err)
		}
	}
	if err := q.Push(bg, parcel{id: 3}); err != nil {
		t.Error(err)
	}
	q.Shutdown(bg)
	nothingLeft(t, q)
	if st := q.Stats(); st.Forwarded != 5 || st.Returned != 1 || st.Failed != 1 {
		t.Errorf("%+v", st)
	}
}

// TestTimeoutRunsFromTheOldestItem, not from the last, nor from the last flush.
func TestTimeoutRunsFromTheOldestItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: 100 * time.Millisecond, BatchSize: Weight{Items: 100}})
		begin := time.Now()
		for _, at := range []int{0, 60, 120, 130, 190, 500} {
			time.Sleep(time.Until(begin.Add(time.Duration(at) * time.Millisecond)))
			if err := q.Push(bg, parcel{id: at}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got, want := fmt.Sprint(l.all()), "[[0 60] [120 130 190] [500]]"; got != want {
			t.Errorf("%v, want %v", got, want)
		}
		for i, want := range []int{100, 220, 600} {
			if got := l.at[i].Sub(begin).Milliseconds(); got != int64(want) || l.batches[i].Reason != ReasonTimeout {
				t.Errorf("batch %d came at %d for %v, want %d", i, got, l.batches[i].Reason, want)
			}
			if age := l.at[i].Sub(l.batches[i].Oldest); age != 100*time.Millisecond {
				t.Errorf("batch %d was %v old", i, age)
			}
		}
		q.Shutdown(bg)
	})
}

// TestOneBatchOfAKeyInFlight: I2, with more consumers than keys, and pushes all the time.
func TestOneBatchOfAKeyInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		cfg      QueueConfig[parcel]
		together int // batches in flight at once, at least
	}{
		"keys":          {QueueConfig[parcel]{Key: parcelKey, Consumers: 8}, 3},
		"one partition": {QueueConfig[parcel]{Key: parcelKey, Consumers: 8, Partitions: 1}, 3},
		"per partition": {QueueConfig[parcel]{Key: parcelKey, Partitions: 1, OrderOnlyByPartition: true}, 1},
		"no key":        {QueueConfig[parcel]{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				inFlight, all, most := map[string]int{}, 0, 0
				last := map[string]int{}
				cfg := c.cfg
				cfg.Interval, cfg.BatchSize = 50*time.Millisecond, Weight{Items: 4}
				cfg.Process = func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
					mu.Lock()
					inFlight[b.Key]++
					all++
					most = max(most, all)
					if inFlight[b.Key] > 1 {
						t.Errorf("I2: %d batches of %q", inFlight[b.Key], b.Key)
					}
					for _, u := range b.Items {
						if u.id <= last[u.key] {
							t.Errorf("I2: %d came after %d", u.id, last[u.key])
						}
						last[u.key] = u.id
					}
					mu.Unlock()
					time.Sleep(30 * time.Millisecond)
					mu.Lock()
					inFlight[b.Key]--
					all--
					mu.Unlock()
					return v
				}
				q := start(t, cfg)
				for id := 1; id <= 300; id++ {
					if err := q.Push(bg, parcel{key: string(rune('a' + id%3)), id: id}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Millisecond)
				}
				q.Shutdown(bg)
				nothingLeft(t, q)
				if most < c.together {
					t.Errorf("%d in flight at most, want %d", most, c.together)
				}
			})
		})
	}
}

func TestUnorderedConsumersRunInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, Consumers: 4, Interval: time.Hour, BatchSize: Weight{Items: 2}})
		if err := q.Push(bg, make([]parcel, 20)...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := q.Stats(); l.calls() != 4 || st.Calls != 4 || st.InFlight != 8 || st.Queued != 12 {
			t.Errorf("%d calls: %+v", l.calls(), st)
		}
		close(l.hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestRestComesFirstAndParked: before all that came meanwhile, not before its time, holding no consumer, and at once when
// Shutdown has begun.
func TestRestComesFirstAndParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if b.Key == "a" && !b.Closing && l.calls() < 8 {
				v.Rest, v.After = slices.Clone(b.Items[1:]), 10*time.Second
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Consumers: 1, Interval: time.Second, BatchSize: Weight{Items: 3}})
		begin := time.Now()
		told := make(chan error, 1)
		go func() {
			told <- q.PushWait(bg, parcel{key: "a", id: 1}, parcel{key: "a", id: 2}, parcel{key: "a", id: 3})
		}()
		synctest.Wait()
		for id := 4; id < 8; id++ { // they neither hasten it nor pass by
			if err := q.Push(bg, parcel{key: "a", id: id}); err != nil {
				t.Fatal(err)
			}
			if err := q.PushWait(bg, parcel{key: "b", id: -id}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		if got, want := fmt.Sprint(l.all()), "[[1 2 3] [-4] [-5] [-6] [-7]]"; got != want {
			t.Errorf("%v, want %v", got, want)
		}
		time.Sleep(3 * time.Second) // 11 s
		synctest.Wait()
		if got := l.all()[5]; !slices.Equal(got, []int{2, 3, 4}) || l.at[5].Sub(begin) != 10*time.Second {
			t.Errorf("%v came after %v", got, l.at[5].Sub(begin))
		}
		if len(told) > 0 {
			t.Error("told, with an item pending")
		}
		if err := q.Shutdown(bg); err != nil || time.Since(begin) != 11*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := <-told; err != nil {
			t.Error(err)
		}
		if got := slices.Concat(l.all()[6:]...); !slices.Equal(got, []int{3, 4, 5, 6, 7}) {
			t.Errorf("at last: %v", got)
		}
		nothingLeft(t, q)
		if st := q.Stats(); st.Retried != 4 {
			t.Errorf("%+v", st)
		}
	})
}

// TestRestWhereThereIsNoOrder is a stream of its own: others go on.
func TestRestWhereThereIsNoOrder(t *testing.T) {
	for _, unit := range []Unit{UnitItems, UnitBytes, UnitRequests} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
				if l.calls() <= 2 {
					v.Err, v.Rest, v.After = errTest, slices.Clone(b.Items[1:]), time.Minute
				}
				return v
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Weigh: weighParcel, Unit: unit, Consumers: 2, Interval: time.Second, BatchSize: Weight{Items: 2}})
			told := make(chan error, 1)
			go func() { told <- q.PushWait(bg, parcel{id: 1, size: 5}, parcel{id: 2, size: 5}) }()
			if err := q.Push(bg, parcel{id: 3}, parcel{id: 4}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if st := q.Stats(); st.Queued != 2 || st.Used == 0 || st.Returned+st.Failed != 2 {
				t.Errorf("%+v", st)
			}
			begin := time.Now()
			if err := q.PushWait(bg, parcel{id: 5}); err != nil || time.Since(begin) > 0 {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			if err := q.Flush(within(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Flush, with two parked: %v", err)
			}
			if err := <-told; !errors.Is(err, errTest) || time.Since(begin) != time.Minute {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestRestOfAnotherWeight: more or less than there was, the accounts are right, and nobody's room is lost.
func TestRestOfAnotherWeight(t *testing.T) {
	for _, n := range []int{1, 5, 50} {
		l := &recorder{}
		l.answer = func(Batch[parcel]) (v Verdict[parcel]) {
			if l.calls() == 1 {
				v.Rest = []parcel{{n: n}, {n: n}}
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Weigh: weighParcel, Capacity: 100})
		if err := q.PushWait(bg, parcel{n: 10}); err != nil {
			t.Fatal(err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
		if st := q.Stats(); st.Forwarded != int64(max(10, 2*n)) || st.Retried != int64(2*n) {
			t.Errorf("n=%d: %+v", n, st)
		}
	}
}

// TestProcessTimeoutEndsTheContext of the call, not of others.
func TestProcessTimeoutEndsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, ProcessTimeout: time.Second})
		begin := time.Now()
		if err := q.PushWait(bg, parcel{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrAbandoned) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		q.Shutdown(bg)
	})
}

// TestAbandonedIsDeliveredAllTheSame: what a batch has when its caller gives up. Its failure counts as dropped, as nobody is there
// to be told.
func TestAbandonedIsDeliveredAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{}), answer: func(Batch[parcel]) Verdict[parcel] { return Verdict[parcel]{Err: errTest} }}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 2}})
		err := q.PushWait(within(time.Second), parcel{id: 1}, parcel{id: 2})
		if !errors.Is(err, ErrAbandoned) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(l.hold)
		q.Shutdown(bg)
		if st := q.Stats(); st.Failed != 2 || st.Returned != 0 || l.calls() != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestResultOfAnItemInSeveralBatches comes with the last of them, and what a cut left behind does not wait anew.
func TestResultOfAnItemInSeveralBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(Batch[parcel]) (v Verdict[parcel]) {
			if time.Sleep(time.Second); l.calls() == 2 {
				v.Err = errTest
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Weigh: weighParcel, Split: splitParcel, Interval: 10 * time.Second,
			BatchSize: Weight{Items: 4}, MaxBatchSize: Weight{Items: 4},
		})
		begin := time.Now()
		if err := q.PushWait(bg, parcel{n: 10}); !errors.Is(err, errTest) || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		if err := q.Push(bg, parcel{n: 5}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if at := l.at[4].Sub(begin); at != 10*time.Second {
			t.Errorf("the rest came after %v", at)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestGoexitCostsItsBatchOnly: a Process that ends its goroutine (t.FailNow does) costs its batch, not the consumer.
func TestGoexitCostsItsBatchOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(Batch[parcel]) (v Verdict[parcel]) {
			if l.calls() == 1 {
				runtime.Goexit()
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process})
		if err := q.PushWait(within(time.Second), parcel{id: 1}); err == nil || errors.Is(err, ErrAbandoned) {
			t.Errorf("the first: %v", err)
		}
		if err := q.PushWait(within(time.Second), parcel{id: 2}); err != nil {
			t.Errorf("the second: %v", err)
		}
		if err := q.Shutdown(within(time.Second)); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// TestNothingDeliveredIsKept: neither an idle consumer nor a buffer keeps what was delivered from the collector.
func TestNothingDeliveredIsKept(t *testing.T) {
	for _, rest := range []bool{false, true} {
		var calls int
		q := start(t, QueueConfig[*[64]int]{
			Process: func(_ context.Context, b Batch[*[64]int]) (v Verdict[*[64]int]) {
				if calls++; calls == 1 && rest {
					v.Rest = slices.Clone(b.Items)
				}
				return v
			},
			Interval: time.Hour, BatchSize: Weight{Items: 10},
		})
		var kept []weak.Pointer[[64]int]
		func() {
			var items []*[64]int
			for range 35 {
				items = append(items, new([64]int))
				kept = append(kept, weak.Make(items[len(items)-1]))
			}
			if err := q.Push(bg, items...); err != nil {
				t.Fatal(err)
			}
		}()
		for q.Stats().Forwarded < 30 {
			runtime.Gosched()
		}
		q.Flush(bg)
		for range 3 {
			runtime.GC()
		}
		left := 0
		for _, w := range kept {
			if w.Value() != nil {
				left++
			}
		}
		if left > 0 {
			t.Errorf("rest=%v: %d of %d delivered items are kept", rest, left, len(kept))
		}
		q.Shutdown(bg)
	}
}
