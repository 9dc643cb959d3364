// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pausing is a queue of words, by their first letter, and what it delivered.
type pausing struct {
	*Queue[string]
	answer func(Batch[string]) Verdict[string] // nil: all is taken. Set before the push of what it answers

	mu  sync.Mutex
	got []string
}

func startPausing(t *testing.T, cfg QueueConfig[string]) *pausing {
	t.Helper()
	p := &pausing{}
	cfg.Process = func(_ context.Context, b Batch[string]) (v Verdict[string]) {
		if p.answer != nil {
			v = p.answer(b)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, b.Items[:len(b.Items)-len(v.Rest)]...)
		return v
	}
	cfg.Key = func(word string) string { return word[:1] }
	cfg.Consumers = 1
	p.Queue = start(t, cfg)
	return p
}

func (p *pausing) push(t *testing.T, words string) {
	t.Helper()
	for _, w := range strings.Fields(words) {
		if err := p.TryPush(w); err != nil {
			t.Fatalf("%s: %v", w, err)
		}
	}
}

// take waits until nothing moves, and returns what was delivered since the last look.
func (p *pausing) take() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

func (p *pausing) delivered(t *testing.T, words string) {
	t.Helper()
	if got, want := p.take(), strings.Fields(words); !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
}

// TestPausedKeyWaits for Resume, whatever makes it due, and others go on.
func TestPausedKeyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: time.Second, BatchSize: Weight{Items: 3}})
		q.Pause("a") // before there is one
		q.push(t, "a1 a2 b1 a3 b2 a4 b3")
		time.Sleep(2 * time.Second)
		q.delivered(t, "b1 b2 b3")
		waits := make(chan error, 1)
		go func() { waits <- q.PushWait(bg, "a5") }()
		if err := q.PushWait(within(time.Second), "a6"); !errors.Is(err, ErrWithdrawn) {
			t.Errorf("who gave up got %v", err)
		}
		if err := q.Flush(within(time.Second)); err != nil {
			t.Errorf("Flush waited: %v", err)
		}
		q.delivered(t, "")
		q.Resume("b") // which is not paused
		q.Pause("a")  // which is
		q.delivered(t, "")
		q.Resume("a")
		q.delivered(t, "a1 a2 a3 a4 a5")
		if len(waits) != 1 || <-waits != nil {
			t.Error("who waited was not told")
		}
		q.Shutdown(bg)
		nothingLeft(t, q.Queue)
	})
}

// TestPauseOfWhatIsPending, in whichever state its stream is: it waits for its time, its turn, its next attempt, or is in a call.
func TestPauseOfWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: time.Second})
		calls := 0
		q.answer = func(b Batch[string]) (v Verdict[string]) {
			if calls++; b.Key == "c" && calls < 3 {
				v.Rest, v.After = b.Items, time.Second
			}
			if b.Key == "d" {
				time.Sleep(time.Second)
				v.Rest = b.Items[1:]
			}
			return v
		}
		q.push(t, "c1")
		time.Sleep(time.Second)
		q.delivered(t, "") // parked
		q.push(t, "d1 d2")
		time.Sleep(time.Second + time.Millisecond) // in a call
		q.push(t, "a1")                            // timed
		for _, key := range []string{"a", "c", "d"} {
			q.Pause(key)
		}
		time.Sleep(time.Minute)
		q.delivered(t, "d1") // d2 comes again
		if st := q.Stats(); st.Queued != 3 || st.Busy != 0 || st.Keys != 3 {
			t.Errorf("%+v", st)
		}
		q.Resume("c")
		q.delivered(t, "c1")
		q.answer = nil
		q.Resume("d")
		q.delivered(t, "d2")
		q.Resume("a")
		q.delivered(t, "a1")
		q.Shutdown(bg)
		nothingLeft(t, q.Queue)
	})
}

// TestPauseAllAndOneKey: a key is processed while neither is paused.
func TestPauseAllAndOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: time.Second})
		q.PauseAll()
		q.Pause("a")
		q.push(t, "a1 b1")
		time.Sleep(time.Minute)
		q.delivered(t, "")
		q.Resume("b")
		q.delivered(t, "")
		q.ResumeAll()
		q.delivered(t, "b1")
		q.Resume("a")
		q.delivered(t, "a1")
		q.Shutdown(bg)
	})
}

// TestShutdownDeliversWhatIsPaused, and a Pause that comes later does nothing.
func TestShutdownDeliversWhatIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: time.Second})
		q.answer = func(Batch[string]) (v Verdict[string]) { time.Sleep(time.Second); return v }
		q.Pause("a")
		q.push(t, "a1 b1 c1")
		q.PauseAll()
		time.Sleep(time.Minute)
		done := make(chan error, 1)
		go func() { done <- q.Shutdown(within(time.Minute)) }()
		synctest.Wait()
		q.Pause("c")
		q.PauseAll()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := slices.Sorted(slices.Values(q.take())); !slices.Equal(got, []string{"a1", "b1", "c1"}) {
			t.Errorf("delivered %v", got)
		}
		nothingLeft(t, q.Queue)
	})
}

// TestPausedKeyHoldsItsShareOnly: others have what the shares leave them, and it costs nothing when its items are gone.
func TestPausedKeyHoldsItsShareOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: time.Second, Capacity: 100, MaxKeys: 2})
		q.Pause("a")
		for range 1000 {
			q.TryPush("a")
			q.TryPush("b")
		}
		if st := q.Stats(); st.RefusedBy.Key == 0 || st.Fullest > 60 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
		q.take()
		if st := q.Stats(); st.Used < 25 || st.Used > 60 || st.Busy != 0 { // a third or a half: b was full too, or was drained meanwhile
			t.Errorf("%+v", st)
		}
		if err := q.TryPush("b", "c"); !errors.Is(err, ErrTooManyKeys) {
			t.Errorf("a has its key no more: %v", err)
		}
		q.push(t, "b")
		time.Sleep(time.Minute)
		q.delivered(t, "b")
		q.Discard("a")
		if st := q.Stats(); st.Keys != 0 || st.Used != 0 {
			t.Errorf("%+v", st)
		}
		q.push(t, "a") // it is still paused
		time.Sleep(time.Minute)
		q.delivered(t, "")
		q.Shutdown(bg)
	})
}

// TestPausedKeyStalls: pushes that have other keys too are not held up for longer than StallTimeout.
func TestPausedKeyStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: 10 * time.Millisecond, Capacity: 100, KeyCapacity: 10, StallTimeout: time.Second})
		q.Pause("a")
		q.push(t, strings.Repeat("a ", 10))
		begin := time.Now()
		for range 10 {
			if err := q.Push(within(time.Minute), "a", "b"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("b was held up for %v", took)
		}
		if st := q.Stats(); st.Stalled == 0 || st.Queued > 15 { // a few found out that others work
			t.Errorf("%+v", st)
		}
		q.Shutdown(bg)
	})
}

// TestPauseKeepsToMinIntervalAndExpired: time goes on, and what has expired is found out after Resume.
func TestPauseKeepsToMinIntervalAndExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		q := startPausing(t, QueueConfig[string]{
			Interval: time.Second, MinInterval: 10 * time.Second,
			Expired: func(_ string, now time.Time) bool { return now.Sub(begin) > time.Minute },
		})
		q.push(t, "a1 b1")
		time.Sleep(time.Second)
		q.take()
		q.Pause("a")
		q.push(t, "a2")
		time.Sleep(5 * time.Second)
		q.Resume("a")
		q.delivered(t, "")
		time.Sleep(5 * time.Second)
		q.delivered(t, "a2")
		q.Pause("b")
		q.push(t, "b2")
		time.Sleep(time.Hour)
		if st := q.Stats(); st.Queued != 1 {
			t.Errorf("%+v", st)
		}
		q.Resume("b")
		q.delivered(t, "")
		if st := q.Stats(); st.Expired != 1 {
			t.Errorf("%+v", st)
		}
		q.Shutdown(bg)
	})
}

// TestPausedMakesRoomForNewer: OverflowDropOldest drops of a paused key too.
func TestPausedMakesRoomForNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: time.Second, Capacity: 3, Overflow: OverflowDropOldest})
		q.Pause("a")
		q.push(t, "a1 a2 a3")
		time.Sleep(time.Minute)
		q.push(t, "a4 a5")
		time.Sleep(time.Minute)
		q.Resume("a")
		got := q.take()
		if st := q.Stats(); st.Evicted == 0 || st.Evicted+st.Forwarded != 5 || got[len(got)-1] != "a5" {
			t.Errorf("delivered %v, %+v", got, st)
		}
		q.Shutdown(bg)
	})
}

// TestPauseOfAPartition: where batches are not made by key, that of the key, and what comes again beside it.
func TestPauseOfAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, cfg := range map[string]QueueConfig[string]{
			"by partition": {Partitions: 1, Key: func(s string) string { return s }, OrderOnlyByPartition: true},
			"no key":       {},
			"no order":     {Consumers: 2},
		} {
			var mu sync.Mutex
			var got []string
			cfg.Process = func(_ context.Context, b Batch[string]) (v Verdict[string]) {
				mu.Lock()
				defer mu.Unlock()
				if len(got) == 0 {
					v.Rest, v.After = b.Items[1:], time.Second
				}
				got = append(got, b.Items[0])
				return v
			}
			cfg.Interval = time.Second
			q := start(t, cfg)
			q.Push(bg, "a", "b")
			time.Sleep(time.Second + time.Millisecond)
			q.Pause("x")
			q.Push(bg, "c")
			time.Sleep(time.Minute)
			mu.Lock()
			if !slices.Equal(got, []string{"a"}) {
				t.Errorf("%s: delivered %v", name, got)
			}
			mu.Unlock()
			q.Resume("y")
			q.Shutdown(bg)
			nothingLeft(t, q)
		}
	})
}

// TestFlushThatHadBegunWaitsForResume.
func TestFlushThatHadBegunWaitsForResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := startPausing(t, QueueConfig[string]{Interval: time.Hour})
		q.answer = func(Batch[string]) (v Verdict[string]) { time.Sleep(time.Second); return v }
		q.push(t, "a1 b1")
		done := make(chan error, 1)
		go func() { done <- q.Flush(bg) }()
		time.Sleep(time.Millisecond)
		q.PauseAll()
		time.Sleep(time.Minute)
		if len(done) > 0 {
			t.Error("Flush did not wait")
		}
		q.ResumeAll()
		if err := <-done; err != nil {
			t.Error(err)
		}
		q.Shutdown(bg)
	})
}

// TestPausedRestComesAtOnce: what came back from a call is sent when Resume is called, or when its time has come, and does not wait for
// Interval once more.
func TestPausedRestComesAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		after, minInterval, resume, want time.Duration // resume and want: since the call
	}{
		"at once":                   {resume: time.Minute, want: time.Minute},
		"its After was over":        {after: 10 * time.Second, resume: time.Minute, want: time.Minute},
		"its After is not":          {after: 10 * time.Second, resume: 5 * time.Second, want: 10 * time.Second},
		"its MinInterval was over":  {minInterval: 10 * time.Second, resume: time.Minute, want: time.Minute},
		"its MinInterval is not":    {minInterval: 10 * time.Second, resume: 5 * time.Second, want: 10 * time.Second},
		"both were over":            {after: time.Second, minInterval: 10 * time.Second, resume: time.Minute, want: time.Minute},
		"only its After, of both":   {after: time.Second, minInterval: 10 * time.Second, resume: 5 * time.Second, want: 10 * time.Second},
		"only MinInterval, of both": {after: 10 * time.Second, minInterval: time.Second, resume: 5 * time.Second, want: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := startPausing(t, QueueConfig[string]{Interval: time.Hour, MinInterval: test.minInterval, BatchSize: Weight{Items: 3}})
				calls := 0
				q.answer = func(b Batch[string]) (v Verdict[string]) {
					if calls++; calls == 1 {
						q.Pause("a")
						v.Rest, v.After = b.Items[2:], test.after
					}
					return v
				}
				q.push(t, "a1 a2 a3")
				q.delivered(t, "a1 a2")
				time.Sleep(test.resume)
				q.delivered(t, "")
				q.Resume("a")
				if test.want > test.resume {
					time.Sleep(test.want - test.resume - time.Millisecond)
					q.delivered(t, "")
					time.Sleep(time.Millisecond)
				}
				q.delivered(t, "a3")
				q.Shutdown(bg)
				nothingLeft(t, q.Queue)
			})
		})
	}
}

// TestPausedWithoutItems: a Flush that had begun waits until Resume, or until nothing is left that it waits for. Then the key is free too.
func TestPausedWithoutItems(t *testing.T) {
	for name, test := range map[string]struct {
		minInterval time.Duration
		leave       func(q *pausing, giveUp func())
	}{
		"discarded":                         {0, func(q *pausing, _ func()) { time.Sleep(time.Minute); q.Discard("a") }},
		"discarded before a consumer comes": {0, func(q *pausing, _ func()) { q.Discard("a") }},
		"discarded before its MinInterval":  {time.Minute, func(q *pausing, _ func()) { q.Discard("a"); time.Sleep(time.Minute) }},
		"withdrawn":                         {0, func(_ *pausing, giveUp func()) { time.Sleep(time.Minute); giveUp() }},
		"withdrawn before a consumer comes": {0, func(_ *pausing, giveUp func()) { giveUp() }},
		"in a call since before":            {0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := startPausing(t, QueueConfig[string]{Interval: 24 * time.Hour, MinInterval: test.minInterval, MaxKeys: 2})
				q.answer = func(Batch[string]) (v Verdict[string]) { time.Sleep(time.Second); return v }
				flush := func() <-chan error {
					done := make(chan error, 1)
					go func() { done <- q.Flush(bg) }()
					synctest.Wait()
					return done
				}
				if q.push(t, "a1"); test.leave != nil {
					<-flush()
					q.push(t, "b1")
				}
				flush() // its call takes the one consumer
				ctx, giveUp := context.WithCancel(bg)
				defer giveUp()
				if test.leave != nil {
					go q.PushWait(ctx, "a2")
					synctest.Wait()
				}
				done := flush()
				q.Pause("a")
				if test.leave != nil {
					test.leave(q, giveUp)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if len(done) == 0 {
					t.Error("Flush waits on")
				}
				if st := q.Stats(); st.Keys != 0 || st.Used != 0 {
					t.Errorf("%+v", st)
				}
				if err := q.TryPush("c1", "d1"); err != nil {
					t.Errorf("the key is not free: %v", err)
				}
				q.Discard("c")
				q.take()
				q.push(t, "a3") // it is still paused
				time.Sleep(25 * time.Hour)
				q.delivered(t, "d1")
				q.Shutdown(bg)
				q.delivered(t, "a3")
				nothingLeft(t, q.Queue)
			})
		})
	}
}

// TestPauseOfAMap: its batches, which can be written on, and all of it without a Key.
func TestPauseOfAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{}
		cfg := one(r)
		cfg.Interval = time.Second
		plain := startMap(t, cfg)
		if plain.Pause("a") == nil || plain.Resume("a") == nil {
			t.Error("a Map without Key paused one")
		}
		plain.PauseAll()
		plain.Put(bg, "a", 1)
		time.Sleep(time.Minute)
		plain.Put(bg, "a", 2)
		plain.ResumeAll()
		synctest.Wait()
		plain.Shutdown(bg)

		cfg.Key = func(e kv) string { return e.Key[:1] }
		m := startMap(t, cfg)
		m.Pause("b")
		m.PutAll(bg, kv{Key: "a1", Value: 3}, kv{Key: "b1", Value: 4}, kv{Key: "b2", Value: 5})
		time.Sleep(time.Minute)
		m.Delete("b2")
		m.Put(bg, "b1", 6)
		m.Resume("b")
		synctest.Wait()
		m.Shutdown(bg)
		want := [][]kv{{{Key: "a", Value: 2}}, {{Key: "a1", Value: 3}}, {{Key: "b1", Value: 6}}}
		if !slices.EqualFunc(r.batches, want, slices.Equal) {
			t.Errorf("sent %v, want %v", r.batches, want)
		}
	})
}

// TestDiscardOfAMap drops what a flush has taken too, and its version is not remembered.
func TestDiscardOfAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &mapRecorder{answer: func(b Batch[kv]) (v Verdict[kv]) {
			if b.Key == "a" && b.Items[0].Version == 5 {
				v.Rest, v.After = b.Items, time.Hour
			}
			return v
		}}
		cfg := one(r)
		cfg.Key = func(e kv) string { return e.Key[:1] }
		cfg.Remember = time.Hour
		var dropped []string
		cfg.Dropped = func(e kv, reason error) {
			if dropped = append(dropped, e.Key); !errors.Is(reason, ErrDiscarded) {
				t.Error(reason)
			}
		}
		m := startMap(t, cfg)
		m.PutNewer(bg, "a1", 1, 5)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		m.Flush(ctx) // a1 comes again in an hour
		m.PutNewer(bg, "a2", 2, 5)
		m.PutNewer(bg, "b1", 3, 5)
		if n := m.Discard("a") + m.Discard("none"); n != 2 {
			t.Errorf("%d were discarded", n)
		}
		if !slices.Equal(dropped, []string{"a1", "a2"}) {
			t.Errorf("Dropped heard of %v", dropped)
		}
		m.PutNewer(bg, "a1", 4, 4)
		m.Shutdown(bg)
		if last := r.batches[len(r.batches)-2:]; last[0][0].Value+last[1][0].Value != 3+4 {
			t.Errorf("sent %v", r.batches)
		}
		if st := m.Stats(); st.Evicted != 2 || st.Forwarded != 2 {
			t.Errorf("%+v", st)
		}
	})
}

func TestPauseOfAZeroQueue(t *testing.T) {
	var q Queue[int]
	var m Map[int, int]
	for _, err := range []error{q.Pause(""), q.Resume(""), q.PauseAll(), q.ResumeAll(), m.Pause(""), m.Resume(""), m.PauseAll(), m.ResumeAll()} {
		if !errors.Is(err, errZero) {
			t.Error(err)
		}
	}
	if m.Discard("") != 0 {
		t.Error("discarded")
	}
}
