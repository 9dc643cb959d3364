// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// TestStorageOnAFullDisk fills the disk of a collector while the backend is down: senders are told, and what was accepted is kept. It is
// delivered, and deleted, while the disk is full; then its room is there for others. So it is when the disk gets larger. The disk is a
// limit of the size of the file: that needs no mount, and a write beyond it fails in the same place.
func TestStorageOnAFullDisk(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	r := newCrashRun(t, false, "timeout: 10ms, queue_size: 10000000, memory_size: 100000", func(int64) int64 { return 0 })
	c := start(ctx, t, r.options)
	client := dial(t, c)
	limit := func(bytes uint64) {
		if err := c.LimitFiles(bytes); err != nil {
			t.Fatal(err)
		}
	}
	accepts := func() bool {
		before := r.ledger.Acked()
		r.send(ctx, client, 0)
		return r.ledger.Acked() > before
	}

	setDown := func(down bool) {
		answer := r.answer
		if down {
			answer = func(context.Context, otlpio.Payload) error { return status.Error(codes.Unavailable, "down") }
		}
		r.backend.SetAnswer(answer)
	}

	setDown(true)
	limit(4 << 20)
	r.fill(ctx, t, c, client)
	setDown(false)
	poll(ctx, t, "all is delivered, and deleted from a full disk", func() bool {
		return r.ledger.Tally(r.backend.Batches()).Lost == 0 && scrape(ctx, t, c).Sum(prefix+"storage_entries") == 0
	})
	setDown(true)
	poll(ctx, t, "there is room again", accepts)

	r.fill(ctx, t, c, client)
	limit(otelcol.NoLimit)
	poll(ctx, t, "the disk is larger", accepts)
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	setDown(false)
	r.finish(ctx, t)
}

// fill has all senders send until the storage refuses.
func (r *crashRun) fill(ctx context.Context, t *testing.T, c *otelcol.Collector, client *otlpio.Client) {
	t.Helper()
	refused := func() float64 { return scrape(ctx, t, c).Sum(prefix+"items_refused", "reason", "storage") }
	before := refused()
	over := make(chan struct{})
	var senders sync.WaitGroup
	for sender := range crashSenders {
		senders.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					r.send(ctx, client, sender)
				}
			}
		})
	}
	defer senders.Wait()
	defer close(over)
	poll(ctx, t, "the storage is full", func() bool { return refused() > before })
}
