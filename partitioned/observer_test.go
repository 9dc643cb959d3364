// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// witness is an Observer that keeps a ledger, and the faults it found in it.
type witness struct {
	Observer

	mu       sync.Mutex
	sum      Outcome // of all batches
	started  map[int]bool
	stopped  map[int]bool
	open     map[int]int // batches by partition
	batches  map[Reason]int64
	evicted  int64
	dropped  int64 // as PartitionStop says
	overdue  int
	longest  time.Duration
	errs     []error
	faults   []string
	observed []BatchInfo
}

func newWitness() *witness {
	w := &witness{started: map[int]bool{}, stopped: map[int]bool{}, open: map[int]int{}, batches: map[Reason]int64{}}
	w.PartitionStart = func(_ string, p int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.started[p] {
			w.fault("partition %d started twice", p)
		}
		w.started[p] = true
	}
	w.PartitionStop = func(_ string, p int, lost int64) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.started[p] || w.stopped[p] {
			w.fault("partition %d stopped, started %v, stopped before %v", p, w.started[p], w.stopped[p])
		}
		w.stopped[p] = true
		w.dropped += lost
	}
	w.BatchStart = func(b BatchInfo) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.started[b.Partition] || w.stopped[b.Partition] && w.dropped == 0 { // the deadline of Shutdown cannot hold up a call
			w.fault("a batch of partition %d, started %v, stopped %v", b.Partition, w.started[b.Partition], w.stopped[b.Partition])
		}
		w.open[b.Partition]++
		w.batches[b.Reason]++
		w.observed = append(w.observed, b)
	}
	w.BatchEnd = func(b BatchInfo, o Outcome) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.open[b.Partition]--; w.open[b.Partition] < 0 {
			w.fault("a batch of partition %d ended that had not begun", b.Partition)
		}
		settled := o.Forwarded + o.Returned + o.Failed + o.Lost + o.Rest
		if settled < int64(b.Weight.Items) || o.Rest == 0 && settled != int64(b.Weight.Items) {
			w.fault("a batch of %d ended as %+v", b.Weight.Items, o)
		}
		w.sum.Forwarded += o.Forwarded
		w.sum.Returned += o.Returned
		w.sum.Failed += o.Failed
		w.sum.Lost += o.Lost
		w.sum.Rest += o.Rest
		w.longest = max(w.longest, o.Duration)
		w.errs = append(w.errs, o.Err)
	}
	w.BatchOverdue = func(BatchInfo) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.overdue++
	}
	w.Evicted = func(_ string, _ int, items int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.evicted += int64(items)
	}
	return w
}

func (w *witness) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// reported is how many calls were overdue.
func (w *witness) reported() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overdue
}

// check compares the ledger with st, the last of a queue, whose calls have all ended.
func (w *witness) check(st Stats, partitions int) (faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sum.Forwarded != st.Forwarded || w.sum.Returned > st.Returned || w.sum.Failed != st.Failed || w.sum.Rest != st.Retried || w.sum.Lost > st.Lost {
		w.fault("the Observer heard of %+v, Stats is %+v", w.sum, st)
	}
	if w.dropped != st.Lost || w.evicted != st.Evicted {
		w.fault("the Observer heard of %d lost and %d evicted, Stats is %+v", w.dropped, w.evicted, st)
	}
	if len(w.started) != partitions || len(w.stopped) != partitions {
		w.fault("%d partitions started, %d stopped, of %d", len(w.started), len(w.stopped), partitions)
	}
	for p, n := range w.open {
		if n != 0 {
			w.fault("%d batches of partition %d began and did not end", n, p)
		}
	}
	for r, n := range w.batches {
		if n > st.Batches[r] {
			w.fault("%d batches for %v, Stats says %d", n, r, st.Batches[r])
		}
	}
	return w.faults
}

// TestErrorIsAFailureTheObserverHearsOf: with the original an error return counted as success.
func TestErrorIsAFailureTheObserverHearsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWitness()
		q := start(t, QueueConfig[parcel]{
			Name: "errors", Observer: &w.Observer, Partitions: 2, Weigh: weighParcel, BatchSize: Weight{Items: 1},
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				time.Sleep(time.Second)
				switch b.Items[0].id {
				case 1:
					v.Err = errTest
				case 2:
					panic("oh")
				case 3:
					if !b.Closing {
						v.Rest = b.Items
					}
				}
				return v
			},
		})
		for id := range 4 {
			if err := q.Push(bg, parcel{id: id, n: 10}); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.PushWait(bg, parcel{id: 1, n: 5}); !errors.Is(err, errTest) {
			t.Error(err)
		}
		q.Shutdown(bg)
		for _, f := range w.check(q.Stats(), 2) {
			t.Error(f)
		}
		failed, panicked := 0, 0
		for _, err := range w.errs {
			if errors.Is(err, errTest) {
				failed++
			} else if isPanic(err) {
				panicked++
			}
		}
		if w.sum.Failed != 20 || w.sum.Returned != 5 || failed != 2 || panicked != 1 || w.longest != time.Second {
			t.Errorf("%+v: %d failed, %d panicked, %v", w.sum, failed, panicked, w.longest)
		}
		if b := w.observed[0]; b.Queue != "errors" || b.Weight.Items != 10 || b.Oldest.IsZero() {
			t.Errorf("%+v", b)
		}
	})
}

// TestHungCallIsReportedAndStopsNobodyElse: with the original it stopped its partition for ever, unnoticed.
func TestHungCallIsReportedAndStopsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWitness()
		hang := make(chan struct{})
		q := start(t, QueueConfig[parcel]{
			Key: parcelKey, Consumers: 2, Capacity: 6, Overflow: OverflowRefuse, Observer: &w.Observer, ProcessTimeout: time.Second,
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				if b.Key == "hangs" {
					<-hang // whatever its context says
				}
				return v
			},
		})
		q.Push(bg, parcel{key: "hangs"})
		time.Sleep(500 * time.Millisecond)
		if n := w.reported(); n != 0 {
			t.Error("reported early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := w.reported(); n != 1 {
			t.Errorf("reported %d times", n)
		}
		if err := q.PushWait(bg, parcel{key: "other"}); err != nil {
			t.Error(err)
		}
		q.Push(bg, parcel{key: "hangs"}, parcel{key: "hangs"})
		if err := q.Push(bg, parcel{key: "hangs"}); !errors.Is(err, ErrFull) {
			t.Errorf("capacity does not protect memory: %v", err)
		}
		if err := q.Shutdown(within(time.Second)); !errors.Is(err, ErrDropped) {
			t.Error(err)
		}
		close(hang)
		synctest.Wait()
		for _, f := range w.check(q.Stats(), len(q.partitions)) {
			t.Error(f)
		}
		if w.sum.Lost != 1 || w.dropped != 3 {
			t.Errorf("%+v, %d dropped", w.sum, w.dropped)
		}
	})
}

// TestBatchEndHasABatchStart, also where Shutdown gave up between the cut and the call.
func TestBatchEndHasABatchStart(t *testing.T) {
	w := newWitness()
	q, err := NewUnstarted(QueueConfig[parcel]{Process: (&recorder{}).process, Observer: &w.Observer})
	if err != nil {
		t.Fatal(err)
	}
	w.started[0] = true
	q.life.started = true
	q.working.Store(1)
	q.gate.open()
	q.Push(bg, parcel{})
	s, _ := q.scheduler.next(false)
	c := &call[parcel]{}
	if !q.take(s, c) {
		t.Fatal("not taken")
	}
	if err := q.Shutdown(cancelled()); !errors.Is(err, ErrDropped) {
		t.Fatal(err)
	}
	v := q.process(s, c)
	q.settle(s, c, &v)
	for _, f := range w.check(q.Stats(), 1) {
		t.Error(f)
	}
}

// TestObserverMayCallTheQueue, as it is told of everything under no lock (I4).
func TestObserverMayCallTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *Queue[parcel]
		var mu sync.Mutex
		var calls []string
		use := func(what string) {
			mu.Lock()
			calls = append(calls, what)
			mu.Unlock()
			q.Stats()
			q.Len()
			size := Weight{Items: 2}
			if err := q.Update(Change{BatchSize: &size}); err != nil {
				t.Error(err)
			}
			if what == "stop" {
				return
			}
			if err := q.Push(bg); err != nil {
				t.Error(err)
			}
		}
		q, err := NewUnstarted(QueueConfig[parcel]{
			Process: Plain(func(ctx context.Context, _ []parcel) error {
				time.Sleep(time.Minute)
				return ctx.Err()
			}),
			Interval: time.Second, BatchSize: Weight{Items: 1}, Capacity: 3, Overflow: OverflowDropOldest, ProcessTimeout: time.Second,
			Observer: &Observer{
				PartitionStart: func(string, int) { use("start") },
				PartitionStop:  func(string, int, int64) { use("stop") },
				BatchStart:     func(BatchInfo) { use("batch") },
				BatchEnd:       func(BatchInfo, Outcome) { use("end") },
				BatchOverdue:   func(BatchInfo) { use("overdue") },
				Evicted:        func(string, int, int) { use("evicted") },
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Start(); err != nil {
			t.Fatal(err)
		}
		for range 4 { // two are in a call, and the fourth makes the third go
			q.Push(bg, parcel{})
			synctest.Wait()
		}
		time.Sleep(5 * time.Minute)
		q.Shutdown(bg)
		for _, want := range []string{"start", "evicted", "batch", "overdue", "end", "stop"} {
			if !slices.Contains(calls, want) {
				t.Errorf("not called: %s", want)
			}
		}
	})
}

// TestCallInTimeIsNotReported, neither while it runs nor later; and without ProcessTimeout every call is in time.
func TestCallInTimeIsNotReported(t *testing.T) {
	for timeout, takes := range map[time.Duration]time.Duration{time.Second: 0, 0: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWitness()
			q := start(t, QueueConfig[parcel]{
				Process: Plain(func(context.Context, []parcel) error {
					time.Sleep(takes)
					return nil
				}),
				ProcessTimeout: timeout, Observer: &w.Observer,
			})
			for range 3 {
				if err := q.PushWait(bg, parcel{}); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Minute)
			if n := w.reported(); n != 0 {
				t.Errorf("%d calls were reported", n)
			}
			q.Shutdown(bg)
		})
	}
}
