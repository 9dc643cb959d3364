// SPDX-License-Identifier: Apache-2.0

// Command memory prints how much memory pending items take, beside their encoded size, as a Markdown table: by signal,
// attributes of an item, and items of a request. It runs itself once for each row, as the peak of a process cannot be reset.
// Run it from the bench folder of a checkout: go run ./cmd/memory.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench"
)

func main() {
	mib := flag.Int("mib", 32, "encoded MiB that are pending at a time")
	row := flag.String("row", "", "measure this one, a JSON object, and print JSON")
	flag.Parse()
	if err := run(*mib, *row); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func run(mib int, row string) error {
	if row != "" {
		var load bench.PendingLoad
		if err := json.Unmarshal([]byte(row), &load); err != nil {
			return fmt.Errorf("-row: %w", err)
		}
		memory, err := load.Measure(mib << 20)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(memory)
	}
	fmt.Println("| signal | attributes | items a request | encoded bytes an item | heap bytes an item | heap ÷ encoded | peak memory ÷ encoded |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, signal := range []string{"traces", "metrics", "logs"} {
		for _, attributes := range []int{1, 5, 20} {
			for _, items := range []int{1, 10, 100, 1000} {
				load := bench.PendingLoad{Signal: signal, Attributes: attributes, Items: items}
				m, err := measure(mib, load)
				if err != nil {
					return fmt.Errorf("%+v: %w", load, err)
				}
				fmt.Printf("| %s | %d | %d | %.0f | %.0f | %.1f | %.1f |\n", signal, attributes, items, m.Encoded, m.Heap, m.Heap/m.Encoded, m.Peak/m.Encoded)
			}
		}
	}
	return nil
}

// measure runs this program for one row.
func measure(mib int, load bench.PendingLoad) (m bench.PendingMemory, err error) {
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	row, err := json.Marshal(load)
	if err != nil {
		return m, err
	}
	cmd := exec.Command(self, "-mib", fmt.Sprint(mib), "-row", string(row))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return m, err
	}
	err = json.Unmarshal(out, &m)
	return m, err
}
