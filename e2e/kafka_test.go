// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// examples/kafka: a collector that writes to Kafka, and two that read from it. Under load one of the readers is killed, and another one
// is added, so that partitions of the topic move. Everything that was accepted arrives, each resource of a service in order; what
// the killed one had delivered and not marked as read arrives again.
func TestKafka(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout+2*kafkaLimit)
	t.Cleanup(cancel)
	backend := startBackend(t, nil)
	broker := startKafka(t, 8, "otlp_spans")
	readers := []*otelcol.Collector{startReader(ctx, t, broker, backend), startReader(ctx, t, broker, backend)}
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	writer := startExampleOf(ctx, t, kafkaBinary(t), "kafka/to-kafka.yaml", fmt.Sprintf("yaml:{receivers: {otlp: {protocols: {grpc: {endpoint: %s}}}}, exporters: {kafka: {brokers: [%s]}}}", addr, broker))
	s := newServices(t, addr)
	s.start(ctx)

	s.until(ctx, t, 1000)
	s.delivered(ctx, t, backend)
	if err := readers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	s.until(ctx, t, s.ledger.Acked()+1000)
	s.delivered(ctx, t, backend) // by the other one. A third that came before that would have to wait for the killed one for a minute
	readers = append(readers, startReader(ctx, t, broker, backend))
	pollFor(ctx, t, kafkaLimit, "the added reader delivers", func() bool {
		return scrape(ctx, t, readers[2]).Sum(prefix+"items_forwarded") > 0
	})
	s.until(ctx, t, s.ledger.Acked()+1000)
	s.stop()
	s.delivered(ctx, t, backend)
	for _, c := range append(readers[1:], writer) {
		if n := scrape(ctx, t, c).Sum(prefix + "items_forwarded"); n == 0 {
			t.Error("a collector has delivered nothing")
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}
	s.check(t, backend.Batches())
}

// kafkaLimit bounds the waits for a group of readers: after one was killed for its session, and for a minute if others come or go meanwhile.
const kafkaLimit = 150 * time.Second

// startKafka runs a broker in memory that has a topic, and returns its address.
func startKafka(t *testing.T, partitions int32, topic string) string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic)) // on loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

func startReader(ctx context.Context, t *testing.T, broker string, backend *otlpio.Backend) *otelcol.Collector {
	t.Helper()
	return startExampleOf(ctx, t, kafkaBinary(t), "kafka/from-kafka.yaml", fmt.Sprintf("yaml:{receivers: {kafka: {brokers: [%s]}}}", broker), exporterTo(backend.Addr))
}

func kafkaBinary(t *testing.T) string {
	t.Helper()
	return binary(t, "OTELCOL_KAFKA", "../build/kafka/otelcol-kafka")
}
