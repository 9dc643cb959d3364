// SPDX-License-Identifier: Apache-2.0

// Package signal holds all that the processor has to know about each kind of telemetry: how to count, size, check, merge
// and cut its payloads. It is pure code over pdata: no goroutine, no clock, no lock.
//
// Payloads that Merge and Cut touch must not be shared (see [Signal.Shared]) and belong to the caller alone. Those that Copy and
// [Cutter] make hold one reference, the caller's, and are marked as a pipeline's own: else the Collector's graph, which wraps
// every consumer, would take that reference for its own to give back.
package signal

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Signal is what the processor has to know about one kind of telemetry.
type Signal[P any] interface {
	// Items counts spans, log records, metric data points or profile samples.
	Items(p P) int

	// Size is the number of bytes of p as OTLP protobuf. Of profiles it is about that: their encoding turns keys and texts
	// into references first.
	Size(p P) int

	// Marshal appends p to b as OTLP protobuf. It only reads p.
	Marshal(b []byte, p P) ([]byte, error)

	// Unmarshal returns what Marshal encoded, as a payload that is the caller's, with one reference. It keeps nothing of b.
	Unmarshal(b []byte) (P, error)

	// Check reports why p can be neither merged nor cut; it only reads. Its error names the place. Only profiles can
	// fail: their parts refer to each other by index. Once it returned nil, Merge and Cut succeed.
	Check(p P) error

	// Ref takes a reference to p, so that nobody recycles it: [pref.RefTraces], or that of the signal.
	Ref(p P)

	// Unref gives back a reference taken by Ref.
	Unref(p P)

	// Shared reports whether others may read p now, so that it must not be altered.
	Shared(p P) bool

	// New returns an empty payload.
	New() P

	// Copy returns a deep copy.
	Copy(p P) P

	// Merge moves everything in each src, in order, behind what dst holds. No src holds an item afterwards, and none may
	// be used for anything but Unref.
	Merge(dst P, src ...P)

	// Subset returns what failed of a payload, if err says so: [consumererror.Traces], or that of the signal. It must only be read.
	Subset(err error) (P, bool)

	// WithSubset returns err with what failed of a payload, as Subset finds it.
	WithSubset(err error, failed P) error

	Resources[P]
	ByItem[P]
	ByTime[P]

	// Cut takes p apart. p belongs to the Cutter from here on, and may be used for nothing but Unref. m is [MeasureOf] p if
	// parts are bounded by bytes, or Size(p) alone, which costs more later; else zero: then nothing is measured. Profiles are cut by
	// items only.
	Cut(p P, m Measure) Cutter[P]

	// Strip removes the containers without items from p, which is the caller's to change.
	Strip(p P)

	// AppendCopy appends a deep copy of the resources [from, to) of src to dst. seam is 0, unless resource from continues the
	// last one of dst, as parts of one payload do: then it is what [Cutter.Seam] was between the two, and what was cut there
	// becomes one again. If dst is empty there is nothing to continue, and seam has no effect. src is only read. It costs
	// as much as is copied; for profiles also the dictionaries of src and dst.
	AppendCopy(dst, src P, from, to, seam int)
}

// Quota is how much a part may have, or has: items, and bytes as OTLP protobuf.
type Quota struct{ Items, Bytes int }

// Items is a quota of so many items, of any size.
func Items(n int) Quota { return Quota{n, math.MaxInt} }

func (q Quota) plus(r Quota) Quota { return Quota{q.Items + r.Items, q.Bytes + r.Bytes} }

// Cutter takes one payload apart, front to back, in one pass: it costs as much as there are items and containers,
// however many parts are taken. Merged again, the parts are the telemetry that the payload was.
type Cutter[P any] interface {
	// Take returns a payload with as many of the next items as q allows, or all that are left, and what it has: its size
	// is exact. q.Items is above 0. Nothing is taken, and no payload returned, if not even the next item fits. Each item is
	// found under its own resource, scope and metric or profile: where a container is cut, every part has a copy of its
	// fields.
	//
	// A container without items goes with the next item, or at the end of its container with the last one. So no part is
	// without items, unless the payload was, or everything has been taken.
	Take(q Quota) (part P, took Quota)

	// Seam is where the last part ended: 0 between two resources, or at the end; 1 within a resource, between two of its
	// scopes; 2 within a scope; 3 within a metric or profile. [Signal.AppendCopy] puts parts together again.
	Seam() int

	// Together is for a Take that found no room for the next item in most bytes, all that a part may have: it is how many
	// of the next items belong into a part that is too large all the same. It is 1, unless the resource of the next item, or
	// that with its scope, or those with its metric, have more than most bytes without any item. Then it is all that is
	// left in there, as each part would repeat what is too large (I6). Only where bytes are measured.
	Together(most int) int

	// Left is what has not been taken; its Bytes are 0 where nothing is measured.
	Left() Quota
}

// Descriptor is a kind of telemetry with all that can be done with it. R is one record outside of its payload.
type Descriptor[P, R any] struct {
	Name    string // of the signal, as in the name of a span
	Signal  Signal[P]
	Groups  Groups[P]     // merges equal resources; nil: that cannot be done
	Records Records[P, R] // tells records apart; nil: that cannot be done

	// AnyResource: the identity of a record does not contain its resource, so equal records may stand below several resources.
	AnyResource bool

	// Noted is where it can be noted what a record stands for, and its time; nil: nowhere.
	Noted func(R) (pcommon.Map, pcommon.Timestamp)

	// Sums handles records that stand for several; nil: there are none.
	Sums Sums[R]

	// Dictionary: all parts of a payload refer to one dictionary. So a part has no size in bytes of its own, and Check may fail.
	Dictionary bool
}

// OfTraces describes traces.
func OfTraces() Descriptor[ptrace.Traces, Span] {
	return Descriptor[ptrace.Traces, Span]{Name: "traces", Signal: Traces{}, Groups: Traces{}, Records: Traces{}, Noted: notedSpan}
}

// OfMetrics describes metrics.
func OfMetrics() Descriptor[pmetric.Metrics, Point] {
	return Descriptor[pmetric.Metrics, Point]{Name: "metrics", Signal: Metrics{}, Groups: Metrics{}, Records: Metrics{}, Sums: pointSums{}}
}

// OfLogs describes logs.
func OfLogs() Descriptor[plog.Logs, LogRecord] {
	return Descriptor[plog.Logs, LogRecord]{Name: "logs", Signal: Logs{}, Groups: Logs{}, Records: Logs{}, AnyResource: true, Noted: notedLog}
}

// OfProfiles describes profiles, whose records are never apart from their payload.
func OfProfiles() Descriptor[pprofile.Profiles, struct{}] {
	return Descriptor[pprofile.Profiles, struct{}]{Name: "profiles", Signal: Profiles{}, Dictionary: true}
}

// batch is what the slices of resources have in common across signals.
type batch[S any] interface {
	Len() int
	EnsureCapacity(newCap int)
	MoveAndAppendTo(dst S)
}

// merge moves the resources of each src behind those of dst.
func merge[P any, S batch[S]](dst P, src []P, resources func(P) S) {
	to := resources(dst)
	// For a single source append does as well, and grows by factors: callers may merge one after another.
	if len(src) > 1 {
		total := to.Len()
		for _, p := range src {
			total += resources(p).Len()
		}
		to.EnsureCapacity(total)
	}
	for _, p := range src {
		resources(p).MoveAndAppendTo(to)
	}
}
