// SPDX-License-Identifier: Apache-2.0

package partitioned_test

import (
	"context"
	"fmt"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

type row struct{ name string }

// first is what the first program of the README does, with the errors returned.
func first(ctx context.Context) error {
	insert := func(_ context.Context, rows []row) error { // the slice is yours to keep
		fmt.Println("insert", rows)
		return nil
	}
	q, err := partitioned.New(insert, partitioned.Config[row]{Size: 100, Interval: time.Second})
	if err != nil {
		return err
	}
	defer q.Shutdown(ctx)                         // delivers what is pending, until ctx is done
	if err := q.Push(ctx, row{"a"}); err != nil { // accepted, or an error
		return err
	}
	return q.PushWait(ctx, row{"b"}) // inserted, or the error of insert
}

func ExampleNew() {
	fmt.Println(first(context.Background()))
	// Output:
	// insert [{a} {b}]
	// <nil>
}
