// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const runbook = "https://github.com/partitionedbuffer/partitionedbufferprocessor/blob/main/monitoring/README.md#"

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs Prometheus' tool: build/promtool, which `make build/promtool` brings, or the one that PROMTOOL names.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command(cmp.Or(os.Getenv("PROMTOOL"), "../build/promtool"), args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v (it comes by make build/promtool)\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "rules.yaml")
	promtool(t, "test", "rules", "rules_test.yaml")
}

type rule struct {
	Alert  string `yaml:"alert,omitempty"`
	Record string `yaml:"record,omitempty"`
	Expr   string `yaml:"expr"`
	Labels struct {
		Severity string `yaml:"severity"`
	} `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func rulesOf(t *testing.T, file string) (all []rule) {
	t.Helper()
	var groups struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, file)), &groups); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rule", file)
	}
	return all
}

// Whoever is paged reads what happened, and finds a section that says what to do. There is no section without an alert.
func TestEachAlertHasARunbook(t *testing.T) {
	alerts := map[string]bool{}
	readme, tests := read(t, "README.md"), read(t, "rules_test.yaml")
	for _, r := range rulesOf(t, "rules.yaml") {
		alerts[r.Alert] = true
		if !slices.Contains([]string{"warning", "critical"}, r.Labels.Severity) {
			t.Errorf("%s: severity is %q", r.Alert, r.Labels.Severity)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary or no description", r.Alert)
		}
		if got, want := r.Annotations["runbook_url"], runbook+strings.ToLower(r.Alert); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, got, want)
		}
		if !strings.Contains(readme, "\n### "+r.Alert+"\n") {
			t.Errorf("%s has no section in README.md", r.Alert)
		}
		if !strings.Contains(tests, `alertname="`+r.Alert+`",alertstate="firing"`) {
			t.Errorf("%s never fires in rules_test.yaml", r.Alert)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (PartitionedBuffer\w+)$`).FindAllStringSubmatch(readme, -1) {
		if !alerts[m[1]] {
			t.Errorf("README.md has a section for %s, which is no alert", m[1])
		}
	}
}

func TestDashboardIsUpToDate(t *testing.T) {
	want, err := dashboardJSON()
	if err != nil {
		t.Fatal(err)
	}
	if read(t, "dashboard.json") != string(want) {
		t.Error("dashboard.json is not what panels.go says: run make dashboard")
	}
}

// queries are those of dashboard.json, by the title of their panel.
func queries(t *testing.T) map[string][]string {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	byPanel := map[string][]string{}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			byPanel[p.Title] = append(byPanel[p.Title], q.Expr)
		}
	}
	if len(byPanel) == 0 {
		t.Fatal("dashboard.json has no query")
	}
	return byPanel
}

// Prometheus parses each query of the dashboard, when it is made a recording rule.
func TestQueriesParse(t *testing.T) {
	var rules []rule
	for _, exprs := range queries(t) {
		for _, expr := range exprs {
			name := fmt.Sprintf("query:%d", len(rules)) // promtool wants different names
			rules = append(rules, rule{Record: name, Expr: strings.ReplaceAll(expr, "$__rate_interval", "5m")})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// Rules and dashboard ask for metrics that the processor has.
func TestMetricsAreDocumented(t *testing.T) {
	histograms := map[string]bool{}
	metric := regexp.MustCompile(`(?s)\n### (otelcol_\w+)\n.*?\n\| \S+ \| (\w+) \|`)
	for _, m := range metric.FindAllStringSubmatch(read(t, "../documentation.md"), -1) {
		histograms[m[1]] = m[2] == "Histogram"
	}
	if len(histograms) == 0 {
		t.Fatal("documentation.md has no metric")
	}
	suffix := regexp.MustCompile("_(bucket|sum|count)$")
	for _, file := range []string{"rules.yaml", "rules_test.yaml", "dashboard.json"} {
		for _, name := range regexp.MustCompile(`\botelcol_\w+`).FindAllString(read(t, file), -1) {
			base := name
			if histograms[suffix.ReplaceAllString(name, "")] {
				base = suffix.ReplaceAllString(name, "")
				if base == name {
					t.Errorf("%s: %s is a histogram", file, name)
				}
			}
			if _, ok := histograms[base]; !ok {
				t.Errorf("%s: %s is not in documentation.md", file, name)
			}
		}
	}
}
