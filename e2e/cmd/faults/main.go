// SPDX-License-Identifier: Apache-2.0

// Command faults runs the collector against backends with faults, once for each way to deal with failures, and writes what
// became of each item as a table. Run it in the folder of the e2e module: go run ./cmd/faults > ../FAULTS.md.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/faults"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
)

//go:embed head.md
var head string

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	binary, err := otelcol.Binary("OTELCOL", "../build/otelcol-partitionedbuffer")
	if err != nil {
		return err
	}
	fmt.Print(head)
	var errs []error
	for _, queue := range []bool{false, true} {
		fmt.Printf("## Exporter's `sending_queue`: %s\n\n", map[bool]string{false: "off", true: "on"}[queue])
		fmt.Println("| the backend | setting | sent | acknowledged | delivered | duplicated | **lost** | rejected | forwarded | returned | dropped | retried |")
		fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|")
		for _, f := range faults.All {
			for _, s := range faults.Settings {
				dir, err := os.MkdirTemp("", "faults")
				if err != nil {
					return err
				}
				r, err := faults.Run(ctx, binary, dir, f, s, queue)
				_ = os.RemoveAll(dir)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", f, s.Name, err)
				}
				errs = append(errs, r.Check())
				fmt.Printf("| %s | %s | %d | %d | %d | %d | **%d** | %d | %d | %d | %d | %d |\n", f, s.Name,
					r.Sent, r.Acked, r.Delivered, r.Duplicated, r.Lost, r.Rejected, r.Forwarded, r.Returned, r.Dropped, r.Retried)
			}
		}
		fmt.Println()
	}
	return errors.Join(errs...)
}
