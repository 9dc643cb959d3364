// SPDX-License-Identifier: Apache-2.0

package signal

import (
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

// logIdentity writes the values of keys; false: the record lacks an attribute. A field without a value has an empty one.
func (e *Encoder) logIdentity(keys *RecordKeys, record plog.LogRecord, scope pcommon.InstrumentationScope, resource pcommon.Map) (string, bool) {
	e.reset()
	for i := range keys.Log {
		k := &keys.Log[i]
		switch k.field {
		case bodyField:
			e.value(record.Body())
		case severityTextField:
			e.text(record.SeverityText())
		case severityNumberField:
			e.number(uint64(uint32(record.SeverityNumber())))
		case eventNameField:
			e.text(record.EventName())
		case scopeNameField:
			e.text(scope.Name())
		case scopeVersionField:
			e.text(scope.Version())
		case recordAttributes:
			e.allAttributes(record.Attributes(), &keys.Ignore)
		case scopeAttributes:
			e.allAttributes(scope.Attributes(), &keys.Ignore)
		case resourceAttributes:
			e.allAttributes(resource, &keys.Ignore)
		default:
			v, ok := k.attribute(record.Attributes(), scope.Attributes(), resource)
			if !ok {
				return "", false
			}
			e.value(v)
		}
	}
	return e.string(), true
}

func (e *Encoder) allAttributes(m pcommon.Map, ignore *Ignored) {
	if len(ignore.Attributes) > 0 {
		e.attributesWithout(m, ignore.Attributes)
		return
	}
	e.attributes(m)
}

func (k *LogKey) attribute(record, scope, resource pcommon.Map) (v pcommon.Value, ok bool) {
	if k.field == anyAttribute || k.field == recordAttribute {
		v, ok = record.Get(k.name)
	}
	if !ok && (k.field == anyAttribute || k.field == scopeAttribute) {
		v, ok = scope.Get(k.name)
	}
	if !ok && (k.field == anyAttribute || k.field == resourceAttribute) {
		v, ok = resource.Get(k.name)
	}
	return v, ok
}
