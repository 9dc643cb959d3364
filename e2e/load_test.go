// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sync/errgroup"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/telemetrygen"
)

// What telemetrygen sends comes out complete.
func TestTelemetrygenLoad(t *testing.T) {
	t.Parallel()
	eachSignal(t, otlpio.Stable, func(t *testing.T, s otlpio.Signal) {
		ctx := testContext(t)
		p := (&pipelines{settings: "{}", signals: []otlpio.Signal{s}}).start(ctx, t)
		load := telemetrygen.Load{
			Binary:   binary(t, "TELEMETRYGEN", "../build/telemetrygen"),
			Endpoint: p.GRPC, Signal: s, Workers: 4, PerWorker: 5000,
		}
		if err := load.Run(ctx); err != nil {
			t.Fatal(err)
		}
		batches := p.stop(t, s)
		if got := otlpio.Items(batches); got != load.Items() {
			t.Errorf("telemetrygen sent %d items, %d arrived", load.Items(), got)
		}
		if s == otlpio.Traces {
			if got := distinctSpans(batches); got != load.Items() {
				t.Errorf("telemetrygen sent %d spans, %d different ones arrived", load.Items(), got)
			}
		}
	})
}

func distinctSpans(batches []otlpio.Payload) int {
	seen := map[pcommon.SpanID]bool{}
	for _, b := range batches {
		for _, rs := range b.Traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					seen[span.SpanID()] = true
				}
			}
		}
	}
	return len(seen)
}

// Requests of many sizes, below and above the batch's, from many senders: every item comes out once, with its content, resource
// and scope, whether its request was merged, split or both.
func TestEveryItemOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		settings string
		largest  int // batch, in items; 0: no bound
	}{
		"defaults":        {settings: "{}"},
		"split and merge": {settings: "{send_batch_size: 300, send_batch_max_size: 300, timeout: 50ms}", largest: 300},
		"no delay":        {settings: "{timeout: 0s, send_batch_size: 64, send_batch_max_size: 64}", largest: 64},
		"unordered":       {settings: "{send_batch_size: 100, send_batch_max_size: 150, num_consumers: 4}", largest: 150},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSignal(t, otlpio.Stable, func(t *testing.T, s otlpio.Signal) {
				ctx := testContext(t)
				p := (&pipelines{settings: tt.settings, signals: []otlpio.Signal{s}}).start(ctx, t)
				var ledger otlpio.Ledger
				if err := sendVaried(ctx, dial(t, p.Collector), s, &ledger); err != nil {
					t.Fatal(err)
				}
				batches := p.stop(t, s)
				if err := ledger.Audit(batches); err != nil {
					t.Error(err)
				}
				for _, b := range batches {
					if tt.largest != 0 && b.Len() > tt.largest {
						t.Errorf("a batch of %d items, the limit is %d", b.Len(), tt.largest)
					}
				}
			})
		})
	}
}

// sendVaried sends requests of 1 to 1000 items from several senders and returns when all were acknowledged.
func sendVaried(ctx context.Context, c *otlpio.Client, s otlpio.Signal, ledger *otlpio.Ledger) error {
	sizes := []int{1, 10, 100, 7, 1000, 64, 299, 301}
	g, ctx := errgroup.WithContext(ctx)
	for sender := range sizes {
		g.Go(func() error {
			for i := range 16 {
				ids := ledger.Next(sizes[(sender+i)%len(sizes)])
				if err := c.Send(ctx, otlpio.Build(s, ids)); err != nil {
					return fmt.Errorf("sender %d, request %d: %w", sender, i, err)
				}
				ledger.Ack(ids)
			}
			return nil
		})
	}
	return g.Wait()
}
