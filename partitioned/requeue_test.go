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

// TestGroupsAreNotMerged: each group of a Rest is a batch, at once, in order, before what came meanwhile, also when
// one of them comes back again.
func TestGroupsAreNotMerged(t *testing.T) {
	for _, consumers := range []int{1, 2} { // ordered, and not
		t.Run(fmt.Sprint(consumers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{}
				l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
					time.Sleep(time.Millisecond)
					switch l.calls() {
					case 1:
						v.Rest, v.Groups = []parcel{{id: 1}, {id: 23, n: 2}}, []int{1, 1}
					case 2:
						v.Rest, v.Groups, v.After = slices.Clone(b.Items), []int{len(b.Items)}, time.Second
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

// TestGroupsAreBatches: a group is one batch, whatever BatchSize is, and what is beyond the groups is as any other item.
func TestGroupsAreBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if l.calls() == 1 {
				v.Rest, v.Groups = slices.Clone(b.Items), []int{3, 1, -1}
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Second, BatchSize: Weight{Items: 6}})
		push := func(ids ...int) {
			for _, id := range ids {
				if err := q.Push(bg, parcel{id: id}); err != nil {
					t.Fatal(err)
				}
			}
		}
		push(1, 2, 3, 4, 5, 6)
		synctest.Wait()
		push(7)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, want := fmt.Sprint(l.all()), "[[1 2 3 4 5 6] [1 2 3] [4] [5 6 7]]"; got != want {
			t.Errorf("%v, want %v", got, want)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestFromTellsWhoWaitsForWhat: of two callers in one batch, each learns of its own item only, however often that comes again.
func TestFromTellsWhoWaitsForWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[parcel]{
			Weigh: weighParcel, Interval: time.Second, BatchSize: Weight{Items: 100},
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				switch ids := fmt.Sprint(b.Items); {
				case b.Items[0].id == 0: // opens
					<-hold
				case len(b.Items) == 2: // good and bad: each alone, bad in two parts
					good, bad := b.Items[0], b.Items[1]
					if bad.id != 2 {
						t.Errorf("%v", ids)
					}
					v.Rest, v.From, v.Groups = []parcel{good, {id: 2, n: 1}, {id: 2, n: 1}}, []int{0, 1, 1}, []int{1, 1, 1}
					v.Err = ErrFull // concerns nobody
				case b.Items[0].id == 2:
					v.Err = errTest
				}
				return v
			},
		})
		results := map[int]chan error{}
		push := func(id, n int) {
			results[id] = make(chan error, 1)
			go func() { results[id] <- q.PushWait(bg, parcel{id: id, n: n}) }()
			synctest.Wait()
		}
		push(0, 1)
		push(1, 1)
		push(2, 2)
		close(hold)
		synctest.Wait()
		if err := <-results[1]; err != nil {
			t.Errorf("the good one's caller is told %v", err)
		}
		if err := <-results[2]; !errors.Is(err, errTest) || errors.Is(err, ErrFull) {
			t.Errorf("the bad one's caller is told %v", err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
		if st := q.Stats(); st.Forwarded != 2 || st.Returned != 2 || st.Retried != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// TestFromThatMakesNoSense counts as none: who waits for the batch waits for all of Rest, and nothing breaks.
func TestFromThatMakesNoSense(t *testing.T) {
	for _, from := range [][]int{{}, {0, 0}, {-1}, {1}} {
		calls := 0
		q := start(t, QueueConfig[parcel]{Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
			if calls++; calls == 1 {
				v.Rest, v.From = slices.Clone(b.Items), from
			}
			return v
		}})
		if err := q.PushWait(bg, parcel{id: 1}); err != nil {
			t.Error(from, err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
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
		q := start(t, QueueConfig[parcel]{Capacity: 1, Overflow: OverflowRefuse, Process: func(context.Context, Batch[parcel]) Verdict[parcel] {
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

// TestRestHoldsRoomForEachOfItsItems: the queue is not empty while the second item of a Rest is pending, however room is
// counted.
func TestRestHoldsRoomForEachOfItsItems(t *testing.T) {
	for _, unit := range []Unit{UnitItems, UnitRequests} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
				switch l.calls() {
				case 1: // halve it
					v.Rest = []parcel{{id: 1, n: 1}, {id: 2, n: 1}}
				case 3: // the second half, once more
					time.Sleep(time.Second)
					v.Rest = b.Items
				}
				return v
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Weigh: weighParcel, Unit: unit, Interval: time.Hour, BatchSize: Weight{Items: 1}})
			if err := q.Push(bg, parcel{id: 1, n: 2}); err != nil {
				t.Fatal(err)
			}
			if err := q.Shutdown(bg); err != nil {
				t.Errorf("unit %d: Shutdown: %v", unit, err)
			}
			if got := l.all(); len(got) != 4 {
				t.Errorf("unit %d: %v", unit, got)
			}
			if st := q.Stats(); st.Lost != 0 {
				t.Errorf("unit %d: %+v", unit, st)
			}
		})
	}
}

// TestRestWithoutAfterComesAtOnce: After 0 is no longer than After 1ns.
func TestRestWithoutAfterComesAtOnce(t *testing.T) {
	for _, consumers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
				if l.calls() == 1 {
					v.Rest = b.Items[1:]
				}
				return v
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Consumers: consumers, Interval: time.Hour, BatchSize: Weight{Items: 2}})
			if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := l.calls(); got != 2 {
				t.Errorf("consumers=%d: %d calls after a second: the Rest waits for Interval", consumers, got)
			}
			q.Shutdown(bg)
		})
	}
}

// TestRestOfManyWaiters: what a Rest costs grows with its items and with its waiters, not with their product; and not with
// how often it came back.
func TestRestOfManyWaiters(t *testing.T) {
	const n = 100
	q, err := NewUnstarted(QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	c := &call[int]{}
	for range n {
		c.waiting = append(c.waiting, waiting{newCompletion(1), 0, 1})
	}
	callers := slices.Clone(c.waiting)
	for range 3 {
		r := q.requeue(c, &Verdict[int]{Rest: make([]int, n)})
		if got := len(r.notes[0].completion.mu.behind); got != n {
			t.Fatalf("%d to tell behind a Rest of %d callers", got, n)
		}
		c.complete(nil, nil)
		for _, w := range callers {
			if w.completion.mu.open != 1 {
				t.Fatalf("a caller waits for %d, one Rest is open", w.completion.mu.open)
			}
		}
		c.waiting = nil
		for _, e := range r.notes {
			c.waiting = append(c.waiting, waiting{e.completion, 0, 1})
		}
	}
	c.complete(errors.New("no more"), nil)
	for _, w := range callers {
		if !closedNow(w.completion.done) || w.completion.result() == nil {
			t.Fatal("not told")
		}
	}
}

// TestFlushSeesARestThatIsBeingWeighed: between the end of the call and the Rest's return it is pending too.
func TestFlushSeesARestThatIsBeingWeighed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		weighing, goOn := make(chan struct{}), make(chan struct{})
		calls := 0
		slow := false
		q := start(t, QueueConfig[int]{
			Process: func(_ context.Context, b Batch[int]) (v Verdict[int]) {
				if calls++; calls == 1 {
					v.Rest = []int{7}
					slow = true
				}
				return v
			},
			Weigh: func(i int) (w Weight) {
				if i == 7 && slow {
					slow = false
					close(weighing)
					<-goOn
				}
				return w
			},
			Consumers: 2,
		})
		if err := q.Push(bg, 7); err != nil {
			t.Fatal(err)
		}
		<-weighing
		flushed := false
		go func() {
			q.Flush(bg)
			flushed = true
		}()
		synctest.Wait()
		if flushed {
			t.Error("Flush has returned")
		}
		close(goOn)
		q.Shutdown(bg)
	})
}

// TestFlushOfARestLeavesNothingUrgentBehind: a Flush waits for a Rest that is nobody else's. Whoever waits later is not made to
// wait for the timer.
func TestFlushOfARestLeavesNothingUrgentBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{}, 4)}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if l.calls() == 2 {
				v.Rest, v.From = slices.Clone(b.Items), []int{0}
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 2}})
		if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight
		if err := q.Push(bg, parcel{id: 4}); err != nil {
			t.Fatal(err)
		}
		flushed := make(chan error)
		go func() { flushed <- q.Flush(bg) }()
		synctest.Wait()
		for range cap(l.hold) {
			l.hold <- struct{}{}
		}
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		begin := time.Now()
		if err := q.PushWait(bg, parcel{id: 3}); err != nil || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestErrorOfABatchThatComesAgainIsNobodys: a caller is told what becomes of the Rest, if that is all of the batch. If it is not, and
// nobody can tell whose it is, the error is everybody's.
func TestErrorOfABatchThatComesAgainIsNobodys(t *testing.T) {
	for name, c := range map[string]struct {
		rest int // of 3 items
		last error
		want error
	}{
		"all, then taken":  {3, nil, nil},
		"all, then failed": {3, ErrFull, ErrFull},
		"some":             {2, nil, errTest},
	} {
		t.Run(name, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(b Batch[parcel]) Verdict[parcel] {
				if l.calls() == 1 {
					return Verdict[parcel]{Err: errTest, Rest: slices.Clone(b.Items[3-c.rest:])}
				}
				return Verdict[parcel]{Err: c.last}
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 3}})
			if err := q.PushWait(bg, parcel{}, parcel{}, parcel{}); err != c.want { //nolint:errorlint // the very same
				t.Errorf("%v, want %v", err, c.want)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
			want := Stats{Forwarded: 3}
			if c.want != nil {
				want = Stats{Forwarded: int64(c.rest), Returned: int64(3 - c.rest)}
				if c.last != nil {
					want = Stats{Returned: 3}
				}
			}
			if st := q.Stats(); st.Forwarded != want.Forwarded || st.Returned != want.Returned || st.Failed != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestFlushWaitsForARestOfBefore, in order or not, in flight or parked when it begins, however often that comes again.
func TestFlushWaitsForARestOfBefore(t *testing.T) {
	for _, consumers := range []int{1, 2} {
		for _, parked := range []bool{false, true} {
			t.Run(fmt.Sprint(consumers, parked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &recorder{}
					l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
						if time.Sleep(time.Second); b.Items[0].id == 1 && l.calls() < 5 {
							v.Rest, v.After = slices.Clone(b.Items), 3*time.Second
						}
						return v
					}
					q := start(t, QueueConfig[parcel]{Process: l.process, Consumers: consumers, Interval: time.Hour, BatchSize: Weight{Items: 1}})
					begin := time.Now()
					if err := q.Push(bg, parcel{id: 1}); err != nil {
						t.Fatal(err)
					}
					if time.Sleep(time.Second / 2); parked {
						time.Sleep(time.Second)
					}
					if err := q.Flush(bg); err != nil {
						t.Error(err)
					}
					if took := time.Since(begin); took != 17*time.Second { // five calls, four pauses
						t.Errorf("it took %v", took)
					}
					q.Shutdown(bg)
					nothingLeft(t, q)
				})
			})
		}
	}
}
