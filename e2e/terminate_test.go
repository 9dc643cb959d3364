// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// SIGTERM while requests keep coming: whatever was acknowledged is exported before the process ends, and nothing twice.
func TestTerminateLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{
		"defaults": "{}",
		// Neither trigger is ever reached: at SIGTERM all of it is still in the buffer.
		"all pending": "{timeout: 10m, send_batch_size: 10000000, queue_size: 20000000}",
		"many small":  "{timeout: 10ms, send_batch_size: 20, send_batch_max_size: 20}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSignal(t, otlpio.Stable, func(t *testing.T, s otlpio.Signal) {
				ctx := testContext(t)
				p := (&pipelines{settings: settings, signals: []otlpio.Signal{s}}).start(ctx, t)
				var ledger otlpio.Ledger
				enough, stopped := sendUntilStopped(ctx, dial(t, p.Collector), s, &ledger, 5000)
				select {
				case <-enough:
				case <-stopped:
					t.Fatalf("all senders failed after %d items:\n%s", ledger.Acked(), p.Log())
				}
				if err := p.Terminate(); err != nil {
					t.Fatal(err)
				}
				batches := p.stop(t, s)
				<-stopped
				if err := ledger.Audit(batches); err != nil {
					t.Errorf("of %d acknowledged items: %v", ledger.Acked(), err)
				}
			})
		})
	}
}

// sendUntilStopped sends requests from several senders, each of which ends with its first error. The first channel is closed
// when so many items were acknowledged, the second when all senders ended.
func sendUntilStopped(
	ctx context.Context, c *otlpio.Client, s otlpio.Signal, ledger *otlpio.Ledger, items int,
) (enough, stopped <-chan struct{}) {
	e, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				ids := ledger.Next(10)
				if err := c.Send(ctx, otlpio.Build(s, ids)); err != nil {
					return
				}
				if ledger.Ack(ids) >= items {
					once.Do(func() { close(e) })
				}
			}
		})
	}
	go func() {
		wg.Wait()
		close(done)
	}()
	return e, done
}

// A backend that never answers does not keep the collector from stopping: the processor gives up after shutdown_timeout, and
// says what was left.
func TestTerminateEndsInTime(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	hold := make(chan struct{}) // for ever
	c, _ := toBackend(ctx, t, hold, "{send_batch_size: 100, shutdown_timeout: 1s}")
	client := dial(t, c)
	for range 20 {
		if err := client.Send(ctx, otlpio.Build(otlpio.Traces, make([]int64, 100))); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	// The exporter's own timeout is a minute. Its call is cancelled at nine tenths, and fails.
	if took := time.Since(begin); took < 900*time.Millisecond || took > 20*time.Second {
		t.Errorf("stopping took %s, with a shutdown_timeout of 1s", took)
	}
	if n := strings.Count(c.Log(), "1900 items"); n != 1 {
		t.Errorf("the log says %d times that 1900 items were lost:\n%s", n, c.Log())
	}
}
