// SPDX-License-Identifier: Apache-2.0

package partitioned_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

type (
	score  = partitioned.Entry[string, int]
	scores = partitioned.MapQueueConfig[string, int]
)

// printScores is a Process that prints what it gets.
func printScores(_ context.Context, b partitioned.Batch[score]) partitioned.Verdict[score] {
	for _, e := range b.Items {
		fmt.Printf("%s is %d, version %d, changed %d times\n", e.Key, e.Value, e.Version, e.Updates)
	}
	return partitioned.Verdict[score]{}
}

// open makes and starts a Map that holds everything until it is flushed.
func open(cfg scores) *partitioned.Map[string, int] {
	if cfg.Process == nil {
		cfg.Process = printScores
	}
	cfg.Partitions, cfg.Interval, cfg.BatchSize = 1, time.Hour, partitioned.Weight{Items: 1000}
	m, err := partitioned.NewUnstartedMap(cfg)
	if err != nil {
		panic(err)
	}
	if err := m.Start(); err != nil {
		panic(err)
	}
	return m
}

func ExampleMap() {
	m, err := partitioned.NewUnstartedMap(partitioned.MapQueueConfig[string, int]{
		QueueConfig: partitioned.QueueConfig[partitioned.Entry[string, int]]{
			Process: func(_ context.Context, b partitioned.MapBatch[string, int]) (v partitioned.MapVerdict[string, int]) {
				for _, e := range b.Items {
					fmt.Println(e.Key, e.Value)
				}
				return v
			},
			Partitions: 1, // else the order of different keys is that of each partition
			Interval:   time.Second,
			BatchSize:  partitioned.Weight{Items: 100},
			Capacity:   1000,
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Start(); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	m.Put(ctx, "b", 1)
	m.Put(ctx, "a", 2)
	m.Put(ctx, "b", 3)
	m.Shutdown(ctx)
	// Output:
	// b 3
	// a 2
}

func ExampleMap_PutAll() {
	m := open(scores{})
	ctx := context.Background()
	fmt.Println(m.PutAll(ctx, score{Key: "ann", Value: 1}, score{Key: "bob", Value: 2})) // both, or none
	fmt.Println(m.Len())
	m.Shutdown(ctx)
	// Output:
	// <nil>
	// 2 0
	// ann is 1, version 0, changed 0 times
	// bob is 2, version 0, changed 0 times
}

// The newest version wins, in whatever order they come; of equal ones the first stays.
func ExampleMap_PutNewer() {
	m := open(scores{})
	ctx := context.Background()
	m.PutNewer(ctx, "ann", 1, 100)
	m.PutNewer(ctx, "ann", 2, 200)
	m.PutNewer(ctx, "ann", 3, 50)
	m.PutNewer(ctx, "ann", 4, 200)
	fmt.Println(m.Get("ann"))
	fmt.Println(m.Stats().Superseded, "superseded")
	m.Shutdown(ctx)
	// Output:
	// 2 true
	// 3 superseded
	// ann is 2, version 200, changed 1 times
}

func ExampleMap_PutAllNewer() {
	m := open(scores{})
	ctx := context.Background()
	m.PutAllNewer(ctx, score{Key: "ann", Value: 1, Version: 7}, score{Key: "bob", Value: 2, Version: 8}, score{Key: "ann", Value: 3, Version: 6})
	m.Shutdown(ctx)
	// Output:
	// ann is 1, version 7, changed 0 times
	// bob is 2, version 8, changed 0 times
}

// With Remember, what is older than what was flushed is superseded too.
func ExampleMapQueueConfig_remember() {
	m := open(scores{Remember: time.Minute})
	ctx := context.Background()
	m.PutNewer(ctx, "ann", 1, 500)
	m.Flush(ctx)
	m.PutNewer(ctx, "ann", 2, 3) // late
	m.PutNewer(ctx, "ann", 3, 501)
	m.Flush(ctx)
	fmt.Println(m.Stats().Superseded, "superseded,", m.Stats().Remembered, "remembered")
	m.Shutdown(ctx)
	// Output:
	// ann is 1, version 500, changed 0 times
	// ann is 3, version 501, changed 0 times
	// 1 superseded, 1 remembered
}

// Equal keys fold instead of replace.
func ExampleMap_Merge() {
	m := open(scores{Merge: func(held, added score) int { return held.Value + added.Value }})
	ctx := context.Background()
	m.Merge(ctx, "ann", 1)
	m.Merge(ctx, "bob", 10)
	m.Merge(ctx, "ann", 2)
	m.MergeAll(ctx, score{Key: "bob", Value: 20}, score{Key: "cy", Value: 5})
	m.Shutdown(ctx)
	// Output:
	// ann is 3, version 0, changed 1 times
	// bob is 30, version 0, changed 1 times
	// cy is 5, version 0, changed 0 times
}

// What adds up to nothing is not sent: here a delivery that was counted and taken back again.
func ExampleMapQueueConfig_void() {
	m := open(scores{
		Merge: func(held, added score) int { return held.Value + added.Value },
		Void:  func(sum int) bool { return sum == 0 },
	})
	ctx := context.Background()
	m.Merge(ctx, "ann", 1)
	m.Merge(ctx, "bob", 1)
	m.Merge(ctx, "ann", -1)
	fmt.Println(m.Stats().Superseded, "superseded")
	m.Shutdown(ctx)
	// Output:
	// 2 superseded
	// bob is 1, version 0, changed 0 times
}

func ExampleMap_MergeAll() {
	m := open(scores{Merge: func(held, added score) int { return max(held.Value, added.Value) }})
	ctx := context.Background()
	m.MergeAll(ctx, score{Key: "ann", Value: 3}, score{Key: "ann", Value: 8}, score{Key: "ann", Value: 5})
	m.Shutdown(ctx)
	// Output:
	// ann is 8, version 0, changed 2 times
}

// Who waits hears what became of the entry that his value was folded into.
func ExampleMap_MergeAllWait() {
	m := open(scores{
		QueueConfig: partitioned.QueueConfig[score]{
			Process: partitioned.Plain(func(_ context.Context, entries []score) error {
				if entries[0].Value < 0 {
					return errors.New("negative")
				}
				return nil
			}),
		},
		Merge: func(held, added score) int { return held.Value + added.Value },
	})
	ctx := context.Background()
	fmt.Println(m.MergeAllWait(ctx, score{Key: "ann", Value: 1}, score{Key: "bob", Value: 2}))
	fmt.Println(m.MergeAllWait(ctx, score{Key: "ann", Value: -1}))
	m.Shutdown(ctx)
	// Output:
	// <nil>
	// negative
}

// What a flush has taken is neither seen nor undone.
func ExampleMap_Get() {
	m := open(scores{})
	ctx := context.Background()
	m.Put(ctx, "ann", 1)
	fmt.Println(m.Get("ann"))
	m.Flush(ctx)
	fmt.Println(m.Get("ann"))
	m.Shutdown(ctx)
	// Output:
	// 1 true
	// ann is 1, version 0, changed 0 times
	// 0 false
}

func ExampleMap_Delete() {
	m := open(scores{})
	ctx := context.Background()
	m.PutAll(ctx, score{Key: "ann", Value: 1}, score{Key: "bob", Value: 2})
	fmt.Println(m.Delete("ann"), m.Delete("cy"))
	m.Flush(ctx)
	fmt.Println(m.Delete("bob"))
	m.Shutdown(ctx)
	// Output:
	// true false
	// bob is 2, version 0, changed 0 times
	// false
}
