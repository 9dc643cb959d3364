// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// examples/agent.yaml in front of examples/gateway.yaml: the gateway is killed under load and comes back, and everything that
// the agent accepted arrives.
func TestAgentSurvivesACrashOfItsGateway(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	backend := startBackend(t, nil)
	gateway := startExample(ctx, t, "gateway.yaml", otelcol.AnyPort, exporterTo(backend.Addr))
	agent := startExample(ctx, t, "agent.yaml", otelcol.AnyPort, exporterTo(gateway.GRPC))

	var ledger otlpio.Ledger
	client := dial(t, agent)
	send := func() {
		var senders errgroup.Group
		for _, s := range otlpio.Stable {
			senders.Go(func() error {
				for range 500 {
					ids := ledger.Next(10)
					if err := client.Send(ctx, otlpio.Build(s, ids)); err != nil {
						return err
					}
					ledger.Ack(ids)
				}
				return nil
			})
		}
		if err := senders.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	send()
	if err := gateway.Kill(); err != nil {
		t.Fatal(err)
	}
	send()
	gateway = startExample(ctx, t, "gateway.yaml",
		fmt.Sprintf("yaml:{receivers: {otlp: {protocols: {grpc: {endpoint: %s}, http: {endpoint: 127.0.0.1:0}}}}}", gateway.GRPC), exporterTo(backend.Addr))
	send()
	for ledger.Tally(backend.Batches()).Lost > 0 {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%+v\n%s", ledger.Tally(backend.Batches()), agent.Log())
		}
	}
	if err := agent.Stop(); err != nil {
		t.Error(err)
	}
	if err := gateway.Stop(); err != nil {
		t.Error(err)
	}
}

// startExample starts a collector on a file of examples/, and what else is to be merged into it.
func startExample(ctx context.Context, t *testing.T, file string, more ...string) *otelcol.Collector {
	t.Helper()
	return startExampleOf(ctx, t, plainBinary(t), file, more...)
}

// startExampleOf is startExample with another collector.
func startExampleOf(ctx context.Context, t *testing.T, binary, file string, more ...string) *otelcol.Collector {
	t.Helper()
	path, err := filepath.Abs("../examples/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return start(ctx, t, otelcol.Options{Binary: binary, Configs: append([]string{path}, more...), Dir: t.TempDir()})
}

// exporterTo is a config that has the otlp_grpc exporter send to addr.
func exporterTo(addr string) string {
	return fmt.Sprintf("yaml:{exporters: {otlp_grpc: {endpoint: %s}}}", addr)
}
