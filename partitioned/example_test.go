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
	q, err := partitioned.NewQueue(partitioned.QueueConfig[string]{
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
	q, _ := partitioned.NewQueue(partitioned.QueueConfig[int]{
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
	q, _ := partitioned.NewQueue(partitioned.QueueConfig[int]{
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
	q, _ := partitioned.NewQueue(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(ctx context.Context, _ []int) error {
			<-ctx.Done() // hangs, until the deadline of Shutdown
			return context.Cause(ctx)
		}),
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
	q, _ := partitioned.NewQueue(partitioned.QueueConfig[string]{
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

// What is to come again comes before all else of its stream, and holds no consumer until then.
func ExampleVerdict() {
	tries := 0
	q, _ := partitioned.NewQueue(partitioned.QueueConfig[string]{
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
	q, _ := partitioned.NewQueue(partitioned.QueueConfig[int]{
		Process: partitioned.Plain(func(_ context.Context, items []int) error {
			fmt.Println(items)
			return nil
		}),
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
	q, _ := partitioned.NewQueue(partitioned.QueueConfig[string]{
		Process:   partitioned.Plain(func(context.Context, []string) error { return errors.New("no") }),
		Weigh:     func(s string) partitioned.Weight { return partitioned.Weight{Items: 1, Bytes: len(s)} },
		Interval:  time.Hour,
		BatchSize: partitioned.Weight{Bytes: 1000},
		Unit:      partitioned.Bytes,
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
