// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// What a gRPC server takes that has its default limit, and what the example's processor is told to make.
const grpcLimit = 4 << 20

// Requests far above the limit of a backend, and small ones between them, arrive as batches that it takes, complete.
func TestBatchesForAServerOf4MiB(t *testing.T) {
	t.Parallel()
	eachSignal(t, otlpio.Stable, func(t *testing.T, s otlpio.Signal) {
		ctx := testContext(t)
		backend := startBackend(t, nil) // of a gRPC server as it is made
		path, err := filepath.Abs("../examples/bytes.yaml")
		if err != nil {
			t.Fatal(err)
		}
		c := start(ctx, t, otelcol.Options{
			Binary: plainBinary(t), Dir: t.TempDir(),
			Configs: []string{path, otelcol.AnyPort, "yaml:{exporters: {otlp_grpc: {endpoint: " + backend.Addr + "}}}"},
		})
		client := dial(t, c)
		var ledger otlpio.Ledger
		for _, n := range []int{60_000, 10, 1, 40_000, 3000} {
			ids := ledger.Next(n)
			if err := client.Send(ctx, otlpio.Build(s, ids)); err != nil {
				t.Fatal(err)
			}
			ledger.Ack(ids)
		}
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		batches := backend.Batches()
		if err := ledger.Audit(batches); err != nil {
			t.Error(err)
		}
		total := 0
		for _, b := range batches {
			size := encodedSize(b)
			if total += size; size > grpcLimit {
				t.Errorf("a batch of %d bytes", size)
			}
		}
		if total < 2*grpcLimit {
			t.Errorf("%d bytes are too few to try the limit", total)
		}
	})
}

func encodedSize(p otlpio.Payload) int {
	switch p.Signal {
	case otlpio.Traces:
		return (&ptrace.ProtoMarshaler{}).TracesSize(p.Traces)
	case otlpio.Metrics:
		return (&pmetric.ProtoMarshaler{}).MetricsSize(p.Metrics)
	default:
		return (&plog.ProtoMarshaler{}).LogsSize(p.Logs)
	}
}
