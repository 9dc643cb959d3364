// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestMapLosesNoWrite: writers of each kind, a deleter, a reader, a flusher, an updater and a closer, with a ledger: no unit
// that was merged is lost, no version goes back, the last plain write of a key is the last that is sent, nobody's key is sent
// after it was deleted unless it was written again.
func TestMapLosesNoWrite(t *testing.T) {
	const writers, each, keys = 4, 4000, 37
	for _, byKey := range []bool{false, true} {
		t.Run(fmt.Sprint("byKey=", byKey), func(t *testing.T) {
			var mu sync.Mutex
			sums, versions, last := map[string]int{}, map[string]int64{}, map[string]int{}
			cfg := MapQueueConfig[string, int]{
				QueueConfig: QueueConfig[kv]{
					Process: func(_ context.Context, b Batch[kv]) (v Verdict[kv]) {
						mu.Lock()
						defer mu.Unlock()
						for _, e := range b.Items {
							switch e.Key[0] {
							case 'm':
								sums[e.Key] += e.Value
							case 'n':
								if e.Version <= versions[e.Key] || int64(e.Value) != e.Version {
									t.Errorf("I3: %+v came after version %d", e, versions[e.Key])
								}
								versions[e.Key] = e.Version
							case 'p':
								if e.Value <= last[e.Key] {
									t.Errorf("I2: %+v came after %d", e, last[e.Key])
								}
								last[e.Key] = e.Value
							}
						}
						return v
					},
					Partitions: 3, Consumers: 3, Interval: time.Millisecond, BatchSize: Weight{Items: 20}, Capacity: 50,
				},
				Merge:    func(held, added kv) int { return held.Value + added.Value },
				Remember: time.Hour,
			}
			if byKey {
				cfg.Key = func(e kv) string { return e.Key[len(e.Key)-1:] }
				cfg.KeyCapacity = 20
			}
			m := startMap(t, cfg)
			merged, newest, put := map[string]int{}, map[string]int64{}, map[string]int{}
			var ledger sync.Mutex
			var writing, others sync.WaitGroup
			for w := range writers {
				writing.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 0))
					for i := 1; i <= each; i++ {
						n := rng.IntN(keys)
						mk, nk, pk := fmt.Sprint("m", n), fmt.Sprint("n", n), fmt.Sprint("p", w, "/", n)
						version := int64(1 + rng.IntN(1_000_000)*writers + w)
						var errs [3]error
						if i%10 == 0 {
							errs[0] = m.MergeAllWait(bg, kv{Key: mk, Value: 1}, kv{Key: "m0", Value: 2})
							errs[1] = m.PutAllNewer(bg, kv{Key: nk, Value: int(version), Version: version}, kv{Key: "n0", Value: int(version), Version: version})
							errs[2] = m.PutAll(bg, kv{Key: pk, Value: i}, kv{Key: fmt.Sprint("d", n)})
						} else {
							errs[0] = m.Merge(bg, mk, 1)
							errs[1] = m.PutNewer(bg, nk, int(version), version)
							errs[2] = m.Put(bg, pk, i)
						}
						ledger.Lock()
						if errs[0] == nil {
							if merged[mk]++; i%10 == 0 {
								merged["m0"] += 2
							}
						}
						if errs[1] == nil {
							if newest[nk] = max(newest[nk], version); i%10 == 0 {
								newest["n0"] = max(newest["n0"], version)
							}
						}
						if errs[2] == nil {
							put[pk] = i
						}
						ledger.Unlock()
					}
				})
			}
			stop := make(chan struct{})
			role := func(f func(i int)) {
				others.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
							f(i)
							runtime.Gosched()
						}
					}
				})
			}
			role(func(i int) { m.Delete(fmt.Sprint("d", i%keys)) })
			role(func(i int) {
				if v, ok := m.Get(fmt.Sprint("m", i%keys)); ok && v < 1 {
					t.Errorf("Get: %d", v)
				}
			})
			role(func(int) {
				if err := m.Flush(bg); err != nil {
					t.Error(err)
				}
				conserved(t, m.Stats())
			})
			role(func(i int) {
				size, interval := Weight{Items: 1 + i%30}, time.Duration(1+i%3)*time.Millisecond
				if err := m.Update(Change{BatchSize: &size, Interval: &interval}); err != nil {
					t.Error(err)
				}
			})
			others.Go(func() { // closer, at the end of most
				for m.Stats().Accepted < writers*each*3*9/10 {
					runtime.Gosched()
				}
				if err := m.Shutdown(bg); err != nil {
					t.Error(err)
				}
			})
			writing.Wait()
			close(stop)
			others.Wait()
			for k, n := range merged {
				if sums[k] != n {
					t.Errorf("I1: %s: %d merged, %d sent", k, n, sums[k])
				}
			}
			for k, v := range newest {
				if versions[k] != v {
					t.Errorf("I3: %s: the newest is %d, sent last was %d", k, v, versions[k])
				}
			}
			for k, v := range put {
				if last[k] != v {
					t.Errorf("%s: put last %d, sent last %d", k, v, last[k])
				}
			}
			nothingLeft(t, &m.queue)
		})
	}
}

// TestHolesCloseUp: what is left when most was deleted or evicted is found, replaced and sent in its order.
func TestHolesCloseUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Capacity, cfg.Overflow = n+1, OverflowDropOldest
		hold := make(chan struct{})
		r.answer = func(Batch[kv]) (v Verdict[kv]) {
			<-hold
			return v
		}
		m := startMap(t, cfg)
		m.Put(bg, "busy", 0)
		go m.Flush(bg)
		synctest.Wait() // the only consumer is busy with that one
		for i := range n {
			m.Put(bg, fmt.Sprint(i), i)
		}
		flushed := make(chan error, 1)
		for i := n; i < n+100; i++ { // each for the oldest
			if err := m.Put(bg, fmt.Sprint(i), i); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n + 100 {
			if deleted := m.Delete(fmt.Sprint(i)); i%7 != 0 && deleted != (i >= 100) {
				t.Errorf("%d: %v", i, deleted)
			} else if i%7 == 0 && deleted {
				m.Put(bg, fmt.Sprint(i), -i) // last
			}
		}
		var want []kv
		for i := range n + 100 {
			v, ok := m.Get(fmt.Sprint(i))
			if held := i >= 100 && i%7 == 0; ok != held || ok && v != -i {
				t.Errorf("%d: %d, %v", i, v, ok)
			} else if held {
				want = append(want, kv{fmt.Sprint(i), -i, 0, 0})
			}
		}
		close(hold)
		go func() { flushed <- m.Flush(bg) }()
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		m.Shutdown(bg)
		if !slices.Equal(r.batches[1], want) {
			t.Errorf("sent %v, want %v", r.batches[1], want)
		}
		if st := m.Stats(); st.Evicted != 100 {
			t.Errorf("%+v", st)
		}
	})
}

// TestSupersededGivesTheRoomOfItsKey to who stands in line for that key: by a lighter value, and by Delete.
func TestSupersededGivesTheRoomOfItsKey(t *testing.T) {
	for name, free := range map[string]func(m *Map[string, int]){
		"Put":    func(m *Map[string, int]) { m.Put(bg, "a1", 1) },
		"Delete": func(m *Map[string, int]) { m.Delete("a1") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hold := make(chan struct{})
				r := &mapRecorder{answer: func(Batch[kv]) (v Verdict[kv]) {
					<-hold
					return v
				}}
				cfg := one(r)
				cfg.Key = func(e kv) string { return e.Key[:1] }
				cfg.Weigh = func(e kv) Weight { return Weight{Items: e.Value} }
				cfg.KeyCapacity, cfg.Consumers = 10, 1
				m := startMap(t, cfg)
				m.Put(bg, "a0", 5)
				go m.Flush(bg)
				synctest.Wait() // in flight
				m.PutAll(bg, kv{Key: "a1", Value: 4}, kv{Key: "a2", Value: 1})
				accepted := make(chan error, 1)
				go func() { accepted <- m.Put(bg, "a3", 2) }()
				synctest.Wait()
				if st := m.Stats(); st.Callers != 1 {
					t.Fatalf("%+v", st)
				}
				free(m)
				synctest.Wait()
				if st := m.Stats(); st.Callers != 0 {
					t.Errorf("still in line: %+v", st)
				}
				close(hold)
				if err := <-accepted; err != nil {
					t.Error(err)
				}
				m.Shutdown(bg)
				nothingLeft(t, &m.queue)
			})
		})
	}
}

// TestMergeNeedsItsFunction: to call it without one is a programmer's error.
func TestMergeNeedsItsFunction(t *testing.T) {
	m := startMap(t, one(&mapRecorder{}))
	defer m.Shutdown(bg)
	for name, f := range map[string]func(){
		"Merge":        func() { m.Merge(bg, "k", 1) },
		"MergeAll":     func() { m.MergeAll(bg, kv{}) },
		"MergeAllWait": func() { m.MergeAllWait(bg, kv{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not say so", name)
				}
			}()
			f()
		}()
	}
	if st := m.Stats(); st.Accepted != 0 {
		t.Errorf("%+v", st)
	}
}
