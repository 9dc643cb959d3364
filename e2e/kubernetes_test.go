// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// The values of docs/kubernetes.md: while the backend is away, the endpoint of the probes goes on saying that all is well, and
// the one for people says what is wrong, and where.
func TestHealthEndpointsOfKubernetesValues(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	probes, components := freeAddr(t), freeAddr(t)
	c := start(ctx, t, otelcol.Options{
		Binary: plainBinary(t),
		Configs: []string{
			writeFile(t, t.TempDir(), "config.yaml", chartConfig(t)), otelcol.AnyPort, exporterTo("127.0.0.1:1"),
			fmt.Sprintf("yaml:{extensions: {health_check: {endpoint: %s}, health_check/components: {http: {endpoint: %s}, component_health: {recovery_duration: 100ms}}}}",
				probes, components),
		},
		FeatureGates: "extension.healthcheck.useComponentStatus",
		Dir:          t.TempDir(),
	})
	if code, body := get(ctx, t, "http://"+components+"/status"); code != http.StatusOK {
		t.Fatalf("%d at the start: %s", code, body)
	}
	var ledger otlpio.Ledger
	if err := dial(t, c).Send(ctx, otlpio.Build(otlpio.Traces, ledger.Next(1))); err == nil {
		t.Fatal("the call did not fail")
	}
	for {
		code, body := get(ctx, t, "http://"+components+"/status?verbose")
		var status struct {
			Components map[string]struct {
				Components map[string]struct{ Status, Error string }
			}
		}
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		ours := status.Components["pipeline:traces"].Components["processor:partitionedbuffer"]
		if code == http.StatusInternalServerError && ours.Status == "StatusRecoverableError" && ours.Error != "" {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d: %s", code, body)
		}
	}
	if code, body := get(ctx, t, "http://"+probes+"/"); code != http.StatusOK {
		t.Errorf("%d for the probes: %s", code, body)
	}
}

// chartConfig is the collector's configuration in the values of docs/kubernetes.md.
func chartConfig(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("no YAML in docs/kubernetes.md")
	}
	var values struct{ Config map[string]map[string]any }
	if err := yaml.Unmarshal(block[1], &values); err != nil {
		t.Fatal(err)
	}
	delete(values.Config["processors"], "batch") // what null does in the chart
	config, err := yaml.Marshal(values.Config)
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// freeAddr is an address on loopback that nobody listened on a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(ctx context.Context, t *testing.T, url string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
