// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"testing"
	"time"
)

// TestPushAllocatesNothing: neither with room nor while it waits for some.
func TestPushAllocatesNothing(t *testing.T) {
	for name, capacity := range map[string]int64{"room": 0, "no room": 1} {
		t.Run(name, func(t *testing.T) {
			q := start(t, QueueConfig[int]{
				Process:  Plain(func(context.Context, []int) error { return nil }),
				Interval: time.Millisecond, BatchSize: Weight{Items: 64}, Capacity: capacity,
			})
			push := func() {
				for range 1000 {
					if err := q.Push(bg, 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			push()                                             // buffers grow
			if n := testing.AllocsPerRun(20, push); n > 2000 { // with the race detector, pools forget some
				t.Errorf("%v allocations in 1000 pushes", n)
			}
			q.Shutdown(bg)
			nothingLeft(t, q)
		})
	}
}
