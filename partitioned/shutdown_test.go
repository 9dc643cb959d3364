// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestShutdownDeliversDrainingAndActive: one batch in flight, its follower in draining, later items in active, a parked Rest,
// a timed stream: all of it is delivered, in order, without waiting for a timer.
func TestShutdownDeliversDrainingAndActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		first := true
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if b.Key == "parked" && first {
				first = false
				v.Rest, v.After = b.Items, 24*time.Hour
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Consumers: 1, Interval: time.Hour,
			BatchSize: Weight{Items: 10}, MaxBatchSize: Weight{Items: 10},
		})
		push := func(key string, from, to int) {
			for id := from; id < to; id++ {
				if err := q.Push(bg, parcel{key: key, id: id}); err != nil {
					t.Fatal(err)
				}
			}
		}
		push("parked", 0, 10)
		synctest.Wait()
		l.hold <- struct{}{}
		push("k", 100, 125)
		synctest.Wait() // 10 in flight
		l.hold <- struct{}{}
		synctest.Wait() // 10 in flight, 5 in draining
		push("k", 125, 130)
		push("timed", 200, 201)
		begin := time.Now()
		go func() {
			for {
				select {
				case l.hold <- struct{}{}:
				case <-q.ended:
					return
				}
			}
		}()
		if err := q.Shutdown(bg); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		by := map[string][]int{}
		for _, b := range l.batches {
			by[b.Key] = append(by[b.Key], ids(b.Items)...)
			if len(b.Items) > 10 {
				t.Errorf("I6: %d", len(b.Items))
			}
		}
		if got := by["k"]; len(got) != 30 || !slices.IsSorted(got) {
			t.Errorf("k: %v", got)
		}
		if got := by["parked"]; len(got) != 20 {
			t.Errorf("parked: %v", got)
		}
		if got := by["timed"]; len(got) != 1 {
			t.Errorf("timed: %v", got)
		}
		if last := l.batches[len(l.batches)-1]; !last.Closing || l.batches[0].Closing {
			t.Error("Closing is wrong")
		}
		nothingLeft(t, q)
	})
}

// TestShutdownDeadlineCountsWhatIsLeft: what is in flight at the deadline is dropped, once, whatever its call answers later.
func TestShutdownDeadlineCountsWhatIsLeft(t *testing.T) {
	for name, answer := range map[string]func(Batch[parcel]) Verdict[parcel]{
		"taken":  func(Batch[parcel]) (v Verdict[parcel]) { return v },
		"failed": func(Batch[parcel]) Verdict[parcel] { return Verdict[parcel]{Err: errTest} },
		"rest":   func(b Batch[parcel]) Verdict[parcel] { return Verdict[parcel]{Rest: b.Items} },
		"parked": func(b Batch[parcel]) Verdict[parcel] { return Verdict[parcel]{Rest: b.Items, After: time.Hour} },
		"panic":  func(Batch[parcel]) Verdict[parcel] { panic("late") },
	} {
		for _, consumers := range []int{1, 3} {
			t.Run(fmt.Sprint(name, "/consumers=", consumers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var cancelledCalls atomic.Int32
					q := start(t, QueueConfig[parcel]{
						Process: func(ctx context.Context, b Batch[parcel]) Verdict[parcel] {
							time.Sleep(time.Minute) // its context is nothing to it
							if ctx.Err() != nil {
								cancelledCalls.Add(1)
							}
							return answer(b)
						},
						Interval: time.Hour, BatchSize: Weight{Items: 4}, Consumers: consumers,
					})
					told := make(chan error, 2)
					go func() { told <- q.PushWait(bg, make([]parcel, 7)...) }()
					synctest.Wait() // 4 in flight, 3 in draining
					for range consumers - 1 {
						if err := q.Push(bg, make([]parcel, 4)...); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					if err := q.Push(bg, make([]parcel, 7)...); err != nil {
						t.Fatal(err)
					}
					go func() { told <- q.PushWait(bg, parcel{}) }()
					synctest.Wait()
					left := int64(4*consumers + 11)
					err := q.Shutdown(within(time.Second))
					if !errors.Is(err, ErrDropped) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprint(left)) {
						t.Errorf("want %d dropped: %v", left, err)
					}
					for range 2 {
						if err := <-told; !errors.Is(err, ErrDropped) {
							t.Errorf("a waiting caller was told %v", err)
						}
					}
					for range 2 { // now, and when the calls have ended
						if st := q.Stats(); st.Accepted != left || st.Lost != left || st.Retried != 0 {
							t.Errorf("want %d lost: %+v", left, st)
						}
						nothingLeft(t, q)
						time.Sleep(time.Hour)
					}
					if n := cancelledCalls.Load(); int(n) != consumers {
						t.Errorf("%d calls began, and had a done context in the end; want %d", n, consumers)
					}
				})
			})
		}
	}
}

// TestNoCallBeginsAfterShutdown: whatever waits for a consumer when the deadline is over never gets one.
func TestNoCallBeginsAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		q := start(t, QueueConfig[parcel]{
			Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
				if over.Load() {
					t.Error("I7: a call began")
				}
				time.Sleep(time.Minute)
				return v
			},
			Key: parcelKey, Consumers: 3,
		})
		for i := range 50 {
			if err := q.Push(bg, parcel{key: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Shutdown(within(90 * time.Second)); !errors.Is(err, ErrDropped) {
			t.Error(err)
		}
		over.Store(true)
		if st := q.Stats(); st.Forwarded != 3 || st.Lost != 47 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Hour)
		nothingLeft(t, q)
	})
}

// TestDeadlineWhileWeighing: at the deadline a consumer is in Weigh, for a cut or for a Rest: its callers are told, once, and
// no call begins.
func TestDeadlineWhileWeighing(t *testing.T) {
	for name, heavy := range map[string]int32{"cut": 2, "rest": 3} { // which Weigh of the item is slow; the first is the push's
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var weighed, calls atomic.Int32
				goOn := make(chan struct{})
				q := start(t, QueueConfig[parcel]{
					Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
						calls.Add(1)
						v.Rest = slices.Clone(b.Items)
						return v
					},
					Weigh: func(u parcel) Weight {
						if u.id == 1 && weighed.Add(1) == heavy {
							<-goOn
						}
						return Weight{}
					},
					Interval: time.Hour, BatchSize: Weight{Items: 1},
				})
				told, flushed := make(chan error, 2), make(chan error, 1)
				go func() { told <- q.PushWait(bg, parcel{id: 1}, parcel{id: 2}) }()
				synctest.Wait()
				go func() { told <- q.PushWait(bg, parcel{id: 3}) }()
				go func() { flushed <- q.Flush(bg) }()
				synctest.Wait()
				if err := q.Shutdown(within(time.Second)); !errors.Is(err, ErrDropped) {
					t.Error(err)
				}
				before := calls.Load()
				close(goOn)
				synctest.Wait()
				for range 2 {
					if err := <-told; !errors.Is(err, ErrDropped) {
						t.Error(err)
					}
				}
				if err := <-flushed; err != nil {
					t.Error(err)
				}
				if calls.Load() != before {
					t.Error("I7: a call began")
				}
				nothingLeft(t, q)
				if st := q.Stats(); st.Lost != 3 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestShutdownTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[parcel]{Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
			<-hold // whatever its context says
			return v
		}})
		defer close(hold)
		if err := q.Push(bg, parcel{}); err != nil {
			t.Fatal(err)
		}
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- q.Shutdown(within(time.Minute)) }()
		synctest.Wait()
		go func() { second <- q.Shutdown(bg) }()
		begin := time.Now()
		if err := q.Shutdown(within(time.Second)); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("a third, with less time: %v after %v", err, time.Since(begin))
		}
		a, b := <-first, <-second
		if !errors.Is(a, ErrDropped) || !errors.Is(b, a) || time.Since(begin) != time.Minute {
			t.Errorf("%v and %v after %v", a, b, time.Since(begin))
		}
		if err := q.Start(); err == nil {
			t.Error("it started again")
		}
	})
}

func TestShutdownWithoutStart(t *testing.T) {
	q, err := NewUnstarted(QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Push(bg, 1); !errors.Is(err, ErrNotStarted) {
		t.Errorf("before Start: %v", err)
	}
	if err := q.Flush(bg); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := q.Shutdown(bg); err != nil {
			t.Error(err)
		}
	}
	if err := q.Start(); err == nil {
		t.Error("it started")
	}
	if err := q.Push(bg, 1, 2); !errors.Is(err, ErrClosed) {
		t.Errorf("after Shutdown: %v", err)
	}
	if st := q.Stats(); st.Refused != 3 || st.Accepted != 0 {
		t.Errorf("%+v", st)
	}
}

// TestShutdownWithAnExpiredContext drops all that is pending, tells who waits in a line or for a result, and returns.
func TestShutdownWithAnExpiredContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		process := func(context.Context, Batch[parcel]) (v Verdict[parcel]) {
			<-hold // whatever its context says: what it answered to that might come in time
			return v
		}
		q := start(t, QueueConfig[parcel]{
			Process: process, Key: parcelKey, Weigh: weighParcel, Interval: time.Hour, BatchSize: Weight{Items: 100},
			Capacity: 12, KeyCapacity: 2, Consumers: 1,
		})
		var wg sync.WaitGroup
		want := func(target error, push func(context.Context, ...parcel) error, us ...parcel) {
			wg.Go(func() {
				if err := push(bg, us...); !errors.Is(err, target) {
					t.Errorf("%v: got %v, want %v", us, err, target)
				}
			})
			synctest.Wait()
		}
		want(ErrDropped, q.PushWait, parcel{key: "a"}) // in flight
		want(ErrDropped, q.PushWait, parcel{key: "a"}) // in active
		want(ErrClosed, q.Push, parcel{key: "a"})      // in the line of its key
		want(ErrClosed, q.Push, parcel{key: "a"}, parcel{key: "b"})
		want(nil, q.Push, parcel{key: "c", n: 10})
		want(ErrClosed, q.Push, parcel{key: "d"}) // in the common line
		want(ErrClosed, q.PushWait, parcel{key: "a"})
		flushed := make(chan error, 1)
		go func() { flushed <- q.Flush(bg) }()
		synctest.Wait()
		if st := q.Stats(); st.Callers != 4 || st.Used != 12 {
			t.Errorf("%+v", st)
		}
		if err := q.Shutdown(cancelled()); !errors.Is(err, ErrDropped) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(hold)
		wg.Wait()
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		nothingLeft(t, q)
		if err := q.Flush(bg); err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownWhilePushing64: of what 64 callers push meanwhile, each item is delivered once, or its push was refused.
func TestShutdownWhilePushing64(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  QueueConfig[parcel]
	}{
		{"one partition", QueueConfig[parcel]{Capacity: 40}},
		{"keys", QueueConfig[parcel]{Key: parcelKey, Capacity: 40, KeyCapacity: 7}},
		{"unordered", QueueConfig[parcel]{Consumers: 3, Capacity: 40}},
		{"refusing", QueueConfig[parcel]{Capacity: 40, Overflow: OverflowRefuse, Partitions: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const callers, each = 64, 200
			var seen, accepted [callers * each]atomic.Int32
			c.cfg.Process = func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				for _, u := range b.Items {
					seen[u.id].Add(1)
				}
				return v
			}
			c.cfg.Interval, c.cfg.BatchSize = time.Hour, Weight{Items: 10}
			q := start(t, c.cfg)
			var wg sync.WaitGroup
			var pushed atomic.Int64
			half := make(chan struct{})
			for p := range callers {
				wg.Go(func() {
					for i := range each {
						id := p*each + i
						err := q.Push(bg, parcel{key: fmt.Sprint(id % 5), id: id})
						if err == nil {
							accepted[id].Store(1)
						} else if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrFull) {
							t.Error(err)
						}
						if pushed.Add(1) == callers*each/2 {
							close(half)
						}
					}
				})
			}
			<-half
			if err := q.Shutdown(bg); err != nil {
				t.Error(err)
			}
			wg.Wait()
			for id := range seen {
				if s, a := seen[id].Load(), accepted[id].Load(); s != a {
					t.Fatalf("I7: item %d: accepted %d, delivered %d times", id, a, s)
				}
			}
			nothingLeft(t, q)
		})
	}
}

// TestNoCallBeginsAfterShutdownByHand steps a worker by hand: it has cut its batch, Shutdown gives up and returns, then it goes on.
func TestNoCallBeginsAfterShutdownByHand(t *testing.T) {
	l := &recorder{}
	q, err := NewUnstarted(QueueConfig[parcel]{Process: l.process})
	if err != nil {
		t.Fatal(err)
	}
	q.life.started = true
	q.working.Store(1)
	q.gate.open()
	if err := q.Push(bg, parcel{}); err != nil {
		t.Fatal(err)
	}
	s, _ := q.scheduler.next(false)
	c := &call[parcel]{}
	if !q.take(s, c) {
		t.Fatal("not taken")
	}
	if err := q.Shutdown(cancelled()); !errors.Is(err, ErrDropped) {
		t.Fatal(err)
	}
	q.process(s, c)
	if l.calls() != 0 {
		t.Error("I7: a call began after Shutdown returned")
	}
}

// TestSecondShutdownTellsTheResult: of two things that are there, the result comes first.
func TestSecondShutdownTellsTheResult(t *testing.T) {
	q := start(t, QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err := q.Shutdown(bg); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := q.Shutdown(cancelled()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeysAreNotMiscountedAtShutdown: a push that comes too late opens a stream and closes it again while Shutdown counts.
func TestKeysAreNotMiscountedAtShutdown(t *testing.T) {
	for range 3000 {
		q := start(t, QueueConfig[parcel]{
			Process: func(context.Context, Batch[parcel]) (v Verdict[parcel]) { return v },
			Key:     parcelKey, Partitions: 2,
		})
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range 2 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					q.Push(bg, parcel{key: string(rune('a' + (n+i)%20))})
				}
			})
		}
		q.Shutdown(cancelled())
		close(stop)
		wg.Wait()
		if n := q.Stats().Keys; n != 0 {
			t.Fatalf("%d keys", n)
		}
	}
}

// TestOneCallOfAPartitionDuringShutdown: the drain does not begin before the calls that are there have ended.
func TestOneCallOfAPartitionDuringShutdown(t *testing.T) {
	for _, byKey := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var q *Queue[parcel]
			var mu sync.Mutex
			inFlight := map[int]int{}
			call := func(partition, n int) {
				mu.Lock()
				defer mu.Unlock()
				if inFlight[partition] += n; inFlight[partition] > 1 {
					t.Errorf("%d calls of partition %d at once", inFlight[partition], partition)
				}
			}
			cfg := QueueConfig[parcel]{
				Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
					partition := q.Partition(b.Items[0].key)
					call(partition, 1)
					time.Sleep(time.Second)
					call(partition, -1)
					return v
				},
				Partitions: 3, Consumers: 3, Interval: 100 * time.Millisecond, BatchSize: Weight{Items: 3},
			}
			if byKey {
				cfg.Key, cfg.OrderOnlyByPartition = parcelKey, true
			}
			q = start(t, cfg)
			for i := range 60 {
				key := fmt.Sprint(i % 7)
				if err := q.PushKey(bg, key, parcel{key: key}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(500 * time.Millisecond) // in the middle of the first calls
			if err := q.Shutdown(bg); err != nil {
				t.Error(err)
			}
			nothingLeft(t, q)
		})
	}
}

// TestShutdownWithADistantDeadline: nine tenths of a century overflowed, and all that was pending was dropped at once.
func TestShutdownWithADistantDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 10}})
		for id := range 3 {
			if err := q.Push(bg, parcel{id: id}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(bg, 100*365*24*time.Hour)
		defer cancel()
		if err := q.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if st := q.Stats(); st.Forwarded != 3 || st.Lost != 0 {
			t.Errorf("%+v", st)
		}
	})
}
