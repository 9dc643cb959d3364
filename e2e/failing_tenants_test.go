// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// failingTenants is a load of many tenants on a collector, some of whose backends are down all the time. Their senders send as fast as
// they are let.
type failingTenants struct {
	header   string // of a request to the backend: the tenant
	settings string // of the processor, more than the example's
	timeout  string // of a call of the exporter
	down     int    // tenants
	answer   otlpio.Answer
	mixed    bool // each request has data of all tenants
}

const (
	allTenants  = 120
	tenantItems = 10 // of a request
)

// tenantName is the name of a tenant. Names are in the order of their numbers.
func tenantName(i int) string { return fmt.Sprintf("tenant-%03d", i) }

// isDown reports whether the backend of a tenant is down. Those are the first ones.
func (f *failingTenants) isDown(tenant string) bool { return tenant < tenantName(f.down) }

// TestFailingTenantsOfACollector: whatever the backends of most tenants do, all that is acknowledged of the others arrives while those are
// still down. Before, eight tenants in trouble stopped everybody. In requests of all tenants, too, once the failing ones count as stalled.
func TestFailingTenantsOfACollector(t *testing.T) {
	t.Parallel()
	unavailable := func(context.Context, otlpio.Payload) error { return status.Error(codes.Unavailable, "down") }
	never := otlpio.Hold(make(chan struct{}))
	// Four requests make a failing key full, and then it stalls soon.
	const mixed = ", stalled_key_timeout: 1s, queue_size: 15000000, queue_size_per_key: 40, send_batch_size: 20, send_batch_max_size: 20"
	retry := "retry_on_failure: {enabled: true, initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s}"
	for name, f := range map[string]*failingTenants{
		"40 fail":             {down: 40, answer: unavailable, settings: retry},
		"100 fail":            {down: 100, answer: unavailable, settings: retry},
		"100 fail, refused":   {down: 100, answer: unavailable, settings: retry + ", block_on_overflow: false"},
		"40 time out":         {down: 40, answer: never, settings: retry, timeout: "1s"},
		"mixed, 40 fail":      {down: 40, answer: unavailable, settings: retry + mixed, mixed: true},
		"mixed, 100 time out": {down: 100, answer: never, settings: retry + mixed, timeout: "500ms", mixed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.run(testContext(t), t)
		})
	}
}

func (f *failingTenants) run(ctx context.Context, t *testing.T) {
	example := "tenants.yaml"
	if f.header = "x-tenant"; f.mixed {
		example, f.header = "resource-tenants.yaml", "x-scope-orgid"
	}
	backend := startBackend(t, nil)
	backend.SetAnswer(func(ctx context.Context, p otlpio.Payload) error {
		headers, _ := metadata.FromIncomingContext(ctx)
		if tenant := headers.Get(f.header); len(tenant) != 1 || f.isDown(tenant[0]) {
			return f.answer(ctx, p)
		}
		return nil
	})
	processor := fmt.Sprintf("yaml:{processors: {partitionedbuffer: {metadata_cardinality_limit: 200, shutdown_timeout: 1s, %s}}}", f.settings)
	configs := []string{otelcol.AnyPort, exporterTo(backend.Addr), processor}
	if f.timeout != "" {
		configs = append(configs, fmt.Sprintf("yaml:{exporters: {otlp_grpc: {timeout: %s}}}", f.timeout))
	}
	c := startExample(ctx, t, example, configs...)
	client := dial(t, c)

	sending, stop := context.WithCancel(ctx)
	var senders sync.WaitGroup
	defer senders.Wait()
	defer stop()
	if !f.mixed { // else the healthy ones' requests fill the keys of the others
		for i := range f.down {
			senders.Go(func() { f.flood(sending, client, i) })
		}
	}
	var ledger otlpio.Ledger // of healthy tenants
	f.sendHealthy(ctx, t, client, &ledger)
	poll(ctx, t, "all that is acknowledged of the healthy tenants arrives", func() bool { return ledger.Tally(backend.Batches()).Lost == 0 })
	stop()
	senders.Wait()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if err := ledger.Audit(backend.Batches()); err != nil {
		t.Error(err)
	}
}

// flood sends requests of a tenant that is down until ctx ends.
func (f *failingTenants) flood(ctx context.Context, client *otlpio.Client, tenant int) {
	var ledger otlpio.Ledger // nobody looks at it
	for ctx.Err() == nil {
		if err := f.send(ctx, client, &ledger, tenant); err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond): // the pause of a sender that was refused
			}
		}
	}
}

// sendHealthy has each healthy tenant send some requests, again if they are refused, until they are acknowledged.
func (f *failingTenants) sendHealthy(ctx context.Context, t *testing.T, client *otlpio.Client, ledger *otlpio.Ledger) {
	t.Helper()
	const requests = 20 // of a tenant
	var senders sync.WaitGroup
	until := allTenants
	if f.mixed {
		until = f.down + 3 // a few send for all
	}
	for i := f.down; i < until; i++ {
		senders.Go(func() {
			for n := 0; n < requests && ctx.Err() == nil; {
				if err := f.send(ctx, client, ledger, i); err == nil {
					n++
				} else if status.Code(err) != codes.Unavailable {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	if ctx.Err() != nil {
		t.Fatal("healthy tenants are held up")
	}
}

// send is one request, of the tenant or of all of them.
func (f *failingTenants) send(ctx context.Context, client *otlpio.Client, ledger *otlpio.Ledger, tenant int) error {
	if !f.mixed {
		ids := ledger.Next(tenantItems)
		ctx = metadata.AppendToOutgoingContext(ctx, f.header, tenantName(tenant))
		err := client.Send(ctx, otlpio.Build(otlpio.Logs, ids))
		if err == nil {
			ledger.Ack(ids)
		}
		return err
	}
	request := otlpio.Payload{Signal: otlpio.Logs, Logs: plog.NewLogs()}
	var healthy []int64
	for i := range allTenants {
		ids := ledger.Next(tenantItems)
		addTenant(request.Logs, tenantName(i), ids)
		if i >= f.down {
			healthy = append(healthy, ids...)
		}
	}
	err := client.Send(ctx, request)
	if err == nil {
		ledger.Ack(healthy)
	}
	return err
}

// addTenant adds items of a tenant, which its resource attribute tenant.id names.
func addTenant(to plog.Logs, tenant string, ids []int64) {
	part := otlpio.Build(otlpio.Logs, ids).Logs
	for _, r := range part.ResourceLogs().All() {
		r.Resource().Attributes().PutStr("tenant.id", tenant)
	}
	part.ResourceLogs().MoveAndAppendTo(to.ResourceLogs())
}
