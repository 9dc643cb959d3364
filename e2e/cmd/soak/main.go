// SPDX-License-Identifier: Apache-2.0

// Command soak runs a collector for long, under mixed load, with backends that refuse, hang and go away, and with reloads. It exits
// with an error if something was lost or grew. Run it in the folder of the e2e module; `make soak` builds the collector first.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/proof"
)

//go:embed head.md
var head string

func main() {
	o := proof.SoakOptions{}
	page := flag.String("page", "", "the page to write, with a picture beside it; none if empty")
	flag.DurationVar(&o.Lasts, "for", time.Hour, "how long it runs")
	flag.DurationVar(&o.Cycle, "cycle", time.Minute, "how long the backends are well, refuse, hang, are away and are well again, together")
	flag.IntVar(&o.PerSecond, "rate", 2000, "items a second of each signal")
	flag.Parse()
	if err := run(context.Background(), o, *page); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o proof.SoakOptions, page string) (err error) {
	if o.Binary, err = otelcol.Binary("OTELCOL_PROOF", "../build/proof/otelcol-proof"); err != nil {
		return err
	}
	var table strings.Builder
	write := func(line string) {
		fmt.Println(line)
		table.WriteString(line + "\n")
	}
	write("| minutes | heap, MiB | RSS, MiB | goroutines | file descriptors | items taken | lost | arrived again |")
	write("|---|---|---|---|---|---|---|---|")
	all, err := proof.Soak(ctx, o, func(s proof.Sample) {
		write(fmt.Sprintf("| %.1f | %.1f | %.1f | %d | %d | %d | %d | %d |", s.Minutes, s.Heap, s.Memory, s.Goroutines, s.Files, s.Acked, s.Missing, s.Copies))
	})
	if page == "" || len(all) == 0 {
		return err
	}
	picture := strings.TrimSuffix(page, filepath.Ext(page)) + ".svg"
	text := fmt.Sprintf(head, o.Lasts, o.Cycle, o.PerSecond, filepath.Base(picture)) + table.String()
	return errors.Join(err, os.WriteFile(page, []byte(text), 0o644), draw(picture, all))
}

// draw shows everything relative to the first cycle.
func draw(file string, all []proof.Sample) error {
	var lines []proof.Line
	for _, m := range []struct {
		name string
		of   func(proof.Sample) float64
	}{
		{"heap", func(s proof.Sample) float64 { return s.Heap }},
		{"resident memory", func(s proof.Sample) float64 { return s.Memory }},
		{"goroutines", func(s proof.Sample) float64 { return float64(s.Goroutines) }},
		{"file descriptors", func(s proof.Sample) float64 { return float64(s.Files) }},
	} {
		line := proof.Line{Name: m.name}
		for _, s := range all {
			line.Points = append(line.Points, plotter.XY{X: s.Minutes, Y: m.of(s) / max(m.of(all[0]), 1)})
		}
		lines = append(lines, line)
	}
	return proof.DrawLines(file, "A collector under faults and reloads", "minutes", "relative to the first cycle", 0, lines)
}
