// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// TestIgnoredIsAsIfItWereNotThere: two records have one identity exactly if they have one without what is ignored, and what is sent
// is grouped as ever.
func TestIgnoredIsAsIfItWereNotThere(t *testing.T) {
	t.Run("traces", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			p := traces.draw(t)
			eachSpans(p, func(s ptrace.SpanSlice) bool {
				for _, span := range s.All() {
					span.SetTraceID([16]byte{1})
					span.SetSpanID([8]byte{byte(rapid.IntRange(1, 2).Draw(t, "id"))})
				}
				return true
			})
			ignoresLike(t, traces, Traces{}, p, withoutInTraces)
		})
	})
	t.Run("metrics", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			p := metrics.draw(t)
			eachMetric(p, func(m pmetric.Metric) bool {
				switch m.Type() {
				case pmetric.MetricTypeSum:
					m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				case pmetric.MetricTypeHistogram:
					m.Histogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				}
				return true
			})
			ignoresLike(t, metrics, Metrics{}, p, withoutInMetrics)
		})
	})
	t.Run("logs", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { ignoresLike(t, logs, Logs{}, logs.draw(t), withoutInLogs) })
	})
}

// named is an identity without what is of one record.
type named struct {
	group  Name
	record string
}

func ignoresLike[P, R any](t *rapid.T, k kind[P], records Records[P, R], p P, without func(P, *Ignored)) {
	keys := RecordKeys{Ignore: Ignored{Schema: rapid.Bool().Draw(t, "schema"), Dropped: rapid.Bool().Draw(t, "dropped"), Attributes: map[string]struct{}{}}}
	for _, name := range rapid.SliceOf(rapid.SampledFrom([]string{"text", "number", "list"})).Draw(t, "ignored") {
		keys.Ignore.Attributes[name] = struct{}{}
	}
	for _, text := range []string{"attributes", "scope.attributes", "resource.attributes", "severity_number", "scope.name", "scope.version"} {
		key, ok := ParseLogKey(text)
		require.True(t, ok)
		keys.Log = append(keys.Log, key)
	}
	stripped := k.Copy(p)
	without(stripped, &keys.Ignore)
	plain := keys
	plain.Ignore = Ignored{}

	var e Encoder
	ids := func(p P, keys RecordKeys) (all []named, sent []R) {
		records.Records(&e, p, keys, func(id ID, r R) { all, sent = append(all, named{id.Group, id.Record}), append(sent, r) })
		return all, sent
	}
	got, sent := ids(k.Copy(p), keys)
	want, _ := ids(stripped, plain)
	require.Len(t, got, len(want))
	for i := range got {
		for j := range i {
			require.Equal(t, want[i] == want[j], got[i] == got[j], "%d and %d", j, i)
		}
	}
	_, whole := ids(p, plain)
	require.Equal(t, k.exact(records.Assemble(whole)), k.exact(records.Assemble(sent)))
}

func withoutIn(m pcommon.Map, ignore *Ignored) {
	m.RemoveIf(func(name string, _ pcommon.Value) bool { _, ok := ignore.Attributes[name]; return ok })
}

// attributed is a resource or scope.
type attributed interface {
	Attributes() pcommon.Map
	SetDroppedAttributesCount(uint32)
}

func withoutInContainer(c attributed, setSchema func(string), ignore *Ignored) {
	withoutIn(c.Attributes(), ignore)
	if ignore.Dropped {
		c.SetDroppedAttributesCount(0)
	}
	if ignore.Schema {
		setSchema("")
	}
}

func withoutInTraces(p ptrace.Traces, ignore *Ignored) {
	for _, r := range p.ResourceSpans().All() {
		withoutInContainer(r.Resource(), r.SetSchemaUrl, ignore)
		for _, s := range r.ScopeSpans().All() {
			withoutInContainer(s.Scope(), s.SetSchemaUrl, ignore)
		}
	}
}

func withoutInLogs(p plog.Logs, ignore *Ignored) {
	for _, r := range p.ResourceLogs().All() {
		withoutInContainer(r.Resource(), r.SetSchemaUrl, ignore)
		for _, s := range r.ScopeLogs().All() {
			withoutInContainer(s.Scope(), s.SetSchemaUrl, ignore)
			for _, record := range s.LogRecords().All() {
				withoutIn(record.Attributes(), ignore)
			}
		}
	}
}

func withoutInMetrics(p pmetric.Metrics, ignore *Ignored) {
	for _, r := range p.ResourceMetrics().All() {
		withoutInContainer(r.Resource(), r.SetSchemaUrl, ignore)
		for _, s := range r.ScopeMetrics().All() {
			withoutInContainer(s.Scope(), s.SetSchemaUrl, ignore)
			for _, m := range s.Metrics().All() {
				for _, point := range pointsOf(m) {
					withoutIn(point.Attributes(), ignore)
				}
			}
		}
	}
}
