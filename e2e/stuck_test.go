// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// The backend hangs for 9 of 20 tenants, which leaves one of the 10 consumers. The data of the others keeps arriving, the senders
// of the 9 are told to try again, and once the backend answers everything that was acknowledged arrives, once.
func TestStuckTenantsHoldUpNobodyElse(t *testing.T) {
	t.Parallel()
	const tenants, stuck = 20, 9 // the first ones are stuck
	ctx := testContext(t)
	backend, err := otlpio.NewBackend(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Close)
	recovered := make(chan struct{})
	var batches [tenants]atomic.Int64 // that the backend took, by tenant
	backend.SetAnswer(func(ctx context.Context, p otlpio.Payload) error {
		tenant := tenantOfCall(ctx)
		if tenant < stuck {
			if err := otlpio.Hold(recovered)(ctx, p); err != nil {
				return err
			}
		}
		batches[tenant].Add(1)
		return nil
	})
	c := startExample(ctx, t, "tenants.yaml", otelcol.AnyPort, exporterTo(backend.Addr),
		"yaml:{exporters: {otlp_grpc: {timeout: 0s, retry_on_failure: {enabled: false}}}}",
		"yaml:{processors: {partitionedbuffer: {send_batch_size: 100, send_batch_max_size: 100, "+
			"queue_size: 2000, queue_size_per_key: 2000, wait_timeout: 2s}}}")

	var senders tenantSenders
	senders.start(ctx, dial(t, c), tenants)
	poll(ctx, t, "every stuck tenant is refused", func() bool {
		for tenant := range stuck {
			if senders.refused[tenant].Load() < 2 {
				return false
			}
		}
		return true
	})
	var before [tenants]int64
	for tenant := stuck; tenant < tenants; tenant++ {
		before[tenant] = batches[tenant].Load()
	}
	poll(ctx, t, "20 more batches of each healthy tenant", func() bool {
		for tenant := stuck; tenant < tenants; tenant++ {
			if batches[tenant].Load() < before[tenant]+20 {
				return false
			}
		}
		return true
	})
	for tenant := range stuck {
		if n := batches[tenant].Load(); n > 0 {
			t.Errorf("the backend took %d batches of tenant %d, for which it hangs", n, tenant)
		}
	}

	close(recovered)
	if err := senders.stop(); err != nil {
		t.Error(err)
	}
	var m otelcol.Metrics
	poll(ctx, t, "nothing is pending", func() bool {
		m = scrape(ctx, t, c)
		return m.Sum(prefix+"items_pending") == 0
	})
	conservation(t, m)
	wantMetric(t, m, "items_accepted", senders.ledger.Acked())
	wantMetric(t, m, "items_forwarded", senders.ledger.Acked())
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := senders.ledger.Audit(backend.Batches()); err != nil {
		t.Error(err)
	}
}

// tenantOfCall reads the tenant's number from the header of a call of the backend; -1: there is none.
func tenantOfCall(ctx context.Context) int {
	tenant := -1
	headers, _ := metadata.FromIncomingContext(ctx)
	for _, v := range headers.Get("x-tenant") {
		_, _ = fmt.Sscan(v, &tenant)
	}
	return tenant
}

// tenantSenders send steadily, one for each tenant. What is refused is not sent again.
type tenantSenders struct {
	ledger  otlpio.Ledger
	refused []atomic.Int64 // requests answered with UNAVAILABLE, by tenant

	stopped chan struct{}
	wg      sync.WaitGroup
	once    sync.Once
	err     error // the first answer of any other kind; written under once
}

func (s *tenantSenders) start(ctx context.Context, client *otlpio.Client, tenants int) {
	s.refused, s.stopped = make([]atomic.Int64, tenants), make(chan struct{})
	for tenant := range tenants {
		ctx := metadata.AppendToOutgoingContext(ctx, "x-tenant", fmt.Sprint(tenant))
		s.wg.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-s.stopped:
					return
				case <-tick.C:
				}
				ids := s.ledger.Next(10)
				switch err := client.Send(ctx, otlpio.Build(otlpio.Logs, ids)); status.Code(err) {
				case codes.OK:
					s.ledger.Ack(ids)
				case codes.Unavailable:
					s.refused[tenant].Add(1)
				default:
					s.once.Do(func() { s.err = fmt.Errorf("a sender of tenant %d: %w", tenant, err) })
					return
				}
			}
		})
	}
}

// stop waits for the senders' last answers, and returns an error if one was neither a success nor retryable.
func (s *tenantSenders) stop() error {
	close(s.stopped)
	s.wg.Wait()
	return s.err
}
