// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"strconv"
	"testing"
	"time"
)

// I5: many keys at once leave neither a map nor a heap of their number behind.
func TestManyKeysLeaveNoRoomBehind(t *testing.T) {
	const keys = 20 * maxEmpty
	q, err := NewUnstarted(QueueConfig[int]{
		Process:    Plain(func(context.Context, []int) error { return nil }),
		Key:        strconv.Itoa,
		Partitions: 2,
		Interval:   time.Hour,
		BatchSize:  Weight{Items: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if err := q.Push(context.Background(), i); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(q.scheduler.mu.timed.all); n < keys {
		t.Fatalf("room for %d streams, %d have their time", n, keys)
	}
	if err := q.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := q.Shutdown(context.Background()); err != nil { // the workers are gone
		t.Fatal(err)
	}
	if n := cap(q.scheduler.mu.timed.all); n > maxEmpty {
		t.Errorf("the heap has room for %d streams", n)
	}
	for _, p := range q.partitions {
		if p.most != 0 || len(p.streams) != 0 {
			t.Errorf("the map is that of %d streams, with %d in it", p.most, len(p.streams))
		}
	}
}
