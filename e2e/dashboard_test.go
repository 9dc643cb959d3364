// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"gonum.org/v1/plot/plotter"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/picture"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/prometheus"
)

var pictures = flag.String("pictures", "", "folder to which TestMonitoring draws the rows of the dashboard")

// dashboardRow is one of monitoring/dashboard.json.
type dashboardRow struct {
	title  string
	panels []dashboardPanel
}

type dashboardPanel struct {
	Type, Title string
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct{ Defaults struct{ Unit string } }
}

func dashboard(t *testing.T) (rows []dashboardRow) {
	t.Helper()
	text, err := os.ReadFile("../monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ Panels []dashboardPanel }
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		if p.Type == "row" {
			rows = append(rows, dashboardRow{title: p.Title})
			continue
		}
		last := &rows[len(rows)-1]
		last.panels = append(last.panels, p)
	}
	return rows
}

// runQuery gives what the query of a panel found in that time, with its variables set to All, apart from the signal.
func runQuery(ctx context.Context, t *testing.T, s *prometheus.Server, expr, signal string, span v1.Range) model.Matrix {
	t.Helper()
	query := strings.NewReplacer("$__rate_interval", "5s", "$job", ".*", "$processor", ".*", "$otel_signal", signal).Replace(expr)
	v, _, err := s.QueryRange(ctx, query, span)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v.(model.Matrix)
}

// checkQueries wants at least one value from each query.
func checkQueries(ctx context.Context, t *testing.T, s *prometheus.Server, rows []dashboardRow, span v1.Range) {
	t.Helper()
	for _, r := range rows {
		for _, p := range r.panels {
			for _, q := range p.Targets {
				if !hasValue(runQuery(ctx, t, s, q.Expr, ".*", span)) {
					t.Errorf("%s: there is no data for %s", p.Title, q.Expr)
				}
			}
		}
	}
}

func hasValue(m model.Matrix) bool {
	for _, series := range m {
		for _, sample := range series.Values {
			if !math.IsNaN(float64(sample.Value)) {
				return true
			}
		}
	}
	return false
}

// drawPictures draws a picture of each row, of the pipelines of that signal whose losses at shutdown were seen.
func drawPictures(
	ctx context.Context, t *testing.T, s *prometheus.Server, rows []dashboardRow, span v1.Range, marks []time.Time,
) {
	t.Helper()
	signal := string(otlpio.Logs)
	if valueOf(ctx, t, s, `sum(max_over_time(`+prefix+`items_dropped{reason="shutdown",otel_signal="traces"}[5m]))`) > 0 {
		signal = string(otlpio.Traces)
	}
	for _, r := range rows {
		var panels []picture.Panel
		for _, p := range r.panels {
			panel := picture.Panel{Title: p.Title, Unit: p.FieldConfig.Defaults.Unit}
			for _, m := range marks {
				panel.Marks = append(panel.Marks, m.Sub(span.Start).Seconds())
			}
			for _, q := range p.Targets {
				for _, series := range runQuery(ctx, t, s, q.Expr, signal, span) {
					panel.Series = append(panel.Series, toSeries(series, q.LegendFormat, span.Start))
				}
			}
			panels = append(panels, panel)
		}
		name := strings.Trim(regexp.MustCompile("[^a-z]+").ReplaceAllString(strings.ToLower(r.title), "-"), "-") + ".png"
		if err := picture.Draw(filepath.Join(*pictures, name), panels); err != nil {
			t.Fatal(err)
		}
	}
}

func toSeries(from *model.SampleStream, legend string, begin time.Time) picture.Series {
	name := regexp.MustCompile(`{{(\w+)}}`).ReplaceAllStringFunc(legend, func(label string) string {
		return strings.TrimPrefix(string(from.Metric[model.LabelName(strings.Trim(label, "{}"))]), "partitionedbuffer/")
	})
	points := make(plotter.XYs, 0, len(from.Values))
	for _, v := range from.Values {
		points = append(points, plotter.XY{X: v.Timestamp.Time().Sub(begin).Seconds(), Y: float64(v.Value)})
	}
	return picture.Series{Name: name, Points: points}
}
