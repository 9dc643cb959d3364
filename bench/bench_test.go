// SPDX-License-Identifier: Apache-2.0

package bench

import "testing"

// The benchmarks measure one rival at a time; ratios between rivals are cmd/compare's, which alternates them.
//
//	go test -run '^$' -bench Consume -benchtime 20x -count 10 | benchstat -col /rival -
func BenchmarkConsume(b *testing.B) { benchmarkGroup(b, "Consume") }

func BenchmarkSlow(b *testing.B) { benchmarkGroup(b, "Slow") }

func BenchmarkLatency(b *testing.B) { benchmarkGroup(b, "Latency") }

func BenchmarkStalls(b *testing.B) { benchmarkGroup(b, "Stalls") }

func BenchmarkTenants(b *testing.B) { benchmarkGroup(b, "Tenants") }

func BenchmarkStored(b *testing.B) { benchmarkGroup(b, "Stored") }

func BenchmarkMaps(b *testing.B) { benchmarkGroup(b, "Maps") }

// benchmarkGroup makes an iteration of a whole round. A round measures itself, preparation aside, so the benchmark's own
// figure, which contains preparation, is replaced: ns/op and the like are per call of Consume, as the median of rounds.
func benchmarkGroup(b *testing.B, group string) {
	for _, c := range Cases() {
		if c.Group != group {
			continue
		}
		for _, v := range c.Variants {
			name := c.Name + "/rival=" + v.label()
			if c.Param != "" {
				name += "/" + c.Param
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs() // else columns with these units are not printed either
				figures := make([][]float64, len(c.Columns))
				for b.Loop() {
					round, err := c.Run(v)
					if err != nil {
						b.Fatal(err)
					}
					for col, f := range round {
						figures[col] = append(figures[col], f)
					}
				}
				b.ReportMetric(0, "ns/op") // not printed, unless a column has this unit
				for col, f := range figures {
					b.ReportMetric(median(f), c.Columns[col].Unit)
				}
			})
		}
	}
}
