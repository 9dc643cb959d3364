// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/plog"
)

// tenantKeys is how a tenant is told in the cases with many of them.
func tenantKeys(more Settings) Settings {
	s := Settings{"metadata_keys": []string{"x-tenant"}, "metadata_cardinality_limit": 0}
	for k, v := range more {
		s[k] = v
	}
	return s
}

func tenant(i int) context.Context {
	return client.NewContext(context.Background(), client.Info{
		Metadata: client.NewMetadata(map[string][]string{"x-tenant": {fmt.Sprintf("tenant-%d", i)}}),
	})
}

// isolationCase has tenant 0 of a thousand stuck, or not. Callers of it wait in the end, and it holds one of four consumers.
func isolationCase() Case {
	const alone, stuck = "ours(none stuck)", "ours(one stuck)"
	settings := tenantKeys(Settings{"num_consumers": 4, "send_batch_size": 100, "queue_size_per_key": 100})
	l := isolationLoad{tenants: 1000, items: 10, perSecond: 2000, lasts: 2 * time.Second, delay: 500 * time.Microsecond}
	return Case{
		Group: "Isolation", Name: "tenants=1000",
		About: fmt.Sprintf("What 999 tenants notice of one whose deliveries hang: an open loop of %.0f requests of %d records a second, in turn, timeout 200 ms, "+
			"num_consumers 4, %v a call. Delivery is the time from Consume to the arrival of the request's records; both are of the 999 only.",
			l.perSecond, l.items, l.delay),
		Columns: []Column{{Unit: "p50-µs"}, {Unit: "p99-µs", Ratio: true}, {Unit: "delivery-p50-ms"}, {Unit: "delivery-p99-ms", Ratio: true}},
		Variants: []Variant{
			{Rival: Ours, Label: alone, Settings: settings},
			{Rival: Ours, Label: stuck, Settings: settings},
		},
		Targets: []Target{
			{Column: "p99-µs", Of: stuck, Over: alone, AtMost: 2},
			{Column: "delivery-p99-ms", Of: stuck, Over: alone, AtMost: 2},
		},
		Run: func(v Variant) ([]float64, error) { return l.run(v, v.Label == stuck) },
	}
}

type isolationLoad struct {
	tenants, items int
	perSecond      float64
	lasts, delay   time.Duration
}

func (l isolationLoad) run(v Variant, stuck bool) ([]float64, error) {
	calls := int(l.perSecond * l.lasts.Seconds())
	begun, took, arrived := make([]time.Time, calls), make([]time.Duration, calls), make([]time.Duration, calls)
	release := make(chan struct{})
	subject, err := Logs.Open(v.Rival, v.Settings, NormalTelemetry, func(ctx context.Context, ld plog.Logs) error {
		if stuck && client.FromContext(ctx).Metadata.Get("x-tenant")[0] == "tenant-0" {
			<-release
		}
		time.Sleep(l.delay)
		for _, r := range ld.ResourceLogs().All() { // a request has one resource
			i := int(r.ScopeLogs().At(0).LogRecords().At(0).Timestamp()) / l.items
			if i < calls {
				arrived[i] = time.Since(begun[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	payloads := prepare(Logs, Load{Calls: calls + 100, Items: l.items})
	contexts := make([]context.Context, l.tenants)
	for i := range contexts {
		contexts[i] = tenant(i)
	}
	if err := subject.Start(context.Background(), nil); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(payloads))
	call := func(i, tenant int) {
		wg.Go(func() {
			begin := time.Now()
			if i < calls {
				begun[i] = begin
			}
			errs[i] = subject.Consume(contexts[tenant], payloads[i])
			if i < calls {
				took[i] = time.Since(begin)
			}
		})
	}
	for i := calls; i < len(payloads); i++ {
		call(i, 0) // more than it has room for, so that callers of it wait
	}
	start, interval := time.Now(), time.Duration(float64(time.Second)/l.perSecond)
	for i := range calls {
		time.Sleep(time.Until(start.Add(time.Duration(i) * interval)))
		call(i, i%l.tenants)
	}
	time.Sleep(time.Second) // the others are through
	close(release)
	wg.Wait()
	if err := errors.Join(append(errs, subject.Shutdown(context.Background()))...); err != nil {
		return nil, err
	}
	var consume, delivery []time.Duration
	for i := range calls {
		if i%l.tenants != 0 {
			consume, delivery = append(consume, took[i]), append(delivery, arrived[i])
		}
	}
	slices.Sort(consume)
	slices.Sort(delivery)
	if delivery[0] == 0 {
		return nil, errors.New("a request did not arrive")
	}
	p := func(d []time.Duration, percent int) float64 { return microseconds(d[len(d)*percent/100]) }
	return []float64{p(consume, 50), p(consume, 99), p(delivery, 50) / 1000, p(delivery, 99) / 1000}, nil
}

// liveCase has a hundred thousand tenants with one request pending, and then all of them flushed by their timeout while
// somebody else goes on sending.
func liveCase() Case {
	const tenants, timeout = 100_000, 3 * time.Second
	return Case{
		Group: "Live", Name: "tenants=100000",
		About: fmt.Sprintf("%d tenants with one record pending each: heap above what the payloads take, goroutines above those that stand there without "+
			"tenants; then all are flushed by their timeout, to a no-op consumer, while a producer sends for others, one call a millisecond: its longest call. "+
			"Left is the heap of a tenant when all have gone.", tenants),
		Columns:  []Column{{Unit: "heap-B/tenant"}, {Unit: "goroutines"}, {Unit: "longest-ms"}, {Unit: "left-B/tenant"}},
		Variants: []Variant{{Rival: Ours, Settings: tenantKeys(Settings{"timeout": timeout.String()})}},
		Targets: []Target{
			{Column: "heap-B/tenant", Of: ours, AtMost: 1024},
			{Column: "longest-ms", Of: ours, AtMost: 50},
		},
		Run: func(v Variant) ([]float64, error) {
			var arrived atomic.Int64
			subject, err := Logs.Open(v.Rival, v.Settings, NormalTelemetry, func(_ context.Context, ld plog.Logs) error {
				arrived.Add(int64(ld.LogRecordCount()))
				return nil
			})
			if err != nil {
				return nil, err
			}
			payloads := prepare(Logs, Load{Calls: tenants, Items: 1})
			contexts := make([]context.Context, tenants)
			for i := range contexts {
				contexts[i] = tenant(i)
			}
			if err := subject.Start(context.Background(), nil); err != nil {
				return nil, err
			}
			goroutines, empty := runtime.NumGoroutine(), float64(heap())
			for i, p := range payloads {
				if err := subject.Consume(contexts[i], p); err != nil {
					return nil, err
				}
			}
			if arrived.Load() > 0 {
				return nil, fmt.Errorf("flushed before all had come: the machine is too slow for a timeout of %v", timeout)
			}
			live := float64(heap())
			goroutines = runtime.NumGoroutine() - goroutines
			if arrived.Load() > 0 {
				return nil, fmt.Errorf("flushed before the heap was read: the machine is too slow for a timeout of %v", timeout)
			}
			runtime.KeepAlive(payloads)
			clear(payloads)
			var longest time.Duration
			other, sent := tenant(-1), int64(0)
			for arrived.Load() < tenants {
				begin := time.Now()
				if err := subject.Consume(other, Logs.Make(Flat(1), 0)); err != nil {
					return nil, err
				}
				longest = max(longest, time.Since(begin))
				sent++
				time.Sleep(time.Millisecond)
			}
			for arrived.Load() < tenants+sent {
				time.Sleep(10 * time.Millisecond)
			}
			payloads = prepare(Logs, Load{Calls: tenants, Items: 1}) // what the baseline has too
			left := float64(heap()) - empty
			runtime.KeepAlive(payloads)
			runtime.KeepAlive(contexts)
			return []float64{(live - empty) / tenants, float64(goroutines), microseconds(longest) / 1000, left / tenants},
				subject.Shutdown(context.Background())
		},
	}
}

// successionCase has a million tenants, each of which comes once.
func successionCase() Case {
	const tenants = 1_000_000
	return Case{
		Group: "Succession", Name: "tenants=1000000",
		About: fmt.Sprintf("%d tenants one after the other, one record each, sent at once (timeout 0): what is left of them, in all, before shutdown.", tenants),
		Columns: []Column{
			{Unit: "ns/tenant"}, {Unit: "left-KiB"}, {Unit: "goroutines"},
		},
		Variants: []Variant{{Rival: Ours, Settings: tenantKeys(Settings{"timeout": "0s"})}},
		Targets:  []Target{{Column: "left-KiB", Of: ours, AtMost: 1024}},
		Run: func(v Variant) ([]float64, error) {
			var arrived atomic.Int64
			subject, err := Logs.Open(v.Rival, v.Settings, NormalTelemetry, func(_ context.Context, ld plog.Logs) error {
				arrived.Add(int64(ld.LogRecordCount()))
				return nil
			})
			if err != nil {
				return nil, err
			}
			if err := subject.Start(context.Background(), nil); err != nil {
				return nil, err
			}
			goroutines, empty := runtime.NumGoroutine(), float64(heap())
			begin := time.Now()
			for i := range tenants {
				if err := subject.Consume(tenant(i), Logs.Make(Flat(1), i)); err != nil {
					return nil, err
				}
			}
			for arrived.Load() < tenants {
				time.Sleep(time.Millisecond)
			}
			took := time.Since(begin)
			return []float64{float64(took) / tenants, (float64(heap()) - empty) / 1024, float64(runtime.NumGoroutine() - goroutines)},
				subject.Shutdown(context.Background())
		},
	}
}
