// SPDX-License-Identifier: Apache-2.0

// Package faults runs a collector between senders and a backend with a fault, and counts what became of each item.
package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// Fault is what is wrong with the backend.
type Fault string

// The faults.
const (
	Killed         Fault = "killed under load, restarted after 1 s"
	Slow           Fault = "takes 100 ms a call"
	Refuses        Fault = "answers UNAVAILABLE for 1 s"
	TooLarge       Fault = "takes 50 items a call, gRPC"
	TooLargeHTTP   Fault = "takes 50 items a call, HTTP 413"
	PartialSuccess Fault = "partial success: rejects an item of each call"
)

// All are the faults.
var All = []Fault{Killed, Slow, Refuses, TooLarge, TooLargeHTTP, PartialSuccess}

// Setting is a way to deal with failures.
type Setting struct{ Name, YAML string }

// Settings are the ways there are.
var Settings = []Setting{
	{"default", ""},
	{"wait", "wait_for_result: true, split_on_too_large: true"},
	{"retry", "retry_on_failure: {enabled: true, initial_interval: 100ms, max_interval: 500ms, max_elapsed_time: 30s}, split_on_too_large: true"},
}

const (
	lasts     = 3 * time.Second // of the load
	senders   = 8
	items     = 10 // a request
	mostItems = 50
)

// Row is what became of the items.
type Row struct {
	Fault   Fault
	Setting Setting
	Queue   bool // the exporter has one of its own

	Sent, Acked                            int
	Delivered, Duplicated                  int // different items, and further copies
	Lost                                   int // acknowledged, and not delivered
	Rejected                               int // by the backend, which said so in a success
	Accepted, Forwarded, Returned, Dropped int // as the processor counts
	Refused, Retried                       int
}

// Check says what does not add up.
func (r Row) Check() error {
	var errs []error
	if r.Accepted != r.Forwarded+r.Returned+r.Dropped {
		errs = append(errs, errors.New("accepted is not forwarded, returned and dropped together"))
	}
	if r.Sent != r.Accepted+r.Refused {
		errs = append(errs, errors.New("sent is not accepted and refused together"))
	}
	if !r.Queue && r.Lost > r.Dropped+r.Rejected {
		errs = append(errs, errors.New("more was lost than was dropped or rejected"))
	}
	if !r.Queue && r.Setting.Name != "default" && (r.Lost > r.Rejected || r.Dropped > 0) {
		errs = append(errs, errors.New("something acknowledged was not delivered"))
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("%+v", r))
	}
	return errors.Join(errs...)
}

// Run runs one case. dir is where the config goes.
func Run(ctx context.Context, binary, dir string, f Fault, s Setting, queue bool) (Row, error) {
	row := Row{Fault: f, Setting: s, Queue: queue}
	b, err := newBackend(f)
	if err != nil {
		return row, err
	}
	defer b.kill()
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(configuration(b.addr, f, s, queue)), 0o600); err != nil {
		return row, err
	}
	c, err := otelcol.Start(ctx, otelcol.Options{Binary: binary, Configs: []string{config}, Dir: dir, MetricsLevel: "detailed"})
	if err != nil {
		return row, err
	}
	defer func() { _ = c.Kill() }()
	var ledger otlpio.Ledger
	b.begin = time.Now()
	if f == Killed {
		restarted := make(chan error, 1)
		go func() {
			time.Sleep(lasts / 3)
			b.kill()
			time.Sleep(lasts / 3)
			restarted <- b.start()
		}()
		err = load(ctx, c, &ledger)
		err = errors.Join(err, <-restarted)
	} else {
		err = load(ctx, c, &ledger)
	}
	if err != nil {
		return row, err
	}
	if err := row.settle(ctx, c); err != nil {
		return row, err
	}
	if err := c.Stop(); err != nil { // the exporter's own queue is emptied
		return row, err
	}
	batches, rejected := b.took()
	t := ledger.Tally(batches)
	row.Sent, row.Acked, row.Delivered, row.Duplicated, row.Lost, row.Rejected = t.Sent, t.Acked, t.Delivered, t.Duplicated, t.Lost, rejected
	return row, nil
}

// load sends requests from several senders for a while. None is sent again.
func load(ctx context.Context, c *otelcol.Collector, ledger *otlpio.Ledger) error {
	client, err := otlpio.Dial(c.GRPC)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	end := time.Now().Add(lasts)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for time.Now().Before(end) {
				ids := ledger.Next(items)
				if client.Send(ctx, otlpio.Build(otlpio.Traces, ids)) == nil {
					ledger.Ack(ids)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

const prefix = "otelcol_processor_partitionedbuffer_items_"

// settle waits until nothing is pending, and reads what the processor has counted.
func (r *Row) settle(ctx context.Context, c *otelcol.Collector) error {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	for {
		m, err := c.Scrape(ctx)
		if err != nil {
			return err
		}
		if m.Sum(prefix+"pending") == 0 {
			for name, to := range map[string]*int{
				"accepted": &r.Accepted, "forwarded": &r.Forwarded, "returned": &r.Returned, "dropped": &r.Dropped, "refused": &r.Refused, "retried": &r.Retried,
			} {
				*to = int(m.Sum(prefix + name))
			}
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func configuration(addr string, f Fault, s Setting, queue bool) string {
	exporter, endpoint := "otlp_grpc", addr
	if f == TooLargeHTTP {
		exporter, endpoint = "otlp_http", "http://"+addr
	}
	return fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}
processors:
  partitionedbuffer: {timeout: 20ms, send_batch_size: 200, send_batch_max_size: 200, %s}
exporters:
  %s:
    endpoint: %s
    tls: {insecure: true}
    compression: none
    sending_queue: {enabled: %t}
    retry_on_failure: {enabled: false}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [partitionedbuffer], exporters: [%s]}
`, s.YAML, exporter, endpoint, queue, exporter)
}

// removeFirst takes the first span out of r.
func removeFirst(r ptraceotlp.ExportRequest) {
	first := true
	for _, rs := range r.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(func(ptrace.Span) bool {
				is := first
				first = false
				return is
			})
		}
	}
}
