// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestStaleEntryOfAPushThatOpensAStream: what comes behind it in the same push stands in the same stream, where Get, and
// later pushes, and the end find it.
func TestStaleEntryOfAPushThatOpensAStream(t *testing.T) {
	for name, entries := range map[string][]kv{
		"one part":      {{Key: "a1", Version: 1}, {Key: "a2", Value: 2, Version: 1}},
		"several parts": {{Key: "a1", Version: 1}, {Key: "b1", Version: 1}, {Key: "a2", Value: 2, Version: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &mapRecorder{}
				cfg := one(r)
				cfg.Key = func(e kv) string { return e.Key[:1] }
				cfg.MaxKeys, cfg.Consumers = 2, 1
				cfg.Remember = time.Minute
				m := startMap(t, cfg)
				m.PutNewer(bg, "a1", 1, 500)
				m.Flush(bg)
				if err := m.PutAllNewer(bg, entries...); err != nil {
					t.Fatal(err)
				}
				if v, ok := m.Get("a2"); v != 2 || !ok {
					t.Errorf("Get: %v, %v", v, ok)
				}
				if st := m.Stats(); int(st.Keys) != len(entries)-1 || st.Superseded != 1 {
					t.Errorf("%+v", st)
				}
				m.PutNewer(bg, "a2", 3, 2)
				m.Shutdown(bg)
				if got := r.batches[len(r.batches)-1]; got[0].Key == "a2" && got[0] != (kv{"a2", 3, 2, 1}) {
					t.Errorf("sent %v", r.batches)
				}
				st := m.Stats()
				conserved(t, st)
				if st.Keys != 0 || st.Superseded != 2 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestStalePutIsNoKey: a write that is superseded at once leaves no stream behind.
func TestStalePutIsNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := one(&mapRecorder{})
		cfg.Key = func(e kv) string { return e.Key[:1] }
		cfg.MaxKeys = 1
		cfg.Remember = time.Minute
		m := startMap(t, cfg)
		m.PutNewer(bg, "a", 1, 500)
		m.Flush(bg)
		m.PutNewer(bg, "a", 1, 499)
		if st := m.Stats(); st.Keys != 0 {
			t.Errorf("%+v", st)
		}
		m.PutAllNewer(bg, kv{Key: "a", Version: 1}, kv{Key: "a", Version: 2})
		if st := m.Stats(); st.Keys != 0 || st.Used != 0 || st.Superseded != 3 {
			t.Errorf("%+v", st)
		}
		if err := m.Put(bg, "b", 1); err != nil {
			t.Error(err)
		}
		m.Shutdown(bg)
	})
}

// TestVersionPutWhileTheOlderIsFlushed is remembered from its own flush on, not from that of the older.
func TestVersionPutWhileTheOlderIsFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember = 10 * time.Second
		cfg.MaxBatchSize, cfg.BatchSize = Weight{Items: 2}, Weight{Items: 2}
		r.answer = func(Batch[kv]) Verdict[kv] {
			time.Sleep(time.Second)
			return Verdict[kv]{}
		}
		cfg.Process = r.process
		cfg.Key, cfg.Consumers = func(e kv) string { return e.Key[:1] }, 1
		m := startMap(t, cfg)
		m.PutAllNewer(bg, kv{Key: "b1", Version: 1}, kv{Key: "b2", Version: 1}, kv{Key: "b", Version: 5})
		synctest.Wait() // the first two are in flight, b was swapped out, and waits
		m.PutNewer(bg, "b", 2, 9)
		time.Sleep(time.Minute) // the flush of 5 is over for longer than Remember
		m.PutAllNewer(bg, kv{Key: "c1", Version: 1}, kv{Key: "c2", Version: 1})
		time.Sleep(time.Minute) // flushed: the partition has forgotten what is over
		m.Flush(bg)
		m.PutNewer(bg, "b", 3, 7)
		if st := m.Stats(); st.Superseded != 1 || st.Queued != 0 {
			t.Errorf("I3: 7 is accepted just after 9: %+v", st)
		}
		m.Shutdown(bg)
	})
}

// TestEveryVersionIsForgottenInTheEnd, however its entry left: in a batch, by Delete, or to make room, from either buffer.
func TestEveryVersionIsForgottenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember, cfg.Capacity, cfg.Overflow = time.Minute, 4, OverflowDropOldest
		cfg.MaxBatchSize, cfg.BatchSize = Weight{Items: 1}, Weight{Items: NoTrigger}
		hold := make(chan struct{})
		r.answer = func(Batch[kv]) Verdict[kv] {
			<-hold
			return Verdict[kv]{}
		}
		cfg.Process = r.process
		m := startMap(t, cfg)
		m.PutAllNewer(bg, kv{Key: "a", Version: 1}, kv{Key: "b", Version: 1}, kv{Key: "c", Version: 1})
		go m.Flush(bg)
		synctest.Wait() // a is in flight, b and c were swapped out
		for i := range 5 {
			m.PutNewer(bg, fmt.Sprint(i), 0, 1)
		}
		m.Delete("4")
		if st := m.Stats(); st.Evicted != 4 || st.Superseded != 1 || st.Remembered != 4 {
			t.Errorf("%+v", st)
		}
		close(hold)
		m.Flush(bg)
		time.Sleep(time.Minute)
		m.Put(bg, "last", 1)
		m.Flush(bg)
		if st := m.Stats(); st.Remembered != 0 {
			t.Errorf("%d versions are kept for ever", st.Remembered)
		}
		m.Shutdown(bg)
		conserved(t, m.Stats())
	})
}

// TestMapAfterTheDeadlineOfShutdown holds nothing, and says so.
func TestMapAfterTheDeadlineOfShutdown(t *testing.T) {
	for _, byKey := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := one(&mapRecorder{})
			cfg.Process = func(ctx context.Context, _ Batch[kv]) (v Verdict[kv]) {
				<-ctx.Done() // a worker may be quicker than the deadline: it delivers nothing all the same
				return v
			}
			cfg.Remember = time.Minute
			if byKey {
				cfg.Key = func(e kv) string { return e.Key }
			}
			cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
			m := startMap(t, cfg)
			m.PutAll(bg, kv{Key: "a"}, kv{Key: "b"})
			if err := m.Shutdown(cancelled()); !errors.Is(err, ErrDropped) {
				t.Error(err)
			}
			if _, ok := m.Get("a"); ok {
				t.Error("Get finds what was dropped")
			}
			if m.Delete("b") {
				t.Error("Delete finds what was dropped")
			}
			interval := time.Second
			for what, err := range map[string]error{
				"Put": m.Put(bg, "a", 1), "PutAll": m.PutAll(bg, kv{}, kv{}), "PutNewer": m.PutNewer(bg, "a", 1, 1),
				"PutAllNewer": m.PutAllNewer(bg, kv{}, kv{}), "Merge": m.Merge(bg, "a", 1), "MergeAll": m.MergeAll(bg, kv{}, kv{}),
				"MergeAllWait": m.MergeAllWait(bg, kv{}),
			} {
				if !errors.Is(err, ErrClosed) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if err := errors.Join(m.Flush(bg), m.Update(Change{Interval: &interval})); err != nil {
				t.Error(err)
			}
			st := m.Stats()
			conserved(t, st)
			if st.Lost != 2 || st.Used != 0 || st.Keys != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestRememberedAgainFromTheLastCall: what comes back as a Rest is remembered from its last call on.
func TestRememberedAgainFromTheLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		r.answer = func(b Batch[kv]) (v Verdict[kv]) {
			if len(r.batches) < 3 {
				v.Rest, v.After = slices.Clone(b.Items), 30*time.Second
			}
			return v
		}
		cfg := one(r)
		cfg.Remember = time.Minute
		m := startMap(t, cfg)
		m.PutNewer(bg, "k", 1, 500)
		m.Flush(bg)                  // the last call is after 60 s
		time.Sleep(59 * time.Second) // 119 s
		m.PutNewer(bg, "k", 2, 3)
		if st := m.Stats(); st.Superseded != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second)
		m.PutNewer(bg, "k", 3, 3)
		if st := m.Stats(); st.Superseded != 1 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		m.Shutdown(bg)
	})
}

// TestDeadlineBeforeVersionsAreRemembered steps a worker by hand: it has cut its batch, a key of it is written again, Shutdown
// gives up, then the worker goes on.
func TestDeadlineBeforeVersionsAreRemembered(t *testing.T) {
	cfg := one(&mapRecorder{})
	cfg.Remember, cfg.Interval, cfg.BatchSize = time.Minute, 0, Weight{}
	m, err := NewUnstartedMap(cfg)
	if err != nil {
		t.Fatal(err)
	}
	q := &m.queue
	q.life.started = true
	q.working.Store(1)
	q.gate.open()
	m.PutNewer(bg, "k", 1, 1)
	s, _ := q.scheduler.next(false)
	c := &call[kv]{}
	if !q.take(s, c) {
		t.Fatal("not taken")
	}
	m.PutNewer(bg, "k", 2, 2)
	if err := m.Shutdown(cancelled()); !errors.Is(err, ErrDropped) {
		t.Fatal(err)
	}
	arrive := q.mapping.depart(s, c)
	arrive(Verdict[kv]{})
	conserved(t, m.Stats())
}

// TestMaxRememberedIsOfAllPartitions together, and so is the memory that it takes.
func TestMaxRememberedIsOfAllPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := one(&mapRecorder{})
		cfg.Process = func(context.Context, Batch[kv]) (v Verdict[kv]) { return v }
		cfg.Partitions, cfg.Remember, cfg.MaxRemembered = 10, time.Hour, 100
		m := startMap(t, cfg)
		for range 50 {
			for i := range 300 {
				m.PutNewer(bg, fmt.Sprint(i), 0, time.Now().UnixNano())
			}
			m.Flush(bg)
			time.Sleep(time.Second)
		}
		if st := m.Stats(); st.Remembered > 100 || st.Remembered < 50 {
			t.Errorf("%d are remembered", st.Remembered)
		}
		pending, delivered := 0, 0
		for _, mem := range m.memory {
			pending += len(mem.pending)
			delivered += len(mem.delivered)
		}
		if pending != 0 || delivered > 100 {
			t.Errorf("%d pending, %d delivered", pending, delivered)
		}
		m.Shutdown(bg)
	})
}

// TestNoVersionIsNotRemembered, and loses against any other.
func TestNoVersionIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember = time.Hour
		m := startMap(t, cfg)
		m.PutNewer(bg, "k", 1, NoVersion)
		m.Flush(bg)
		if st := m.Stats(); st.Remembered != 0 {
			t.Errorf("%d are remembered", st.Remembered)
		}
		m.PutAllNewer(bg, kv{Key: "k", Value: 2, Version: -7}, kv{Key: "k", Value: 3, Version: NoVersion})
		m.Shutdown(bg)
		if want := [][]kv{{{"k", 1, NoVersion, 0}}, {{"k", 2, -7, 0}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

// TestAlwaysNewerReplacesWhatIsHeld: what has no version replaces what came before it, and is replaced by what comes after it,
// unless that is older than the version that the key has.
func TestAlwaysNewerReplacesWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember = time.Hour
		m := startMap(t, cfg)
		put := func(versions ...int64) {
			for i, v := range versions {
				m.PutNewer(bg, "k", i+1, v)
			}
			m.Flush(bg)
		}
		put(AlwaysNewer, AlwaysNewer) // of two without a version the later one
		put(AlwaysNewer)              // nothing is remembered of it
		put(AlwaysNewer, -7)          // any version is newer than none
		put(-8, AlwaysNewer)          // -8 is older than what is remembered; none is not
		put(-6, AlwaysNewer, -7)      // -7 is older than what is held
		m.Shutdown(bg)
		want := [][]kv{{{"k", 2, AlwaysNewer, 1}}, {{"k", 1, AlwaysNewer, 0}}, {{"k", 2, -7, 1}}, {{"k", 2, -7, 0}}, {{"k", 2, -6, 1}}}
		if !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

// TestDroppedVersionIsNotRemembered, so its repetition, which heals the loss, is sent: after a failure, after the last attempt, and
// after OverflowDropOldest.
func TestDroppedVersionIsNotRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		first    func(Batch[kv]) Verdict[kv]
		overflow Overflow
	}{
		"failed": {first: func(Batch[kv]) Verdict[kv] { return Verdict[kv]{Err: errTest} }},
		"taken in part": {first: func(Batch[kv]) Verdict[kv] {
			return Verdict[kv]{Err: errTest, Taken: 1}
		}},
		"panicked": {first: func(Batch[kv]) Verdict[kv] { panic("no") }},
		"evicted":  {overflow: OverflowDropOldest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &mapRecorder{}
				r.answer = func(b Batch[kv]) (v Verdict[kv]) {
					if len(r.batches) == 1 && c.first != nil {
						return c.first(b)
					}
					return v
				}
				cfg := one(r)
				cfg.Remember, cfg.Overflow = time.Hour, c.overflow
				if c.overflow == OverflowDropOldest {
					cfg.Capacity = 1
				}
				m := startMap(t, cfg)
				m.PutNewer(bg, "k", 1, 5)
				if c.overflow == OverflowDropOldest {
					m.PutNewer(bg, "other", 1, 5)
				}
				m.Flush(bg)
				m.PutNewer(bg, "k", 2, 5) // again
				m.Flush(bg)
				m.PutNewer(bg, "k", 3, 5) // delivered by now
				m.Shutdown(bg)
				if last := r.batches[len(r.batches)-1]; len(r.batches) != 2 || !slices.Equal(last, []kv{{"k", 2, 5, 0}}) {
					t.Errorf("sent %v", r.batches)
				}
				if st := m.Stats(); st.Superseded != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestRepetitionWhileTheFirstIsInFlight is held until it is known what becomes of that: delivered, the repetition is superseded;
// dropped, it is sent. An attempt that is parked in between changes nothing. What is older is superseded.
func TestRepetitionWhileTheFirstIsInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		then   func(m *Map[string, int]) // after the repetition
		want   []kv                      // what is sent behind the first; nil: nothing
		stales int64
	}{
		"delivered":          {stales: 2},
		"dropped":            {err: errTest, want: []kv{{"k", 2, 5, 0}}, stales: 1},
		"delivered, newer":   {then: func(m *Map[string, int]) { m.PutNewer(bg, "k", 3, 6) }, want: []kv{{"k", 3, 6, 1}}, stales: 2},
		"delivered, put":     {then: func(m *Map[string, int]) { m.Put(bg, "k", 3) }, want: []kv{{"k", 3, 5, 0}}, stales: 2},
		"dropped, again":     {err: errTest, then: func(m *Map[string, int]) { m.PutNewer(bg, "k", 3, 5) }, want: []kv{{"k", 2, 5, 0}}, stales: 2},
		"delivered, deleted": {then: func(m *Map[string, int]) { m.Delete("k") }, stales: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &mapRecorder{}
				r.answer = func(b Batch[kv]) (v Verdict[kv]) {
					time.Sleep(time.Second)
					switch len(r.batches) {
					case 1:
						v.Rest, v.After = slices.Clone(b.Items), time.Second
					case 2:
						v.Err = c.err
					}
					return v
				}
				cfg := one(r)
				cfg.Remember = time.Hour
				m := startMap(t, cfg)
				m.PutNewer(bg, "k", 1, 5)
				go m.Flush(bg)
				time.Sleep(1500 * time.Millisecond) // parked
				m.PutNewer(bg, "k", 2, 5)
				m.PutNewer(bg, "k", 9, 4)
				if c.then != nil {
					c.then(m)
				}
				time.Sleep(5 * time.Second)
				m.Flush(bg)
				m.PutNewer(bg, "k", 8, 5) // whichever of the two was delivered
				if c.err == nil || c.want != nil {
					m.Flush(bg)
				}
				if got := r.batches[2:]; len(got) > 1 || len(got) == 1 != (c.want != nil) || len(got) == 1 && !slices.Equal(got[0], c.want) {
					t.Errorf("sent %v, want %v", got, c.want)
				}
				if st := m.Stats(); st.Superseded != c.stales+1 || st.Queued != 0 {
					t.Errorf("%+v, want %d superseded", st, c.stales+1)
				}
				m.Shutdown(bg)
				conserved(t, m.Stats())
			})
		})
	}
}

// TestEvictedVersionWhileAnOlderIsInFlight: neither it nor what is between the two is taken for sent.
func TestEvictedVersionWhileAnOlderIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		hold := make(chan struct{})
		r.answer = func(Batch[kv]) (v Verdict[kv]) {
			<-hold
			return v
		}
		cfg := one(r)
		cfg.Remember, cfg.Capacity, cfg.Overflow = time.Hour, 2, OverflowDropOldest
		m := startMap(t, cfg)
		m.PutNewer(bg, "k", 1, 5)
		go m.Flush(bg)
		synctest.Wait()
		m.PutNewer(bg, "k", 2, 7)
		m.PutNewer(bg, "other", 1, 1) // evicts 7
		m.PutNewer(bg, "k", 9, 4)     // older than what is in flight
		m.PutNewer(bg, "k", 3, 6)     // evicts other
		close(hold)
		m.Flush(bg)
		m.PutNewer(bg, "k", 4, 7)
		m.Shutdown(bg)
		if got := fmt.Sprint(r.batches[1:]); got != "[[{k 3 6 0}] [{k 4 7 0}]]" {
			t.Error(got)
		}
		conserved(t, m.Stats())
	})
}

// TestMaxRememberedCountsVersions, and not flushes: a key that is flushed often does not make others forgotten, in whichever
// partition they are.
func TestMaxRememberedCountsVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := one(&mapRecorder{})
		cfg.Process = func(context.Context, Batch[kv]) (v Verdict[kv]) { return v }
		cfg.Key, cfg.Consumers, cfg.Partitions = func(e kv) string { return e.Key[:1] }, 2, 256
		cfg.Remember, cfg.MaxRemembered = time.Hour, 60
		m := startMap(t, cfg)
		for i := range 50 {
			m.PutNewer(bg, fmt.Sprint("quiet", i), 0, 5)
		}
		for i := range 200 {
			m.PutNewer(bg, "hot", 0, int64(i+1))
			m.Flush(bg)
		}
		before := m.Stats().Superseded
		for i := range 50 {
			m.PutNewer(bg, fmt.Sprint("quiet", i), 0, 5)
		}
		if st := m.Stats(); st.Superseded-before != 50 || st.Remembered != 51 {
			t.Errorf("%+v", st)
		}
		m.Shutdown(bg)
	})
}

// TestKeysThatEqualNothing, as NaN, are neither found nor remembered, and harm nothing.
func TestKeysThatEqualNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		m, err := NewUnstartedMap(MapQueueConfig[float64, int]{
			QueueConfig: QueueConfig[Entry[float64, int]]{
				Process: func(_ context.Context, b MapBatch[float64, int]) (v MapVerdict[float64, int]) {
					sent += len(b.Items)
					return v
				},
				Partitions: 1, Interval: time.Hour, BatchSize: Weight{Items: 1 << 20}, Capacity: 100, Overflow: OverflowDropOldest,
			},
			Remember: time.Hour, MaxRemembered: 10,
		})
		if err := errors.Join(err, m.Start()); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			m.PutNewer(bg, math.NaN(), i, int64(i))
			m.PutNewer(bg, float64(i%3), i, int64(i))
			m.Delete(float64(i % 2))
		}
		m.Flush(bg)
		mem := m.memory[0]
		if st := m.Stats(); st.Remembered > 3 || len(mem.pending)+len(mem.delivered) > 3 {
			t.Errorf("%+v, %d pending, %d delivered", st, len(mem.pending), len(mem.delivered))
		}
		m.Shutdown(bg)
		conserved(t, m.Stats())
		if int64(sent) != m.Stats().Forwarded {
			t.Errorf("%d sent: %+v", sent, m.Stats())
		}
	})
}

// TestForgottenVersionDoesNotComeBack when a lower one of its key is delivered.
func TestForgottenVersionDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember = time.Minute
		m := startMap(t, cfg)
		for i, version := range []int64{9, 1, 2} {
			m.PutNewer(bg, "k", i, version)
			m.Flush(bg)
			if i == 0 {
				time.Sleep(2 * time.Minute)
			}
		}
		m.Shutdown(bg)
		if got := fmt.Sprint(r.batches); got != "[[{k 0 9 0}] [{k 1 1 0}] [{k 2 2 0}]]" {
			t.Error(got)
		}
	})
}
