// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// SIGHUP has the collector reload its configuration: all components are shut down and made again. Whatever the backend does, the
// process lives on, and what was acknowledged is delivered, or counted in the one line that says what Shutdown dropped.
func TestReloadAccountsForAllThatIsAcknowledged(t *testing.T) {
	t.Parallel()
	slow := func(ctx context.Context, _ otlpio.Payload) error {
		select {
		case <-time.After(200 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for backend, answer := range map[string]otlpio.Answer{"hung": otlpio.Hold(nil), "slow": slow, "healthy": nil} {
		for callers, settings := range map[string]string{
			"accepted": "{send_batch_size: 100, shutdown_timeout: 2s}",
			"waiting":  "{send_batch_size: 100, shutdown_timeout: 2s, wait_for_result: true, wait_timeout: 2s}",
		} {
			t.Run(backend+" "+callers, func(t *testing.T) {
				t.Parallel()
				ctx := testContext(t)
				c, b := startReloadable(ctx, t, settings, answer)
				client := dial(t, c)
				var ledger otlpio.Ledger
				var over atomic.Bool
				var senders sync.WaitGroup
				for range 8 {
					senders.Go(func() {
						for !over.Load() {
							ids := ledger.Next(10)
							if client.Send(ctx, otlpio.Build(otlpio.Traces, ids)) == nil {
								ledger.Ack(ids)
							} else {
								time.Sleep(20 * time.Millisecond)
							}
						}
					})
				}
				poll(ctx, t, "something is accepted of each sender", func() bool {
					return scrape(ctx, t, c).Sum(prefix+"items_accepted") >= 80
				})
				if err := syscall.Kill(c.PID(), syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
				poll(ctx, t, "the collector runs again", func() bool { return strings.Count(c.Log(), "Everything is ready") == 2 })
				b.SetAnswer(nil)
				before := ledger.Acked()
				poll(ctx, t, "it takes data again", func() bool { return ledger.Acked() > before })
				over.Store(true)
				senders.Wait()
				if err := c.Stop(); err != nil {
					t.Error(err)
				}
				tally, counted := ledger.Tally(b.Batches()), countedAsDropped(t, c.Log())
				if tally.Lost > counted {
					t.Errorf("%d items were acknowledged and neither delivered nor counted: %+v, %d counted\n%s", tally.Lost-counted, tally, counted, c.Log())
				}
				if callers == "waiting" && tally.Lost > 0 || backend == "healthy" && counted > 0 {
					t.Errorf("%+v, %d counted as dropped", tally, counted)
				}
			})
		}
	}
}

// startReloadable runs a collector that listens at the same address before and after it reloads its configuration.
func startReloadable(ctx context.Context, t *testing.T, settings string, answer otlpio.Answer) (*otelcol.Collector, *otlpio.Backend) {
	t.Helper()
	backend := startBackend(t, nil)
	backend.SetAnswer(answer)
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := `
receivers:
  otlp: {protocols: {grpc: {endpoint: ` + addr + `}}}
processors:
  partitionedbuffer: ` + settings + `
exporters:
  otlp_grpc:
    endpoint: ` + backend.Addr + `
    tls: {insecure: true}
    sending_queue: {enabled: false}
    retry_on_failure: {enabled: false}
    timeout: 1m
service:
  pipelines:
    traces: {receivers: [otlp], processors: [partitionedbuffer], exporters: [otlp_grpc]}
`
	return start(ctx, t, otelcol.Options{
		Binary:  plainBinary(t),
		Configs: []string{writeFile(t, dir, "config.yaml", config)},
		Dir:     dir,
	}), backend
}

// countedAsDropped returns how many items were dropped by what Shutdown logged, with those of calls that failed as it cancelled them.
func countedAsDropped(t *testing.T, log string) (items int) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "Shutdown dropped what was pending") {
			continue
		}
		for _, field := range []string{"failed", "dropped"} {
			m := regexp.MustCompile(`"` + field + `": ?(\d+)`).FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("no field %s in: %s", field, line)
			}
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			items += n
		}
	}
	return items
}
