// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// stamp is the time of an item, and a number that no other one of its payload has.
type stamp struct {
	time   pcommon.Timestamp
	number uint32
}

// stamped is a kind whose items are given stamps, in order.
type stamped[P any] struct {
	kind[P]
	give  func(p P, next func() stamp)
	lists func(p P) [][]stamp // of the items of each scope, or metric
}

var (
	stampedTraces = stamped[ptrace.Traces]{traces, func(p ptrace.Traces, next func() stamp) {
		eachSpans(p, func(s ptrace.SpanSlice) bool {
			for _, span := range s.All() {
				n := next()
				span.SetStartTimestamp(n.time)
				span.SetDroppedAttributesCount(n.number)
			}
			return true
		})
	}, func(p ptrace.Traces) (lists [][]stamp) {
		eachSpans(p, func(s ptrace.SpanSlice) bool {
			var list []stamp
			for _, span := range s.All() {
				list = append(list, stamp{span.StartTimestamp(), span.DroppedAttributesCount()})
			}
			lists = append(lists, list)
			return true
		})
		return lists
	}}
	stampedLogs = stamped[plog.Logs]{logs, func(p plog.Logs, next func() stamp) {
		eachRecords(p, func(s plog.LogRecordSlice) bool {
			for _, record := range s.All() {
				n := next()
				record.SetDroppedAttributesCount(n.number)
				if n.number%3 == 0 {
					record.SetTimestamp(0)
					record.SetObservedTimestamp(n.time)
				} else {
					record.SetTimestamp(n.time)
					record.SetObservedTimestamp(0)
				}
			}
			return true
		})
	}, func(p plog.Logs) (lists [][]stamp) {
		eachRecords(p, func(s plog.LogRecordSlice) bool {
			var list []stamp
			for _, record := range s.All() {
				list = append(list, stamp{record.Timestamp() + record.ObservedTimestamp(), record.DroppedAttributesCount()})
			}
			lists = append(lists, list)
			return true
		})
		return lists
	}}
	stampedMetrics = stamped[pmetric.Metrics]{metrics, func(p pmetric.Metrics, next func() stamp) {
		eachMetric(p, func(m pmetric.Metric) bool {
			for _, point := range pointsOf(m) {
				n := next()
				point.SetTimestamp(n.time)
				point.SetFlags(pmetric.DataPointFlags(n.number))
			}
			return true
		})
	}, func(p pmetric.Metrics) (lists [][]stamp) {
		eachMetric(p, func(m pmetric.Metric) bool {
			var list []stamp
			for _, point := range pointsOf(m) {
				list = append(list, stamp{point.Timestamp(), uint32(point.Flags())})
			}
			lists = append(lists, list)
			return true
		})
		return lists
	}}
	stampedProfiles = stamped[pprofile.Profiles]{profiles, func(p pprofile.Profiles, next func() stamp) {
		eachProfiles(p, func(s pprofile.ProfilesSlice) bool {
			for _, profile := range s.All() {
				n := next()
				profile.SetTime(n.time)
				profile.SetDroppedAttributesCount(n.number)
			}
			return true
		})
	}, func(p pprofile.Profiles) (lists [][]stamp) {
		eachProfiles(p, func(s pprofile.ProfilesSlice) bool {
			var list []stamp
			for _, profile := range s.All() {
				list = append(list, stamp{profile.Time(), profile.DroppedAttributesCount()})
			}
			lists = append(lists, list)
			return true
		})
		return lists
	}}
)

// anyPoint is what the test needs of a data point.
type anyPoint interface {
	Attributes() pcommon.Map
	Timestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
	Flags() pmetric.DataPointFlags
	SetFlags(pmetric.DataPointFlags)
}

func pointsOf(m pmetric.Metric) (points []anyPoint) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return anyPoints(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		return anyPoints(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		return anyPoints(m.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		return anyPoints(m.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		return anyPoints(m.Summary().DataPoints())
	default:
		return nil
	}
}

func anyPoints[D anyPoint, S interface {
	Len() int
	At(i int) D
}](s S) (points []anyPoint) {
	for i := range s.Len() {
		points = append(points, s.At(i))
	}
	return points
}

func TestSortByTimeIsStableAndStaysBelowEachScope(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { sortsByTime(t, stampedTraces) }) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { sortsByTime(t, stampedLogs) }) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { sortsByTime(t, stampedMetrics) }) })
	t.Run("profiles", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { sortsByTime(t, stampedProfiles) }) })
}

func sortsByTime[P any](t *rapid.T, k stamped[P]) {
	p := k.draw(t)
	number := uint32(0)
	k.give(p, func() stamp {
		number++
		return stamp{pcommon.Timestamp(rapid.IntRange(0, 4).Draw(t, "time")), number}
	})
	given, want := k.lists(p), k.lists(p)
	for _, list := range want {
		slices.SortStableFunc(list, func(a, b stamp) int { return cmp.Compare(a.time, b.time) })
	}
	items, size := k.flatten(p), k.Size(p)

	k.markReadOnly(p) // to ask only reads
	require.Equal(t, slices.EqualFunc(given, want, slices.Equal), k.SortedByTime(p))
	p = k.Copy(p)
	k.SortByTime(p)
	require.Equal(t, want, k.lists(p))
	require.True(t, k.SortedByTime(p))
	require.ElementsMatch(t, items, k.flatten(p))
	require.Equal(t, size, k.Size(p))
}

func TestSortByTimeOfWhatIsSortedAllocatesNothing(t *testing.T) {
	p := traces.generate(100)
	for i, span := range p.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		span.SetStartTimestamp(pcommon.Timestamp(i / 3))
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { traces.SortByTime(p) }))
}
