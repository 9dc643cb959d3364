// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// crashRounds is how often a collector is killed: CRASH_ROUNDS, or 6.
func crashRounds(t *testing.T) int {
	t.Helper()
	v := os.Getenv("CRASH_ROUNDS")
	if v == "" {
		return 6
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("CRASH_ROUNDS is %q, and must be a number above 0", v)
	}
	return n
}

// TestCrash kills a collector with a storage under load, at random moments, and starts it again; in every other round the backend is down.
// All that was acknowledged is delivered. What is delivered twice was delivered by a collector that was killed, and then by another. What
// was accepted of one sender and one stream arrives in its order.
func TestCrash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fsync    bool
		settings string
		stream   func(id int64) int64 // that an item belongs to, of its sender
	}{
		"keys and fsync": {true, "metadata_keys: [x-tenant], num_consumers: 4", func(int64) int64 { return 0 }},
		"partitions":     {false, "partitions: 4, send_batch_size: 64, send_batch_max_size: 64", otlpio.ResourceOf},
		"one stream":     {false, "timeout: 10ms", func(int64) int64 { return 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(crashRounds(t))*20*time.Second+testTimeout)
			defer cancel()
			r := newCrashRun(t, c.fsync, c.settings, c.stream)
			for round := range crashRounds(t) {
				r.down = round%2 == 1
				r.round(ctx, t, func(p *otelcol.Collector) {
					if err := p.Kill(); err != nil {
						t.Error(err)
					}
				})
			}
			r.down = false
			r.finish(ctx, t)
		})
	}
}

// TestStorageAcrossReloads reloads and terminates a collector with a storage under load, while the backend is down at times. Nothing is
// lost, and nothing of what was delivered is left for the next run.
func TestStorageAcrossReloads(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	r := newCrashRun(t, false, "metadata_keys: [x-tenant], num_consumers: 4", func(int64) int64 { return 0 })
	for round := range 4 {
		r.down = round%2 == 1
		r.round(ctx, t, func(p *otelcol.Collector) {
			if round < 2 {
				if err := p.Reload(); err != nil {
					t.Error(err)
				}
				poll(ctx, t, "the collector runs again", func() bool { return strings.Count(p.Log(), "Everything is ready") == 2 })
			}
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	r.down = false
	r.finish(ctx, t)
	if tally := r.ledger.Tally(r.backend.Batches()); tally.Duplicated > 0 {
		t.Errorf("%+v: nothing crashed, so nothing is to be delivered twice", tally)
	}
}

// crashRun is one storage, and what was sent and received by all collectors that used it.
type crashRun struct {
	options otelcol.Options
	backend *otlpio.Backend
	stream  func(id int64) int64
	ledger  otlpio.Ledger
	down    bool // the backend, for the next collector
	runs    int  // collectors that were started

	mu struct { // guards everything in it
		sync.Mutex
		sender    map[int64]int      // by ID
		delivered map[int64]string   // by which run, at last
		last      map[[2]int64]int64 // by sender and stream: the ID of the latest request that something was delivered of
		wrong     []string
	}
}

const (
	crashSenders, crashItems = 8, 12
	runHeader, down          = "x-run", ", down"
)

func newCrashRun(t *testing.T, fsync bool, settings string, stream func(int64) int64) *crashRun {
	t.Helper()
	backend, err := otlpio.NewBackend(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Close)
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`
extensions:
  file_storage: {directory: "%s/storage", create_directory: true, fsync: %t}
receivers:
  otlp: {protocols: {grpc: {endpoint: %s, include_metadata: true}}}
processors:
  partitionedbuffer:
    {storage: file_storage, retry_on_failure: {enabled: true, initial_interval: 50ms, max_interval: 500ms, max_elapsed_time: 0s}, %s}
exporters:
  otlp_grpc:
    endpoint: %s
    timeout: 10m
    tls: {insecure: true}
    sending_queue: {enabled: false}
    retry_on_failure: {enabled: false}
service:
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [otlp], processors: [partitionedbuffer], exporters: [otlp_grpc]}
`, dir, fsync, addr, settings, backend.Addr)
	r := &crashRun{
		options: otelcol.Options{Binary: plainBinary(t), Configs: []string{writeFile(t, dir, "config.yaml", config)}, Dir: dir},
		backend: backend, stream: stream,
	}
	r.mu.sender, r.mu.delivered, r.mu.last = map[int64]int{}, map[int64]string{}, map[[2]int64]int64{}
	backend.SetAnswer(r.answer)
	return r
}

// start starts the next collector. It says in a header which it is, and whether the backend is down for it: its last call may be answered
// after it has ended. Its shutdown ends soon if the backend is down. Else it has the time to deliver all: what is in a call at its end may
// arrive twice.
func (r *crashRun) start(ctx context.Context, t *testing.T) *otelcol.Collector {
	t.Helper()
	r.runs++
	o := r.options
	run, shutdown := fmt.Sprintf("run %d", r.runs), 40*time.Second
	if r.down {
		run, shutdown = run+down, 2*time.Second
	}
	o.Configs = append(slices.Clone(o.Configs), fmt.Sprintf("yaml:exporters::otlp_grpc::headers::%s: %s", runHeader, run),
		fmt.Sprintf("yaml:processors::partitionedbuffer::shutdown_timeout: %v", shutdown))
	return start(ctx, t, o)
}

// answer is the backend's: it is down for the collector that calls, or notes what comes, in its order.
func (r *crashRun) answer(ctx context.Context, p otlpio.Payload) error {
	run := strings.Join(metadata.ValueFromIncomingContext(ctx, runHeader), "")
	if strings.HasSuffix(run, down) {
		return status.Error(codes.Unavailable, "down")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Visit(func(id int64, err error) {
		if err != nil {
			r.mu.wrong = append(r.mu.wrong, err.Error())
			return
		}
		last, again := r.mu.delivered[id]
		r.mu.delivered[id] = run
		if again {
			if run == last {
				r.mu.wrong = append(r.mu.wrong, fmt.Sprintf("item %d came twice in %s", id, run))
			}
			return
		}
		of := [2]int64{int64(r.mu.sender[id]), r.stream(id)}
		request := id - id%crashItems
		if request < r.mu.last[of] {
			r.mu.wrong = append(r.mu.wrong, fmt.Sprintf("item %d came after some of the later request %d of its stream", id, r.mu.last[of]))
		}
		r.mu.last[of] = request
	})
	return nil
}

// round runs a collector under load, ends it at a random moment, and lets the senders see that.
func (r *crashRun) round(ctx context.Context, t *testing.T, end func(*otelcol.Collector)) {
	t.Helper()
	c := r.start(ctx, t)
	client := dial(t, c)
	var over atomic.Bool
	var senders sync.WaitGroup
	for sender := range crashSenders {
		senders.Go(func() {
			ctx := metadata.AppendToOutgoingContext(ctx, "x-tenant", fmt.Sprint(sender))
			for !over.Load() {
				r.send(ctx, client, sender)
			}
		})
	}
	before := r.ledger.Acked()
	poll(ctx, t, "something is accepted", func() bool { // while the backend is down, the queue may be full from before
		return r.down || r.ledger.Acked() >= before+20*crashItems
	})
	time.Sleep(rand.N(1500 * time.Millisecond))
	end(c)
	over.Store(true)
	senders.Wait()
}

// send sends one request, and pauses if that is not accepted.
func (r *crashRun) send(ctx context.Context, client *otlpio.Client, sender int) {
	ids := r.ledger.Next(crashItems)
	r.mu.Lock()
	for _, id := range ids {
		r.mu.sender[id] = sender
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if client.Send(ctx, otlpio.Build(otlpio.Logs, ids)) == nil {
		r.ledger.Ack(ids)
	} else {
		time.Sleep(20 * time.Millisecond)
	}
}

// finish lets a last collector deliver what is left, and finds out whether all is as it should be.
func (r *crashRun) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	c := r.start(ctx, t)
	poll(ctx, t, "all is delivered", func() bool {
		m := scrape(ctx, t, c)
		return r.ledger.Tally(r.backend.Batches()).Lost == 0 && m.Sum(prefix+"items_pending") == 0
	})
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	tally := r.ledger.Tally(r.backend.Batches())
	again := r.start(ctx, t)
	if r.send(ctx, dial(t, again), 0); r.ledger.Acked() == tally.Acked { // it is accepted once the storage was read
		t.Error("the last collector accepts nothing")
	}
	if n := scrape(ctx, t, again).Sum(prefix + "items_recovered"); n > 0 {
		t.Errorf("%v items that were delivered were left in the storage", n)
	}
	t.Logf("%+v", tally)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range r.mu.wrong {
		if i == 10 {
			t.Errorf("and %d more", len(r.mu.wrong)-i)
			break
		}
		t.Error(w)
	}
}
