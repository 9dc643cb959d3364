// SPDX-License-Identifier: Apache-2.0

// Command proof measures whole collectors side by side, and writes the page and its pictures. Run it in the folder of the e2e
// module, on a machine that does nothing else: go run ./cmd/proof. `make proof` builds the collector first.
package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/proof"
)

//go:embed head.md
var head string

// flags are what is run. The defaults take less than ten minutes.
type flags struct {
	page         string
	rounds       int
	signals      string
	compressions string
	items        string
	resources    string
	variants     string
	pending      int
	sweeps       bool
	options      proof.Options
}

func main() {
	var f flags
	flag.StringVar(&f.page, "page", "../docs/proof.md", "the page to write; its pictures go into a folder beside it, with its name")
	flag.IntVar(&f.rounds, "rounds", 5, "rounds of each case, interleaved")
	flag.StringVar(&f.signals, "signals", "traces", "list: traces, metrics, logs")
	flag.StringVar(&f.compressions, "compressions", "gzip", "list: none, gzip, zstd")
	flag.StringVar(&f.items, "items", "10,100", "list: items of a request")
	flag.StringVar(&f.resources, "resources", "50", "list: resources that requests are of")
	flag.StringVar(&f.variants, "variants", "", "regular expression: only these")
	flag.IntVar(&f.pending, "pending", 32768, "items that are pending while memory is compared")
	flag.BoolVar(&f.sweeps, "sweeps", true, "vary the producers, the backend's latency, and kill the backend, too")
	flag.DurationVar(&f.options.Lasts, "lasts", 1200*time.Millisecond, "each load of each round")
	flag.IntVar(&f.options.Producers, "producers", 16, "senders of the closed loop")
	flag.IntVar(&f.options.PerSecond, "rate", 20000, "items a second of the load at a fixed rate")
	flag.Parse()
	if err := f.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

func (f *flags) run(ctx context.Context) (err error) {
	if f.options.Binary, err = otelcol.Binary("OTELCOL_PROOF", "../build/proof/otelcol-proof"); err != nil {
		return err
	}
	pictures := strings.TrimSuffix(f.page, filepath.Ext(f.page))
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	loads, err := f.loads()
	if err != nil {
		return err
	}
	others := usedByOthers()
	begin := time.Now()
	cases, err := f.measure(ctx, loads)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	page.WriteString(head)
	if others > 0.1 {
		fmt.Fprintf(&page, "**Measured on a busy machine**, where others used %.2f CPUs: these figures are no proof. Run `make proof` on an idle one.\n\n", others)
	}
	for i, l := range loads {
		fmt.Fprintf(&page, "## %s\n\n", l.title())
		proof.WriteTable(&page, cases[i])
	}
	page.WriteString("## Where the CPU time goes\n\nSeconds a million items, by profiles of one more run each: the sum is more than above, as a profile costs time itself. " +
		"What a function does for another one is counted there: allocations for decoding are decoding.\n\n")
	if err := f.profile(ctx, &page, loads); err != nil {
		return err
	}
	if err := drawBars(pictures, loads, cases); err != nil {
		return err
	}
	if err := f.hold(ctx, &page, pictures, loads); err != nil {
		return err
	}
	if f.sweeps {
		if err := f.sweep(ctx, &page, pictures); err != nil {
			return err
		}
	}
	fmt.Fprintf(&page, "## Where and when\n\n%s", machine())
	fmt.Fprintf(&page, "- others used %.2f CPUs in the %v before\n", others, observed)
	fmt.Fprintf(&page, "- rounds: %d, loads of %v, %d senders in the closed loop, %d items a second at the fixed rate; %v in all\n",
		f.rounds, f.options.Lasts, f.options.Producers, f.options.PerSecond, time.Since(begin).Round(time.Second))
	raw, err := json.MarshalIndent(cases, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(f.page, page.Bytes(), 0o644), os.WriteFile(filepath.Join(pictures, "rounds.json"), raw, 0o644))
}

// load is what all variants are measured with.
type load struct {
	signal           proof.Signal
	compression      string
	items, resources int
}

func (l load) title() string {
	return fmt.Sprintf("%s, %s, %d items a request, %d resources", strings.ToUpper(string(l.signal[:1]))+string(l.signal[1:]), l.compression, l.items, l.resources)
}

func (l load) of(v proof.Variant) proof.Case {
	return proof.Case{Variant: v, Signal: l.signal, Compression: l.compression, Items: l.items, Resources: l.resources}
}

// loads are all combinations that the flags ask for.
func (f *flags) loads() (all []load, err error) {
	items, err := numbers(f.items)
	if err != nil {
		return nil, err
	}
	resources, err := numbers(f.resources)
	if err != nil {
		return nil, err
	}
	for _, s := range strings.Split(f.signals, ",") {
		for _, c := range strings.Split(f.compressions, ",") {
			for _, r := range resources {
				for _, i := range items {
					all = append(all, load{proof.Signal(s), c, i, r})
				}
			}
		}
	}
	return all, nil
}

func numbers(list string) (all []int, err error) {
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q: must be numbers above 0: %w", list, cmp.Or(err, errors.New("too small")))
		}
		all = append(all, n)
	}
	return all, nil
}

// measure runs the rounds, all variants in turn in each of them, so that what disturbs the machine for a while disturbs all.
func (f *flags) measure(ctx context.Context, loads []load) ([][]proof.Rounds, error) {
	only, err := regexp.Compile(f.variants)
	if err != nil {
		return nil, err
	}
	all := make([][]proof.Rounds, len(loads))
	for i, l := range loads {
		for _, v := range proof.Variants {
			if only.MatchString(v.Name) {
				all[i] = append(all[i], proof.Rounds{Case: l.of(v)})
			}
		}
	}
	for round := range f.rounds {
		for i := range all {
			for j := range all[i] {
				r := &all[i][j]
				result, err := proof.Run(ctx, r.Case, f.options)
				if err != nil {
					return nil, err
				}
				r.Rounds = append(r.Rounds, result)
				fmt.Fprintf(os.Stderr, "round %d: %v: %+.3v\n", round+1, r.Case, result)
			}
		}
	}
	return all, nil
}

// drawBars draws the measures that are headlines, over all loads of the first signal and compression.
func drawBars(dir string, loads []load, cases [][]proof.Rounds) error {
	draw := func(file, title, unit string, measure func(proof.Result) float64) error {
		var groups []proof.Bars
		var names []string
		for i, l := range loads {
			bars, of := proof.BarsOf(l.title(), cases[i], measure)
			groups, names = append(groups, bars), of
		}
		return proof.DrawBars(filepath.Join(dir, file), title, unit, names, groups)
	}
	return errors.Join(
		draw("cpu.svg", "CPU time of the collector", "seconds a million items", func(r proof.Result) float64 { return r.CPU }),
		draw("memory.svg", "Peak memory of the collector", "MiB resident", func(r proof.Result) float64 { return r.Memory }),
		draw("throughput.svg", "Throughput", "items a second", func(r proof.Result) float64 { return r.Throughput }),
		draw("bytes.svg", "Bytes before compression", "bytes an item", func(r proof.Result) float64 { return r.Encoded }),
	)
}

// observed is how long the machine is watched before the first round.
const observed = 3 * time.Second

// usedByOthers returns how many CPUs are in use, on average, while this process does nothing. The load average would not do: it also
// counts the build that `make proof` may have begun with.
func usedByOthers() float64 {
	before := cpuTicks()
	time.Sleep(observed)
	return float64(cpuTicks()-before) / 100 / observed.Seconds()
}

// cpuTicks returns for how long all CPUs together have not been idle, in ticks of 10 ms; 0 where the system does not say.
func cpuTicks() (ticks int64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n") // cpu user nice system idle iowait irq softirq steal ...
	for i, field := range strings.Fields(line)[1:9] {
		if i == 3 || i == 4 {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return ticks
}

// machine says where this runs.
func machine() string {
	model := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	commit := "unknown"
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("- %s, %d cores, which collector, senders and backend share; %s/%s, %s\n- commit %s, %s\n",
		model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), commit, time.Now().UTC().Format(time.DateOnly))
}
