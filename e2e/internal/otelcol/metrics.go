// SPDX-License-Identifier: Apache-2.0

package otelcol

import (
	"context"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics is one scrape of a collector's own metrics, by name.
type Metrics map[string]*dto.MetricFamily

// Scrape reads the collector's own metrics.
func (c *Collector) Scrape(ctx context.Context) (Metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.metricsAddr+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics endpoint: %s", resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(resp.Body)
}

// Has says whether the metric has at least one series.
func (m Metrics) Has(name string) bool {
	return len(m[name].GetMetric()) > 0
}

// Sum adds the metric's series up: values, or the counts of a histogram. Only those that have all of the labels, given as name
// and value in turns. A metric that is not there counts as 0.
func (m Metrics) Sum(name string, labels ...string) float64 {
	var sum float64
	for _, s := range m[name].GetMetric() {
		if !hasLabels(s, labels) {
			continue
		}
		switch {
		case s.Histogram != nil:
			sum += float64(s.Histogram.GetSampleCount())
		case s.Counter != nil:
			sum += s.Counter.GetValue()
		case s.Gauge != nil:
			sum += s.Gauge.GetValue()
		default:
			sum += s.GetUntyped().GetValue()
		}
	}
	return sum
}

// HistogramSum adds up what the histogram's series observed.
func (m Metrics) HistogramSum(name string) float64 {
	var sum float64
	for _, s := range m[name].GetMetric() {
		sum += s.GetHistogram().GetSampleSum()
	}
	return sum
}

func hasLabels(s *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		found := false
		for _, l := range s.GetLabel() {
			found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}
