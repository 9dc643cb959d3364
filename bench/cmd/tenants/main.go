// SPDX-License-Identifier: Apache-2.0

// Command tenants prints, as a Markdown table, what the other tenants get while the backends of some are down. Run it from the
// bench folder of a checkout: go run ./cmd/tenants. It takes two minutes.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tenants:", err)
		os.Exit(1)
	}
}

func run() error {
	variants := bench.TenantsDownVariants()
	fmt.Print("| tenants down |")
	for _, v := range variants {
		fmt.Printf(" %s |", v.Label)
	}
	fmt.Println("\n|---|" + strings.Repeat("---|", len(variants)))
	for _, down := range []int{0, 1, 8, 40, 100} {
		load := bench.DefaultTenantsDown(down)
		fmt.Printf("| %d of %d |", down, load.Tenants)
		for _, v := range variants {
			share, err := load.Share(v)
			if err != nil {
				return fmt.Errorf("%s, %d down: %w", v.Label, down, err)
			}
			fmt.Printf(" %.2f |", share)
		}
		fmt.Println()
	}
	return nil
}
