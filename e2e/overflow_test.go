// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"net/http"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// A full buffer that does not let its callers wait answers with what OTLP calls retryable, by either protocol; and takes more
// when there is room.
func TestOverflowIsRetryable(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	hold := make(chan struct{})
	c, backend := toBackend(ctx, t, hold, "{send_batch_size: 100, queue_size: 100, block_on_overflow: false}")
	client := dial(t, c)
	var ledger otlpio.Ledger
	post := func(ids []int64) int {
		t.Helper()
		body, err := ptraceotlp.NewExportRequestFromTraces(otlpio.Build(otlpio.Traces, ids).Traces).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.HTTP+"/v1/traces", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	ids := ledger.Next(100)
	if err := client.Send(ctx, otlpio.Build(otlpio.Traces, ids)); err != nil {
		t.Fatal(err)
	}
	ledger.Ack(ids)
	if err := client.Send(ctx, otlpio.Build(otlpio.Traces, ledger.Next(1))); status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC: %v", err)
	}
	if got := post(ledger.Next(1)); got != http.StatusServiceUnavailable {
		t.Errorf("HTTP: %d", got)
	}
	close(hold)
	poll(ctx, t, "there is room again", func() bool {
		ids := ledger.Next(1)
		if post(ids) != http.StatusOK {
			return false
		}
		ledger.Ack(ids)
		return true
	})
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Audit(backend.Batches()); err != nil {
		t.Error(err)
	}
}
