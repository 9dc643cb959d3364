// SPDX-License-Identifier: Apache-2.0

// Command tenants prints, as a Markdown table, what the other tenants get while the backends of some are down, and draws it. Run it from
// the bench folder of a checkout: go run ./cmd/tenants -picture ../docs/tenants.svg. It takes two minutes.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench"
)

func main() {
	picture := flag.String("picture", "", "file for the picture; empty: none")
	flag.Parse()
	if err := run(*picture); err != nil {
		fmt.Fprintln(os.Stderr, "tenants:", err)
		os.Exit(1)
	}
}

func run(picture string) error {
	variants := bench.TenantsDownVariants()
	drawn := bench.Picture{Title: "What tenants get while the backends of others are down", X: "tenants of 120 whose backend is down", Y: "part of what they send"}
	fmt.Print("| tenants down |")
	for _, v := range variants {
		fmt.Printf(" %s |", v.Label)
		drawn.Lines = append(drawn.Lines, bench.Line{Name: v.Label})
	}
	fmt.Println("\n|---|" + strings.Repeat("---|", len(variants)))
	for _, down := range []int{0, 1, 8, 40, 100} {
		load := bench.DefaultTenantsDown(down)
		fmt.Printf("| %d of %d |", down, load.Tenants)
		for i, v := range variants {
			share, err := load.Share(v)
			if err != nil {
				return fmt.Errorf("%s, %d down: %w", v.Label, down, err)
			}
			fmt.Printf(" %.2f |", share)
			drawn.Lines[i].Points = append(drawn.Lines[i].Points, bench.Point{X: float64(down), Y: share})
		}
		fmt.Println()
	}
	if picture == "" {
		return nil
	}
	return drawn.Draw(picture)
}
