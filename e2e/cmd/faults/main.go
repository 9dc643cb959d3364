// SPDX-License-Identifier: Apache-2.0

// Command faults runs the collector against backends with faults, once for each way to deal with failures, and writes what
// became of each item as a table. Run it in the folder of the e2e module: go run ./cmd/faults > ../FAULTS.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/faults"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
)

const head = `# Faults

What becomes of each item while something is wrong with the backend, on a built collector: OTLP senders, this processor, an
exporter, a backend with a fault. Made by ` + "`make faults`" + `; [e2e](e2e/faults_test.go) checks the same sums in every test run.

Eight senders send requests of 10 spans for 3 s and never send anything again; batches of up to 200; the exporter does not retry.
*wait* is ` + "`wait_for_result`" + `, *retry* is ` + "`retry_on_failure`" + ` with a ` + "`max_elapsed_time`" + ` of 30 s, both with ` + "`split_on_too_large`" + `.
*lost* is what was acknowledged to the sender and did not arrive, *returned* what a sender was told of, *rejected* what the backend
did not want, which it says in an answer of success: exporters log it, and no processor hears of it. What arrived though its
call failed, since the backend died before its answer, is delivered and dropped, returned or duplicated.

In every row *sent* is accepted and refused, and accepted is forwarded, returned and dropped. Without a queue in the exporter nothing
is lost but what is dropped or rejected, and with *wait* and *retry* nothing is dropped. With a queue in the exporter
(` + "`sending_queue`" + `, its default) the processor is told that all is well before anything was sent: what is lost behind it
nobody counts here.

`

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
