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

// TestCallerThatGivesUpTakesBack what no batch has: it is not delivered, counts as returned, and its units are free at once, for
// those who wait for them.
func TestCallerThatGivesUpTakesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{hold: make(chan struct{})}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, BatchSize: Weight{Items: 3}, Capacity: 4})
		if err := q.Push(bg, parcel{id: 1}, parcel{id: 2}, parcel{id: 3}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // in flight
		r, err := q.PushResult(bg, parcel{id: 4}, parcel{id: 5}, parcel{id: 6})
		if err != nil {
			t.Fatal(err)
		}
		next := make(chan error)
		go func() { next <- q.Push(bg, parcel{id: 7}) }()
		synctest.Wait()
		if st := q.Stats(); st.Used != 6 || st.Callers != 1 {
			t.Fatalf("%+v", st)
		}
		if err := r.Wait(within(time.Second)); !errors.Is(err, ErrWithdrawn) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrAbandoned) {
			t.Error(err)
		}
		if err := <-next; err != nil {
			t.Error(err)
		}
		if st := q.Stats(); st.Returned != 3 || st.Used != 4 || st.Queued != 1 || st.InFlight != 3 {
			t.Errorf("%+v", st)
		}
		if err := r.Wait(bg); !errors.Is(err, ErrWithdrawn) { // known, and known again
			t.Error(err)
		}
		close(l.hold)
		q.Shutdown(bg)
		if got := fmt.Sprint(l.all()); got != "[[1 2 3] [7]]" {
			t.Error(got)
		}
		nothingLeft(t, q)
	})
}

// TestGivingUpTakesBackWhatNoBatchHas of a push to several keys, and of an item that was cut in two; what a batch has or had is
// delivered, a Rest too.
func TestGivingUpTakesBackWhatNoBatchHas(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   QueueConfig[parcel]
		items []parcel
		rest  bool
		want  string
		back  int64
	}{
		"several keys": {
			cfg:   QueueConfig[parcel]{Key: parcelKey, Consumers: 1, Partitions: 1},
			items: []parcel{{id: 1, key: "a"}, {id: 2, key: "b"}, {id: 3, key: "c"}, {id: 4, key: "a"}},
			want:  "[[1 4]]", back: 2,
		},
		"cut in two": {
			cfg:   QueueConfig[parcel]{MaxBatchSize: Weight{Items: 2}, Split: splitParcel},
			items: []parcel{{id: 1, n: 5}, {id: 2}},
			want:  "[[1]]", back: 4,
		},
		"a Rest": {
			items: []parcel{{id: 1}, {id: 2}, {id: 3}}, rest: true,
			want: "[[1 2 3] [1 2 3]]", back: 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{hold: make(chan struct{})}
				l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
					if c.rest && l.calls() == 1 {
						v.Rest, v.After = b.Items, time.Minute
					}
					return v
				}
				cfg := c.cfg
				cfg.Process, cfg.Weigh, cfg.Interval = l.process, weighParcel, time.Hour
				if cfg.MaxBatchSize == (Weight{}) {
					cfg.BatchSize.Items = 100
				}
				q := start(t, cfg)
				r, err := q.PushResult(bg, c.items...)
				if err != nil {
					t.Fatal(err)
				}
				if synctest.Wait(); c.rest {
					l.hold <- struct{}{}
					synctest.Wait() // parked
				}
				if err := r.Wait(within(time.Second)); !errors.Is(err, ErrAbandoned) || errors.Is(err, ErrWithdrawn) {
					t.Error(err)
				}
				if st := q.Stats(); st.Returned != c.back || st.Queued+st.InFlight != st.Accepted-c.back || st.Used != st.Queued+st.InFlight {
					t.Errorf("%+v", st)
				}
				if st := q.Stats(); st.Keys > 1 {
					t.Errorf("a key with nothing pending has its slot: %+v", st)
				}
				close(l.hold)
				q.Shutdown(bg)
				if got := fmt.Sprint(l.all()); got != c.want {
					t.Errorf("%v, want %v", got, c.want)
				}
				nothingLeft(t, q)
			})
		})
	}
}

// TestGivingUpDuringSplit: the part that Split leaves, or the whole item if it leaves it whole, is taken back a moment later.
func TestGivingUpDuringSplit(t *testing.T) {
	for _, ok := range []bool{true, false} {
		t.Run(fmt.Sprint(ok), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &recorder{}
				hold := make(chan struct{})
				q := start(t, QueueConfig[parcel]{
					Process: l.process, Weigh: weighParcel, Interval: time.Hour, BatchSize: Weight{Items: 4}, MaxBatchSize: Weight{Items: 4}, Capacity: 5,
					Split: func(u parcel, room Weight) (head, tail parcel, _ bool) {
						if <-hold; !ok {
							return u, u, false
						}
						return splitParcel(u, room)
					},
				})
				if err := q.Push(bg, parcel{id: 1}); err != nil {
					t.Fatal(err)
				}
				r, err := q.PushResult(bg, parcel{id: 2, n: 5})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // in Split
				if err := r.Wait(within(time.Second)); !errors.Is(err, ErrAbandoned) {
					t.Error(err)
				}
				next := make(chan error, 1)
				go func() { next <- q.Push(bg, parcel{id: 3}) }()
				synctest.Wait()
				close(hold)
				if err := <-next; err != nil {
					t.Error(err)
				}
				q.Shutdown(bg)
				want, back := "[[1 2] [3]]", int64(2)
				if !ok {
					want, back = "[[1] [3]]", 5
				}
				if got, st := fmt.Sprint(l.all()), q.Stats(); got != want || st.Returned != back {
					t.Errorf("%v, want %v: %+v", got, want, st)
				}
				nothingLeft(t, q)
			})
		})
	}
}

// TestGivingUpBeforeAStuckStream leaves no memory behind, and no key: neither of callers with a key of their own, nor of those
// who stand behind one that stays.
func TestGivingUpBeforeAStuckStream(t *testing.T) {
	const callers, some = 20_000, 100
	for name, key := range map[string]func(int) string{
		"own keys": func(i int) string { return fmt.Sprint(i) },
		"its key":  func(int) string { return "stuck" },
	} {
		t.Run(name, func(t *testing.T) {
			l := &recorder{hold: make(chan struct{})}
			q := start(t, QueueConfig[parcel]{Process: l.process, Key: parcelKey, Consumers: 1, Partitions: 1, Interval: time.Hour, BatchSize: Weight{Items: 1000}, MaxKeys: 3 + some})
			busy, err := q.PushResult(bg, parcel{key: "stuck"})
			if err != nil {
				t.Fatal(err)
			}
			for q.Stats().InFlight == 0 {
				time.Sleep(time.Millisecond)
			}
			if err := errors.Join(q.Push(bg, parcel{key: "stuck", id: 1}), q.Push(bg, parcel{key: "quiet", id: 2})); err != nil {
				t.Fatal(err)
			}
			var waiting []Result
			giveUp := func() {
				if err := waiting[0].Wait(cancelled()); !errors.Is(err, ErrWithdrawn) {
					t.Fatal(err)
				}
				waiting = waiting[1:]
			}
			for i := range callers {
				r, err := q.PushResult(bg, parcel{key: key(i), id: i})
				if err != nil {
					t.Fatal(i, err)
				}
				if waiting = append(waiting, r); len(waiting) > some {
					giveUp()
				}
			}
			for len(waiting) > 0 {
				giveUp()
			}
			p := q.partitions[0]
			if p.mu.Lock(); len(p.streams) != 2 {
				t.Errorf("%d streams", len(p.streams))
			}
			s := p.existing("stuck")
			if n := s.backlog.room() + len(s.backlog.filled)*bufferSize; n > 2*bufferSize || s.backlog.active.len() > 2*some {
				t.Errorf("room for %d, %d in active", n, s.backlog.active.len())
			}
			p.mu.Unlock()
			if st := q.Stats(); st.Keys != 2 || st.Returned != callers || st.Used != 3 {
				t.Errorf("%+v", st)
			}
			close(l.hold)
			if err := busy.Wait(bg); err != nil {
				t.Error(err)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestOfAMapNothingIsTakenBack: an entry may be that of several callers.
func TestOfAMapNothingIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		m, err := NewUnstartedMap(MapQueueConfig[int, int]{
			QueueConfig: QueueConfig[Entry[int, int]]{
				Process: func(context.Context, MapBatch[int, int]) (v MapVerdict[int, int]) {
					<-hold
					return v
				},
				Partitions: 1, Interval: time.Hour, BatchSize: Weight{Items: 2},
			},
			Merge: func(held, added Entry[int, int]) int { return held.Value + added.Value },
		})
		if err := errors.Join(err, m.Start(), m.PutAll(bg, Entry[int, int]{Key: 1}, Entry[int, int]{Key: 2})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := m.MergeAllWait(within(time.Second), Entry[int, int]{Key: 3}); !errors.Is(err, ErrAbandoned) || errors.Is(err, ErrWithdrawn) {
			t.Error(err)
		}
		close(hold)
		m.Shutdown(bg)
		if st := m.Stats(); st.Forwarded != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// TestFlushThatGivesUpLeavesNothing in front of a stuck stream, of a Queue or of a Map.
func TestFlushThatGivesUpLeavesNothing(t *testing.T) {
	const flushes = 5000
	check := func(t *testing.T, entries int) {
		t.Helper()
		if entries > 200 {
			t.Errorf("%d entries after %d flushes", entries, flushes)
		}
	}
	hold := make(chan struct{})
	q := start(t, QueueConfig[int]{Interval: time.Hour, BatchSize: Weight{Items: 2}, Process: func(context.Context, Batch[int]) (v Verdict[int]) {
		<-hold
		return v
	}})
	m, err := NewUnstartedMap(MapQueueConfig[int, int]{QueueConfig: QueueConfig[Entry[int, int]]{
		Partitions: 1, Interval: time.Hour, BatchSize: Weight{Items: 2},
		Process: func(context.Context, Batch[Entry[int, int]]) (v Verdict[Entry[int, int]]) {
			<-hold
			return v
		},
	}})
	if err := errors.Join(err, m.Start(), q.Push(bg, 1, 2), m.PutAll(bg, Entry[int, int]{Key: 1}, Entry[int, int]{Key: 2})); err != nil {
		t.Fatal(err)
	}
	for q.Stats().InFlight == 0 || m.Stats().InFlight == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := errors.Join(q.Push(bg, 3), m.Put(bg, 3, 3)); err != nil {
		t.Fatal(err)
	}
	for range flushes {
		if err := errors.Join(q.Flush(cancelled()), m.Flush(cancelled())); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	check(t, len(q.partitions[0].sole.backlog.active.items))
	check(t, len(m.queue.partitions[0].sole.backlog.active.items))
	if v, ok := m.Get(3); v != 3 || !ok {
		t.Errorf("%d, %v", v, ok)
	}
	if n := q.partitions[0].sole.backlog.urgent; n != 0 {
		t.Errorf("%d urgent", n)
	}
	close(hold)
	if err := errors.Join(q.Shutdown(bg), m.Shutdown(bg)); err != nil {
		t.Error(err)
	}
	if q.Stats().Forwarded != 3 || m.Stats().Forwarded != 3 {
		t.Errorf("%+v, %+v", q.Stats(), m.Stats())
	}
}
