// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestNotStartedIsNotClosed: before Start and after Shutdown are two errors.
func TestNotStartedIsNotClosed(t *testing.T) {
	q, err := NewUnstarted(QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Push(bg, 1); !errors.Is(err, ErrNotStarted) {
		t.Errorf("before Start: %v", err)
	}
	if err := q.Shutdown(bg); err != nil {
		t.Error(err)
	}
	if err := q.Push(bg, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Shutdown: %v", err)
	}
	if st := q.Stats(); st.RefusedBy.Closed != 2 {
		t.Errorf("%+v", st)
	}
}

// TestZeroValuesAnswer: a Queue and a Map that nobody made refuse, and do not panic.
func TestZeroValuesAnswer(t *testing.T) {
	var q Queue[int]
	var m Map[string, int]
	_, result := q.PushResult(bg, 1)
	for name, err := range map[string]error{
		"Start": q.Start(), "Push": q.Push(bg, 1), "TryPush": q.TryPush(1), "PushKey": q.PushKey(bg, "", 1), "PushWait": q.PushWait(bg, 1),
		"PushResult": result, "Restore": q.Restore(1), "Update": q.Update(Change{}), "Pause": q.Pause(""), "PauseAll": q.PauseAll(),
		"Map.Start": m.Start(), "Map.Put": m.Put(bg, "", 1), "Map.PutNewer": m.PutNewer(bg, "", 1, 1), "Map.Update": m.Update(Change{}),
		"Map.Merge": m.Merge(bg, "", 1), "Map.MergeAll": m.MergeAll(bg, Entry[string, int]{}), "Map.MergeAllWait": m.MergeAllWait(bg, Entry[string, int]{}),
	} {
		if !errors.Is(err, errZero) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(q.Flush(bg), q.Shutdown(bg), m.Flush(bg), m.Shutdown(bg)); err != nil {
		t.Error(err)
	}
	if _, ok := m.Get(""); ok || m.Delete("") || q.Stats().Accepted+m.Stats().Accepted != 0 || q.Discard("")+q.Partition("") != 0 {
		t.Error("something is there")
	}
}

func TestUnknownReasonHasAName(t *testing.T) {
	for r, want := range map[Reason]string{-1: "Reason(-1)", ReasonShutdown: "shutdown", ReasonShutdown + 1: "Reason(5)"} {
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestTryPushDoesNotWait, though the queue is one that waits.
func TestTryPushDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[int]{Process: Plain(func(context.Context, []int) error { <-hold; return nil }), Capacity: 2})
		if err := errors.Join(q.TryPush(1), q.TryPush(2)); err != nil {
			t.Error(err)
		}
		if err := q.TryPush(3); !errors.Is(err, ErrFull) {
			t.Errorf("full: %v", err)
		}
		if st := q.Stats(); st.RefusedBy.Full != 1 || st.Accepted != 2 {
			t.Errorf("%+v", st)
		}
		close(hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestTake gets what is held, once, and it is not processed.
func TestTake(t *testing.T) {
	r := &mapRecorder{}
	m := startMap(t, one(r))
	m.Put(bg, "a", 1)
	m.Put(bg, "b", 2)
	if v, ok := m.Take("a"); v != 1 || !ok {
		t.Errorf("%d, %v", v, ok)
	}
	if v, ok := m.Take("a"); v != 0 || ok {
		t.Errorf("again: %d, %v", v, ok)
	}
	m.Shutdown(bg)
	if st := m.Stats(); st.Superseded != 1 || st.Forwarded != 1 {
		t.Errorf("%+v", st)
	}
}

// minefield is a queue with every function that a user can give, of which one panics each time.
type minefield struct {
	panics string

	mu    sync.Mutex
	hit   int
	heard []string // by Panicked
}

func (f *minefield) step(on string) {
	if on != f.panics {
		return
	}
	f.mu.Lock()
	f.hit++
	f.mu.Unlock()
	panic(on)
}

// config is that of a queue where the key "stuck" is, for minutes.
func (f *minefield) config(stuck <-chan struct{}) QueueConfig[parcel] {
	return QueueConfig[parcel]{
		Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
			if b.Key == "stuck" {
				<-stuck
			}
			f.step("Process")
			return v
		},
		Key: parcelKey, Consumers: 2, Weigh: weighParcel, MaxBatchSize: Weight{Items: 4},
		Split:    func(u parcel, room Weight) (parcel, parcel, bool) { f.step("Split"); return splitParcel(u, room) },
		Capacity: 40, KeyCapacity: 10, ProcessTimeout: time.Second,
		Expired: func(u parcel, _ time.Time) bool { f.step("Expired"); return u.id < 0 },
		Dropped: func(parcel, error) { f.step("Dropped") },
		Observer: &Observer{
			PartitionStart: func(string, int) { f.step("Observer.PartitionStart") },
			PartitionStop:  func(string, int, int64) { f.step("Observer.PartitionStop") },
			BatchStart:     func(BatchInfo) { f.step("Observer.BatchStart") },
			BatchEnd:       func(BatchInfo, Outcome) { f.step("Observer.BatchEnd") },
			BatchOverdue:   func(BatchInfo) { f.step("Observer.BatchOverdue") },
			Evicted:        func(string, int, int) { f.step("Observer.Evicted") },
			Expired:        func(string, int, int) { f.step("Observer.Expired") },
			Waiting:        func(string, string, int64) { f.step("Observer.Waiting") },
			Stalled:        func(string, int, string, int) { f.step("Observer.Stalled") },
			Panicked: func(_ string, err *PanicError) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.heard = append(f.heard, err.Func)
				if f.panics == "Observer.Panicked" {
					f.hit++
					panic("nobody is left")
				}
			},
		},
	}
}

// TestPanicOfAnyFunctionHoldsNothingUp: whatever of the user's panics, and on whatever goroutine, everything goes on, no lock
// stays held, and what was accepted is accounted for.
func TestPanicOfAnyFunctionHoldsNothingUp(t *testing.T) {
	for _, name := range []string{
		"Process", "Split", "Expired", "Dropped", "Observer.PartitionStart", "Observer.PartitionStop", "Observer.BatchStart", "Observer.BatchEnd",
		"Observer.BatchOverdue", "Observer.Evicted", "Observer.Expired", "Observer.Waiting", "Observer.Stalled", "Observer.Panicked",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stuck := &minefield{panics: name}, make(chan struct{})
				cfg := f.config(stuck)
				if cfg.StallTimeout = time.Minute; name == "Observer.Evicted" {
					cfg.StallTimeout, cfg.Overflow = 0, OverflowDropOldest
				}
				if name == "Observer.Panicked" {
					cfg.Dropped = func(parcel, error) { panic("for Panicked") }
				}
				q := start(t, cfg)
				pushes := 0
				push := func(items ...parcel) {
					pushes++
					go func() { _ = q.Push(bg, items...) }()
					synctest.Wait()
				}
				push(parcel{key: "a", id: -1, n: 1})
				push(parcel{key: "a", n: 9})
				for range 6 {
					push(parcel{key: "stuck", n: 4})
				}
				for range 20 { // another key works, and pushes to both find out that the one has stalled
					push(parcel{key: "a", n: 1})
					push(parcel{key: "a", n: 1}, parcel{key: "stuck", n: 1})
					time.Sleep(10 * time.Second)
				}
				close(stuck)
				if err := q.Flush(within(time.Hour)); err != nil {
					t.Error(err)
				}
				if err := q.Push(within(time.Hour), parcel{key: "a", n: 1}); err != nil {
					t.Error(err)
				}
				if err := q.Shutdown(within(time.Hour)); err != nil {
					t.Error(err)
				}
				nothingLeft(t, q)
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.hit == 0 {
					t.Error("it was never called: this shows nothing")
				}
				told := name != "Process" && name != "Expired" && name != "Observer.Panicked" // those are errors of their batch, and item
				if told != slices.Contains(f.heard, name) {
					t.Errorf("Panicked heard of %v", f.heard)
				}
			})
		})
	}
}

// TestWaitingForOneselfIsAnError: whatever would wait for the queue in its own Process says so at once, on any goroutine that has
// the context, and has done nothing.
func TestWaitingForOneselfIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *Queue[int]
		got := map[string]error{}
		q = start(t, QueueConfig[int]{
			Capacity: 1,
			Process: Plain(func(ctx context.Context, items []int) error {
				if items[0] != 1 {
					return nil
				}
				ctx, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				done := make(chan struct{})
				go func() {
					defer close(done)
					got["Flush"] = q.Flush(ctx)
					got["Shutdown"] = q.Shutdown(ctx)
					got["PushWait"] = q.PushWait(ctx, 2)
					got["Push"] = q.Push(ctx, 3)
				}()
				<-done
				return nil
			}),
		})
		if err := q.PushWait(bg, 1); err != nil {
			t.Error(err)
		}
		if err := q.PushWait(bg, 4); err != nil { // it is not closed
			t.Error(err)
		}
		for name, err := range got {
			want := ErrInProcess
			if name == "Push" {
				want = ErrFull
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if st := q.Stats(); len(got) != 4 || st.Accepted != 2 || st.RefusedBy.Full != 1 {
			t.Errorf("%v, %+v", got, st)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestResultIsNotAwaitedInProcess, while the push that it is the result of may be made there.
func TestResultIsNotAwaitedInProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *Queue[int]
		var second Result
		q = start(t, QueueConfig[int]{
			Process: Plain(func(ctx context.Context, items []int) (err error) {
				if items[0] == 1 {
					second, err = q.PushResult(ctx, 2)
					err = errors.Join(err, second.Wait(ctx))
				}
				return err
			}),
		})
		if err := q.PushWait(bg, 1); !errors.Is(err, ErrInProcess) {
			t.Error(err)
		}
		if err := second.Wait(bg); err != nil {
			t.Error(err)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestAnotherQueueIsNoneOfOnesOwn: Process of one queue may wait for the next, and Flush it.
func TestAnotherQueueIsNoneOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := start(t, QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
		q := start(t, QueueConfig[int]{Process: Plain(func(ctx context.Context, items []int) error {
			return errors.Join(next.PushWait(ctx, items...), next.Flush(ctx))
		})})
		if err := q.PushWait(bg, 1); err != nil {
			t.Error(err)
		}
	})
}

// TestPushWaitOfOneWhoIsGone accepts nothing.
func TestPushWaitOfOneWhoIsGone(t *testing.T) {
	q := start(t, QueueConfig[parcel]{Process: Plain(func(context.Context, []parcel) error { return nil }), Weigh: weighParcel})
	if err := q.PushWait(cancelled(), parcel{n: 3}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrWithdrawn) || errors.Is(err, ErrAbandoned) {
		t.Error(err)
	}
	if st := q.Stats(); st.Accepted != 0 || st.RefusedBy.Timeout != 3 {
		t.Errorf("%+v", st)
	}
}

// TestPanicOfAMapsWeighUnderItsLock: the entry weighs what it did, and the Map goes on.
func TestPanicOfAMapsWeighUnderItsLock(t *testing.T) {
	r := &mapRecorder{}
	cfg := one(r)
	cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
	pushed := false
	cfg.Weigh = func(e kv) Weight {
		if pushed = !pushed; !pushed { // the second time of a write, which is of what Merge made, under the lock
			panic("no weight")
		}
		return Weight{Items: e.Value}
	}
	m := startMap(t, cfg)
	for _, value := range []int{3, 5} {
		pushed = false
		if err := m.Merge(bg, "a", value); err != nil {
			t.Fatal(err)
		}
	}
	if st := m.Stats(); st.Queued != 3 {
		t.Errorf("%+v", st)
	}
	if err := m.Shutdown(within(time.Hour)); err != nil {
		t.Error(err)
	}
	nothingLeft(t, &m.queue)
}
