// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/prometheus"
)

// alertLimit bounds the waits for alerts, which take some 15 seconds.
const alertLimit = 150 * time.Second

// startPrometheus runs a server with the rules of monitoring/, hurried, that scrapes the targets.
func startPrometheus(ctx context.Context, t *testing.T, targets []*target) *prometheus.Server {
	t.Helper()
	rules, err := os.ReadFile("../monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, dir, "rules.yaml", hurried(t, string(rules)))
	var jobs strings.Builder
	for _, o := range targets {
		fmt.Fprintf(&jobs, "  - {job_name: %s, static_configs: [{targets: [%q]}]}\n", o.name, o.MetricsAddr())
	}
	s, err := prometheus.Start(ctx, prometheus.Options{
		Binary: binary(t, "PROMETHEUS", "../build/prometheus"),
		Dir:    dir,
		Config: `
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 250ms}
rule_files: [rules.yaml]
scrape_configs:
` + jobs.String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// hurried makes each minute in the rules a second: in for, in windows, and in the ages that are compared.
func hurried(t *testing.T, rules string) string {
	t.Helper()
	rules = regexp.MustCompile(`\b(\d+)m\b`).ReplaceAllString(rules, "${1}s")
	return regexp.MustCompile(`_age > \d+`).ReplaceAllStringFunc(rules, func(compared string) string {
		seconds, err := strconv.Atoi(strings.TrimPrefix(compared, "_age > "))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("_age > %g", float64(seconds)/60)
	})
}

// valueOf gives the one value of the query, or 0 if it has none.
func valueOf(ctx context.Context, t *testing.T, s *prometheus.Server, query string) model.SampleValue {
	t.Helper()
	v, _, err := s.Query(ctx, query, time.Now())
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if vector := v.(model.Vector); len(vector) == 1 {
		return vector[0].Value
	}
	return 0
}

func firingAlerts(ctx context.Context, t *testing.T, s *prometheus.Server) []v1.Alert {
	t.Helper()
	all, err := s.Alerts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all.Alerts, func(a v1.Alert) bool { return a.State != v1.AlertStateFiring })
}

// firing gives what fires, by job: the name of the alert, and the reason if it has one, each once.
func firing(ctx context.Context, t *testing.T, s *prometheus.Server) map[string][]string {
	t.Helper()
	sets := map[string]map[string]bool{}
	for _, a := range firingAlerts(ctx, t, s) {
		job := string(a.Labels["job"])
		if sets[job] == nil {
			sets[job] = map[string]bool{}
		}
		sets[job][strings.TrimSpace(string(a.Labels["alertname"]+" "+a.Labels["reason"]))] = true
	}
	byJob := map[string][]string{}
	for job, set := range sets {
		byJob[job] = slices.Sorted(maps.Keys(set))
	}
	return byJob
}

// waitForAlerts returns once each of want, by job, has fired. Nothing else may fire meanwhile.
func waitForAlerts(ctx context.Context, t *testing.T, s *prometheus.Server, want map[string][]string) {
	t.Helper()
	seen := map[string]bool{}
	var missing []string
	defer func() {
		if len(missing) > 0 {
			t.Errorf("did not fire: %q", missing)
		}
	}()
	pollFor(ctx, t, alertLimit, "all alerts have fired", func() bool {
		for job, alerts := range firing(ctx, t, s) {
			for _, a := range alerts {
				if !seen[job+a] && !slices.Contains(want[job], a) {
					t.Errorf("%s: %s fires, not only %q", job, a, want[job])
				}
				seen[job+a] = true
			}
		}
		missing = nil
		for job, alerts := range want {
			for _, a := range alerts {
				if !seen[job+a] {
					missing = append(missing, job+": "+a)
				}
			}
		}
		return len(missing) == 0
	})
}

func waitForNoAlerts(ctx context.Context, t *testing.T, s *prometheus.Server) {
	t.Helper()
	var still map[string][]string
	defer func() {
		if len(still) > 0 {
			t.Errorf("still firing: %q", still)
		}
	}()
	pollFor(ctx, t, alertLimit, "all alerts are resolved", func() bool {
		still = firing(ctx, t, s)
		return len(still) == 0
	})
}

// checkAnnotations looks for what is left of a template without its labels.
func checkAnnotations(ctx context.Context, t *testing.T, s *prometheus.Server) {
	t.Helper()
	for _, a := range firingAlerts(ctx, t, s) {
		for name, text := range a.Annotations {
			if text == "" || strings.Contains(string(text), "()") || strings.Contains(string(text), "<error") {
				t.Errorf("%s: %s is %q", a.Labels["alertname"], name, text)
			}
		}
	}
}
