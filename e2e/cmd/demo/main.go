// SPDX-License-Identifier: Apache-2.0

// Command demo runs a collector on examples/quickstart.yaml, sends it traces, metrics and logs, stops it, and prints what
// became of them. It fails unless every item that was sent came out once. Run it in the folder of the e2e module.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/telemetrygen"
)

const config = "../examples/quickstart.yaml"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	err := run(ctx)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// row is a signal's line in the table.
type row struct {
	signal         otlpio.Signal
	sent, received int // items
	requests       int // in
	batches        int // out, as the exporter received them
}

func run(ctx context.Context) error {
	binary, err := otelcol.Binary("OTELCOL", "../build/otelcol-partitionedbuffer")
	if err != nil {
		return err
	}
	generator, err := otelcol.Binary("TELEMETRYGEN", "../build/telemetrygen")
	if err != nil {
		return err
	}
	quickstart, err := filepath.Abs(config)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("starting a collector on examples/quickstart.yaml, on ports of its own")
	c, err := otelcol.Start(ctx, otelcol.Options{
		Binary:       binary,
		Configs:      []string{quickstart, otelcol.AnyPort, fileSettings()},
		Dir:          dir,        // where the paths in the config end up
		MetricsLevel: "detailed", // where the number of requests is counted
	})
	if err != nil {
		return err
	}
	rows, err := load(ctx, c, generator)
	if err != nil {
		return errors.Join(err, c.Kill())
	}
	fmt.Println("stopping it with SIGTERM")
	if err := c.Stop(); err != nil {
		return err
	}
	for i := range rows {
		batches, err := otlpio.ReadFile(filepath.Join(dir, "build", "quickstart", string(rows[i].signal)+".jsonl"))
		if err != nil {
			return err
		}
		rows[i].received, rows[i].batches = otlpio.Items(batches), len(batches)
	}
	return report(rows)
}

// fileSettings adds to those of the file exporters.
func fileSettings() string {
	var exporters []string
	for _, s := range otlpio.Stable {
		exporters = append(exporters, fmt.Sprintf("file/%s: {flush_interval: %s}", s, otelcol.NeverFlush))
	}
	return "yaml:{exporters: {" + strings.Join(exporters, ", ") + "}}"
}

// load sends everything and says what was sent.
func load(ctx context.Context, c *otelcol.Collector, generator string) ([]row, error) {
	var rows []row
	for _, s := range otlpio.Stable {
		l := telemetrygen.Load{Binary: generator, Endpoint: c.GRPC, Signal: s, Workers: 4, PerWorker: 10_000}
		fmt.Printf("sending %d items of %s with telemetrygen\n", l.Items(), s)
		if err := l.Run(ctx); err != nil {
			return nil, err
		}
		rows = append(rows, row{signal: s, sent: l.Items()})
	}
	m, err := c.Scrape(ctx)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].requests = int(m.Sum("rpc_server_call_duration", "rpc_method", exportMethod[rows[i].signal]))
	}
	return rows, nil
}

var exportMethod = map[otlpio.Signal]string{
	otlpio.Traces:  "opentelemetry.proto.collector.trace.v1.TraceService/Export",
	otlpio.Metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
	otlpio.Logs:    "opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

func report(rows []row) error {
	var errs []error
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nsignal\titems sent\titems received\trequests in\tbatches out\tmean batch size\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.1f\t\n",
			r.signal, r.sent, r.received, r.requests, r.batches, float64(r.received)/float64(max(r.batches, 1)))
		switch {
		case r.received < r.sent:
			errs = append(errs, fmt.Errorf("%s: %d of %d items are missing", r.signal, r.sent-r.received, r.sent))
		case r.received > r.sent:
			errs = append(errs, fmt.Errorf("%s: %d items too many", r.signal, r.received-r.sent))
		}
	}
	if err := w.Flush(); err != nil {
		errs = append(errs, err)
	}
	fmt.Println()
	if len(errs) == 0 {
		fmt.Println("every item arrived")
	}
	return errors.Join(errs...)
}
