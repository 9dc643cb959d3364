// SPDX-License-Identifier: Apache-2.0

package partitioned_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

type row struct{ name string }

// first is the first program of the README.
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

// TestFirstProgramOfTheREADME is the one that ExampleNew runs.
func TestFirstProgramOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.ReadFile("example_first_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(readme), "```go\n")
	program, _, ok := strings.Cut(program, "```")
	indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(program, "\n"), "\n", "\n\t")
	if !ok || strings.TrimSpace(program) == "" || !strings.Contains(string(here), indented) {
		t.Errorf("not what ExampleNew runs:\n%s", program)
	}
}
