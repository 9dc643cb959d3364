// SPDX-License-Identifier: Apache-2.0

// Package bench compares the partitionedbuffer processor with its peers: the same telemetry, the same machine, the same
// run. It is a module of its own, so that no peer becomes a dependency of the component.
//
// The tests in it (go test -race ./...) compare behaviour: one producer sees from partitionedbuffer the batches that it
// sees from batchprocessor. The benchmarks (go test -bench . ./...) and the command (go run ./cmd/compare) compare cost
// and share their measuring code: a benchmark gives figures of one rival, the command alternates all rivals in one
// process and gives ratios, which is what a noisy machine can still tell.
//
// Every rival is a processor.Factory and every setting travels as configuration, so that nothing here depends on a
// rival's Go API. Payloads are prepared before the clock starts, since a processor consumes what it is given; draining
// (Shutdown) is inside the measure, since work put off is not work saved.
package bench
