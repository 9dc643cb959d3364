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

// SortedByTime implements [ByTime].
func (Traces) SortedByTime(p ptrace.Traces) bool { return eachSpans(p, sortedSpans) }

// SortByTime implements [ByTime].
func (Traces) SortByTime(p ptrace.Traces) { eachSpans(p, sortSpans) }

func sortedSpans(s ptrace.SpanSlice) bool { return sortedBy(s, ptrace.Span.StartTimestamp) }

func sortSpans(s ptrace.SpanSlice) bool { return sortBy(s, ptrace.Span.StartTimestamp) }

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
func (Logs) SortedByTime(p plog.Logs) bool { return eachRecords(p, sortedRecords) }

// SortByTime implements [ByTime].
func (Logs) SortByTime(p plog.Logs) { eachRecords(p, sortRecords) }

func sortedRecords(s plog.LogRecordSlice) bool { return sortedBy(s, logTime) }

func sortRecords(s plog.LogRecordSlice) bool { return sortBy(s, logTime) }

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
func (Metrics) SortedByTime(p pmetric.Metrics) bool { return eachMetric(p, sortedPoints) }

// SortByTime implements [ByTime].
func (Metrics) SortByTime(p pmetric.Metrics) { eachMetric(p, sortPoints) }

func sortedPoints(m pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return sortedBy(m.Gauge().DataPoints(), pmetric.NumberDataPoint.Timestamp)
	case pmetric.MetricTypeSum:
		return sortedBy(m.Sum().DataPoints(), pmetric.NumberDataPoint.Timestamp)
	case pmetric.MetricTypeHistogram:
		return sortedBy(m.Histogram().DataPoints(), pmetric.HistogramDataPoint.Timestamp)
	case pmetric.MetricTypeExponentialHistogram:
		return sortedBy(m.ExponentialHistogram().DataPoints(), pmetric.ExponentialHistogramDataPoint.Timestamp)
	case pmetric.MetricTypeSummary:
		return sortedBy(m.Summary().DataPoints(), pmetric.SummaryDataPoint.Timestamp)
	default:
		return true
	}
}

func sortPoints(m pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return sortBy(m.Gauge().DataPoints(), pmetric.NumberDataPoint.Timestamp)
	case pmetric.MetricTypeSum:
		return sortBy(m.Sum().DataPoints(), pmetric.NumberDataPoint.Timestamp)
	case pmetric.MetricTypeHistogram:
		return sortBy(m.Histogram().DataPoints(), pmetric.HistogramDataPoint.Timestamp)
	case pmetric.MetricTypeExponentialHistogram:
		return sortBy(m.ExponentialHistogram().DataPoints(), pmetric.ExponentialHistogramDataPoint.Timestamp)
	case pmetric.MetricTypeSummary:
		return sortBy(m.Summary().DataPoints(), pmetric.SummaryDataPoint.Timestamp)
	default:
		return true
	}
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
func (Profiles) SortedByTime(p pprofile.Profiles) bool { return eachProfiles(p, sortedProfiles) }

// SortByTime implements [ByTime].
func (Profiles) SortByTime(p pprofile.Profiles) { eachProfiles(p, sortProfiles) }

func sortedProfiles(s pprofile.ProfilesSlice) bool { return sortedBy(s, pprofile.Profile.Time) }

func sortProfiles(s pprofile.ProfilesSlice) bool { return sortBy(s, pprofile.Profile.Time) }

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

func sortedBy[E any, S interface {
	Len() int
	At(i int) E
}](s S, at func(E) pcommon.Timestamp) bool {
	var last pcommon.Timestamp
	for i := range s.Len() {
		t := at(s.At(i))
		if t < last {
			return false
		}
		last = t
	}
	return true
}

// sortBy sorts s, and reports true.
func sortBy[E any, S interface {
	Len() int
	At(i int) E
	Sort(less func(a, b E) bool)
}](s S, at func(E) pcommon.Timestamp) bool {
	if !sortedBy(s, at) {
		s.Sort(func(a, b E) bool { return at(a) < at(b) }) // it is stable
	}
	return true
}
