// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

type kv = Entry[string, int]

// mapRecorder keeps the batches that a Map's Process got.
type mapRecorder struct {
	mu      sync.Mutex // guards batches: those of several keys may be sent at once
	batches [][]kv
	answer  func(Batch[kv]) Verdict[kv]
}

func (r *mapRecorder) process(_ context.Context, b Batch[kv]) Verdict[kv] {
	r.mu.Lock()
	r.batches = append(r.batches, slices.Clone(b.Items))
	r.mu.Unlock()
	if r.answer != nil {
		return r.answer(b)
	}
	return Verdict[kv]{}
}

// one is a Map with one partition and one consumer, that flushes when it is told to.
func one(r *mapRecorder) MapQueueConfig[string, int] {
	return MapQueueConfig[string, int]{QueueConfig: QueueConfig[kv]{
		Process:    r.process,
		Partitions: 1,
		Interval:   time.Hour,
		BatchSize:  Weight{Items: 1_000_000},
	}}
}

func startMap[K comparable, V any](t testing.TB, cfg MapQueueConfig[K, V]) *Map[K, V] {
	t.Helper()
	m, err := NewUnstartedMap(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	return m
}

// modelMap is what a Map of one partition holds, in the plainest way.
type modelMap struct {
	keys     []string // in the order of their first write
	held     map[string]kv
	flushed  map[string]int64     // versions remembered
	at       map[string]time.Time // since when
	remember time.Duration
	void     func(int) bool
	accepted, superseded,
	forwarded int64
}

func (m *modelMap) known(key string) (int64, bool) {
	v, ok := m.flushed[key]
	return v, ok && m.remember > 0 && time.Since(m.at[key]) < m.remember
}

func (m *modelMap) write(how write, e kv) {
	if how == newer && e.Version == Merged {
		how = merge
	}
	m.accepted++
	h, held := m.held[e.Key]
	if !held {
		if how == merge && m.void(e.Value) {
			m.superseded++
			return
		}
		v, known := m.known(e.Key)
		if how == newer && known && e.Version <= v && e.Version != AlwaysNewer {
			m.superseded++
			return
		}
		if how != newer {
			e.Version = 0
		}
		if known && (how != newer || e.Version == AlwaysNewer) {
			e.Version = v
		}
		e.Updates = 0
		m.held[e.Key] = e
		m.keys = append(m.keys, e.Key)
		return
	}
	m.superseded++
	switch {
	case how == newer && e.Version <= h.Version && e.Version != AlwaysNewer:
		return
	case how == newer && e.Version != AlwaysNewer:
		h.Value, h.Version = e.Value, e.Version
	case how == merge:
		if h.Value += e.Value; m.void(h.Value) {
			m.superseded++
			m.delete(e.Key)
			return
		}
	default:
		h.Value = e.Value
	}
	if h.Updates++; how == put {
		h.Updates = 0
	}
	m.held[e.Key] = h
}

func (m *modelMap) drop(key string) { // what was put with a version is remembered
	if m.remember > 0 && m.versioned(key) {
		m.flushed[key], m.at[key] = m.held[key].Version, time.Now()
	}
	delete(m.held, key)
}

func (m *modelMap) delete(key string) {
	m.drop(key)
	m.keys = slices.DeleteFunc(m.keys, func(k string) bool { return k == key })
}

// versioned reports whether key has a version at all; in these scripts all are above 0.
func (m *modelMap) versioned(key string) bool { return m.held[key].Version > 0 }

func (m *modelMap) flush() (batch []kv) {
	for _, k := range m.keys {
		if e, ok := m.held[k]; ok {
			batch = append(batch, e)
			m.drop(k)
			m.forwarded++
		}
	}
	m.keys = nil
	return batch
}

// mapOp is one step of a script for a Map.
type mapOp struct {
	kind    int
	entries []kv
	wait    time.Duration
}

// replay plays a script to a Map and to the plainest model, and says where they differ: in the order of first insertion,
// versions, Remember, Updates, Void, Get, Delete, counts (I1, I3). Multiples of void are void; 0: nothing is.
func replay(t *testing.T, remember time.Duration, void int, script []mapOp) (fault string) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember = remember
		cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
		isVoid := func(v int) bool { return void > 0 && v%void == 0 }
		if void > 0 {
			cfg.Void = isVoid
		}
		m := startMap(t, cfg)
		defer m.Shutdown(bg)
		model := &modelMap{held: map[string]kv{}, flushed: map[string]int64{}, at: map[string]time.Time{}, remember: remember, void: isVoid}
		var want [][]kv
		for i, o := range script {
			e := o.entries[0]
			switch o.kind {
			case 0:
				m.Put(bg, e.Key, e.Value)
				model.write(put, e)
			case 1:
				m.PutNewer(bg, e.Key, e.Value, e.Version)
				model.write(newer, e)
			case 2:
				m.Merge(bg, e.Key, e.Value)
				model.write(merge, e)
			case 3, 4, 5:
				how := []write{put, newer, merge}[o.kind-3]
				[]func(context.Context, ...kv) error{m.PutAll, m.PutAllNewer, m.MergeAll}[o.kind-3](bg, o.entries...)
				for _, e := range o.entries {
					model.write(how, e)
				}
			case 6:
				_, held := model.held[e.Key]
				if held {
					model.superseded++
					model.delete(e.Key)
				}
				if got := m.Delete(e.Key); got != held {
					fault = fmt.Sprintf("step %d: Delete(%s) is %v", i, e.Key, got)
				}
			case 7:
				if b := model.flush(); len(b) > 0 {
					want = append(want, b)
				}
				m.Flush(bg)
			case 8:
				time.Sleep(o.wait)
			}
			for k := range model.held {
				if v, ok := m.Get(k); !ok || v != model.held[k].Value {
					fault = fmt.Sprintf("step %d: Get(%s) is %v, %v; want %v", i, k, v, ok, model.held[k].Value)
				}
			}
			st := m.Stats()
			if st.Accepted != model.accepted || st.Superseded != model.superseded || st.Forwarded != model.forwarded || st.Queued != int64(len(model.held)) || st.Used != st.Queued {
				fault = fmt.Sprintf("step %d: %+v; want %+v", i, st, model)
			}
			if fault != "" {
				return
			}
		}
		if !slices.EqualFunc(r.batches, want, slices.Equal) {
			fault = fmt.Sprintf("sent %v, want %v", r.batches, want)
		}
	})
	return fault
}

// TestMapModel replays random scripts.
func TestMapModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		remember := time.Duration(rapid.SampledFrom([]int{0, 0, 5, 100}).Draw(rt, "remember")) * time.Second
		void := rapid.SampledFrom([]int{0, 1, 2, 5}).Draw(rt, "void")
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		var script []mapOp
		for range rapid.IntRange(1, 60).Draw(rt, "length") {
			o := mapOp{kind: rapid.IntRange(0, 8).Draw(rt, "op")}
			for range rapid.IntRange(1, 4).Draw(rt, "entries") {
				o.entries = append(o.entries, kv{
					Key: key.Draw(rt, "key"), Value: rapid.IntRange(1, 1000).Draw(rt, "value"), Version: rapid.OneOf(rapid.Int64Range(1, 9), rapid.SampledFrom([]int64{AlwaysNewer, Merged})).Draw(rt, "version"),
				})
			}
			o.wait = time.Duration(rapid.IntRange(0, 7).Draw(rt, "wait")) * time.Second
			script = append(script, o)
		}
		if fault := replay(t, remember, void, script); fault != "" {
			rt.Fatal(fault)
		}
	})
}

// TestPutKeepsTheVersionOfItsKey: the original forgot it, and then let an older version win.
func TestPutKeepsTheVersionOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		m := startMap(t, one(r))
		m.PutNewer(bg, "k", 1, 500)
		m.Put(bg, "k", 2)
		m.PutNewer(bg, "k", 3, 499)
		m.PutNewer(bg, "k", 4, 500) // equal: the one in place stays
		m.Shutdown(bg)
		if want := []kv{{"k", 2, 500, 0}}; !slices.Equal(r.batches[0], want) {
			t.Errorf("sent %v, want %v", r.batches[0], want)
		}
	})
}

// TestNewerWinsAcrossFlushes: with the original, version 500 and then, an interval later, 3 were both delivered.
func TestNewerWinsAcrossFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember = time.Minute
		m := startMap(t, cfg)
		m.PutNewer(bg, "k", 1, 500)
		m.Flush(bg)
		m.PutNewer(bg, "k", 2, 3)
		m.Flush(bg)
		if st := m.Stats(); st.Superseded != 1 || st.Remembered != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
		m.PutNewer(bg, "k", 3, 3) // forgotten by now
		m.Shutdown(bg)
		if want := [][]kv{{{"k", 1, 500, 0}}, {{"k", 3, 3, 0}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

// TestOlderVersionWhileTheNewerIsProcessed is superseded: a version that was swapped out counts until it is known what becomes of it.
func TestOlderVersionWhileTheNewerIsProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember = time.Second
		cfg.BatchSize, cfg.MaxBatchSize = Weight{Items: NoTrigger}, Weight{Items: 1}
		cfg.Process = func(_ context.Context, b Batch[kv]) Verdict[kv] {
			r.process(bg, b)
			time.Sleep(time.Minute)
			return Verdict[kv]{}
		}
		m := startMap(t, cfg)
		m.PutAllNewer(bg, kv{Key: "a", Version: 9}, kv{Key: "b", Version: 9})
		go m.Flush(bg)
		time.Sleep(30 * time.Second) // a is in flight, for longer than Remember; b was swapped, and waits
		m.PutAllNewer(bg, kv{Key: "a", Version: 8}, kv{Key: "b", Version: 8})
		m.Shutdown(bg)
		if want := [][]kv{{{"a", 0, 9, 0}}, {{"b", 0, 9, 0}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

// TestMaxRememberedBoundsTheMemory: it forgets the versions that were delivered first.
func TestMaxRememberedBoundsTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Remember, cfg.MaxRemembered = time.Hour, 10
		m := startMap(t, cfg)
		for i := range 100 {
			m.PutNewer(bg, fmt.Sprint(i), 0, 5)
			m.Flush(bg)
		}
		if st := m.Stats(); st.Remembered != 10 {
			t.Errorf("%d are remembered", st.Remembered)
		}
		m.PutNewer(bg, "99", 0, 4)
		m.PutNewer(bg, "0", 0, 4)
		if st := m.Stats(); st.Superseded != 1 || st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		m.Shutdown(bg)
	})
}

// TestSupersededReleasesItsRoom at once: callers in line get it.
func TestSupersededReleasesItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		cfg := MapQueueConfig[string, string]{QueueConfig: QueueConfig[Entry[string, string]]{
			Process: func(ctx context.Context, _ MapBatch[string, string]) (v MapVerdict[string, string]) {
				<-hold
				return v
			},
			Weigh:      func(e Entry[string, string]) Weight { return Weight{Items: len(e.Value)} },
			Partitions: 1, Interval: time.Second, BatchSize: Weight{Items: 1000}, Capacity: 10,
		}}
		m := startMap(t, cfg)
		m.Put(bg, "first", "12345")
		time.Sleep(2 * time.Second) // in flight, for as long as it is held
		m.Put(bg, "k", "12345678")  // over the capacity, which was not reached
		accepted := make(chan error, 1)
		go func() { accepted <- m.Put(bg, "other", "1") }()
		synctest.Wait()
		if st := m.Stats(); st.Callers != 1 || st.Used != 13 {
			t.Fatalf("%+v", st)
		}
		if !m.Delete("k") {
			t.Error("k was not there")
		}
		if err := <-accepted; err != nil {
			t.Error(err)
		}
		if st := m.Stats(); st.Used != 6 || st.Superseded != 8 {
			t.Errorf("%+v", st)
		}
		close(hold)
		m.Shutdown(bg)
		conserved(t, m.Stats())
	})
}

// TestWriteIsWeighedOnce: what replaces an entry weighs what it was pushed with. Only what Merge made is weighed again.
func TestWriteIsWeighedOnce(t *testing.T) {
	weighed := 0
	cfg := one(&mapRecorder{})
	cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
	cfg.Supersede = func(kept, _ kv) int { return kept.Value }
	cfg.Weigh = func(e kv) Weight {
		weighed++
		return Weight{Items: e.Value}
	}
	m := startMap(t, cfg)
	for _, c := range []struct {
		write   func() error
		weighed int
		queued  int64
	}{
		{func() error { return m.Put(bg, "a", 2) }, 1, 2},
		{func() error { return m.Put(bg, "a", 5) }, 1, 5},
		{func() error { return m.PutNewer(bg, "a", 4, 1) }, 1, 4},
		{func() error { return m.PutNewer(bg, "a", 9, 1) }, 1, 4},
		{func() error { return m.PutAllNewer(bg, kv{Key: "a", Value: 7, Version: 2}, kv{Key: "b", Value: 1}) }, 2, 8},
		{func() error { return m.Merge(bg, "a", 1) }, 2, 9},
	} {
		weighed = 0
		if err := c.write(); err != nil {
			t.Fatal(err)
		}
		if st := m.Stats(); weighed != c.weighed || st.Queued != c.queued {
			t.Errorf("weighed %d times, want %d; %d queued, want %d", weighed, c.weighed, st.Queued, c.queued)
		}
	}
	if err := m.Shutdown(within(time.Hour)); err != nil {
		t.Error(err)
	}
	nothingLeft(t, &m.queue)
}

// TestPutAndDeleteForEver holds no more than what is there.
func TestPutAndDeleteForEver(t *testing.T) {
	r := &mapRecorder{}
	m := startMap(t, one(r))
	m.Put(bg, "stays", 1)
	for i := range 100_000 {
		key := fmt.Sprint(i % 7)
		m.Put(bg, key, i)
		m.Delete(key)
	}
	if s := m.queue.partitions[0].sole; cap(s.backlog.active.items) > 1000 {
		t.Errorf("room for %d entries", cap(s.backlog.active.items))
	}
	if v, ok := m.Get("stays"); v != 1 || !ok {
		t.Error("what stayed is lost")
	}
	m.Shutdown(bg)
	if want := [][]kv{{{"stays", 1, 0, 0}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
		t.Errorf("sent %v", r.batches)
	}
}

// TestBatchOfAMapHasNoKeyTwice, though the cap leaves entries in draining while their keys are written again.
func TestBatchOfAMapHasNoKeyTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.MaxBatchSize = Weight{Items: 3}
		cfg.BatchSize = Weight{Items: 3}
		cfg.Process = func(_ context.Context, b Batch[kv]) Verdict[kv] {
			time.Sleep(time.Second)
			return r.process(bg, b)
		}
		m := startMap(t, cfg)
		for round := range 5 {
			for i := range 5 {
				m.Put(bg, fmt.Sprint(i), round)
			}
			time.Sleep(300 * time.Millisecond)
		}
		m.Shutdown(bg)
		last := map[string]int{}
		for _, b := range r.batches {
			seen := map[string]bool{}
			for _, e := range b {
				if seen[e.Key] {
					t.Errorf("%v has %s twice", b, e.Key)
				}
				seen[e.Key] = true
				if e.Value < last[e.Key] {
					t.Errorf("I3: %s was %d, then %d", e.Key, last[e.Key], e.Value)
				}
				last[e.Key] = e.Value
			}
		}
		for k, v := range last {
			if v != 4 {
				t.Errorf("the last of %s is %d", k, v)
			}
		}
		if len(last) != 5 {
			t.Errorf("%v", slices.Collect(maps.Keys(last)))
		}
	})
}

// TestMergeAllWaitTellsAllWhoWroteToAnEntry, each once, with the error of the batch.
func TestMergeAllWaitTellsAllWhoWroteToAnEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		r := &mapRecorder{answer: func(b Batch[kv]) (v Verdict[kv]) {
			<-hold
			if b.Items[0].Key == "bad" {
				v.Err = errTest
			}
			return v
		}}
		cfg := one(r)
		cfg.BatchSize, cfg.MaxBatchSize = Weight{Items: NoTrigger}, Weight{Items: 1}
		cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
		m := startMap(t, cfg)
		first := make(chan error, 1)
		go func() { first <- m.MergeAllWait(bg, kv{Key: "busy"}) }() // due at once; holds the consumer
		synctest.Wait()
		results := make(chan error, 3)
		go func() {
			results <- m.MergeAllWait(bg, kv{Key: "good", Value: 1}, kv{Key: "bad", Value: 1}, kv{Key: "bad", Value: 1})
		}()
		go func() { results <- m.MergeAllWait(bg, kv{Key: "bad", Value: 5}) }()
		go func() { results <- m.MergeAllWait(bg, kv{Key: "bad", Value: 7}, kv{Key: "bad", Value: 7}) }()
		good := make(chan error, 1)
		synctest.Wait()
		go func() { good <- m.MergeAllWait(bg, kv{Key: "good", Value: 3}) }()
		synctest.Wait()
		close(hold)
		for range 3 {
			if err := <-results; !errors.Is(err, errTest) {
				t.Errorf("told %v", err)
			}
		}
		if err := errors.Join(<-good, <-first); err != nil {
			t.Error(err)
		}
		m.Shutdown(bg)
		st := m.Stats()
		conserved(t, st)
		if st.Returned != 1 || st.Failed != 0 || st.Superseded != 5 {
			t.Errorf("%+v", st)
		}
	})
}

func TestNewMapNamesTheField(t *testing.T) {
	for want, cfg := range map[string]MapQueueConfig[string, int]{
		"Partitions":           {QueueConfig: QueueConfig[kv]{Process: (&mapRecorder{}).process, Partitions: -1}, Remember: 1},
		"Process":              {},
		"Remember":             {Remember: -1},
		"MaxRemembered":        {MaxRemembered: -1},
		"OrderOnlyByPartition": {QueueConfig: QueueConfig[kv]{OrderOnlyByPartition: true}},
	} {
		if _, err := NewUnstartedMap(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestWriteToAHeldEntryMakesItDue like one that opens an entry: who waits for the result does not wait for the timer, and what
// has grown up to BatchSize is sent.
func TestWriteToAHeldEntryMakesItDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Weigh = func(e kv) Weight { return Weight{Items: e.Value} }
		cfg.BatchSize = Weight{Items: 10}
		cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
		m := startMap(t, cfg)
		begin := time.Now()
		m.Merge(bg, "waits", 1)
		if err := m.MergeAllWait(bg, kv{Key: "waits", Value: 2}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("waited for %v, while the consumer was free", took)
		}
		m.Merge(bg, "grows", 4)
		m.Merge(bg, "grows", 5)
		synctest.Wait()
		if st := m.Stats(); st.Queued != 9 || st.Used != 9 {
			t.Errorf("%+v", st)
		}
		m.Merge(bg, "grows", 1)
		synctest.Wait()
		if want := [][]kv{{{"waits", 3, 0, 1}}, {{"grows", 10, 0, 2}}}; !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
		m.Put(bg, "shrinks", 9)
		m.Put(bg, "shrinks", 1)
		m.Put(bg, "other", 8) // 9 together
		synctest.Wait()
		if st := m.Stats(); st.Queued != 9 || st.Used != 9 || len(r.batches) != 2 {
			t.Errorf("%+v", st)
		}
		m.Shutdown(bg)
		nothingLeft(t, &m.queue)
	})
}

// TestDeletedIsNoError for those who wait for it.
func TestDeletedIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		r := &mapRecorder{answer: func(Batch[kv]) (v Verdict[kv]) {
			<-hold
			v.Err = errTest
			return v
		}}
		cfg := one(r)
		cfg.Merge = func(held, added kv) int { return held.Value + added.Value }
		m := startMap(t, cfg)
		go m.MergeAllWait(bg, kv{Key: "busy"})
		synctest.Wait()
		result := make(chan error, 2)
		for range 2 {
			go func() { result <- m.MergeAllWait(bg, kv{Key: "k", Value: 1}) }()
		}
		synctest.Wait()
		if !m.Delete("k") {
			t.Error("k is not there")
		}
		for range 2 {
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
		close(hold)
		m.Shutdown(bg)
		nothingLeft(t, &m.queue)
	})
}

// TestFullMapTakesWhatIsNoHeavier than what it replaces, however it is written, and nothing else.
func TestFullMapTakesWhatIsNoHeavier(t *testing.T) {
	for name, weigh := range map[string]func(Entry[string, int]) Weight{
		"all weigh the same": nil,
		"the value":          func(e Entry[string, int]) Weight { return Weight{Items: e.Value} },
	} {
		t.Run(name, func(t *testing.T) {
			m := startMap(t, MapQueueConfig[string, int]{QueueConfig: QueueConfig[Entry[string, int]]{
				Process: Plain(func(context.Context, []Entry[string, int]) error { return nil }),
				Weigh:   weigh, Partitions: 1, Interval: time.Hour, BatchSize: Weight{Items: 100}, Capacity: 4, Overflow: OverflowRefuse,
			}})
			if err := m.PutAll(bg, Entry[string, int]{Key: "a", Value: 2}, Entry[string, int]{Key: "b", Value: 2}); err != nil {
				t.Fatal(err)
			}
			if weigh == nil {
				if err := m.PutAll(bg, Entry[string, int]{Key: "c", Value: 2}, Entry[string, int]{Key: "d", Value: 2}); err != nil {
					t.Fatal(err)
				}
			}
			for i, err := range []error{
				m.Put(bg, "a", 2),
				m.PutNewer(bg, "b", 2, 1),
				m.PutNewer(bg, "b", 1, 1), // superseded itself
				m.PutAll(bg, Entry[string, int]{Key: "a", Value: 2}),
				m.PutAllNewer(bg, Entry[string, int]{Key: "b", Value: 2, Version: 2}),
			} {
				if err != nil {
					t.Errorf("write %d: %v", i, err)
				}
			}
			if err := m.Put(bg, "e", 1); !errors.Is(err, ErrFull) {
				t.Errorf("a new key: %v", err)
			}
			if weigh != nil {
				if err := m.Put(bg, "a", 3); !errors.Is(err, ErrFull) {
					t.Errorf("a heavier value: %v", err)
				}
			}
			if v, ok := m.Get("b"); !ok || v != 2 {
				t.Errorf("b is %d, %v", v, ok)
			}
			m.Shutdown(bg)
			conserved(t, m.Stats())
		})
	}
}

// TestClosedMapTakesNothing, not even what needs no room: Shutdown has said what is delivered.
func TestClosedMapTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var got []Entry[string, int]
		m := startMap(t, MapQueueConfig[string, int]{QueueConfig: QueueConfig[Entry[string, int]]{
			Process: Plain(func(_ context.Context, batch []Entry[string, int]) error {
				<-hold
				got = append(got, batch...)
				return nil
			}),
			Partitions: 1, Interval: time.Second, BatchSize: Weight{Items: 100},
		}})
		m.Put(bg, "k", 1)
		time.Sleep(2 * time.Second) // in flight, for as long as it is held
		m.Put(bg, "k", 2)
		ended := make(chan error)
		go func() { ended <- m.Shutdown(bg) }()
		synctest.Wait()
		if err := m.Put(bg, "k", 3); !errors.Is(err, ErrClosed) {
			t.Errorf("after Shutdown: %v", err)
		}
		close(hold)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(got) != 2 || got[1].Value != 2 {
			t.Errorf("delivered: %+v", got)
		}
	})
}
