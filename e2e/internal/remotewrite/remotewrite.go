// SPDX-License-Identifier: Apache-2.0

// Package remotewrite sends metrics through a collector to a Prometheus that receives remote write and does not take samples out of
// order.
package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"golang.org/x/sync/errgroup"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/prometheus"
)

// Variant is a configuration of the processor, and who sends to it.
type Variant struct {
	Name      string
	Processor string   // settings in YAML, in braces
	Replicas  []string // senders; each has all series
	Calls     int      // at once. The receiver answers none before it has so many
}

// batches is what the variants have in common: a batch has at most one request's points.
const batches = "timeout: 50ms, send_batch_size: 64, send_batch_max_size: 64"

// The variants.
var (
	One        = Variant{"one consumer", "{" + batches + "}", []string{"a"}, 1}
	Several    = Variant{"several consumers, `num_consumers: 8`", "{" + batches + ", num_consumers: 8}", []string{"a"}, 8}
	Partitions = Variant{"partitions, `partitions: 8`", "{" + batches + ", partitions: 8}", []string{"a"}, 4}
	TwoQueue   = Variant{"two replicas, one consumer", "{" + batches + "}", []string{"a", "b"}, 1}
	TwoMap     = Variant{
		"two replicas, `buffer: map`",
		"{timeout: 50ms, buffer: map, map: {key: record, remember: 1h, ignore_attributes: [replica]}}",
		[]string{"a", "b"},
		1,
	}
)

// Options says how to run a variant.
type Options struct {
	Collector string // the binary
	Latency   time.Duration
	Series    int // at least 64
	Steps     int // points of each series
}

// Result is what became of the points.
type Result struct {
	Sent, Superseded, Stored int
	Calls, Rejected          int
	InFlight                 int           // the most calls at once
	Took                     time.Duration // until the last point was settled, from when the receiver took the first call; all were sent before
}

// Server starts a Prometheus that receives remote write, with its data in dir.
func Server(ctx context.Context, binary, dir string) (*prometheus.Server, error) {
	return prometheus.Start(ctx, prometheus.Options{Binary: binary, Config: "{}\n", Dir: dir, Args: []string{"--web.enable-remote-write-receiver"}})
}

// Run sends points through a collector to a server, which has not seen the metric before.
func Run(ctx context.Context, server *prometheus.Server, metric string, v Variant, o Options) (Result, error) {
	receiver, err := newSlow("http://"+server.Addr, o.Latency)
	if err != nil {
		return Result{}, err
	}
	defer receiver.Close()
	dir, err := os.MkdirTemp("", "remotewrite")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	c, err := otelcol.Start(ctx, otelcol.Options{Binary: o.Collector, Dir: dir, Configs: []string{"yaml:" + config(v, receiver.URL)}})
	if err != nil {
		return Result{}, err
	}
	r := Result{Sent: len(v.Replicas) * o.Series * o.Steps}
	if err = send(ctx, c.GRPC, metric, v, o); err == nil {
		err = receiver.await(ctx, v.Calls)
	}
	close(receiver.open)
	begin := time.Now()
	if err == nil {
		r.Superseded, err = settled(ctx, c, r.Sent)
	}
	r.Took = time.Since(begin)
	if err := errors.Join(err, c.Stop()); err != nil {
		return Result{}, err
	}
	r.Calls, r.Rejected, r.InFlight = int(receiver.calls.Load()), int(receiver.rejected.Load()), int(receiver.most.Load())
	r.Stored, err = stored(ctx, server, metric)
	return r, err
}

func config(v Variant, receiver string) string {
	return `
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}
processors:
  partitionedbuffer: ` + v.Processor + `
exporters:
  prometheusremotewrite:
    endpoint: ` + receiver + `/api/v1/write
    remote_write_queue: {enabled: false}
    retry_on_failure: {enabled: false}
    target_info: {enabled: false}
    timeout: 1m
service:
  pipelines:
    metrics: {receivers: [otlp], processors: [partitionedbuffer], exporters: [prometheusremotewrite]}
`
}

// send sends each replica's points, one point of each series in a request, in the order of their time.
func send(ctx context.Context, endpoint, metric string, v Variant, o Options) error {
	first := time.Now().Add(-time.Minute)
	var g errgroup.Group
	for _, replica := range v.Replicas {
		g.Go(func() (err error) {
			client, err := otlpio.Dial(endpoint)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, client.Close()) }()
			for step := range o.Steps {
				md := points(metric, replica, o.Series, first.Add(time.Duration(step)*time.Millisecond), step)
				if err := client.Send(ctx, otlpio.Payload{Signal: otlpio.Metrics, Metrics: md}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// points is a request: each series is that of a resource. Two replicas measure a little differently.
func points(metric, replica string, series int, at time.Time, step int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i := range series {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "shop")
		rm.Resource().Attributes().PutStr("service.instance.id", fmt.Sprint(i))
		rm.Resource().Attributes().PutStr("replica", replica)
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(metric)
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetDoubleValue(float64(step) + float64(replica[0])/1000)
	}
	return md
}

// settled waits until nothing is pending of what was sent, and returns how much was superseded.
func settled(ctx context.Context, c *otelcol.Collector, sent int) (superseded int, err error) {
	const prefix = "otelcol_processor_partitionedbuffer_"
	err = poll(ctx, func() (bool, error) {
		m, err := c.Scrape(ctx)
		if err != nil {
			return false, err
		}
		superseded = int(m.Sum(prefix + "items_superseded"))
		return int(m.Sum(prefix+"items_forwarded")+m.Sum(prefix+"items_dropped"))+superseded == sent, nil
	})
	return superseded, err
}

// poll returns when f reports true, or with an error: that of f, or that ctx is done.
func poll(ctx context.Context, f func() (bool, error)) error {
	for {
		if ok, err := f(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stored returns how many samples the server has of a metric.
func stored(ctx context.Context, server *prometheus.Server, metric string) (int, error) {
	got, _, err := server.Query(ctx, "sum(count_over_time("+metric+"[1h]))", time.Now())
	if err != nil {
		return 0, err
	}
	samples, ok := got.(model.Vector)
	if !ok || len(samples) > 1 {
		return 0, fmt.Errorf("an answer that is no sum: %v", got)
	}
	if len(samples) == 0 {
		return 0, nil
	}
	return int(samples[0].Value), nil
}
