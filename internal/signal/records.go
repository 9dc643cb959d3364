// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ID is the identity of a record and its version. The identity is Group and Record together; both may be of several records
// alike. Without a Group the record has none: nothing supersedes it.
type ID struct {
	Group, Record string
	Version       int64
	Resource      int // index of its resource in the payload
}

// RecordKeys says what log records are told apart by.
type RecordKeys struct {
	Attributes []string // their values are the identity; of the record, else of the resource
	Version    string   // the attribute that is the version, an integer or its decimal text; "": the time
}

// Records is what is to be known of a kind of telemetry for map.key: record. R is one record with what stands above it.
type Records[P, R any] interface {
	// Records calls f with each record of p, in order, and only reads p. A record is used instead of p from then on, and
	// keeps no other one alive. arrival is the version, in nanoseconds, of what has no time.
	Records(e *Encoder, p P, keys RecordKeys, arrival int64, f func(ID, R))

	// Assemble makes a payload of records, in their order but for those that join others below an equal resource, scope and
	// metric. The records are not to be used afterwards.
	Assemble(records []R) P
}

// above is what stands above the records of one container: copies of its resource and scope. It is shared by the records of
// one request, and not altered.
type above[R, S any] struct {
	resourceKey, scopeKey string // identities; scopeKey begins with resourceKey
	resource              R
	scope                 S
}

// string returns what was written since the last reset.
func (e *Encoder) string() string { return string(e.buf) }

// point writes the identity of what has attributes and, if that matters, a start.
func (e *Encoder) point(attributes pcommon.Map, start pcommon.Timestamp, starts bool) string {
	e.reset()
	e.once = true
	e.attributes(attributes)
	e.once = false
	if starts {
		e.fixed64(uint64(start))
	}
	return e.string()
}

// values writes the values of log attributes; false: one is missing.
func (e *Encoder) values(names []string, record, resource pcommon.Map) (string, bool) {
	e.reset()
	for _, name := range names {
		v, ok := record.Get(name)
		if !ok {
			v, ok = resource.Get(name)
		}
		if !ok {
			return "", false
		}
		e.value(v)
	}
	return e.string(), true
}

// version returns the number that an attribute is, or its text.
func version(v pcommon.Value) (int64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return v.Int(), true
	case pcommon.ValueTypeStr:
		n, err := strconv.ParseInt(v.Str(), 10, 64)
		return n, err == nil
	default:
		return 0, false
	}
}

// assembly is a payload in the making: where the containers are that there are already.
type assembly[R, S any] struct {
	resources map[string]R
	scopes    map[string]S
	last      string // key of the scope that the last record went to
	scope     S
}

// in returns the scope for a record, made if it is the first below it.
func (a *assembly[R, S]) in(key, resourceKey string, addResource func() R, addScope func(R) S) S {
	if a.last == key && key != "" {
		return a.scope
	}
	s, ok := a.scopes[key]
	if !ok {
		r, ok := a.resources[resourceKey]
		if !ok {
			if a.resources == nil {
				a.resources, a.scopes = map[string]R{}, map[string]S{}
			}
			r = addResource()
			a.resources[resourceKey] = r
		}
		s = addScope(r)
		a.scopes[key] = s
	}
	a.last, a.scope = key, s
	return s
}

func spanID(e *Encoder, trace pcommon.TraceID, span pcommon.SpanID, kind int32) string {
	e.reset()
	e.buf = append(e.buf, trace[:]...)
	e.buf = append(e.buf, span[:]...)
	e.buf = binary.AppendVarint(e.buf, int64(kind))
	return e.string()
}
