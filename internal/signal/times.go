// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// ByTime puts what stands next to each other below one scope, or in one metric, in the order of its time: spans by their start, log
// records by their time, else by when they were observed, data points and profiles by their time. What has no time comes first.
type ByTime[P any] interface {
	// SortedByTime reports whether p is in that order; it only reads, and is linear.
	SortedByTime(p P) bool

	// SortByTime puts p in that order. What has the same time stays in its order, and what is in order already costs what SortedByTime does. p
	// must not be shared.
	SortByTime(p P)
}

// order is what is done to a slice that is not in the order of its time.
type order bool

const (
	lookOnly order = false // nothing
	putRight order = true  // it is sorted
)

// SortedByTime implements [ByTime].
func (Traces) SortedByTime(p ptrace.Traces) bool { return orderSpans(p, lookOnly) }

// SortByTime implements [ByTime].
func (Traces) SortByTime(p ptrace.Traces) { orderSpans(p, putRight) }

func orderSpans(p ptrace.Traces, o order) bool {
	return eachSpans(p, func(s ptrace.SpanSlice) bool { return inOrder(s, ptrace.Span.StartTimestamp, o) })
}

// eachSpans calls f with the spans of each scope until it reports false, and reports what it said last.
func eachSpans(p ptrace.Traces, f func(ptrace.SpanSlice) bool) bool {
	for _, r := range p.ResourceSpans().All() {
		for _, s := range r.ScopeSpans().All() {
			if !f(s.Spans()) {
				return false
			}
		}
	}
	return true
}

// SortedByTime implements [ByTime].
func (Logs) SortedByTime(p plog.Logs) bool { return orderRecords(p, lookOnly) }

// SortByTime implements [ByTime].
func (Logs) SortByTime(p plog.Logs) { orderRecords(p, putRight) }

func orderRecords(p plog.Logs, o order) bool {
	return eachRecords(p, func(s plog.LogRecordSlice) bool { return inOrder(s, logTime, o) })
}

// logTime is when a log record happened or, if that is not known, when it was observed.
func logTime(record plog.LogRecord) pcommon.Timestamp {
	if t := record.Timestamp(); t != 0 {
		return t
	}
	return record.ObservedTimestamp()
}

func eachRecords(p plog.Logs, f func(plog.LogRecordSlice) bool) bool {
	for _, r := range p.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			if !f(s.LogRecords()) {
				return false
			}
		}
	}
	return true
}

// SortedByTime implements [ByTime].
func (Metrics) SortedByTime(p pmetric.Metrics) bool { return orderPoints(p, lookOnly) }

// SortByTime implements [ByTime].
func (Metrics) SortByTime(p pmetric.Metrics) { orderPoints(p, putRight) }

func orderPoints(p pmetric.Metrics, o order) bool {
	return eachMetric(p, func(m pmetric.Metric) bool {
		switch m.Type() {
		case pmetric.MetricTypeGauge:
			return inOrder(m.Gauge().DataPoints(), pmetric.NumberDataPoint.Timestamp, o)
		case pmetric.MetricTypeSum:
			return inOrder(m.Sum().DataPoints(), pmetric.NumberDataPoint.Timestamp, o)
		case pmetric.MetricTypeHistogram:
			return inOrder(m.Histogram().DataPoints(), pmetric.HistogramDataPoint.Timestamp, o)
		case pmetric.MetricTypeExponentialHistogram:
			return inOrder(m.ExponentialHistogram().DataPoints(), pmetric.ExponentialHistogramDataPoint.Timestamp, o)
		case pmetric.MetricTypeSummary:
			return inOrder(m.Summary().DataPoints(), pmetric.SummaryDataPoint.Timestamp, o)
		default:
			return true
		}
	})
}

func eachMetric(p pmetric.Metrics, f func(pmetric.Metric) bool) bool {
	for _, r := range p.ResourceMetrics().All() {
		for _, s := range r.ScopeMetrics().All() {
			for _, m := range s.Metrics().All() {
				if !f(m) {
					return false
				}
			}
		}
	}
	return true
}

// SortedByTime implements [ByTime].
func (Profiles) SortedByTime(p pprofile.Profiles) bool { return orderProfiles(p, lookOnly) }

// SortByTime implements [ByTime].
func (Profiles) SortByTime(p pprofile.Profiles) { orderProfiles(p, putRight) }

func orderProfiles(p pprofile.Profiles, o order) bool {
	return eachProfiles(p, func(s pprofile.ProfilesSlice) bool { return inOrder(s, pprofile.Profile.Time, o) })
}

func eachProfiles(p pprofile.Profiles, f func(pprofile.ProfilesSlice) bool) bool {
	for _, r := range p.ResourceProfiles().All() {
		for _, s := range r.ScopeProfiles().All() {
			if !f(s.Profiles()) {
				return false
			}
		}
	}
	return true
}

// inOrder reports whether s is in the order of its time, or is now, as it was sorted.
func inOrder[E any, S interface {
	Len() int
	At(i int) E
	Sort(less func(a, b E) bool)
}](s S, at func(E) pcommon.Timestamp, o order) bool {
	var last pcommon.Timestamp
	for i := range s.Len() {
		t := at(s.At(i))
		if t < last {
			if o == putRight {
				s.Sort(func(a, b E) bool { return at(a) < at(b) }) // it is stable
			}
			return o == putRight
		}
		last = t
	}
	return true
}
