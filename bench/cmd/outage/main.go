// SPDX-License-Identifier: Apache-2.0

// Command outage prints what a backend that is down for long costs with a storage, as a Markdown table: with ten times memory_size pending, with all
// of it in memory, and with that many requests found by a restart. Run it from the bench folder of a checkout, on a disk with some free GiB:
// go run ./cmd/outage.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench"
)

func main() {
	requests := flag.Int("requests", 200_000, "requests that are pending when the backend is there again")
	restarted := flag.Int("restarted", 1_000_000, "requests of one span that a restart finds")
	flag.Parse()
	if err := run(*requests, *restarted); err != nil {
		fmt.Fprintln(os.Stderr, "outage:", err)
		os.Exit(1)
	}
}

func run(requests, restarted int) error {
	const spans, encoded = 10, 2200 // bytes of a request, about
	fmt.Println("| case | file | all accepted after | heap meanwhile | Start takes | first delivery after | all delivered after | heap meanwhile |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, backend := range []bench.OutageBackend{bench.BackendEncodes, bench.BackendOTLP, bench.BackendGzip} {
		load := bench.OutageLoad{Requests: requests, Spans: spans, Backend: backend}
		load.MemorySize = requests * encoded / 10
		if err := measure(fmt.Sprintf("10 × `memory_size`, %s", backend), load); err != nil {
			return err
		}
		load.MemorySize = requests * encoded * 2
		if err := measure(fmt.Sprintf("all in memory, %s", backend), load); err != nil {
			return err
		}
	}
	return measure(fmt.Sprintf("restart, %d requests", restarted),
		bench.OutageLoad{Requests: restarted, Spans: 1, MemorySize: 64 << 20, Restart: true, Backend: bench.BackendEncodes})
}

// measure prints a row.
func measure(name string, load bench.OutageLoad) error {
	o, err := load.Measure()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("| %s %s\n", name, o)
	return nil
}
