// SPDX-License-Identifier: Apache-2.0

// Package proof runs whole collectors side by side: the same load through the same receiver and exporter, with different ways to
// make batches between them. What it reads about a process comes from /proc, so it runs on Linux.
package proof

import (
	"fmt"
	"strings"
)

// Signal is a kind of telemetry, by its name in a collector's config.
type Signal string

// The signals.
const (
	Traces  Signal = "traces"
	Metrics Signal = "metrics"
	Logs    Signal = "logs"
)

// Variant is a way to make batches.
type Variant struct {
	Name      string
	Processor string // ID and settings, in YAML; "": none
	Queue     string // the exporter's sending_queue, in YAML
}

// noQueue is what stands behind a processor: the exporter answers when the backend has.
const noQueue = "{enabled: false}"

// Variants are compared. All make batches of 8192 items or after 200 ms, and where it can be said hold at most 65536 items.
var Variants = []Variant{
	{"no processor", "", noQueue},
	{"`batch`", "batch: {}", noQueue},
	{"`batch`, exporter's queue", "batch: {}", "{}"},
	{"exporter's `sending_queue.batch`", "", "{num_consumers: 10, sizer: items, queue_size: 65536, block_on_overflow: true, batch: {flush_timeout: 200ms, min_size: 8192}}"},
	{"queuebatch", "queuebatch: {sizer: items, queue_size: 65536}", noQueue},
	{"**here**", "partitionedbuffer: {}", noQueue},
	{"**here**, `queue_size: 16384`", "partitionedbuffer: {queue_size: 16384}", noQueue},
	{"**here**, `num_consumers: 10`", "partitionedbuffer: {num_consumers: 10}", noQueue},
	{"**here**, `partitions: 10`", "partitionedbuffer: {partitions: 10}", noQueue},
	{"**here**, `buffer: map`", "partitionedbuffer: {buffer: map}", noQueue},
	{"**here**, `wait_for_result`", "partitionedbuffer: {wait_for_result: true, num_consumers: 10}", noQueue},
	{"**here**, `storage`, retry", "partitionedbuffer: {storage: file_storage, num_consumers: 10, retry_on_failure: {enabled: true}}", noQueue},
}

// Case is what is measured.
type Case struct {
	Variant
	Signal      Signal
	Compression string // of the exporter: none, gzip, zstd
	Items       int    // of a request
	Resources   int    // that requests are of, one each

	debug string // the address of its profiles; "": none
}

func (c Case) String() string {
	return fmt.Sprintf("%s, %s, %s, %d items a request, %d resources", c.Name, c.Signal, c.Compression, c.Items, c.Resources)
}

// config is the collector's. dir is for what it stores.
func (c Case) config(backend, dir string) string {
	processors, list := "", ""
	extensions, started := fmt.Sprintf("file_storage: {directory: %s}", dir), "file_storage"
	if c.debug != "" {
		extensions += fmt.Sprintf(", pprof: {endpoint: %s}", c.debug)
		started += ", pprof"
	}
	if c.Processor != "" {
		id, _, _ := strings.Cut(c.Processor, ":")
		processors, list = "processors: {"+c.Processor+"}\n", id
	}
	return fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0, max_recv_msg_size_mib: 64}}}
extensions: {%s}
%sexporters:
  otlp_grpc:
    endpoint: %s
    tls: {insecure: true}
    compression: %s
    timeout: 30s
    retry_on_failure: {enabled: false}
    sending_queue: %s
service:
  extensions: [%s]
  pipelines:
    %s: {receivers: [otlp], processors: [%s], exporters: [otlp_grpc]}
`, extensions, processors, backend, c.Compression, c.Queue, started, c.Signal, list)
}
