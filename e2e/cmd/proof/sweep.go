// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/proof"
)

// swept are the variants that are shown over producers and over the backend's latency.
var swept = regexp.MustCompile("^(`batch`|exporter's `sending_queue.batch`|\\*\\*here\\*\\*(, `num_consumers: 10`)?)$")

// heldRounds is less than rounds, as memory varies less than time.
const heldRounds = 2

// hold compares the memory of all variants with as many items pending, and draws it over their number.
func (f *flags) hold(ctx context.Context, page io.Writer, pictures string, loads []load) error {
	only, err := regexp.Compile(f.variants)
	if err != nil {
		return err
	}
	fmt.Fprintf(page, "## Memory with the same number of items pending\n\nThe backend answers nothing until %d items are in the collector, in its buffers or in callers that wait; medians of %d rounds.\n\n",
		f.pending, heldRounds)
	for _, l := range loads {
		var cases []proof.Rounds
		for _, v := range proof.Variants {
			if !only.MatchString(v.Name) {
				continue
			}
			r := proof.Rounds{Case: l.of(v)}
			for range heldRounds {
				result, err := proof.Held(ctx, r.Case, f.options, f.pending)
				if err != nil {
					return err
				}
				r.Rounds = append(r.Rounds, result)
			}
			fmt.Fprintf(os.Stderr, "held: %v: %.0f MiB\n", r.Case, r.Rounds[0].Held)
			cases = append(cases, r)
		}
		fmt.Fprintf(page, "### %s\n\n", l.title())
		proof.WriteHeld(page, cases, "`batch`")
	}
	lines, err := f.memoryOverPending(ctx, loads[len(loads)-1])
	if err != nil {
		return err
	}
	fmt.Fprintf(page, "![Memory over what is pending](%s/pending.svg)\n\n", filepath.Base(pictures))
	return proof.DrawLines(filepath.Join(pictures, "pending.svg"), "Memory over what is pending", "MiB pending, encoded", "MiB resident", 0, lines)
}

// memoryOverPending gives the resident memory of the swept variants over the bytes that are pending.
func (f *flags) memoryOverPending(ctx context.Context, l load) (lines []proof.Line, err error) {
	for _, v := range proof.Variants {
		if !swept.MatchString(v.Name) {
			continue
		}
		line := proof.Line{Name: v.Name}
		for _, items := range []int{f.pending / 4, f.pending / 2, f.pending, 2 * f.pending} {
			r, err := proof.Held(ctx, l.of(v), f.options, items)
			if err != nil {
				return nil, err
			}
			line.Points = append(line.Points, plotter.XY{X: r.Pending, Y: r.Held})
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// sweep varies one thing at a time, with 10 spans a request, 50 resources and gzip.
func (f *flags) sweep(ctx context.Context, page io.Writer, pictures string) error {
	l := load{proof.Traces, "gzip", 10, 50}
	producers, err := f.vary(ctx, l, []int{1, 4, 16, 64}, func(o *proof.Options, n int) { o.Producers = n })
	if err != nil {
		return err
	}
	delays, err := f.vary(ctx, l, []int{0, 5, 20, 100}, func(o *proof.Options, n int) { o.Delay = time.Duration(n) * time.Millisecond })
	if err != nil {
		return err
	}
	fmt.Fprintf(page, "## Over the senders, and over the backend's latency\n\nOne round each, with 10 spans a request, 50 resources and gzip. Throughput is that of the closed loop.\n\n"+
		"![Throughput over senders](%[1]s/senders.svg)\n\n![Throughput over the latency of the backend](%[1]s/latency.svg)\n\n"+
		"## While the backend is away\n\nThe backend is killed for the middle third of a load, and nothing tries again but where the variant says so. What is lost was acknowledged before.\n\n", filepath.Base(pictures))
	var killed []proof.Rounds
	for _, v := range proof.Variants {
		r, err := proof.Killed(ctx, l.of(v), f.options)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "killed: %s: %+v\n", v.Name, r)
		killed = append(killed, proof.Rounds{Case: l.of(v), Rounds: []proof.Result{r}})
	}
	proof.WriteKilled(page, killed)
	return errors.Join(
		proof.DrawLines(filepath.Join(pictures, "senders.svg"), "Throughput over senders", "senders", "items a second", 1, producers),
		proof.DrawLines(filepath.Join(pictures, "latency.svg"), "Throughput over the latency of the backend", "milliseconds a call", "items a second", 1, delays),
	)
}

// profiled are the variants whose CPU time is looked at.
var profiled = regexp.MustCompile("^(`batch`|\\*\\*here\\*\\*(, `(buffer: map|storage|partitions: 10)`(, retry)?)?)$")

// profile looks at where the CPU time goes.
func (f *flags) profile(ctx context.Context, page io.Writer, loads []load) error {
	for _, l := range loads {
		var all []proof.Spent
		for _, v := range proof.Variants {
			if !profiled.MatchString(v.Name) {
				continue
			}
			s, err := proof.Profile(ctx, l.of(v), f.options)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		fmt.Fprintf(page, "### %s\n\n", l.title())
		proof.WriteSpent(page, all)
	}
	return nil
}

// vary gives the throughput of the swept variants for each value.
func (f *flags) vary(ctx context.Context, l load, values []int, set func(*proof.Options, int)) (lines []proof.Line, err error) {
	for _, v := range proof.Variants {
		if !swept.MatchString(v.Name) {
			continue
		}
		line := proof.Line{Name: v.Name}
		for _, n := range values {
			o := f.options
			set(&o, n)
			r, err := proof.Closed(ctx, l.of(v), o)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "%s, %d: %.0f items a second\n", v.Name, n, r.Throughput)
			line.Points = append(line.Points, plotter.XY{X: float64(n), Y: r.Throughput})
		}
		lines = append(lines, line)
	}
	return lines, nil
}
