// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// methods are those of OTLP's gRPC services.
var methods = map[Signal]string{
	Traces:  "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
	Metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
	Logs:    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

// raw is a codec for messages that are encoded already.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string { return "proto" }

type idRange struct {
	first uint64
	n     int
}

// loader sends requests to a collector, each once. Safe for concurrent use.
type loader struct {
	conn      *grpc.ClientConn
	method    string
	templates []*template
	items     int // of a request

	next atomic.Uint64 // request
	mu   struct {      // guards everything in it
		sync.Mutex
		acked  []idRange
		n      int // items in acked
		failed int // requests
	}
}

func newLoader(addr string, c Case) (*loader, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		return nil, err
	}
	l := &loader{conn: conn, method: methods[c.Signal], items: c.Items}
	for r := range c.Resources {
		t, err := newTemplate(c.Signal, r, c.Items)
		if err != nil {
			return nil, err
		}
		l.templates = append(l.templates, t)
	}
	return l, nil
}

func (l *loader) close() { _ = l.conn.Close() }

// send sends the next request, as if it was sent at that time. It reports whether the collector took it.
func (l *loader) send(ctx context.Context, sent time.Time) bool {
	n := l.next.Add(1) - 1
	first := n * uint64(l.items)
	request, response := l.templates[n%uint64(len(l.templates))].request(first, sent), []byte(nil)
	err := l.conn.Invoke(ctx, l.method, &request, &response, grpc.ForceCodec(raw{}))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.mu.failed++
		return false
	}
	l.mu.acked, l.mu.n = append(l.mu.acked, idRange{first, l.items}), l.mu.n+l.items
	return true
}

// acked returns what the collector took so far.
func (l *loader) acked() (ids []idRange, items, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]idRange(nil), l.mu.acked...), l.mu.n, l.mu.failed
}

// closedLoop has producers send for a while, each the next request when the one before is answered.
func (l *loader) closedLoop(ctx context.Context, producers int, lasts time.Duration) {
	var wg sync.WaitGroup
	end := time.Now().Add(lasts)
	for range producers {
		wg.Go(func() {
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; now = time.Now() {
				if !l.send(ctx, now) {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

// openLoop sends items at a fixed rate for a while, however long the answers take. An item counts as sent when its turn came.
func (l *loader) openLoop(ctx context.Context, perSecond int, lasts time.Duration) {
	var wg sync.WaitGroup
	interval := time.Second * time.Duration(l.items) / time.Duration(perSecond)
	begin := time.Now()
	for due := begin; due.Before(begin.Add(lasts)) && ctx.Err() == nil; due = due.Add(interval) {
		time.Sleep(time.Until(due))
		wg.Go(func() { l.send(ctx, due) })
	}
	wg.Wait()
}

// allArrived waits until everything that was taken has arrived.
func (l *loader) allArrived(ctx context.Context, s *sink) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		ids, items, _ := l.acked()
		if distinct, _ := s.arrived(); distinct >= items && s.missing(ids) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d items did not arrive", s.missing(ids), items)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
