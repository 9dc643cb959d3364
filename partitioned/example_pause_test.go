// SPDX-License-Identifier: Apache-2.0

package partitioned_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// byTenant makes a queue of texts like "ann: 1" that makes batches by what stands before the colon.
func byTenant() *partitioned.Queue[string] {
	show := func(_ context.Context, texts []string) error {
		fmt.Println("process", strings.Join(texts, ", "))
		return nil
	}
	q, err := partitioned.New(show, partitioned.Config[string]{
		Size: 100, Interval: time.Hour,
		Key: func(text string) string { tenant, _, _ := strings.Cut(text, ":"); return tenant },
	})
	if err != nil {
		panic(err)
	}
	return q
}

// The database of one tenant is being moved.
func ExampleQueue_Pause() {
	q := byTenant()
	ctx := context.Background()
	q.Pause("ann")
	q.Push(ctx, "ann: 1", "bob: 1", "ann: 2")
	q.Flush(ctx) // of all but ann
	fmt.Println("moved")
	q.Resume("ann")
	q.Flush(ctx)
	q.Shutdown(ctx)
	// Output:
	// process bob: 1
	// moved
	// process ann: 1, ann: 2
}

// Shutdown delivers what is paused.
func ExampleQueue_PauseAll() {
	q := byTenant()
	ctx := context.Background()
	q.PauseAll()
	q.Push(ctx, "ann: 1")
	q.Flush(ctx)
	fmt.Println(q.Len())
	q.Shutdown(ctx)
	// Output:
	// 1 0
	// process ann: 1
}

// A tenant has left.
func ExampleQueue_Discard() {
	q := byTenant()
	ctx := context.Background()
	q.Push(ctx, "ann: 1", "bob: 1", "ann: 2")
	fmt.Println(q.Discard("ann"), "dropped")
	q.Shutdown(ctx)
	// Output:
	// 2 dropped
	// process bob: 1
}

// Here the first letter of an entry's key makes the batches.
func ExampleMap_Discard() {
	var cfg scores
	cfg.Key = func(e score) string { return e.Key[:1] }
	m := open(cfg)
	ctx := context.Background()
	m.PutAll(ctx, score{Key: "ann", Value: 1}, score{Key: "bob", Value: 2}, score{Key: "al", Value: 3})
	fmt.Println(m.Discard("a"), "dropped")
	m.Shutdown(ctx)
	// Output:
	// 2 dropped
	// bob is 2, version 0, changed 0 times
}
