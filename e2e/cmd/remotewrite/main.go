// SPDX-License-Identifier: Apache-2.0

// Command remotewrite sends metrics through a collector to a Prometheus that receives remote write, with latency, and prints what became of
// them as a Markdown table. Run it from the e2e folder of a checkout, after `make build-proof`.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/remotewrite"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "remotewrite:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	collector, err := otelcol.Binary("OTELCOL_PROOF", "../build/proof/otelcol-proof")
	if err != nil {
		return err
	}
	binary, err := otelcol.Binary("PROMETHEUS", "../build/prometheus")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "remotewrite")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := remotewrite.Server(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	o := remotewrite.Options{Collector: collector, Latency: 150 * time.Millisecond, Series: 64, Steps: 200}
	fmt.Println("| | points sent | superseded | stored | calls | rejected | calls at once | seconds |")
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|---:|")
	for i, v := range []remotewrite.Variant{remotewrite.One, remotewrite.Several, remotewrite.Partitions, remotewrite.TwoQueue, remotewrite.TwoMap} {
		r, err := remotewrite.Run(ctx, server, fmt.Sprint("variant", i), v, o)
		if err != nil {
			return fmt.Errorf("%s: %w", v.Name, err)
		}
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %d | %.1f |\n",
			v.Name, r.Sent, r.Superseded, r.Stored, r.Calls, r.Rejected, r.InFlight, r.Took.Seconds())
	}
	return nil
}
