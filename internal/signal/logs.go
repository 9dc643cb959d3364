// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// Logs is the [Signal] whose items are log records.
type Logs struct{}

var _ Signal[plog.Logs] = Logs{}

// Items counts log records.
func (Logs) Items(p plog.Logs) int { return p.LogRecordCount() }

// Size implements [Signal].
func (Logs) Size(p plog.Logs) int {
	var m plog.ProtoMarshaler
	return m.LogsSize(p)
}

// Marshal implements [Signal].
func (Logs) Marshal(b []byte, p plog.Logs) ([]byte, error) {
	var m plog.ProtoMarshaler
	encoded, err := m.MarshalLogs(p)
	return append(b, encoded...), err
}

// Unmarshal implements [Signal].
func (Logs) Unmarshal(b []byte) (plog.Logs, error) {
	var u plog.ProtoUnmarshaler
	p, err := u.UnmarshalLogs(b)
	if err == nil {
		pref.MarkPipelineOwnedLogs(p)
	}
	return p, err
}

// Check returns nil: any logs can be merged and cut.
func (Logs) Check(plog.Logs) error { return nil }

// Ref implements [Signal].
func (Logs) Ref(p plog.Logs) { pref.RefLogs(p) }

// Unref implements [Signal].
func (Logs) Unref(p plog.Logs) { pref.UnrefLogs(p) }

// Shared implements [Signal].
func (Logs) Shared(p plog.Logs) bool { return p.IsReadOnly() }

// Copy implements [Signal].
func (Logs) Copy(p plog.Logs) plog.Logs {
	own := newLogs()
	p.CopyTo(own)
	return own
}

// Merge implements [Signal].
func (Logs) Merge(dst plog.Logs, src ...plog.Logs) {
	merge(dst, src, plog.Logs.ResourceLogs)
}

// Subset implements [Signal].
func (Logs) Subset(err error) (plog.Logs, bool) {
	failed, ok := errors.AsType[consumererror.Logs](err)
	return failed.Data(), ok
}

// Cut implements [Signal].
func (Logs) Cut(p plog.Logs, m Measure) Cutter[plog.Logs] {
	return newCutter(p, p.LogRecordCount(), m, logsTree, newLogs)
}

// Strip implements [Signal].
func (Logs) Strip(p plog.Logs) { logsTree.strip(p) }

// AppendCopy implements [Signal].
func (Logs) AppendCopy(dst, src plog.Logs, from, to, seam int) {
	logsTree.joinSome(dst, src, from, to, seam)
}

var logsTree = func() *branch[plog.Logs, plog.ResourceLogs, plog.ResourceLogsSlice] {
	var m plog.ProtoMarshaler
	scope := newLeaf(copyScope[plog.ScopeLogs], plog.ScopeLogs.LogRecords, message[plog.ScopeLogs]{
		size: m.ScopeLogsSize, base: without(plog.ScopeLogs.LogRecords, plog.NewLogRecordSlice, m.ScopeLogsSize),
	}, m.LogRecordSize)
	resource := newBranch(copyResource[plog.ResourceLogs], plog.ResourceLogs.ScopeLogs, scope, message[plog.ResourceLogs]{
		size: m.ResourceLogsSize, base: without(plog.ResourceLogs.ScopeLogs, plog.NewScopeLogsSlice, m.ResourceLogsSize),
	})
	return newBranch(copyNothing[plog.Logs], plog.Logs.ResourceLogs, resource, message[plog.Logs]{})
}()

// Resource implements [Signal].
func (Logs) Resource(p plog.Logs, i int) pcommon.Resource { return p.ResourceLogs().At(i).Resource() }

// ItemsOf implements [Signal].
func (Logs) ItemsOf(p plog.Logs, i int) int {
	return itemsOf(p.ResourceLogs().At(i).ScopeLogs(), func(s plog.ScopeLogs) int { return s.LogRecords().Len() })
}

// SizeOf implements [Signal].
func (Logs) SizeOf(p plog.Logs, i int) int {
	var m plog.ProtoMarshaler
	return delimited(m.ResourceLogsSize(p.ResourceLogs().At(i)))
}

// Divide implements [Signal].
func (Logs) Divide(p plog.Logs, of []int, n int) ([]plog.Logs, func(plog.Logs)) {
	return divide(p, of, n, plog.Logs.ResourceLogs, newLogs), nil
}

// DivideItems implements [ByItem].
func (Logs) DivideItems(p plog.Logs, of []int, n int) ([]plog.Logs, func(int, plog.Logs)) {
	return divideItems(p, of, n, logsTree, newLogs)
}

// UniteItems implements [ByItem].
func (Logs) UniteItems(p plog.Logs, parts []plog.Logs, of []int) {
	uniteItems(p, parts, of, logsTree)
}

// SizesOfItems implements [ByItem].
func (Logs) SizesOfItems(p plog.Logs, of []int, n int) []Measure {
	return sizesOfItems(p, of, n, logsTree)
}

// newLogs makes a payload that is known to be a pipeline's: the graph's next consumer gives back no reference of it.
func newLogs() plog.Logs {
	p := plog.NewLogs()
	pref.MarkPipelineOwnedLogs(p)
	return p
}
