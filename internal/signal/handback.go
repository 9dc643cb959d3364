// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumererror/xconsumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// What it takes to hand back to a caller what was not delivered.

// New implements [Signal].
func (Traces) New() ptrace.Traces { return newTraces() }

// WithSubset implements [Signal].
func (Traces) WithSubset(err error, failed ptrace.Traces) error {
	return consumererror.NewTraces(err, failed)
}

// Unite implements [Signal].
func (Traces) Unite(p ptrace.Traces, parts []ptrace.Traces, of []int) {
	unite(p, parts, of, ptrace.Traces.ResourceSpans)
}

// New implements [Signal].
func (Metrics) New() pmetric.Metrics { return newMetrics() }

// WithSubset implements [Signal].
func (Metrics) WithSubset(err error, failed pmetric.Metrics) error {
	return consumererror.NewMetrics(err, failed)
}

// Unite implements [Signal].
func (Metrics) Unite(p pmetric.Metrics, parts []pmetric.Metrics, of []int) {
	unite(p, parts, of, pmetric.Metrics.ResourceMetrics)
}

// New implements [Signal].
func (Logs) New() plog.Logs { return newLogs() }

// WithSubset implements [Signal].
func (Logs) WithSubset(err error, failed plog.Logs) error { return consumererror.NewLogs(err, failed) }

// Unite implements [Signal].
func (Logs) Unite(p plog.Logs, parts []plog.Logs, of []int) {
	unite(p, parts, of, plog.Logs.ResourceLogs)
}

// New implements [Signal].
func (Profiles) New() pprofile.Profiles { return newProfiles() }

// WithSubset implements [Signal].
func (Profiles) WithSubset(err error, failed pprofile.Profiles) error {
	return xconsumererror.NewProfiles(err, failed)
}

// Unite implements [Signal].
func (Profiles) Unite(pprofile.Profiles, []pprofile.Profiles, []int) {
	panic("signal: profiles that were divided have dictionaries of their own")
}
