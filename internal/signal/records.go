// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ID is the identity of a record and its version. The identity is Group and Record together; both may be of several records
// alike. Without a Group the record has none: nothing supersedes it.
type ID struct {
	Group    Name
	Record   string
	Version  uint64 // 0: it has none, so that whatever arrives later is newer
	Sums     bool   // nothing supersedes it either: those with one identity are added up, by [Sums]
	Resource int    // index of its resource in the payload
	Item     int    // number of the item in the payload, or of the first that it stands for, from 0
}

// RecordKeys says what records are told apart by.
type RecordKeys struct {
	Ignore  Ignored
	Points  PointKeys
	Parts   []int    // the part of each item: only items of one part are summed. Nil: all are of one
	Log     []LogKey // their values are the identity
	Version string   // the attribute that is the version, as [version] reads it, of the record, else of its scope, else of its resource; "": the time
}

// PointKeys says which data points have no identity, although others of their kind could supersede them, and which have one to be summed.
type PointKeys struct {
	SumDeltas        bool
	ForwardGauges    bool
	ForwardSummaries bool
}

// Ignored is what is no part of the identity of a record. What is sent has it all the same: that of the record that stays.
type Ignored struct {
	Attributes map[string]struct{} // of the record, its scope and its resource
	Schema     bool                // the schema URLs of its scope and resource
	Dropped    bool                // how many attributes its scope and resource have lost
}

// The fields that can be ignored, in the words of the configuration.
const (
	IgnoreSchema  = "schema_url"
	IgnoreDropped = "dropped_attributes_count"
)

// Fields names the fields that are ignored.
func (i *Ignored) Fields() (names []string) {
	if i.Schema {
		names = append(names, IgnoreSchema)
	}
	if i.Dropped {
		names = append(names, IgnoreDropped)
	}
	return names
}

// Any reports whether anything is ignored.
func (i *Ignored) Any() bool { return len(i.Attributes) > 0 || i.Schema || i.Dropped }

// Records is what is to be known of a kind of telemetry for map.key: record. R is one record with what stands above it.
type Records[P, R any] interface {
	// Records calls f with each record of p, and only reads p. Those of a container stand in its order, but for deltas that are summed: they
	// stand in that order within each part. A record is used instead of p from then on, and keeps no other one alive. With [ID].Sums it
	// stands for several of one part.
	Records(e *Encoder, p P, keys RecordKeys, f func(ID, R))

	// Assemble makes a payload of records, in their order but for those that join others below an equal resource, scope and
	// metric. The records are not to be used afterwards.
	Assemble(records []R) P
}

// above is what stands above the records of one container: copies of its resource and scope. It is shared by the records of
// one request, and not altered.
type above[R, S any] struct {
	resourceName, scopeName Name
	resource                R
	scope                   S
}

// names are those of a container: by which what is sent is grouped, and by which records are told apart.
type names struct{ whole, id Name }

// resourceNames returns the names of a resource.
func (e *Encoder) resourceNames(r pcommon.Resource, schema string, ignore *Ignored) (n names) {
	e.reset()
	e.resource(r, schema)
	n.whole = e.intern(Name{})
	if n.id = n.whole; ignore.Any() {
		e.without = *ignore
		e.reset()
		e.resource(r, schema)
		n.id = e.intern(Name{})
		e.without = Ignored{}
	}
	return n
}

// scopeNames returns the names of a scope below a resource.
func (e *Encoder) scopeNames(s pcommon.InstrumentationScope, schema string, resource names, ignore *Ignored) (n names) {
	e.reset()
	e.scope(s, schema)
	n.whole = e.intern(resource.whole)
	if n.id = n.whole; ignore.Any() {
		e.without = *ignore
		e.reset()
		e.scope(s, schema)
		n.id = e.intern(resource.id)
		e.without = Ignored{}
	}
	return n
}

// point writes the identity of what has attributes and, if that matters, a start.
func (e *Encoder) point(attributes pcommon.Map, ignore *Ignored, start pcommon.Timestamp, starts bool) string {
	e.reset()
	e.pointAttributes(attributes, ignore)
	if starts {
		e.fixed64(uint64(start))
	}
	return e.string()
}

// pointAttributes writes attributes of which there are too many to remember their order.
func (e *Encoder) pointAttributes(attributes pcommon.Map, ignore *Ignored) {
	if len(ignore.Attributes) > 0 {
		e.attributesWithout(attributes, ignore.Attributes)
		return
	}
	e.number(uint64(attributes.Len()))
	e.sorted(attributes)
}

// negatives is how many numbers below 0 are versions. An ID has room for 2^64 - 1 versions, so they are taken from the upper end:
// the greatest numbers, of which none is in use anywhere, count as one.
const negatives = 1 << 32

// version returns the version that an attribute says, as a number above 0 that is greater for a greater one. It takes an integer,
// a double without a fraction, and decimal text of an integer, from -2^32 to 2^64 - 1.
func version(v pcommon.Value) (uint64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return signedVersion(v.Int())
	case pcommon.ValueTypeDouble:
		d := v.Double()
		switch {
		case d != math.Trunc(d): // NaN too
			return 0, false
		case d < 0:
			return signedVersion(int64(max(d, math.MinInt64)))
		case d >= 1<<64:
			return 0, false
		default:
			return unsignedVersion(uint64(d)), true
		}
	case pcommon.ValueTypeStr:
		if n, err := strconv.ParseInt(v.Str(), 10, 64); err == nil {
			return signedVersion(n)
		}
		n, err := strconv.ParseUint(v.Str(), 10, 64)
		return unsignedVersion(n), err == nil
	default:
		return 0, false
	}
}

func signedVersion(n int64) (uint64, bool) {
	if n < 0 {
		return uint64(n + negatives + 1), n >= -negatives
	}
	return unsignedVersion(uint64(n)), true
}

func unsignedVersion(n uint64) uint64 { return min(n, math.MaxUint64-negatives-1) + negatives + 1 }

// assembly is a payload in the making: where the containers are that there are already.
type assembly[R, S any] struct {
	resources map[Name]R
	scopes    map[Name]S
	last      Name // of the scope that the last record went to
	scope     S
}

// in returns the scope for a record, made if it is the first below it.
func (a *assembly[R, S]) in(scope, resource Name, addResource func() R, addScope func(R) S) S {
	if a.last == scope && scope != (Name{}) {
		return a.scope
	}
	s, ok := a.scopes[scope]
	if !ok {
		r, ok := a.resources[resource]
		if !ok {
			if a.resources == nil {
				a.resources, a.scopes = map[Name]R{}, map[Name]S{}
			}
			r = addResource()
			a.resources[resource] = r
		}
		s = addScope(r)
		a.scopes[scope] = s
	}
	a.last, a.scope = scope, s
	return s
}

func spanID(e *Encoder, trace pcommon.TraceID, span pcommon.SpanID, kind int32) string {
	e.reset()
	e.buf = append(e.buf, trace[:]...)
	e.buf = append(e.buf, span[:]...)
	e.buf = binary.AppendVarint(e.buf, int64(kind))
	return e.string()
}
