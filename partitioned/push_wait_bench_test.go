// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkPushWait measures a push whose caller waits for the result, beside a channel by hand: its reader takes what is there, and
// answers each caller on a channel of its own. items/batch says how many callers one batch stands for.
func BenchmarkPushWait(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		run := func(b *testing.B, push func()) {
			b.ReportAllocs()
			var wg sync.WaitGroup
			var n atomic.Int64
			for range callers {
				wg.Go(func() {
					for n.Add(1) <= int64(b.N) {
						push()
					}
				})
			}
			wg.Wait()
		}
		b.Run(fmt.Sprintf("callers=%d/queue", callers), func(b *testing.B) {
			var batches int
			q, err := New(func(context.Context, []int) error { batches++; return nil }, Config[int]{Size: 8192, Capacity: 1 << 20})
			if err != nil {
				b.Fatal(err)
			}
			run(b, func() { q.PushWait(bg, 1) })
			q.Shutdown(bg)
			b.ReportMetric(float64(b.N)/float64(batches), "items/batch")
		})
		b.Run(fmt.Sprintf("callers=%d/channel", callers), func(b *testing.B) {
			batches := 0
			ch, done := make(chan chan error, 1024), make(chan struct{})
			go func() {
				defer close(done)
				var batch []chan error
				for first := range ch {
					batch = append(batch[:0], first)
					for more := true; more; {
						select {
						case next, ok := <-ch:
							if more = ok; ok {
								batch = append(batch, next)
							}
						default:
							more = false
						}
					}
					batches++
					for _, caller := range batch {
						caller <- nil
					}
				}
			}()
			pool := sync.Pool{New: func() any { return make(chan error, 1) }}
			run(b, func() {
				caller := pool.Get().(chan error)
				ch <- caller
				<-caller
				pool.Put(caller)
			})
			close(ch)
			<-done
			b.ReportMetric(float64(b.N)/float64(batches), "items/batch")
		})
	}
}
