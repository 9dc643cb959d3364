// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/metadata"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// Every example starts as it is, ports aside, takes telemetry, delivers all of it once, and stops.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "../examples/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			backend := startBackend(t, nil)
			configs := []string{path, otelcol.AnyPort}
			exporters, signals := readExample(t, path)
			for _, id := range exporters {
				configs = append(configs, fmt.Sprintf("yaml:{exporters: {%s: {endpoint: %s}}}", id, backend.Addr))
			}
			dir := t.TempDir()
			c := start(ctx, t, otelcol.Options{Binary: plainBinary(t), Configs: configs, Dir: dir})
			if c.GRPC == "" || c.HTTP == "" {
				t.Errorf("listens on gRPC %q, HTTP %q; both are expected", c.GRPC, c.HTTP)
			}

			client := dial(t, c)
			ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant", "acme")
			var ledger otlpio.Ledger
			for _, s := range signals {
				ids := ledger.Next(100)
				if err := client.Send(ctx, otlpio.Build(s, ids)); err != nil {
					t.Fatal(err)
				}
				ledger.Ack(ids)
			}
			if err := c.Stop(); err != nil {
				t.Fatal(err)
			}
			arrived := backend.Batches()
			if len(exporters) == 0 { // into files, as examples/quickstart.yaml
				for _, s := range signals {
					batches, err := otlpio.ReadFile(filepath.Join(dir, "build", "quickstart", string(s)+".jsonl"))
					if err != nil {
						t.Fatal(err)
					}
					arrived = append(arrived, batches...)
				}
			}
			if err := ledger.Audit(arrived); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without a backend an example starts all the same, which nobody who tries it wants to find out otherwise.
func TestExamplesStartWithoutBackend(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "../examples/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			ctx, o := testContext(t), otelcol.Options{
				Binary: plainBinary(t), Configs: []string{path, otelcol.AnyPort}, Dir: t.TempDir(),
			}
			err = start(ctx, t, o).Stop()
			for range 10 {
				if !errors.Is(err, otelcol.ErrTooEarly) {
					break
				}
				err = start(ctx, t, o).Stop()
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// readExample gives the IDs of the exporters in a config that send OTLP over gRPC, and the signals that it has pipelines for.
func readExample(t *testing.T, path string) (exporters []string, signals []otlpio.Signal) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Exporters map[string]any `yaml:"exporters"`
		Service   struct {
			Pipelines map[string]any `yaml:"pipelines"`
		} `yaml:"service"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	for id := range config.Exporters {
		if typ, _, _ := strings.Cut(id, "/"); typ == "otlp" || typ == "otlp_grpc" {
			exporters = append(exporters, id)
		}
	}
	for id := range config.Service.Pipelines {
		signal, _, _ := strings.Cut(id, "/")
		if s := otlpio.Signal(signal); !slices.Contains(signals, s) {
			signals = append(signals, s)
		}
	}
	if len(signals) == 0 {
		t.Fatalf("%s has no pipelines", path)
	}
	return exporters, signals
}
