// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// TestEachCallerGetsTheResultOfItsOwnItem, while others give up waiting: what they would have been told reaches nobody else. Every
// third item fails, and an item is marked before its batch returns.
func TestEachCallerGetsTheResultOfItsOwnItem(t *testing.T) {
	const callers, pushes = 8, 300
	var processed [callers * pushes]atomic.Bool
	fails := func(id int) bool { return id%3 == 0 }
	q := start(t, QueueConfig[int]{
		Consumers: 2,
		Process: func(_ context.Context, b Batch[int]) (v Verdict[int]) {
			v.Errs = make([]error, len(b.Items))
			for i, id := range b.Items {
				processed[id].Store(true)
				if fails(id) {
					v.Errs[i] = errTest
				}
			}
			return v
		},
	})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range pushes {
				id := caller*pushes + i
				ctx, cancel := context.WithCancel(bg)
				if caller%2 == 0 {
					go cancel() // before, while or after it waits
				}
				err := q.PushWait(ctx, id)
				cancel()
				switch settled := err == nil || errors.Is(err, errTest); {
				case settled && !processed[id].Load():
					t.Errorf("%d: %v, before it was processed", id, err)
				case settled && fails(id) != (err != nil):
					t.Errorf("%d: %v", id, err)
				case !settled && (caller%2 != 0 || !errors.Is(err, context.Canceled)):
					t.Errorf("%d: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	q.Shutdown(bg)
	nothingLeft(t, q)
}
