// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"unique"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

var _ Records[plog.Logs, LogRecord] = Logs{}

// LogRecord is a log record outside of its payload.
type LogRecord struct {
	above  *aboveLogs
	record plog.LogRecord
}

type aboveLogs = above[plog.ResourceLogs, plog.ScopeLogs]

// logGroup is what the groups of all log records with an identity stand below.
var logGroup = unique.Make(identity{own: "log"})

// Records implements [Records]: a log record is known by the values of keys.Log, wherever it stands. Its version is
// its attribute keys.Version or, if that is not asked for, its time, else its observed time. A record that lacks one of these attributes has no identity: a number cannot be compared with a time.
func (Logs) Records(e *Encoder, p plog.Logs, keys RecordKeys, f func(ID, LogRecord)) {
	var ofResource, ofScope inherited
	item := 0
	for at, rl := range p.ResourceLogs().All() {
		var resource plog.ResourceLogs
		var resourceName Name
		for _, sl := range rl.ScopeLogs().All() {
			if sl.LogRecords().Len() == 0 {
				continue
			}
			if resourceName == (Name{}) {
				resource = plog.NewResourceLogs()
				copyResource(resource, rl)
				resourceName = e.resourceNames(rl.Resource(), rl.SchemaUrl(), &Ignored{}).whole
				ofResource.ofResource(e, &keys, rl.Resource().Attributes())
			}
			ofScope.ofScope(e, &keys, &ofResource, sl.Scope())
			scope := e.scopeNames(sl.Scope(), sl.SchemaUrl(), names{whole: resourceName}, &Ignored{}).whole
			a := &aboveLogs{resourceName: resourceName, scopeName: scope, resource: resource, scope: plog.NewScopeLogs()}
			copyScope(a.scope, sl)
			for _, record := range sl.LogRecords().All() {
				id := logID(e, record, &ofScope, &keys)
				id.Resource, id.Item = at, item
				item++
				f(id, LogRecord{a, record})
			}
		}
	}
}

func logID(e *Encoder, record plog.LogRecord, of *inherited, keys *RecordKeys) (id ID) {
	group, text, ok := of.identity(e, keys, record)
	if !ok {
		return ID{}
	}
	id.Group, id.Record = group, text
	if keys.Version == "" {
		id.Version = uint64(logTime(record))
		return id
	}
	v, ok := record.Attributes().Get(keys.Version)
	if !ok {
		v, ok = of.version, of.hasVersion
	}
	if ok {
		id.Version, ok = version(v)
	}
	if !ok {
		return ID{}
	}
	return id
}

// notedLog returns the attributes and the time of a log record.
func notedLog(r LogRecord) (pcommon.Map, pcommon.Timestamp) {
	return r.record.Attributes(), logTime(r.record)
}

// Assemble implements [Records].
func (Logs) Assemble(records []LogRecord) plog.Logs {
	p := newLogs()
	var made assembly[plog.ResourceLogs, plog.ScopeLogs]
	for i := range records {
		a := records[i].above
		to := made.in(a.scopeName, a.resourceName, func() plog.ResourceLogs {
			r := p.ResourceLogs().AppendEmpty()
			copyResource(r, a.resource)
			return r
		}, func(r plog.ResourceLogs) plog.ScopeLogs {
			s := r.ScopeLogs().AppendEmpty()
			copyScope(s, a.scope)
			return s
		})
		records[i].record.MoveTo(to.LogRecords().AppendEmpty())
	}
	return p
}
