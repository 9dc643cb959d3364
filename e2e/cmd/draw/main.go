// SPDX-License-Identifier: Apache-2.0

// Command draw draws a picture that it reads as JSON, for commands of the bench module: what draws stands in this module alone. Run in the
// e2e folder of a checkout: go run ./cmd/draw -o FILE.svg < picture.json.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/proof"
)

func main() {
	file := flag.String("o", "", "file for the picture; its name says the format")
	flag.Parse()
	if err := run(*file); err != nil {
		fmt.Fprintln(os.Stderr, "draw:", err)
		os.Exit(1)
	}
}

// run draws bench's Picture: bars if it has any, else lines.
func run(file string) error {
	var p struct {
		Title, X, Y string
		Lines       []proof.Line
		Names       []string
		Bars        []proof.Bars
	}
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return err
	}
	if len(p.Bars) > 0 {
		return proof.DrawBars(file, p.Title, p.X, p.Names, p.Bars)
	}
	return proof.DrawLines(file, p.Title, p.X, p.Y, 0, p.Lines)
}
