// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

// TestMapGroupsAsGroupbyattrs: buffer: map and batch followed by groupbyattrs make the same telemetry of the same requests, with
// the items of each resource, scope and metric in the same order, within what groupbyattrs tells apart: it merges resources by their
// attributes and scopes by name and version only, and drops schema URLs and the resources' dropped counts, which are left out here.
// Requests have equal resources, scopes and metrics, and come again.
func TestMapGroupsAsGroupbyattrs(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, groupsAlike(t, testTraces)) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, groupsAlike(t, testMetrics)) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, groupsAlike(t, testLogs)) })
}

func groupsAlike[T any](t *testing.T, sig testSignal[T]) func(*rapid.T) {
	return func(rt *rapid.T) {
		var s script
		s.Settings = Settings{"timeout": time.Hour}
		for range rapid.IntRange(0, 8).Draw(rt, "calls") {
			r := drawRequest(rt)
			if n := len(s.Steps); n > 0 && rapid.Bool().Draw(rt, "again") {
				r = s.Steps[rapid.IntRange(0, n-1).Draw(rt, "which")].Request
			}
			if rapid.Bool().Draw(rt, "resources twice") {
				r.Resources = slices.Concat(r.Resources, r.Resources)
			}
			twice := rapid.Bool().Draw(rt, "scopes twice")
			r.Resources = slices.Clone(r.Resources)
			for i := range r.Resources {
				r.Resources[i].Scopes = slices.Clone(r.Resources[i].Scopes)
				if twice {
					r.Resources[i].Scopes = slices.Concat(r.Resources[i].Scopes, r.Resources[i].Scopes)
				}
				r.Resources[i].Schema = ""
				for j := range r.Resources[i].Scopes {
					r.Resources[i].Scopes[j].Schema = ""
				}
			}
			s.Steps = append(s.Steps, step{Request: r})
		}
		want, err := replay(t, sig, Grouped, s)
		if err != nil {
			rt.Fatal(err)
		}
		s.Settings = Settings{"timeout": time.Hour, "buffer": "map"}
		got, err := replay(t, sig, Ours, s)
		if err != nil {
			rt.Fatal(err)
		}
		if a, b := byContainer(got), byContainer(want); !reflect.DeepEqual(a, b) {
			rt.Fatalf("got\n%q\nwant\n%q", a, b)
		}
	}
}

// place is where an item stands, and the dropped attributes of its resource, whose number groupbyattrs forgets.
var place = regexp.MustCompile(`^\d+\.\d+\.\d+: (resource map\[.*?\]) dropped \d+`)

// container is all that an item stands under.
var container = regexp.MustCompile(`^.*(?:, span|, record|, metric .* value) `)

// byContainer lists the items of all batches in their order, by what they stand under, without where that is.
func byContainer(ds []delivery) map[string][]string {
	all := map[string][]string{}
	for _, d := range ds {
		for _, item := range d.Items {
			item = place.ReplaceAllString(item, "$1")
			above := container.FindString(item)
			all[above] = append(all[above], item)
		}
	}
	return all
}

// TestMapKeepsWhatIntervalKeeps: the same newest points of all five types of metrics, out of order too, with all that they hold.
// Compared is what both keep one of. So no metric here is
//
//   - a sum that is not monotonic, which interval passes on as it comes, all of its points; of ours the newest stays;
//   - a delta, which both pass on as it comes, interval at once;
//   - of a series with two starts, as interval does not see a reset; of ours both stay;
//   - below resources or scopes that differ in schema URL or dropped count only, or of metrics that differ in metadata, which
//     interval takes for one and forgets.
//
// Gauges and summaries interval keeps one of too, unless it is told by pass_through to pass them on, which ours has nothing like.
func TestMapKeepsWhatIntervalKeeps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var all []pmetric.Metrics
		for range rapid.IntRange(0, 10).Draw(rt, "requests") {
			all = append(all, drawNewest(rt))
		}
		want := newest(rt, Interval, Settings{"interval": time.Hour}, all)
		got := newest(rt, Ours, Settings{"buffer": "map", "map": map[string]any{"key": "record"}, "timeout": time.Hour}, all)
		if !slices.Equal(got, want) {
			rt.Fatalf("got\n%q\nwant\n%q", got, want)
		}
	})
}

func drawNewest(rt *rapid.T) pmetric.Metrics {
	md := pmetric.NewMetrics()
	name := rapid.SampledFrom([]string{"a", "b"})
	for range rapid.IntRange(1, 3).Draw(rt, "resources") {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", name.Draw(rt, "resource"))
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName(name.Draw(rt, "scope"))
		for range rapid.IntRange(1, 3).Draw(rt, "metrics") {
			m := sm.Metrics().AppendEmpty()
			m.SetName(name.Draw(rt, "metric")) // of any type, which is part of the identity
			drawPoints(rt, m)
		}
	}
	return md
}

func drawPoints(rt *rapid.T, m pmetric.Metric) {
	value := func() int { return rapid.IntRange(1, 1000).Draw(rt, "value") }
	at := func(p interface {
		SetTimestamp(pcommon.Timestamp)
		Attributes() pcommon.Map
	},
	) {
		p.SetTimestamp(pcommon.Timestamp(rapid.IntRange(1, 5).Draw(rt, "time")))
		keys := []string{"x", "y"}
		if rapid.Bool().Draw(rt, "order") {
			slices.Reverse(keys)
		}
		v := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "series")
		for _, k := range keys {
			p.Attributes().PutStr(k, v)
		}
	}
	const cumulative = pmetric.AggregationTemporalityCumulative
	points := rapid.IntRange(1, 3).Draw(rt, "points")
	switch rapid.IntRange(0, 4).Draw(rt, "type") {
	case 0:
		all := m.SetEmptyGauge().DataPoints()
		for range points {
			p := all.AppendEmpty()
			p.SetDoubleValue(float64(value()) / 2)
			at(p)
		}
	case 1:
		m.SetEmptySum().SetAggregationTemporality(cumulative)
		m.Sum().SetIsMonotonic(true)
		for range points {
			p := m.Sum().DataPoints().AppendEmpty()
			p.SetIntValue(int64(value()))
			at(p)
		}
	case 2:
		m.SetEmptyHistogram().SetAggregationTemporality(cumulative)
		for range points {
			p := m.Histogram().DataPoints().AppendEmpty()
			p.SetCount(uint64(value()))
			p.ExplicitBounds().Append(10)
			p.BucketCounts().Append(uint64(value()), uint64(value()))
			at(p)
		}
	case 3:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(cumulative)
		for range points {
			p := m.ExponentialHistogram().DataPoints().AppendEmpty()
			p.SetCount(uint64(value()))
			p.SetScale(int32(value() % 4))
			p.Positive().SetOffset(int32(value()))
			p.Positive().BucketCounts().Append(uint64(value()), uint64(value()))
			at(p)
		}
	case 4:
		all := m.SetEmptySummary().DataPoints()
		for range points {
			p := all.AppendEmpty()
			p.SetCount(uint64(value()))
			q := p.QuantileValues().AppendEmpty()
			q.SetQuantile(0.5)
			q.SetValue(float64(value()))
			at(p)
		}
	}
}

// newest gives copies of all to a rival and lists what comes out.
func newest(rt *rapid.T, r Rival, set Settings, all []pmetric.Metrics) (points []string) {
	s, err := Metrics.Open(r, set, NoTelemetry, func(_ context.Context, md pmetric.Metrics) error {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					above := fmt.Sprint(rm.Resource().Attributes().AsRaw(), sm.Scope().Name(), m.Name(), m.Type())
					for _, p := range wholePointsOf(m) {
						points = append(points, above+p)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	if err := s.Start(context.Background(), nil); err != nil {
		rt.Fatal(err)
	}
	for _, md := range all {
		own := pmetric.NewMetrics()
		md.CopyTo(own)
		if err := s.Consume(context.Background(), own); err != nil {
			rt.Fatal(err)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		rt.Fatal(err)
	}
	slices.Sort(points)
	return points
}

// wholePointsOf lists the points of a metric with all that drawPoints gave them.
func wholePointsOf(m pmetric.Metric) (all []string) {
	add := func(p interface {
		Attributes() pcommon.Map
		Timestamp() pcommon.Timestamp
	}, values ...any,
	) {
		all = append(all, fmt.Sprint(p.Attributes().AsRaw(), p.Timestamp(), values))
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			add(p, p.DoubleValue())
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			add(p, m.Sum().AggregationTemporality(), m.Sum().IsMonotonic(), p.IntValue())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			add(p, m.Histogram().AggregationTemporality(), p.Count(), p.ExplicitBounds().AsRaw(), p.BucketCounts().AsRaw())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			add(p, m.ExponentialHistogram().AggregationTemporality(), p.Count(), p.Scale(), p.Positive().Offset(), p.Positive().BucketCounts().AsRaw())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			q := p.QuantileValues().At(0)
			add(p, p.Count(), q.Quantile(), q.Value())
		}
	case pmetric.MetricTypeEmpty:
	}
	return all
}
