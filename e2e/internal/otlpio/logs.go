// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

func buildLogs(ids []int64) plog.Logs {
	ld := plog.NewLogs()
	now := pcommon.NewTimestampFromTime(time.Now())
	for _, p := range places {
		here := p.at(ids)
		if len(here) == 0 {
			continue
		}
		rl := ld.ResourceLogs().AppendEmpty()
		sl := rl.ScopeLogs().AppendEmpty()
		p.set(rl, rl.Resource(), sl, sl.Scope())
		for _, id := range here {
			r := sl.LogRecords().AppendEmpty()
			r.SetTimestamp(now)
			r.Body().SetStr(itemName(id))
			putAttrs(r.Attributes(), id)
		}
	}
	return ld
}

func visitLogs(ld plog.Logs, f func(int64, error)) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			at := found(rl, rl.Resource(), sl, sl.Scope())
			for _, r := range sl.LogRecords().All() {
				f(check(r.Attributes(), at, r.Body().AsString(), itemName))
			}
		}
	}
}
