// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// seconds lists when the calls of l began, since begin.
func (l *recorder) seconds(begin time.Time) (all []float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.at {
		all = append(all, at.Sub(begin).Seconds())
	}
	return all
}

// rows has callers push ten rows every 10 ms for 6 s, each of which waits for its result, to inserts that take 50 ms, and returns how many
// rows an insert had on average, without the first and the last.
func rows(t *testing.T, set func(*QueueConfig[parcel])) (average int) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{answer: func(Batch[parcel]) (v Verdict[parcel]) { time.Sleep(50 * time.Millisecond); return v }}
		cfg := QueueConfig[parcel]{Process: l.process, Interval: time.Second, BatchSize: Weight{Items: 1000}}
		set(&cfg)
		q := start(t, cfg)
		for range 600 {
			go func() {
				if err := q.PushWait(bg, make([]parcel, 10)...); err != nil {
					t.Error(err)
				}
			}()
			time.Sleep(10 * time.Millisecond)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
		batches := l.all()
		batches = batches[1 : len(batches)-1]
		for _, b := range batches {
			average += len(b)
		}
		average /= len(batches)
	})
	return average
}

// TestRowsAnInsert: as nobody waits for a timer, callers that wait for their results make small batches. Linger and MinInterval give
// the size that was wanted.
func TestRowsAnInsert(t *testing.T) {
	for name, test := range map[string]struct {
		set         func(*QueueConfig[parcel])
		least, most int
	}{
		"at once":     {func(*QueueConfig[parcel]) {}, 40, 65},
		"Linger":      {func(c *QueueConfig[parcel]) { c.Linger = time.Second }, 990, 1010},
		"MinInterval": {func(c *QueueConfig[parcel]) { c.MinInterval = time.Second }, 990, 1010},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rows(t, test.set); got < test.least || got > test.most {
				t.Errorf("%d rows an insert, want %d to %d", got, test.least, test.most)
			}
		})
	}
}

// TestBatchesOfAStreamKeepTheirDistance, whatever makes it due, also when nothing of it was pending meanwhile. Other streams do not wait.
func TestBatchesOfAStreamKeepTheirDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := &recorder{}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Interval: time.Second, MinInterval: 10 * time.Second, BatchSize: Weight{Items: 2},
			Capacity: 8, KeyCapacity: 3,
		})
		push := func(id int) { q.Push(bg, parcel{key: "a", id: id}) }
		push(1)
		push(2) // size, at 0 s
		time.Sleep(3 * time.Second)
		if st := q.Stats(); st.Keys != 0 {
			t.Errorf("%d keys have something pending", st.Keys)
		}
		push(3) // would be due at 4 s
		time.Sleep(2 * time.Second)
		q.PushWait(bg, parcel{key: "b", id: 100}) // at 5 s, at once
		for id := 4; id < 7; id++ {
			go push(id) // size; the last waits for capacity
		}
		q.PushWait(bg, parcel{key: "a", id: 7}) // waits for capacity, then for its result
		q.Flush(bg)
		want := "[0 5 10 20 30]"
		if got := fmt.Sprint(l.seconds(begin)); got != want && got != "[0 5 10 20]" {
			t.Errorf("%v, want %v", got, want)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestPacedBatchTakesAllThereIs, up to MaxBatchSize: else a stream with much data could not keep up.
func TestPacedBatchTakesAllThereIs(t *testing.T) {
	for _, test := range []struct {
		size, limit int
		want        string
	}{{2, 0, "[[0 1] [2 3 4 5 6 7 8]]"}, {2, 5, "[[0 1] [2 3 4 5 6] [7 8]]"}, {1, 0, "[[0 1] [2 3 4 5 6 7 8]]"}} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			l := &recorder{}
			q := start(t, QueueConfig[parcel]{
				Process: l.process, Interval: time.Second, MinInterval: 10 * time.Second, BatchSize: Weight{Items: test.size}, MaxBatchSize: Weight{Items: test.limit},
			})
			q.Push(bg, parcel{id: 0}, parcel{id: 1})
			synctest.Wait()
			for id := 2; id < 9; id++ {
				q.Push(bg, parcel{id: id})
			}
			time.Sleep(time.Minute)
			if got := fmt.Sprint(l.all()); got != test.want {
				t.Errorf("%+v: %v at %v", test, got, l.seconds(begin))
			}
			q.Shutdown(bg)
		})
	}
}

// TestWhatComesAgainKeepsItsDistance, in a stream of its own too.
func TestWhatComesAgainKeepsItsDistance(t *testing.T) {
	for _, consumers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			l := &recorder{}
			l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
				if len(b.Items) > 1 {
					v.Rest, v.Groups, v.After = slices.Clone(b.Items), []int{1, 1}, time.Second
				}
				return v
			}
			q := start(t, QueueConfig[parcel]{Process: l.process, Consumers: consumers, Interval: time.Hour, MinInterval: 10 * time.Second, BatchSize: Weight{Items: 2}})
			q.Push(bg, parcel{id: 0}, parcel{id: 1})
			synctest.Wait()
			q.Push(bg, parcel{id: 2}, parcel{id: 3})
			time.Sleep(2 * time.Minute)
			times := l.seconds(begin)
			if len(times) != 6 {
				t.Errorf("%v at %v", l.all(), times)
			}
			for i, at := range times {
				if at != float64(10*i) {
					t.Errorf("%v", times)
				}
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestShutdownWaitsForNoMinInterval, nor do its attempts.
func TestShutdownWaitsForNoMinInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if l.calls() == 1 {
				time.Sleep(2 * time.Second) // Shutdown begins meanwhile
				v.Rest, v.After = slices.Clone(b.Items), time.Second
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Second, MinInterval: time.Hour, BatchSize: Weight{Items: 1000}, MaxBatchSize: Weight{Items: 1000}})
		q.Push(bg, parcel{id: 0})
		time.Sleep(2 * time.Second)
		for id := range 3000 {
			q.Push(bg, parcel{id: id})
		}
		q.Shutdown(within(time.Minute))
		if got := fmt.Sprint(l.seconds(begin)); got != "[1 4 4 4 4]" {
			t.Error(got)
		}
		nothingLeft(t, q)
	})
}

// TestWhatIsNoLongerDueWaitsOn: what made a stream due leaves it before a batch of it may begin, or before a consumer is free. What is left
// waits for its own time, and not only for MinInterval (I6).
func TestWhatIsNoLongerDueWaitsOn(t *testing.T) {
	heavy, half, light := parcel{key: "a", n: 3}, parcel{key: "a", n: 2}, parcel{key: "a", n: 1, id: 1}
	for name, test := range map[string]struct {
		minInterval time.Duration
		hangs       string // its key's calls take 20 s
		keyCapacity int64
		come        func(q *Queue[parcel])
	}{
		"evicted, with MinInterval": {minInterval: 10 * time.Second, keyCapacity: 3, come: func(q *Queue[parcel]) {
			q.Push(bg, heavy) // a batch
			synctest.Wait()
			q.Push(bg, half)
			q.Push(bg, light) // due in 10 s
			q.Push(bg, light)
		}},
		"withdrawn, with MinInterval": {minInterval: 10 * time.Second, come: func(q *Queue[parcel]) {
			q.Push(bg, heavy)
			synctest.Wait()
			q.Push(bg, light)
			q.PushWait(within(time.Second), parcel{key: "a"})
		}},
		"evicted, no consumer free": {hangs: "b", keyCapacity: 3, come: func(q *Queue[parcel]) {
			q.Push(bg, parcel{key: "b", n: 3})
			synctest.Wait()
			q.Push(bg, half)
			q.Push(bg, light) // due, and the consumer is busy
			q.Push(bg, light)
		}},
		"withdrawn, no consumer free": {hangs: "b", come: func(q *Queue[parcel]) {
			q.Push(bg, parcel{key: "b", n: 3})
			synctest.Wait()
			q.Push(bg, light)
			q.PushWait(within(time.Second), parcel{key: "a"})
		}},
		"evicted after it came back": {hangs: "a", keyCapacity: 4, come: func(q *Queue[parcel]) {
			q.Push(bg, heavy)
			time.Sleep(21 * time.Second) // it is to come again in 9 s
			q.Push(bg, light)
			q.Push(bg, light)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var after atomic.Int64 // what was left was sent, in ns
				q := start(t, QueueConfig[parcel]{
					Key: parcelKey, Weigh: weighParcel, Interval: time.Hour, MinInterval: test.minInterval, BatchSize: Weight{Items: 3},
					Capacity: 100, KeyCapacity: test.keyCapacity, Overflow: OverflowDropOldest, Consumers: 1,
					Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
						switch {
						case b.Items[0].id == 1:
							after.Store(int64(time.Since(begin)))
						case test.hangs == b.Key:
							time.Sleep(20 * time.Second)
							if b.Key == "a" {
								v.Rest, v.After = slices.Clone(b.Items), 10*time.Second
							}
						}
						return v
					},
				})
				test.come(q)
				time.Sleep(2 * time.Hour)
				if got := time.Duration(after.Load()); got < time.Hour {
					t.Errorf("what was left was sent after %v, want an hour", got)
				}
				q.Shutdown(bg)
				nothingLeft(t, q)
			})
		})
	}
}

// TestAfterWithoutARestPausesTheKey, also when nothing of it was pending meanwhile, and no other key. Shutdown does not wait for it.
func TestAfterWithoutARestPausesTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		var got []string
		q := start(t, QueueConfig[parcel]{
			Key: parcelKey, Consumers: 2, BatchSize: Weight{Items: 1},
			Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%s%d after %v", b.Key, len(b.Items), time.Since(begin)))
				if b.Items[0].id == 1 {
					return Verdict[parcel]{Err: errTest, After: 10 * time.Second}
				}
				return v
			},
		})
		q.Push(bg, parcel{key: "a", id: 1})
		time.Sleep(time.Second)
		q.Push(bg, parcel{key: "a"})
		q.Push(bg, parcel{key: "b"})
		time.Sleep(time.Minute)
		q.Push(bg, parcel{key: "a", id: 1})
		time.Sleep(time.Second)
		q.Push(bg, parcel{key: "a"})
		q.Shutdown(bg)
		want := "[a1 after 0s b1 after 1s a1 after 10s a1 after 1m1s a1 after 1m2s]"
		if got := fmt.Sprint(got); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		nothingLeft(t, q)
	})
}

// TestOnlyCallersLinger: a Flush, a caller that waits for capacity and Shutdown make a stream due at once, and what nobody waits for is
// due after Interval.
func TestOnlyCallersLinger(t *testing.T) {
	for name, test := range map[string]struct {
		push func(q *Queue[parcel])
		want string // when the first call begins, in s
	}{
		"nobody waits": {func(q *Queue[parcel]) { q.Push(bg, parcel{}) }, "[20]"},
		"a caller":     {func(q *Queue[parcel]) { q.PushWait(bg, parcel{}) }, "[10]"},
		"a caller comes": {func(q *Queue[parcel]) {
			q.Push(bg, parcel{})
			time.Sleep(5 * time.Second)
			q.PushWait(bg, parcel{})
		}, "[10]"},
		"a caller comes late": {func(q *Queue[parcel]) {
			q.Push(bg, parcel{})
			time.Sleep(15 * time.Second)
			q.PushWait(bg, parcel{})
		}, "[15]"},
		"a caller leaves": {func(q *Queue[parcel]) {
			q.Push(bg, parcel{})
			q.PushWait(within(5*time.Second), parcel{})
		}, "[20]"},
		"enough": {func(q *Queue[parcel]) {
			go q.PushWait(bg, parcel{}, parcel{})
			time.Sleep(5 * time.Second)
			q.PushWait(bg, parcel{}, parcel{}, parcel{})
		}, "[5]"},
		"Flush": {func(q *Queue[parcel]) {
			go q.PushWait(bg, parcel{})
			time.Sleep(3 * time.Second)
			q.Flush(bg)
		}, "[3]"},
		"capacity": {func(q *Queue[parcel]) {
			go q.PushWait(bg, parcel{n: 4})
			time.Sleep(4 * time.Second)
			go q.PushWait(bg, parcel{n: 4})
			time.Sleep(time.Second)
			q.Push(bg, parcel{})
		}, "[4 5 25]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				l := &recorder{}
				q := start(t, QueueConfig[parcel]{
					Process: l.process, Interval: 20 * time.Second, Linger: 10 * time.Second, BatchSize: Weight{Items: 5}, Capacity: 4, Weigh: weighParcel,
				})
				if name == "enough" {
					q.Shutdown(bg)
					q = start(t, QueueConfig[parcel]{Process: l.process, Interval: 20 * time.Second, Linger: 10 * time.Second, BatchSize: Weight{Items: 5}})
				}
				test.push(q)
				time.Sleep(time.Minute)
				if got := fmt.Sprint(l.seconds(begin)); got != test.want {
					t.Errorf("%v, want %v", got, test.want)
				}
				q.Shutdown(bg)
				nothingLeft(t, q)
			})
		})
	}
}

// TestCallersLingerAfterAFlushThatGaveUp: its marker makes the stream due no more, wherever it stood.
func TestCallersLingerAfterAFlushThatGaveUp(t *testing.T) {
	for where, patience := range map[string]time.Duration{"written": time.Second, "in the drain": 7 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{}
			l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
				if len(b.Items) == 2 {
					time.Sleep(5 * time.Second)
				}
				return v
			}
			size := Weight{Items: 2}
			q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Minute, Linger: 10 * time.Second, BatchSize: size, MaxBatchSize: size})
			q.Push(bg, parcel{}, parcel{})
			synctest.Wait()
			q.Push(bg, parcel{}, parcel{}, parcel{}, parcel{})
			if err := q.Flush(within(patience)); err == nil {
				t.Errorf("%s: the Flush did not give up", where)
			}
			if wrong := wrongBacklogs(q); wrong != "" {
				t.Errorf("%s: %s", where, wrong)
			}
			time.Sleep(2 * time.Minute)
			begin := time.Now()
			if err := q.PushWait(bg, parcel{}); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took != 10*time.Second {
				t.Errorf("%s: a caller gathered for %v", where, took)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}

// TestPaceAndFailuresAreRememberedBeside is about the two kinds of memories: with as many failing keys as MaxKeys, as many healthy ones keep to MinInterval, and
// keys that were healthy leave the failing ones their places (I8).
func TestPaceAndFailuresAreRememberedBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if b.Key[0] == 'f' {
				v.Err = errTest
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{
			Process: l.process, Key: parcelKey, Interval: 10 * time.Millisecond, BatchSize: Weight{Items: 100}, MinInterval: time.Second, MaxKeys: 3,
		})
		kept := func() (failed, paced int) {
			q.memories.mu.Lock()
			defer q.memories.mu.Unlock()
			return len(q.memories.mu.failed.all), len(q.memories.mu.paced.all)
		}
		for round := range 30 { // 4 s each: 14 fit into the minute of a failing key
			key := fmt.Sprint("ok", round)
			before := l.calls()
			for range 4 {
				q.Push(bg, parcel{key: key})
				time.Sleep(100 * time.Millisecond)
			}
			if n := l.calls() - before; n != 1 {
				t.Errorf("round %d: %d calls in 0.4 s, with MinInterval 1s", round, n)
			}
			for i := range 3 {
				q.Push(bg, parcel{key: fmt.Sprint("f", i)})
				time.Sleep(1200 * time.Millisecond)
			}
			if failed, paced := kept(); failed != 3 || paced > 3 {
				t.Errorf("round %d: %d failing keys are remembered, and %d paces", round, failed, paced)
			}
		}
		time.Sleep(2 * time.Minute)
		if failed, paced := kept(); failed+paced > 0 {
			t.Errorf("in the end %d and %d are remembered", failed, paced)
		}
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestHalvesDoNotLinger: their callers have waited already.
func TestHalvesDoNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := &recorder{}
		l.answer = func(b Batch[parcel]) (v Verdict[parcel]) {
			if len(b.Items) > 1 {
				v.Rest, v.Groups, v.From = slices.Clone(b.Items), []int{1, 1}, []int{0, 1}
			}
			return v
		}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, Linger: time.Minute, BatchSize: Weight{Items: 2}})
		if err := q.PushWait(bg, parcel{id: 0}, parcel{id: 1}); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(l.seconds(begin)); got != "[0 0 0]" {
			t.Error(got)
		}
		q.Shutdown(bg)
	})
}

// TestUpdateChangesThePace.
func TestUpdateChangesThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		l := &recorder{}
		q := start(t, QueueConfig[parcel]{Process: l.process, Interval: time.Hour, Linger: time.Hour, BatchSize: Weight{Items: NoTrigger}})
		go q.PushWait(bg, parcel{})
		time.Sleep(10 * time.Second)
		linger, distance := time.Duration(0), 20*time.Second
		if err := q.Update(Change{Linger: &linger, MinInterval: &distance}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		q.PushWait(context.Background(), parcel{})
		if got := fmt.Sprint(l.seconds(begin)); got != "[10 30]" {
			t.Error(got)
		}
		negative := -time.Second
		for _, c := range []Change{{Linger: &negative}, {MinInterval: &negative}} {
			if q.Update(c) == nil {
				t.Error("a negative duration was taken")
			}
		}
		q.Shutdown(bg)
	})
}
