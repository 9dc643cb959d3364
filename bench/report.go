// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Report holds every round of a case: Figures[variant][column][round].
type Report struct {
	Case
	Figures [][][]float64
}

// Compare runs a case for so many rounds. In each round every variant runs once, and the order moves on by one from round
// to round: what the machine does meanwhile falls on all of them alike, and ratios are taken within a round. before is
// called before each run.
func Compare(c Case, rounds int, before func()) (*Report, error) {
	r := &Report{Case: c, Figures: make([][][]float64, len(c.Variants))}
	for v := range r.Figures {
		r.Figures[v] = make([][]float64, len(c.Columns))
	}
	for round := range rounds {
		for i := range c.Variants {
			v := (round + i) % len(c.Variants)
			before()
			figures, err := c.Run(c.Variants[v])
			if err != nil {
				return nil, fmt.Errorf("%s %s %s: %w", c.Group, c.Name, c.Param, err)
			}
			for col, f := range figures {
				r.Figures[v][col] = append(r.Figures[v][col], f)
			}
		}
	}
	return r, nil
}

// ratios divides round by round.
func (r *Report) ratios(col, of, over int) []float64 {
	out := make([]float64, len(r.Figures[of][col]))
	for i := range out {
		out[i] = r.Figures[of][col][i] / r.Figures[over][col][i]
	}
	return out
}

// WriteTable writes a Markdown table, a row a variant: medians with the least and the greatest figure, and the ratio of
// each variant of ours to it.
func (r *Report) WriteTable(w io.Writer) {
	var own []int
	for i, v := range r.Variants {
		if v.Name == ours {
			own = append(own, i)
		}
	}
	head := []string{strings.TrimSpace(r.Name + " " + r.Param)}
	for _, c := range r.Columns {
		head = append(head, c.Unit)
	}
	for _, o := range own {
		for _, c := range r.Columns {
			if c.Ratio {
				head = append(head, fmt.Sprintf("%s: %s ÷ this", c.Unit, r.Variants[o].label()))
			}
		}
	}
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))

	for i, v := range r.Variants {
		row := []string{v.label()}
		for col := range r.Columns {
			row = append(row, summary(r.Figures[i][col]))
		}
		for _, o := range own {
			for col, c := range r.Columns {
				switch {
				case !c.Ratio:
				case o == i:
					row = append(row, "1")
				default:
					row = append(row, summary(r.ratios(col, o, i)))
				}
			}
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
}

// WriteTargets writes a line for each target of the case.
func (r *Report) WriteTargets(w io.Writer) {
	for _, t := range r.Targets {
		col := slices.IndexFunc(r.Columns, func(c Column) bool { return c.Unit == t.Column })
		figures, of := r.Figures[r.variant(t.Of)][col], t.Of
		if t.Over != "" {
			figures, of = r.ratios(col, r.variant(t.Of), r.variant(t.Over)), t.Of+" ÷ "+t.Over
		}
		got := significant(median(figures)) // what is printed is what is judged
		bound, word, reached := t.AtMost, "at most", got <= t.AtMost
		if t.AtLeast > 0 {
			bound, word, reached = t.AtLeast, "at least", got >= t.AtLeast
		}
		verdict := "reached"
		if !reached {
			verdict = "**missed**"
		}
		fmt.Fprintf(w, "- %s, %s: %s, target %s %s: %s\n", t.Column, of, figure(got), word, figure(bound), verdict)
	}
	fmt.Fprintln(w)
}

func (r *Report) variant(label string) int {
	return slices.IndexFunc(r.Variants, func(v Variant) bool { return v.label() == label })
}

func summary(f []float64) string {
	lo, mid, hi := figure(slices.Min(f)), figure(median(f)), figure(slices.Max(f))
	if lo == hi {
		return mid
	}
	return fmt.Sprintf("%s (%s..%s)", mid, lo, hi)
}

func median(f []float64) float64 {
	s := slices.Sorted(slices.Values(f))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// significant keeps three significant digits.
func significant(f float64) float64 {
	s, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'e', 2, 64), 64)
	return s
}

// figure prints three significant digits and no exponent.
func figure(f float64) string {
	decimals := 0
	if f != 0 {
		decimals = max(0, 2-int(math.Floor(math.Log10(math.Abs(significant(f))))))
	}
	return strconv.FormatFloat(significant(f), 'f', decimals, 64)
}
