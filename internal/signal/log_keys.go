// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// LogKey is a part of the identity of a log record: a field of it, or an attribute.
type LogKey struct {
	field logField
	name  string // of the attribute
}

type logField int8

const (
	anyAttribute logField = iota // of the record, else of its scope, else of its resource
	recordAttribute
	scopeAttribute
	resourceAttribute
	bodyField
	severityTextField
	severityNumberField
	eventNameField
	scopeNameField
	scopeVersionField
	recordAttributes // all of them, but for those that are ignored
	scopeAttributes
	resourceAttributes
)

var logFields = map[string]logField{
	"body": bodyField, "severity_text": severityTextField, "severity_number": severityNumberField, "event_name": eventNameField,
	"scope.name": scopeNameField, "scope.version": scopeVersionField,
	"attributes": recordAttributes, "scope.attributes": scopeAttributes, "resource.attributes": resourceAttributes,
}

var logPrefixes = []struct {
	prefix string
	field  logField
}{
	{"attributes.", recordAttribute},
	{"scope.attributes.", scopeAttribute},
	{"resource.attributes.", resourceAttribute},
}

// ParseLogKey returns what text names. That is a field: "body", "severity_text", "severity_number", "event_name", "scope.name" or
// "scope.version". Or all attributes of a place: "attributes", "scope.attributes" or "resource.attributes". Or one of these, behind the
// same and a dot. Any other text is the name of an attribute of the record, else of its scope, else of its resource. ok is false if
// nothing stands behind a dot.
func ParseLogKey(text string) (key LogKey, ok bool) {
	if field, ok := logFields[text]; ok {
		return LogKey{field: field}, true
	}
	for _, p := range logPrefixes {
		if name, ok := strings.CutPrefix(text, p.prefix); ok {
			return LogKey{p.field, name}, name != ""
		}
	}
	return LogKey{anyAttribute, text}, text != ""
}

// inherited is what log records have of their identities from their scope and resource. It is written once for all of them, so that no record
// repeats it (I10).
type inherited struct {
	group  Name             // of the values of keys that look at nothing of the record
	lacks  bool             // one of those has none
	values []inheritedValue // of each key, if it may look at the record first

	version    pcommon.Value // of the attribute for it, where the record has none
	hasVersion bool          // the scope or the resource has it
}

// inheritedValue is that of an attribute which a record lacks: short, or long.
type inheritedValue struct {
	ok    bool
	short string // what the Encoder wrote of it
	long  Name   // of that
}

// maxShort is how long a value is at most, as the Encoder writes it, to be part of the text of each record that has it.
const maxShort = 64

// longValue stands in the text of a record in place of a value, where types have other bytes: it is in the group.
const longValue = 0xff

// ofResource makes i what records have of a resource.
func (i *inherited) ofResource(e *Encoder, keys *RecordKeys, resource pcommon.Map) {
	i.group, i.lacks, i.values = logGroup, false, append(i.values[:0], make([]inheritedValue, len(keys.Log))...)
	i.hasVersion = false
	i.inherit(e, keys, resource)
	e.reset()
	for at := range keys.Log {
		switch k := &keys.Log[at]; k.field {
		case resourceAttributes:
			e.allAttributes(resource, &keys.Ignore)
		case resourceAttribute:
			i.require(e, resource, k.name)
		}
	}
	if len(e.buf) > 0 {
		i.group = e.intern(i.group)
	}
}

// ofScope makes i what records have of a scope, and of its resource.
func (i *inherited) ofScope(e *Encoder, keys *RecordKeys, resource *inherited, scope pcommon.InstrumentationScope) {
	i.group, i.lacks, i.values = resource.group, resource.lacks, append(i.values[:0], resource.values...)
	i.version, i.hasVersion = resource.version, resource.hasVersion
	i.inherit(e, keys, scope.Attributes())
	e.reset()
	for at := range keys.Log {
		switch k := &keys.Log[at]; k.field {
		case scopeNameField:
			e.text(scope.Name())
		case scopeVersionField:
			e.text(scope.Version())
		case scopeAttributes:
			e.allAttributes(scope.Attributes(), &keys.Ignore)
		case scopeAttribute:
			i.require(e, scope.Attributes(), k.name)
		}
	}
	if len(e.buf) > 0 {
		i.group = e.intern(i.group)
	}
}

func (i *inherited) require(e *Encoder, from pcommon.Map, name string) {
	v, ok := from.Get(name)
	if !ok {
		i.lacks = true
		return
	}
	e.value(v)
}

// inherit notes the values of keys that records may have of their own, too.
func (i *inherited) inherit(e *Encoder, keys *RecordKeys, from pcommon.Map) {
	if keys.Version != "" {
		if v, ok := from.Get(keys.Version); ok {
			i.version, i.hasVersion = v, true
		}
	}
	for at := range keys.Log {
		k := &keys.Log[at]
		if k.field != anyAttribute {
			continue
		}
		v, ok := from.Get(k.name)
		if !ok {
			continue
		}
		e.reset()
		if e.value(v); len(e.buf) > maxShort {
			i.values[at] = inheritedValue{ok: true, long: e.intern(Name{})}
		} else {
			i.values[at] = inheritedValue{ok: true, short: e.string()}
		}
	}
}

// identity returns that of a record; false: it lacks an attribute. A field without a value has an empty one. Two records have the same
// identity if they have the same values, wherever keys found them.
func (i *inherited) identity(e *Encoder, keys *RecordKeys, record plog.LogRecord) (group Name, text string, ok bool) {
	e.reset()
	group = i.group
	for at := range keys.Log {
		switch k := &keys.Log[at]; k.field {
		case bodyField:
			e.value(record.Body())
		case severityTextField:
			e.text(record.SeverityText())
		case severityNumberField:
			e.number(uint64(uint32(record.SeverityNumber())))
		case eventNameField:
			e.text(record.EventName())
		case recordAttributes:
			e.allAttributes(record.Attributes(), &keys.Ignore)
		case recordAttribute, anyAttribute:
			of := i.values[at]
			if v, own := record.Attributes().Get(k.name); own {
				of = e.ownValue(v)
			}
			switch {
			case !of.ok:
				return Name{}, "", false
			case of.long != (Name{}):
				e.tag(longValue)
				group = e.internOf(group, of.long, binary.AppendUvarint(nil, uint64(at)))
			default:
				e.buf = append(e.buf, of.short...)
			}
		}
	}
	return group, e.string(), !i.lacks
}

// ownValue writes the value of a record, if it is short. Then nothing is left to be written of it.
func (e *Encoder) ownValue(v pcommon.Value) inheritedValue {
	begin := len(e.buf)
	e.value(v)
	if len(e.buf)-begin <= maxShort {
		return inheritedValue{ok: true}
	}
	long := e.internOf(Name{}, Name{}, e.buf[begin:])
	e.buf = e.buf[:begin]
	return inheritedValue{ok: true, long: long}
}

func (e *Encoder) allAttributes(m pcommon.Map, ignore *Ignored) {
	if len(ignore.Attributes) > 0 {
		e.attributesWithout(m, ignore.Attributes)
		return
	}
	e.attributes(m)
}
