// SPDX-License-Identifier: Apache-2.0

// Command compare runs the partitionedbuffer processor beside its peers and prints Markdown tables: medians of all
// rounds, least and greatest figure, and the ratio of ours to each peer. Run it from the bench folder of a checkout.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench"
)

func main() {
	rounds := flag.Int("rounds", 10, "rounds per case; every variant runs once in each")
	pattern := flag.String("run", ".", "run the cases whose name, Group/name/param, matches this regular expression")
	idle := flag.Duration("idle", 30*time.Second, "time that may be spent, over the whole run, on waiting for an idle machine")
	pictures := flag.String("pictures", "", "folder for pictures of the groups Split and Stored; empty: none")
	list := flag.Bool("list", false, "print the names of the cases and exit")
	flag.Parse()
	if err := run(*rounds, *pattern, *idle, *list, *pictures); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(rounds int, pattern string, idle time.Duration, list bool, pictures string) error {
	if rounds < 1 {
		return fmt.Errorf("-rounds %d: must be positive", rounds)
	}
	match, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	var cases []bench.Case
	for _, c := range bench.Cases() {
		if name := strings.TrimSuffix(c.Group+"/"+c.Name+"/"+c.Param, "/"); match.MatchString(name) {
			cases = append(cases, c)
			if list {
				fmt.Println(name)
			}
		}
	}
	if list {
		return nil
	}
	if len(cases) == 0 {
		return fmt.Errorf("-run %q matches no case", pattern)
	}

	describe(os.Stdout, rounds)
	start, machine := time.Now(), &idleWaiter{left: idle}
	// The first run of a process pays for growing the heap, so it goes unseen.
	if _, err := cases[0].Run(cases[0].Variants[0]); err != nil {
		return err
	}
	var reports []*bench.Report
	for i, c := range cases {
		if i == 0 || c.Group != cases[i-1].Group {
			fmt.Printf("## %s\n\n%s\n\n", c.Group, c.About)
		}
		report, err := bench.Compare(c, rounds, machine.wait)
		if err != nil {
			return err
		}
		reports = append(reports, report)
		report.WriteTable(os.Stdout)
		report.WriteTargets(os.Stdout)
	}
	fmt.Printf("Took %s; load average at the end: %s; %d of %d runs began while others used the machine.\n",
		time.Since(start).Round(time.Second), loadAverage(), machine.busy, machine.runs)
	if pictures == "" {
		return nil
	}
	return draw(pictures, reports)
}

// draw draws what was run of the groups that have a picture.
func draw(folder string, reports []*bench.Report) (err error) {
	for file, p := range map[string]bench.Picture{
		"splits.svg":           bench.SplitPicture("resources=1", reports),
		"splits-resources.svg": bench.SplitPicture("resources=1000", reports),
		"stored.svg":           bench.StoredPicture(reports),
	} {
		if len(p.Bars) > 0 {
			err = errors.Join(err, p.Draw(filepath.Join(folder, file)))
		}
	}
	return err
}

// describe says what anybody needs who wants to repeat the figures, or to doubt them.
func describe(w *os.File, rounds int) {
	args := append([]string{"go", "run", "./cmd/compare"}, os.Args[1:]...)
	fmt.Fprintf(w, "- command: `%s` (in `bench/`)\n", strings.Join(args, " "))
	fmt.Fprintf(w, "- commit: %s\n", commit())
	fmt.Fprintf(w, "- machine: %s, %d CPUs, %s, %s/%s\n", cpuModel(), runtime.NumCPU(), memory(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(w, "- %s, GOMAXPROCS %d, GOGC %s\n", runtime.Version(), runtime.GOMAXPROCS(0), orElse(os.Getenv("GOGC"), "default"))
	fmt.Fprintf(w, "- date: %s, load average at the start: %s\n", time.Now().UTC().Format(time.DateOnly), loadAverage())
	fmt.Fprintf(w, "- %d rounds a case; every variant once in each round, in rotating order; figures are medians (least..greatest), "+
		"ratios are taken within a round\n\n", rounds)
}

func commit() string {
	rev, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	out := strings.TrimSpace(string(rev))
	if changed, err := exec.Command("git", "status", "--porcelain").Output(); err == nil && len(changed) > 0 {
		out += " with uncommitted changes"
	}
	return out
}

func cpuModel() string {
	return orElse(procField("/proc/cpuinfo", "model name"), "unknown CPU")
}

func memory() string {
	return orElse(procField("/proc/meminfo", "MemTotal"), "unknown") + " of memory"
}

// loadAverage is of the last one, five and fifteen minutes. Far more of it than the run itself explains means that
// somebody else had the machine too.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); err == nil && len(fields) >= 3 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}

// procField reads the first "name : value" of a file; "" where there is none, as outside of Linux.
func procField(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
