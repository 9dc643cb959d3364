// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// sums is one with a Merge that adds, in which 0 is void.
func sums(r *mapRecorder) MapQueueConfig[string, int] {
	cfg := one(r)
	cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
	cfg.Void = func(v int) bool { return v == 0 }
	return cfg
}

// TestVoidTakesOutWhatMergesToNothing, and whoever wrote to it is told that all is well.
func TestVoidTakesOutWhatMergesToNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := sums(r)
		cfg.Linger = time.Minute
		m := startMap(t, cfg)
		first := make(chan error, 1)
		go func() { first <- m.MergeAllWait(bg, kv{Key: "a", Value: 1}) }()
		synctest.Wait()
		if err := m.MergeAllWait(bg, kv{Key: "a", Value: -1}, kv{Key: "b", Value: 0}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case err := <-first:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("whoever wrote +1 was not told")
		}
		if v, ok := m.Get("a"); ok {
			t.Errorf("a is held, as %d", v)
		}
		if st := m.Stats(); st.Accepted != 3 || st.Superseded != 3 || st.Used != 0 || st.Keys != 0 {
			t.Errorf("%+v", st)
		}
		m.Shutdown(bg)
		if len(r.batches) > 0 {
			t.Errorf("sent %v", r.batches)
		}
	})
}

// TestVoidInOnePush: the rest of the push goes to a stream that held nothing for a moment, and a key of which nothing is left is none.
func TestVoidInOnePush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := sums(r)
		cfg.Key = func(e kv) string { return e.Key[:1] }
		cfg.MaxKeys = 1
		m := startMap(t, cfg)
		for range 100 {
			err := m.MergeAll(bg, kv{Key: "a1", Value: 1}, kv{Key: "a1", Value: -1}, kv{Key: "a2", Value: 3}, kv{Key: "a1", Value: 2}, kv{Key: "a1", Value: -2})
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := m.Get("a2"); !ok || v != 3 {
				t.Fatalf("a2 is %d, %v", v, ok)
			}
			m.Flush(bg)
			m.MergeAll(bg, kv{Key: "b", Value: 1}, kv{Key: "b", Value: -1})
		}
		if st := m.Stats(); st.Keys != 0 || st.Used != 0 || st.Forwarded != 100 || st.Superseded != 600 {
			t.Errorf("%+v", st)
		}
		for _, b := range r.batches {
			if !slices.Equal(b, []kv{{Key: "a2", Value: 3}}) {
				t.Fatalf("sent %v", b)
			}
		}
		m.Shutdown(bg)
		nothingLeft(t, &m.queue)
	})
}

// TestVoidGivesItsCapacityBack: to a caller whose key waits for its share of it.
func TestVoidGivesItsCapacityBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := make(chan struct{})
		r := &mapRecorder{answer: func(Batch[kv]) (v Verdict[kv]) { <-busy; return v }}
		cfg := sums(r)
		cfg.Key = func(e kv) string { return e.Key[:1] }
		cfg.Consumers, cfg.Capacity = 1, 20
		m := startMap(t, cfg)
		for _, key := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "b", "c", "d", "e", "f"} {
			m.Merge(bg, key, 1)
		}
		waits := make(chan error, 1)
		go func() { waits <- m.Merge(bg, "a8", 1) }() // 12 are taken, and a may hold 8 while at most 11 are
		synctest.Wait()
		if len(waits) > 0 {
			t.Fatal("a is not full")
		}
		m.Merge(bg, "b", -1)
		synctest.Wait()
		if len(waits) == 0 {
			t.Error("what was given back reached nobody")
		}
		close(busy)
		m.Shutdown(bg)
		nothingLeft(t, &m.queue)
	})
}

// TestVoidLeavesWhatIsInFlight: it was sent, so what undoes it must be sent too.
func TestVoidLeavesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := make(chan struct{})
		r := &mapRecorder{answer: func(Batch[kv]) (v Verdict[kv]) { <-busy; return v }}
		m := startMap(t, sums(r))
		go m.MergeAllWait(bg, kv{Key: "a", Value: 1})
		synctest.Wait()
		m.Merge(bg, "a", -1)
		close(busy)
		m.Shutdown(bg)
		if want := [][]kv{{{Key: "a", Value: 1}}, {{Key: "a", Value: -1}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

// TestVoidIsRemembered as what was delivered is: an older version stays superseded.
func TestVoidIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := sums(r)
		cfg.Remember = time.Hour
		m := startMap(t, cfg)
		m.PutNewer(bg, "a", 4, 7)
		m.Merge(bg, "a", -4)
		m.PutNewer(bg, "a", 9, 6)
		m.Shutdown(bg)
		if len(r.batches) > 0 {
			t.Errorf("sent %v", r.batches)
		}
	})
}

// TestVoidThatPanics: the value is held, the lock is not, and the Observer hears of it.
func TestVoidThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := sums(r)
		cfg.Void = func(int) bool { panic(errTest) }
		var heard []string
		cfg.Observer = &Observer{Panicked: func(_ string, err *PanicError) { heard = append(heard, err.Func) }}
		m := startMap(t, cfg)
		m.Merge(bg, "a", 1)
		m.Merge(bg, "a", -1)
		if !slices.Equal(heard, []string{"Void", "Void"}) {
			t.Errorf("the Observer heard of %v", heard)
		}
		m.Shutdown(bg)
		if want := [][]kv{{{Key: "a", Value: 0, Updates: 1}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

func TestVoidNeedsAMerge(t *testing.T) {
	process := func(context.Context, []kv) error { return errors.New("never called") }
	if _, err := NewMap(process, MapConfig[string, int]{Void: func(int) bool { return true }}); err == nil {
		t.Error("accepted")
	}
}
