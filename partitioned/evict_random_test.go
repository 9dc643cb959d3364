// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// evictions drives a queue with OverflowDropOldest. Items are keys: "hangs" never ends, "again" comes again, the others go.
type evictions struct {
	q    *Queue[string]
	stop chan struct{}

	mu   sync.Mutex
	lost map[string]int64 // evicted by the push that runs, by key
}

func (e *evictions) process(ctx context.Context, b Batch[string]) (v Verdict[string]) {
	switch b.Key {
	case "hangs":
		select {
		case <-e.stop:
		case <-ctx.Done():
		}
	case "again":
		v.Rest, v.After = slices.Clone(b.Items), 30*time.Millisecond
	default:
		time.Sleep(5 * time.Millisecond)
	}
	return v
}

// dropped may be called by a push, and by nobody else that evicts.
func (e *evictions) dropped(key string, reason error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if errors.Is(reason, ErrEvicted) {
		e.lost[key]++
	}
}

// reserved returns what the stream of key holds.
func (e *evictions) reserved(key string) int64 {
	p := e.q.partition(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.existing(key); s != nil {
		return s.reserved
	}
	return 0
}

// push returns what is wrong with what a push drops. restored: streams may hold units that the gate does not count.
func (e *evictions) push(units map[string]int64, restored bool) (wrong string) {
	synctest.Wait()
	var items []string
	before := map[string]int64{}
	for _, key := range slices.Sorted(maps.Keys(units)) {
		items = append(items, slices.Repeat([]string{key}, int(units[key]))...)
		before[key] = e.reserved(key)
	}
	used, stuck, stalled := e.q.gate.used(), e.q.stuck.Load(), e.q.Stats().Stalled
	clear(e.lost)
	err := e.q.Push(bg, items...)
	var gone int64
	for _, n := range e.lost {
		gone += n
	}
	switch {
	case gone == 0:
		return ""
	case err != nil:
		return fmt.Sprintf("dropped %v for a push that got %v", e.lost, err)
	case restored:
		return ""
	}
	// One item fewer dropped, and the capacity or a share refuses the push. All of its streams may have been stuck meanwhile.
	push := int64(len(items)) - (e.q.Stats().Stalled - stalled)
	left, capacity := used-gone+1, e.q.gate.capacity
	if left >= capacity {
		return ""
	}
	for key, n := range units {
		holds := before[key] - e.lost[key] + 1
		if holds >= e.q.cfg.KeyCapacity || (holds+n)*(stuck+int64(len(units))) > capacity-push-left {
			return ""
		}
	}
	return fmt.Sprintf("dropped %v for %v, of %d units of %d", e.lost, units, used, capacity)
}

// TestDropOldestDropsForWhatIsAccepted at random: a push that gets an error has dropped nothing, and one that is accepted has dropped no
// more than it had to.
func TestDropOldestDropsForWhatIsAccepted(t *testing.T) {
	keys := []string{"hangs", "again", "c", "d", "e"}
	rapid.Check(t, func(rt *rapid.T) {
		e := &evictions{lost: map[string]int64{}}
		cfg := QueueConfig[string]{
			Key: func(s string) string { return s }, Process: e.process, Dropped: e.dropped, Overflow: OverflowDropOldest,
			Interval:     time.Duration(rapid.IntRange(1, 50).Draw(rt, "interval")) * time.Millisecond,
			BatchSize:    Weight{Items: rapid.IntRange(1, 9).Draw(rt, "size")},
			Capacity:     rapid.Int64Range(10, 60).Draw(rt, "capacity"),
			KeyCapacity:  rapid.SampledFrom([]int64{0, 5, 10}).Draw(rt, "keyCapacity"),
			StallTimeout: rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond}).Draw(rt, "stallTimeout"),
			MaxKeys:      rapid.SampledFrom([]int{0, 2, 4}).Draw(rt, "maxKeys"),
			MinInterval:  rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond}).Draw(rt, "minInterval"),
			Consumers:    rapid.IntRange(1, 4).Draw(rt, "consumers"), Partitions: rapid.IntRange(1, 3).Draw(rt, "partitions"),
		}
		restored := rapid.SliceOfN(rapid.SampledFrom(keys), 0, 100).Draw(rt, "restored")
		pushes := rapid.SliceOfN(rapid.MapOfN(rapid.SampledFrom(keys), rapid.Int64Range(1, 8), 1, 3), 1, 60).Draw(rt, "pushes")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 30), 7, 7).Draw(rt, "pauses")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			e.q, e.stop = start(t, cfg), make(chan struct{})
			if err := e.q.Restore(restored...); err != nil {
				wrong = err.Error()
			}
			for i, units := range pushes {
				if wrong == "" {
					wrong = e.push(units, len(restored) > 0)
				}
				if i%3 == 2 {
					time.Sleep(time.Duration(pauses[i%7]) * time.Millisecond)
				}
			}
			close(e.stop)
			e.q.Shutdown(within(time.Second))
			if st := e.q.Stats(); wrong == "" && st.Accepted != st.Forwarded+st.Evicted+st.Stalled+st.Lost {
				wrong = fmt.Sprintf("at the end %+v", st)
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}
