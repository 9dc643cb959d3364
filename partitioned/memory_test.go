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
				if got := r.batches[len(r.batches)-1]; got[0].Key == "a2" && got[0] != (kv{"a2", 3, 2, 2}) {
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
		cfg.Remember, cfg.Capacity, cfg.Overflow = time.Minute, 4, DropOldest
		cfg.MaxBatchSize, cfg.BatchSize = Weight{Items: 1}, Weight{Bytes: 1}
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
		if st := m.Stats(); st.Evicted != 4 || st.Superseded != 1 || st.Remembered != 8 {
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
	cfg.Remember, cfg.Interval = time.Minute, 0
	m, err := NewMap(cfg)
	if err != nil {
		t.Fatal(err)
	}
	q := &m.queue
	q.life.started = true
	q.working.Store(1)
	q.gate.open()
	m.PutNewer(bg, "k", 1, 1)
	s, _ := q.scheduler.next()
	c := &call[kv]{}
	if !q.take(s, c) {
		t.Fatal("not taken")
	}
	m.PutNewer(bg, "k", 2, 2)
	if err := m.Shutdown(cancelled()); !errors.Is(err, ErrDropped) {
		t.Fatal(err)
	}
	q.flushed(s, c.batch.Items)
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
		for _, mem := range m.memory {
			if len(mem.queue) > 200 {
				t.Errorf("%d in the queue of what is to be forgotten", len(mem.queue))
			}
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
		if want := [][]kv{{{"k", 1, NoVersion, 1}}, {{"k", 2, -7, 1}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
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
		want := [][]kv{{{"k", 2, AlwaysNewer, 2}}, {{"k", 1, AlwaysNewer, 1}}, {{"k", 2, -7, 2}}, {{"k", 2, -7, 1}}, {{"k", 2, -6, 2}}}
		if !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}
