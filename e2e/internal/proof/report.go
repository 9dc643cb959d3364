// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Rounds are the results of a case, one for each round.
type Rounds struct {
	Case   Case
	Rounds []Result
}

// Values are those of one measure, sorted.
func (r Rounds) Values(measure func(Result) float64) []float64 {
	var all []float64
	for _, result := range r.Rounds {
		all = append(all, measure(result))
	}
	slices.Sort(all)
	return all
}

// Median is the middle one of Values.
func (r Rounds) Median(measure func(Result) float64) float64 { return median(r.Values(measure)) }

func median(sorted []float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// cell shows a median, with the least and the most of the rounds.
func (r Rounds) cell(measure func(Result) float64) string {
	all := r.Values(measure)
	return fmt.Sprintf("%s (%s..%s)", short(median(all)), short(all[0]), short(all[len(all)-1]))
}

// short shows three digits.
func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// columns are what a table shows of a case.
var columns = []struct {
	title   string
	measure func(Result) float64
}{
	{"CPU s a million items", func(r Result) float64 { return r.CPU }},
	{"the same at the fixed rate", func(r Result) float64 { return r.CPUAtRate }},
	{"peak RSS, MiB", func(r Result) float64 { return r.Memory }},
	{"1000 items a second", func(r Result) float64 { return r.Throughput / 1000 }},
	{"p50, ms", func(r Result) float64 { return r.P50 }},
	{"p99, ms", func(r Result) float64 { return r.P99 }},
}

// WriteTable writes the cases of one load as a Markdown table, and a second one with what does not vary.
func WriteTable(w io.Writer, cases []Rounds) {
	fmt.Fprint(w, "| |")
	for _, c := range columns {
		fmt.Fprintf(w, " %s |", c.title)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(columns)))
	for _, r := range cases {
		fmt.Fprintf(w, "| %s |", r.Case.Name)
		for _, c := range columns {
			fmt.Fprintf(w, " %s |", r.cell(c.measure))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "\n| | items a call | bytes sent an item | before compression | lost | failed requests | arrived twice |\n|---|---|---|---|---|---|---|")
	for _, r := range cases {
		var sum Result
		for _, result := range r.Rounds {
			sum.Lost, sum.Failed, sum.Copies = sum.Lost+result.Lost, sum.Failed+result.Failed, sum.Copies+result.Copies
		}
		fmt.Fprintf(w, "| %s | %.0f | %.1f | %.1f | %d | %d | %d |\n", r.Case.Name,
			r.Median(func(r Result) float64 { return r.Batch }), r.Median(func(r Result) float64 { return r.Wire }),
			r.Median(func(r Result) float64 { return r.Encoded }), sum.Lost, sum.Failed, sum.Copies)
	}
	fmt.Fprintln(w)
}

// WriteKilled writes what became of the items while the backend was away.
func WriteKilled(w io.Writer, cases []Rounds) {
	fmt.Fprintln(w, "| | items lost that the sender was told are taken | requests that the sender was told failed | items that arrived twice |\n|---|---|---|---|")
	for _, r := range cases {
		for _, result := range r.Rounds {
			fmt.Fprintf(w, "| %s | %d | %d | %d |\n", r.Case.Name, result.Lost, result.Failed, result.Copies)
		}
	}
	fmt.Fprintln(w)
}
