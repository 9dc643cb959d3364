// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/metadata"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// Every config that batchprocessor documents works with the processor renamed and nothing else changed: the collector starts
// and forwards what it gets.
func TestBatchConfigs(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "testdata/batch-configs/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			dir := t.TempDir()
			config, files := renamedConfig(t, file, dir)
			c := start(ctx, t, otelcol.Options{
				Binary:  plainBinary(t),
				Configs: []string{writeFile(t, dir, "config.yaml", config)},
				Dir:     dir,
			})
			client := dial(t, c)
			ledgers := map[otlpio.Signal]*otlpio.Ledger{}
			for _, s := range otlpio.Stable {
				ledgers[s] = &otlpio.Ledger{}
				for i := range 100 {
					ids := ledgers[s].Next(3)
					ctx := metadata.AppendToOutgoingContext(ctx, "tenant_id", fmt.Sprint(i%4))
					if err := client.Send(ctx, otlpio.Build(s, ids)); err != nil {
						t.Fatal(err)
					}
					ledgers[s].Ack(ids)
				}
			}
			if err := c.Stop(); err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				batches, err := otlpio.ReadFile(f.path)
				if err != nil {
					t.Fatal(err)
				}
				if err := ledgers[f.signal].Audit(batches); err != nil {
					t.Errorf("%s: %v", f.path, err)
				}
			}
		})
	}
}

// output is the file of one pipeline.
type output struct {
	signal otlpio.Signal
	path   string
}

// renamedConfig makes a whole config around the processors of a documented one, renamed. Each processor has a pipeline for
// each signal, which all get the same.
func renamedConfig(t *testing.T, file, dir string) (config string, files []output) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var documented struct {
		Processors map[string]any `yaml:"processors"`
	}
	if err := yaml.Unmarshal(text, &documented); err != nil {
		t.Fatal(err)
	}
	processors, exporters, pipes := map[string]any{}, map[string]any{}, map[string]any{}
	for id, settings := range documented.Processors {
		typ, name, _ := strings.Cut(id, "/")
		if typ != "batch" {
			t.Fatalf("%s: %s is no batch processor", file, id)
		}
		id = "partitionedbuffer" + strings.TrimPrefix(id, typ)
		processors[id] = settings
		for _, s := range otlpio.Stable {
			out := output{s, filepath.Join(dir, fmt.Sprintf("%s-%s.jsonl", s, name))}
			files = append(files, out)
			exporter := fmt.Sprintf("file/%s-%s", s, name)
			exporters[exporter] = map[string]any{"path": out.path, "flush_interval": otelcol.NeverFlush}
			pipes[strings.TrimSuffix(fmt.Sprintf("%s/%s", s, name), "/")] = map[string]any{
				"receivers": []string{"otlp"}, "processors": []string{id}, "exporters": []string{exporter},
			}
		}
	}
	if len(processors) == 0 {
		t.Fatalf("%s has no processors", file)
	}
	whole, err := yaml.Marshal(map[string]any{
		"receivers": map[string]any{"otlp": map[string]any{"protocols": map[string]any{
			"grpc": map[string]any{"endpoint": "127.0.0.1:0", "include_metadata": true},
		}}},
		"processors": processors,
		"exporters":  exporters,
		"service":    map[string]any{"pipelines": pipes},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(whole), files
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no file matches %s", pattern)
	}
	return files
}
