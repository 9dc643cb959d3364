// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench/queuebatch"
)

// TenantsDown is a load of many tenants, told apart by client metadata, some of whose backends are down: their calls end with a
// retryable error after a while, and their senders send as fast as they are let.
type TenantsDown struct {
	Tenants   int
	Down      int
	Items     int           // of a request
	PerSecond int           // requests of a healthy tenant
	Senders   int           // of a tenant that is down
	Up, Fails time.Duration // of a call: of a healthy backend, and of one that is down
	Warm      time.Duration // from the start to the window
	Window    time.Duration // the requests of healthy tenants in it count
	Patience  time.Duration // and have so long to arrive, from the window's end on
}

// DefaultTenantsDown keeps three of ten consumers busy if no tenant is down.
func DefaultTenantsDown(down int) TenantsDown {
	return TenantsDown{
		Tenants: 120, Down: down, Items: 10, PerSecond: 10, Senders: 4,
		Up: 5 * time.Millisecond, Fails: 100 * time.Millisecond,
		Warm: 2 * time.Second, Window: 1500 * time.Millisecond, Patience: 500 * time.Millisecond,
	}
}

// TenantsDownVariants are who is compared. All have room for as many items, and ten consumers, except batch, which has a
// goroutine for each tenant, and no limit of what is pending.
func TenantsDownVariants() []Variant {
	const size = 100
	retry := map[string]any{"enabled": true, "initial_interval": "1s", "max_interval": "5s"}
	queue := Settings{
		"sizer": "items", "queue_size": 131_072, "num_consumers": 10,
		"batch": map[string]any{"min_size": size, "sizer": "items", "partition": map[string]any{"metadata_keys": []string{"x-tenant"}}},
	}
	return []Variant{
		{Rival: Ours, Label: "here", Settings: tenantKeys(Settings{"send_batch_size": size, "queue_size": 131_072})},
		{Rival: Ours, Label: "here, `retry_on_failure`", Settings: tenantKeys(Settings{"send_batch_size": size, "queue_size": 131_072, "retry_on_failure": retry})},
		{Rival: Batch, Label: "`batch`", Settings: tenantKeys(Settings{"send_batch_size": size})},
		{Rival: Queuebatch, Label: "exporterhelper's queue, partitioned", Settings: queue},
		{Rival: Rival{Name: "queuebatch with retry", Factory: newRetryingQueueFactory()}, Label: "exporterhelper's queue, partitioned, its retry", Settings: queue},
	}
}

// newRetryingQueueFactory is [queuebatch.NewFactory] with the retry that exporters have, for logs.
func newRetryingQueueFactory() processor.Factory {
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval, retry.MaxInterval = time.Second, 5*time.Second
	return processor.NewFactory(component.MustNewType("queuebatch"), queuebatch.DefaultConfig,
		processor.WithLogs(func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
			return exporterhelper.NewLogs(ctx, queuebatch.Settings(set), cfg, next.ConsumeLogs, append(queuebatch.Options(cfg), exporterhelper.WithRetry(retry))...)
		}, component.StabilityLevelDevelopment))
}

// Share is how much of what the healthy tenants sent in the window arrived: 1 is all of it.
func (l TenantsDown) Share(v Variant) (float64, error) {
	interval := time.Second / time.Duration(l.PerSecond*(l.Tenants-l.Down))
	requests := int((l.Warm + l.Window) / interval)
	arrived := make([]atomic.Bool, requests)
	over := make(chan struct{}) // closed at the end: calls fail at once
	subject, err := Logs.Open(v.Rival, v.Settings, NormalTelemetry, func(_ context.Context, ld plog.Logs) error {
		return l.deliver(ld, arrived, over)
	})
	if err != nil {
		return 0, err
	}
	if err := subject.Start(context.Background(), nil); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for i := range l.Down * l.Senders {
		callers.Go(func() { l.flood(ctx, subject, i%l.Down) })
	}
	start := time.Now()
	for i := range requests {
		time.Sleep(time.Until(start.Add(time.Duration(i) * interval)))
		who := tenant(l.Down + i%(l.Tenants-l.Down))
		payload := Logs.Make(l.request("up"), i)
		callers.Go(func() {
			linked, unlink := context.WithCancel(who)
			defer unlink()
			defer context.AfterFunc(ctx, unlink)()
			_ = subject.Consume(linked, payload) // one that is refused does not arrive
		})
	}
	time.Sleep(l.Patience)
	inWindow := arrived[int(l.Warm/interval):]
	n := 0
	for i := range inWindow {
		if inWindow[i].Load() {
			n++
		}
	}
	cancel()
	close(over)
	ended := make(chan struct{})
	go func() { // exporterhelper's queue does not always end
		defer close(ended)
		callers.Wait()
		deadline, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		_ = subject.Shutdown(deadline) // what is left of tenants that are down may be lost
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
	}
	return float64(n) / float64(len(inWindow)), nil
}

// flood sends for a tenant that is down until ctx ends.
func (l TenantsDown) flood(ctx context.Context, subject *Subject[plog.Logs], down int) {
	for ctx.Err() == nil {
		linked, unlink := context.WithCancel(tenant(down))
		stop := context.AfterFunc(ctx, unlink)
		if err := subject.Consume(linked, Logs.Make(l.request("down"), 0)); err != nil {
			time.Sleep(10 * time.Millisecond) // refused
		}
		stop()
		unlink()
	}
}

func (l TenantsDown) request(resource string) Request {
	return Request{Resources: []Resource{{Name: resource, Scopes: []Scope{{Groups: []int{l.Items}}}}}}
}

// deliver is a call of the backend of the tenant whose data ld is.
func (l TenantsDown) deliver(ld plog.Logs, arrived []atomic.Bool, over <-chan struct{}) error {
	name, _ := ld.ResourceLogs().At(0).Resource().Attributes().Get("service.name")
	took := l.Up
	if name.Str() == "down" {
		took = l.Fails
	}
	select {
	case <-time.After(took):
	case <-over:
	}
	if name.Str() == "down" {
		return errors.New("the backend is down")
	}
	for _, rl := range ld.ResourceLogs().All() { // a request has one resource
		arrived[int(rl.ScopeLogs().At(0).LogRecords().At(0).Timestamp())].Store(true)
	}
	return nil
}
