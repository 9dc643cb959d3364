// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type payload struct {
	a, b  *int
	items int
	bytes int
}

// BenchmarkQueuePush measures a push with its way through the queue: the drain is inside the measure. Its rivals are a
// mutex-guarded append with the same consumer, and a channel with one batching goroutine.
func BenchmarkQueuePush(b *testing.B) {
	const batch = 820
	x := new(int)
	for _, producers := range []int{1, 8, 64, 256} {
		run := func(b *testing.B, push func(payload), drain func()) {
			b.ReportAllocs()
			var wg sync.WaitGroup
			var n atomic.Int64
			for range producers {
				wg.Go(func() {
					for {
						k := n.Add(64)
						if k-64 >= int64(b.N) {
							return
						}
						for range min(64, int64(b.N)-k+64) {
							push(payload{a: x, b: x, items: 10})
						}
					}
				})
			}
			wg.Wait()
			drain()
		}
		b.Run(fmt.Sprintf("producers=%d/queue", producers), func(b *testing.B) {
			q, err := NewUnstarted(QueueConfig[payload]{
				Process:   func(context.Context, Batch[payload]) Verdict[payload] { return Verdict[payload]{} },
				Weigh:     func(p payload) Weight { return Weight{p.items, p.bytes} },
				Interval:  200 * time.Millisecond,
				BatchSize: Weight{Items: batch * 10},
				Capacity:  65536,
				Reuse:     true,
			})
			if err != nil {
				b.Fatal(err)
			}
			q.Start()
			run(b, func(p payload) { q.Push(context.Background(), p) }, func() { q.Shutdown(context.Background()) })
		})
		b.Run(fmt.Sprintf("producers=%d/mutex", producers), func(b *testing.B) {
			var mu sync.Mutex
			var buf, spare []payload
			run(b, func(p payload) {
				mu.Lock()
				if buf = append(buf, p); len(buf) == batch {
					buf, spare = spare[:0], buf
				}
				mu.Unlock()
			}, func() {})
		})
		b.Run(fmt.Sprintf("producers=%d/channel", producers), func(b *testing.B) {
			ch := make(chan payload, 64)
			done := make(chan struct{})
			go func() {
				var buf []payload
				for p := range ch {
					if buf = append(buf, p); len(buf) == batch {
						buf = buf[:0]
					}
				}
				close(done)
			}()
			run(b, func(p payload) { ch <- p }, func() { close(ch); <-done })
		})
	}
}

// BenchmarkPushWithoutAKey measures a push of one item to one partition, and to eight: more of them must not cost more.
func BenchmarkPushWithoutAKey(b *testing.B) {
	for _, size := range []int{100, 8192} {
		for _, producers := range []int{1, 2, 4, 64} {
			for _, partitions := range []int{1, 8} {
				b.Run(fmt.Sprintf("size=%d/producers=%d/partitions=%d", size, producers, partitions), func(b *testing.B) {
					q, err := NewUnstarted(QueueConfig[*payload]{
						Process:    func(context.Context, Batch[*payload]) Verdict[*payload] { return Verdict[*payload]{} },
						Interval:   200 * time.Millisecond,
						BatchSize:  Weight{Items: size},
						Partitions: partitions,
						Capacity:   1 << 20,
					})
					if err != nil {
						b.Fatal(err)
					}
					q.Start()
					b.ReportAllocs()
					one := &payload{}
					var wg sync.WaitGroup
					for g := range producers {
						wg.Go(func() {
							for range b.N*(g+1)/producers - b.N*g/producers {
								q.Push(context.Background(), one)
							}
						})
					}
					wg.Wait()
					q.Shutdown(context.Background())
				})
			}
		}
	}
}

// BenchmarkPushToManyKeys measures a push of one item to one of 1000 keys, in turn, over 8 partitions.
func BenchmarkPushToManyKeys(b *testing.B) {
	var names [1000]string
	for i := range names {
		names[i] = fmt.Sprintf("tenant-%d", i)
	}
	for _, size := range []int{50, 820} {
		for _, producers := range []int{1, 8} {
			b.Run(fmt.Sprintf("size=%d/producers=%d", size, producers), func(b *testing.B) {
				q, err := NewUnstarted(QueueConfig[int]{
					Process:    func(context.Context, Batch[int]) Verdict[int] { return Verdict[int]{} },
					Key:        func(i int) string { return names[i%len(names)] },
					Interval:   5 * time.Second,
					BatchSize:  Weight{Items: size},
					Partitions: 8,
					Consumers:  8,
					Capacity:   1 << 20,
					Reuse:      true,
				})
				if err != nil {
					b.Fatal(err)
				}
				q.Start()
				var wg sync.WaitGroup
				for g := range producers {
					wg.Go(func() {
						for i := range b.N / producers {
							q.Push(context.Background(), g*7919+i)
						}
					})
				}
				wg.Wait()
				b.StopTimer() // what is left waits for the timer
				q.Shutdown(context.Background())
			})
		}
	}
}
