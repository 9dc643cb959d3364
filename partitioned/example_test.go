// SPDX-License-Identifier: Apache-2.0

package partitioned_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

func ExampleQueue() {
	q, err := partitioned.NewUnstarted(partitioned.QueueConfig[string]{
		Process: func(_ context.Context, b partitioned.Batch[string]) partitioned.Verdict[string] {
			fmt.Println(b.Reason, b.Items)
			return partitioned.Verdict[string]{}
		},
		Interval:  time.Second,
		BatchSize: partitioned.Weight{Items: 3},
		Capacity:  1000,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := q.Start(); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	q.Push(ctx, "a", "b", "c") // three make a batch
	q.Flush(ctx)
	q.Push(ctx, "d") // waits for more, until Shutdown
	q.Shutdown(ctx)
	// Output:
	// size [a b c]
	// shutdown [d]
}

func ExampleQueue_PushWait() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(_ context.Context, items []int) error {
			if items[0] < 0 {
				return errors.New("negative")
			}
			return nil
		}),
	})
	q.Start()
	defer q.Shutdown(context.Background())
	fmt.Println(q.PushWait(context.Background(), 1))
	fmt.Println(q.PushWait(context.Background(), -1))
	// Output:
	// <nil>
	// negative
}

func ExampleQueue_Flush() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: func(_ context.Context, b partitioned.Batch[int]) partitioned.Verdict[int] {
			fmt.Println("sent", b.Items, "for", b.Reason)
			return partitioned.Verdict[int]{}
		},
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 100},
	})
	q.Start()
	defer q.Shutdown(context.Background())
	q.Push(context.Background(), 1, 2)
	fmt.Println(q.Flush(context.Background()))
	// Output:
	// sent [1 2] for flush
	// <nil>
}

func ExampleQueue_Shutdown() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: func(ctx context.Context, b partitioned.Batch[int]) partitioned.Verdict[int] {
			<-ctx.Done()                                   // hangs, until most of the time of Shutdown is over
			return partitioned.Verdict[int]{Rest: b.Items} // there is no time for another attempt
		},
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 100},
	})
	q.Start()
	q.Push(context.Background(), 1, 2, 3)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := q.Shutdown(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, partitioned.ErrDropped), q.Stats().Lost)
	fmt.Println(q.Push(context.Background(), 4))
	// Output:
	// partitioned: dropped at shutdown: 3 items: context deadline exceeded
	// true 3
	// partitioned: closed
}

// Items of one key are batched and kept in order together.
func ExampleQueueConfig_key() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[string]{
		Process: func(_ context.Context, b partitioned.Batch[string]) partitioned.Verdict[string] {
			fmt.Println(b.Key, b.Items)
			return partitioned.Verdict[string]{}
		},
		Key: func(item string) string {
			tenant, _, _ := strings.Cut(item, "/")
			return tenant
		},
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 2},
	})
	q.Start()
	q.Push(context.Background(), "red/1", "blue/1", "red/2", "blue/2")
	q.Shutdown(context.Background())
	// Unordered output:
	// red [red/1 red/2]
	// blue [blue/1 blue/2]
}

// Who has many items to push can group them by partition first.
func ExampleQueue_Partition() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[string]{
		Process:    partitioned.Plain(func(context.Context, []string) error { return nil }),
		Key:        func(item string) string { return item },
		Partitions: 4,
	})
	of := map[int][]string{}
	for _, item := range []string{"red", "blue", "red"} {
		of[q.Partition(item)] = append(of[q.Partition(item)], item)
	}
	red := of[q.Partition("red")]
	fmt.Println(red[0], red[len(red)-1]) // blue may be between them, if it leads to the same
	// Output: red red
}

// What is to come again comes before all else of its stream, and holds no consumer until then.
func ExampleVerdict() {
	tries := 0
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[string]{
		Process: func(_ context.Context, b partitioned.Batch[string]) partitioned.Verdict[string] {
			tries++
			fmt.Println("try", tries, b.Items)
			if tries < 3 && !b.Closing {
				return partitioned.Verdict[string]{Rest: b.Items, After: time.Millisecond}
			}
			return partitioned.Verdict[string]{}
		},
	})
	q.Start()
	fmt.Println(q.PushWait(context.Background(), "a"))
	q.Shutdown(context.Background())
	// Output:
	// try 1 [a]
	// try 2 [a]
	// try 3 [a]
	// <nil>
}

func ExamplePlain() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(_ context.Context, items []int) error {
			fmt.Println(items)
			return nil
		}),
		BatchSize: partitioned.Weight{Items: 1},
	})
	q.Start()
	q.Push(context.Background(), 1)
	q.Push(context.Background(), 2)
	q.Shutdown(context.Background())
	// Output:
	// [1]
	// [2]
}

func ExampleQueue_Stats() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[string]{
		Process:   partitioned.Plain(func(context.Context, []string) error { return errors.New("no") }),
		Weigh:     func(s string) partitioned.Weight { return partitioned.Weight{Items: 1, Bytes: len(s)} },
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Bytes: 1000},
		Unit:      partitioned.UnitBytes,
		Capacity:  4000,
	})
	q.Start()
	q.Push(context.Background(), "hello", "you")
	fmt.Println(q.Len())
	st := q.Stats()
	fmt.Println(st.Queued, "items,", st.Used, "of", st.Capacity, "bytes")
	q.Shutdown(context.Background())
	st = q.Stats()
	fmt.Println(st.Accepted, "accepted,", st.Failed, "dropped")
	// Output:
	// 2 0
	// 2 items, 8 of 4000 bytes
	// 2 accepted, 2 dropped
}

// A key of the call's own, in place of that of the config: equal keys, one partition, in order.
func ExampleQueue_PushKey() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[string]{
		Process: func(_ context.Context, b partitioned.Batch[string]) partitioned.Verdict[string] {
			fmt.Printf("%q %v\n", b.Key, b.Items)
			return partitioned.Verdict[string]{}
		},
		Key:       func(item string) string { return item[:1] },
		Consumers: 1,
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 100},
	})
	q.Start()
	ctx := context.Background()
	q.Push(ctx, "a1", "a2")
	q.PushKey(ctx, "mine", "a3", "b1")
	q.Shutdown(ctx)
	// Unordered output:
	// "a" [a1 a2]
	// "mine" [a3 b1]
}

// Accepted is one thing, delivered another: PushResult tells the two apart.
func ExampleQueue_PushResult() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(context.Context, []int) error { return errors.New("the database is away") }),
	})
	q.Start()
	defer q.Shutdown(context.Background())
	result, err := q.PushResult(context.Background(), 1)
	fmt.Println("accepted:", err)
	fmt.Println("delivered:", result.Wait(context.Background()))
	// Output:
	// accepted: <nil>
	// delivered: the database is away
}

func ExampleResult_Wait() {
	busy, release := make(chan struct{}), make(chan struct{})
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(context.Context, []int) error {
			close(busy)
			<-release
			return nil
		}),
	})
	q.Start()
	first, _ := q.PushResult(context.Background(), 1)
	<-busy
	second, _ := q.PushResult(context.Background(), 2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(errors.Is(first.Wait(ctx), partitioned.ErrAbandoned))  // it is delivered all the same
	fmt.Println(errors.Is(second.Wait(ctx), partitioned.ErrWithdrawn)) // it was in no batch, and will be in none
	close(release)
	q.Shutdown(context.Background())
	fmt.Println(q.Stats().Forwarded, "forwarded,", q.Stats().Returned, "returned")
	// Output:
	// true
	// true
	// 1 forwarded, 1 returned
}

// What is named changes, for all partitions, at once; deadlines run on.
func ExampleQueue_Update() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: func(_ context.Context, b partitioned.Batch[int]) partitioned.Verdict[int] {
			fmt.Println(b.Reason, b.Items)
			return partitioned.Verdict[int]{}
		},
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 100},
	})
	q.Start()
	ctx := context.Background()
	q.Push(ctx, 1, 2)
	fmt.Println(q.Update(partitioned.Change{BatchSize: &partitioned.Weight{Items: 2}})) // due now
	q.Flush(ctx)
	minus := -time.Second
	fmt.Println(q.Update(partitioned.Change{Interval: &minus}))
	q.Shutdown(ctx)
	// Unordered output:
	// <nil>
	// size [1 2]
	// partitioned: Interval is negative: -1000000000
}

func ExampleObserver() {
	observer := &partitioned.Observer{
		PartitionStart: func(queue string, partition int) { fmt.Println(queue, partition, "starts") },
		PartitionStop: func(queue string, partition int, lost int64) {
			fmt.Println(queue, partition, "stops,", lost, "lost")
		},
		BatchStart: func(b partitioned.BatchInfo) { fmt.Println("batch of", b.Weight.Items, "for", b.Reason) },
		BatchEnd: func(_ partitioned.BatchInfo, o partitioned.Outcome) {
			fmt.Println(o.Forwarded, "forwarded,", o.Failed, "failed:", o.Err)
		},
		BatchOverdue: func(b partitioned.BatchInfo) { fmt.Println("a call hangs, in partition", b.Partition) },
		Evicted:      func(_ string, _, items int) { fmt.Println(items, "dropped to make room") },
	}
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Name: "orders",
		Process: partitioned.Plain(func(_ context.Context, items []int) error {
			if items[0] == 3 {
				panic("three")
			}
			return nil
		}),
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 2},
		Observer:  observer,
	})
	q.Start()
	q.Push(context.Background(), 1, 2, 3)
	q.Shutdown(context.Background())
	// Output:
	// orders 0 starts
	// batch of 2 for size
	// 2 forwarded, 0 failed: <nil>
	// batch of 1 for shutdown
	// 0 forwarded, 1 failed: partitioned: panic in Process: three
	// orders 0 stops, 0 lost
}

// A flush hands over all that is held, in one call.
func ExampleQueueConfig_adaptive() {
	var kept [][]int
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: func(_ context.Context, b partitioned.Batch[int]) partitioned.Verdict[int] {
			kept = append(kept, b.Items)
			return partitioned.Verdict[int]{}
		},
		Adaptive:  true,
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 4}, // due from here on, but not cut here
	})
	q.Start()
	q.Push(context.Background(), 1, 2, 3, 4, 5, 6)
	q.Shutdown(context.Background())
	fmt.Println(kept)
	// Output:
	// [[1 2 3 4 5 6]]
}

// The newest items matter most: the oldest make room for them, and are counted.
func ExampleOverflow_dropOldest() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(_ context.Context, items []int) error {
			fmt.Println(items)
			return nil
		}),
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Items: 100},
		Capacity:  3,
		Overflow:  partitioned.OverflowDropOldest,
	})
	q.Start()
	for i := range 5 {
		q.Push(context.Background(), i)
	}
	fmt.Println(q.Stats().Evicted, "dropped")
	q.Shutdown(context.Background())
	// Output:
	// 2 dropped
	// [2 3 4]
}

// Items of different weight, and one that is divided where a batch ends.
func ExampleWeight() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[string]{
		Process: func(_ context.Context, b partitioned.Batch[string]) partitioned.Verdict[string] {
			fmt.Println(b.Weight.Items, b.Items)
			return partitioned.Verdict[string]{}
		},
		Weigh: func(s string) partitioned.Weight { return partitioned.Weight{Items: len(s)} },
		Split: func(s string, room partitioned.Weight) (head, tail string, ok bool) {
			if len(s) <= room.Items {
				return "", "", false
			}
			return s[:room.Items], s[room.Items:], true
		},
		Interval:     time.Hour,
		BatchSize:    partitioned.Weight{Items: 4},
		MaxBatchSize: partitioned.Weight{Items: 5},
	})
	q.Start()
	q.Push(context.Background(), "one", "seventeen")
	q.Shutdown(context.Background())
	// Output:
	// 5 [one se]
	// 5 [vente]
	// 2 [en]
}

// How long the first of those who wait for room has waited: above 0 for long, nothing gets on any more.
func ExampleQueue_LongestWait() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{Process: partitioned.Plain(func(context.Context, []int) error { return nil })})
	q.Start()
	fmt.Println(q.LongestWait())
	q.Shutdown(context.Background())
	// Output:
	// 0s
}

func ExampleQueue_Len() {
	called, release := make(chan struct{}), make(chan struct{})
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(context.Context, []int) error {
			called <- struct{}{}
			<-release
			return nil
		}),
		Interval: time.Hour, BatchSize: partitioned.Weight{Items: 2},
	})
	q.Start()
	q.Push(context.Background(), 1, 2, 3)
	<-called
	fmt.Println(q.Len())
	close(release)
	go func() { <-called }()
	q.Shutdown(context.Background())
	// Output:
	// 1 2
}

func ExampleNewUnstarted() {
	_, err := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process:    partitioned.Plain(func(context.Context, []int) error { return nil }),
		Partitions: -1,
	})
	fmt.Println(err)
	// Output:
	// partitioned: Partitions is negative: -1
}

// A panic costs its batch; who waits for it gets the stack.
func ExamplePanicError() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(context.Context, []int) error { panic("oh") }),
	})
	q.Start()
	err := q.PushWait(context.Background(), 1)
	q.Shutdown(context.Background())
	var p *partitioned.PanicError
	fmt.Println(errors.As(err, &p), p.Value, len(p.Stack) > 0)
	// Output:
	// true oh true
}

// A bulk insert that says of each row whether it was taken: each caller learns of its own.
func ExampleVerdict_errs() {
	q, _ := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process: func(_ context.Context, b partitioned.Batch[int]) (v partitioned.Verdict[int]) {
			v.Errs = make([]error, len(b.Items))
			for i, row := range b.Items {
				if row < 0 {
					v.Errs[i] = fmt.Errorf("row %d is negative", row)
				}
			}
			return v
		},
		BatchSize: partitioned.Weight{Items: 2},
	})
	q.Start()
	ctx := context.Background()
	fmt.Println(q.PushWait(ctx, 1, -2))
	fmt.Println(q.PushWait(ctx, 3, 4))
	st := q.Stats()
	fmt.Println(st.Forwarded, "taken,", st.Returned, "returned")
	q.Shutdown(ctx)
	// Output:
	// row -2 is negative
	// <nil>
	// 3 taken, 1 returned
}
