// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// examples/scale-out: three collectors behind one that balances the load. Under load one of the three is killed and comes back, and
// then a fourth is added. Everything that was accepted arrives, each resource of a service in order.
func TestScaleOut(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	backend := startBackend(t, nil)
	var err error
	addrs := make([]string, 4)
	for i := range addrs {
		if addrs[i], err = loopback.FreeAddr(); err != nil {
			t.Fatal(err)
		}
	}
	backs := make([]*otelcol.Collector, 4)
	for i := range 3 {
		backs[i] = startBack(ctx, t, addrs[i], backend.Addr)
	}
	f := startFront(ctx, t, addrs[:3])
	s := newServices(t, f.addr)
	s.start(ctx)

	s.until(ctx, t, 1000)
	if err := backs[1].Kill(); err != nil {
		t.Fatal(err)
	}
	s.until(ctx, t, 3000) // the others go on
	backs[1] = startBack(ctx, t, addrs[1], backend.Addr)
	s.delivered(ctx, t, backend)

	backs[3] = startBack(ctx, t, addrs[3], backend.Addr)
	f.hostnames(t, addrs)
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	s.until(ctx, t, s.ledger.Acked()+3000)
	s.stop()
	s.delivered(ctx, t, backend)
	for i, b := range backs {
		if n := scrape(ctx, t, b).Sum(prefix + "items_forwarded"); n == 0 {
			t.Errorf("collector %d has delivered nothing", i+1)
		}
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	s.check(t, backend.Batches())
}

func startBack(ctx context.Context, t *testing.T, addr, backend string) *otelcol.Collector {
	t.Helper()
	return startExampleOf(ctx, t, proofBinary(t), "scale-out/back.yaml", fmt.Sprintf("yaml:{receivers: {otlp: {protocols: {grpc: {endpoint: %s}}}}}", addr), exporterTo(backend))
}

// front is the first tier, with a file that lists the collectors behind it.
type front struct {
	*otelcol.Collector
	addr, dir string
}

func startFront(ctx context.Context, t *testing.T, backs []string) *front {
	t.Helper()
	addr, err := loopback.FreeAddr() // the same after a reload
	if err != nil {
		t.Fatal(err)
	}
	f := &front{addr: addr, dir: t.TempDir()}
	f.Collector = startExampleOf(ctx, t, proofBinary(t), "scale-out/front.yaml", f.hostnames(t, backs),
		fmt.Sprintf("yaml:{receivers: {otlp: {protocols: {grpc: {endpoint: %s}}}}}", addr))
	return f
}

// hostnames writes the list of the collectors behind, and returns its path.
func (f *front) hostnames(t *testing.T, backs []string) string {
	t.Helper()
	return writeFile(t, f.dir, "hostnames.yaml", fmt.Sprintf("exporters: {load_balancing: {resolver: {static: {hostnames: [%s]}}}}", strings.Join(backs, ", ")))
}

// services send to the front, each one request after the other. What was not accepted they send again.
type services struct {
	client   *otlpio.Client
	ledger   otlpio.Ledger
	stop     func()
	mu       sync.Mutex
	sentFrom map[int64]int // the service of an item
}

func newServices(t *testing.T, addr string) *services {
	t.Helper()
	client, err := otlpio.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return &services{client: client, sentFrom: map[int64]int{}}
}

// serviceCount is enough for each of four collectors to get some of them.
const serviceCount = 60

func (s *services) start(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var senders sync.WaitGroup
	for service := range serviceCount {
		senders.Go(func() {
			for ctx.Err() == nil {
				ids := s.ledger.Next(6) // one for each place
				s.mu.Lock()
				for _, id := range ids {
					s.sentFrom[id] = service
				}
				s.mu.Unlock()
				s.send(ctx, service, ids)
				time.Sleep(100 * time.Millisecond) // the rate of a service
			}
		})
	}
	s.stop = func() {
		cancel()
		senders.Wait()
	}
}

// send sends a request until it is accepted.
func (s *services) send(ctx context.Context, service int, ids []int64) {
	for ctx.Err() == nil {
		p := otlpio.Build(otlpio.Traces, ids)
		for _, rs := range p.Traces.ResourceSpans().All() {
			rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", service))
		}
		if s.client.Send(ctx, p) == nil {
			s.ledger.Ack(ids)
			return
		}
		time.Sleep(20 * time.Millisecond) // the sender's backoff
	}
}

// until waits until so many items were accepted.
func (s *services) until(ctx context.Context, t *testing.T, items int) {
	t.Helper()
	poll(ctx, t, fmt.Sprintf("%d items are accepted", items), func() bool { return s.ledger.Acked() >= items })
}

// delivered waits until what was accepted so far has arrived.
func (s *services) delivered(ctx context.Context, t *testing.T, backend *otlpio.Backend) {
	t.Helper()
	accepted := s.ledger.Acked()
	pollFor(ctx, t, kafkaLimit, "what was accepted has arrived", func() bool { return s.ledger.Tally(backend.Batches()).Delivered >= accepted })
}

// check compares what arrived with what was accepted: nothing is lost, and all is in order.
func (s *services) check(t *testing.T, batches []otlpio.Payload) {
	t.Helper()
	tally := s.ledger.Tally(batches)
	t.Logf("%+v", tally)
	if tally.Lost > 0 {
		t.Errorf("%d items lost", tally.Lost)
	}
	s.checkOrder(t, batches)
}

// checkOrder looks at when each item arrived first: of one resource of one service, in the order in which they were sent.
func (s *services) checkOrder(t *testing.T, batches []otlpio.Payload) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	last, seen := map[string]int64{}, map[int64]bool{}
	for _, b := range batches {
		b.Visit(func(id int64, err error) {
			if err != nil {
				t.Error(err)
			}
			if seen[id] {
				return
			}
			seen[id] = true
			stream := fmt.Sprint(s.sentFrom[id], " ", id%6)
			if before, ok := last[stream]; ok && id < before {
				t.Errorf("item %d of %s arrived behind item %d", id, stream, before)
			}
			last[stream] = id
		})
	}
}
