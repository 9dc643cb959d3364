// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestRestoreAsksForNoCapacityAndNoKeySlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		q := start(t, QueueConfig[string]{
			Key: func(s string) string { return s }, MaxKeys: 3, Capacity: 10, Interval: time.Second, BatchSize: Weight{Items: 11}, Consumers: 1,
			Process: func(_ context.Context, b Batch[string]) Verdict[string] {
				seen[b.Key] += len(b.Items)
				return Verdict[string]{}
			},
		})
		for i := range 100 {
			if err := q.Restore(fmt.Sprint(i%20), fmt.Sprint(i%20)); err != nil {
				t.Fatal(err)
			}
		}
		if st := q.Stats(); st.Accepted != 200 || st.Keys != 20 {
			t.Errorf("accepted %d of %d keys, want 200 of 20", st.Accepted, st.Keys)
		}
		if err := q.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if st := q.Stats(); st.Forwarded != 200 || st.Used != 0 || st.Keys != 0 || len(seen) != 20 {
			t.Errorf("%d forwarded of %d keys; used %d, %d keys; want 200 of 20, and nothing", st.Forwarded, len(seen), st.Used, st.Keys)
		}
		if got := q.gate.used(); got != 0 {
			t.Errorf("the gate has %d units, want 0", got)
		}
		if err := q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestRestoredKeysLeaveRoom: keys whose backends are down leave the others capacity / (n + 1), however much of them is restored.
func TestRestoredKeysLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity, stuck = 1000, 4
		q := start(t, QueueConfig[string]{
			Key: func(s string) string { return s }, Capacity: capacity, Unit: UnitRequests, Overflow: OverflowRefuse,
			Interval: time.Second, BatchSize: Weight{Items: 100}, Consumers: 4,
			Process: func(_ context.Context, b Batch[string]) Verdict[string] {
				if b.Key != "well" && !b.Closing {
					return Verdict[string]{Rest: b.Items, After: time.Minute}
				}
				return Verdict[string]{}
			},
		})
		for i := range 5 * capacity {
			if err := q.Restore(fmt.Sprint(i % stuck)); err != nil {
				t.Fatal(err)
			}
		}
		if st := q.Stats(); st.Used != 5*capacity {
			t.Errorf("used %d, want %d", st.Used, 5*capacity)
		}
		time.Sleep(10 * time.Second)
		taken := 0
		for ; q.Push(context.Background(), "well") == nil && taken < capacity; taken++ {
		}
		if least := capacity/(stuck+1)/(stuck+2) - 1; taken < least { // free / (1 + stuck), after it
			t.Errorf("a healthy key got %d units at once, want %d: its share of what is left", taken, least)
		}
		if err := q.Push(context.Background(), "0"); !errors.Is(err, ErrFull) {
			t.Errorf("a key above its share got %v, want ErrFull", err)
		}
		if err := q.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if st := q.Stats(); st.Forwarded != st.Accepted || st.Used != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRestoreBeforeStartAndAfterShutdownIsRefused(t *testing.T) {
	q, err := NewUnstarted(QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Restore(1); !errors.Is(err, ErrNotStarted) {
		t.Errorf("got %v, want ErrNotStarted", err)
	}
	if err := q.Start(); err != nil {
		t.Fatal(err)
	}
	if err := q.Restore(); err != nil {
		t.Error(err)
	}
	if err := q.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := q.Restore(1); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestRestoredUnitsComeBack restores, pushes, fails and evicts at random: at rest nothing is counted, and while something is pending
// the gate knows.
func TestRestoredUnitsComeBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		capacity := rapid.Int64Range(1, 50).Draw(rt, "capacity")
		weights := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 40).Draw(rt, "weights")
		fails := rapid.IntRange(2, 6).Draw(rt, "fails") // each that many-th call requeues; if all did, nothing would end
		overflow := rapid.SampledFrom([]Overflow{OverflowRefuse, OverflowDropOldest}).Draw(rt, "overflow")
		keys := rapid.IntRange(1, 4).Draw(rt, "keys")
		var wrong string
		synctest.Test(t, func(*testing.T) {
			calls := 0
			q, err := NewUnstarted(QueueConfig[int]{
				Key: func(i int) string { return fmt.Sprint(i % keys) }, Weigh: func(i int) Weight { return Weight{Items: i} }, Capacity: capacity,
				Overflow: overflow, Interval: time.Second, BatchSize: Weight{Items: 30}, Consumers: 1,
				Process: func(_ context.Context, b Batch[int]) Verdict[int] {
					if calls++; calls%fails == 0 {
						return Verdict[int]{Rest: b.Items[:1+len(b.Items)/2], After: time.Second}
					}
					return Verdict[int]{}
				},
			})
			if err == nil {
				err = q.Start()
			}
			if err != nil {
				wrong = err.Error()
				return
			}
			for i, w := range weights {
				if i%3 == 2 {
					_ = q.Push(context.Background(), w)
				} else if err := q.Restore(w, w+1); err != nil {
					wrong = err.Error()
				}
				synctest.Wait() // a consumer that settles would change what is compared
				st := q.Stats()
				if pending := st.Queued + st.InFlight; st.Used != pending || pending > 0 && q.gate.used() == 0 || q.gate.used() < 0 {
					wrong = fmt.Sprintf("%d are pending, used is %d, the gate has %d", pending, st.Used, q.gate.used())
				}
				if i%5 == 4 {
					time.Sleep(500 * time.Millisecond)
				}
			}
			if err := q.Shutdown(context.Background()); err != nil {
				wrong = err.Error()
			}
			if st := q.Stats(); q.gate.used() != 0 || q.keys.n.Load() != 0 || q.stuck.Load() != 0 || st.Accepted != st.Forwarded+st.Evicted {
				wrong = fmt.Sprintf("at the end the gate has %d units, %d keys, %d stuck: %+v", q.gate.used(), q.keys.n.Load(), q.stuck.Load(), st)
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}
