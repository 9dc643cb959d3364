// SPDX-License-Identifier: Apache-2.0

// Command downstream prints, as a Markdown table, what batches cost whoever receives them: with each request's resource as it came, and
// with equal resources merged. Run it from the bench folder of a checkout: go run ./cmd/downstream. It takes a minute.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench"
)

func main() {
	rounds := flag.Int("rounds", 10, "how often batches are decoded")
	flag.Parse()
	if err := run(*rounds); err != nil {
		fmt.Fprintln(os.Stderr, "downstream:", err)
		os.Exit(1)
	}
}

func run(rounds int) error {
	fmt.Println("| signal | items a request | resources | | resources a batch | bytes an item | gzip | zstd | OTAP | decode, ns | allocations | decode OTAP, ns |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, signal := range []string{"traces", "metrics", "logs"} {
		for _, items := range []int{1, 10, 100} {
			l := bench.Downstream{Signal: signal, Items: items, Resources: 50}
			variants := bench.DownstreamVariants()
			costs, err := l.Measure(variants, rounds)
			if err != nil {
				return fmt.Errorf("%+v: %w", l, err)
			}
			for i, c := range costs {
				fmt.Printf("| %s | %d | %d | %s | %.0f | %.0f | %.1f | %.1f | %.1f | %d | %.1f | %d |\n", signal, items, l.Resources, variants[i].Label,
					c.Resources, c.Plain, c.Gzip, c.Zstd, c.Arrow, c.Decode.Nanoseconds(), c.Allocs, c.ArrowDecode.Nanoseconds())
			}
		}
	}
	return nil
}
