// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/plog"
)

// TestLogKeysNameFieldsAndAttributes: each record differs from the first in one thing; those that differ in what is named stay beside it.
func TestLogKeysNameFieldsAndAttributes(t *testing.T) {
	differences := map[string]func(r plog.ResourceLogs, s plog.ScopeLogs, record plog.LogRecord){
		"nothing":       func(plog.ResourceLogs, plog.ScopeLogs, plog.LogRecord) {},
		"body":          func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) { record.Body().SetInt(1) },
		"severity text": func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) { record.SetSeverityText("WARN") },
		"event name":    func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) { record.SetEventName("other") },
		"record attribute": func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) {
			record.Attributes().PutStr("a", "other")
		},
		"no record attribute": func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) { record.Attributes().Remove("a") },
		"scope attribute": func(_ plog.ResourceLogs, s plog.ScopeLogs, _ plog.LogRecord) {
			s.Scope().Attributes().PutStr("a", "other")
		},
		"resource attribute": func(r plog.ResourceLogs, _ plog.ScopeLogs, _ plog.LogRecord) {
			r.Resource().Attributes().PutStr("a", "other")
		},
		"field in attribute": func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) {
			record.Attributes().PutStr("body", "other")
		},
	}
	for name, test := range map[string]struct {
		keys  []string
		apart []string // what stays beside the record that all others supersede
	}{
		"body":               {[]string{"body"}, []string{"body"}},
		"severity_text":      {[]string{"severity_text"}, []string{"severity text"}},
		"event_name":         {[]string{"event_name"}, []string{"event name"}},
		"fields":             {[]string{"event_name", "body", "severity_text"}, []string{"body", "event name", "severity text"}},
		"any attribute":      {[]string{"a"}, []string{"no record attribute", "record attribute"}},
		"record attribute":   {[]string{"attributes.a"}, []string{"no record attribute", "record attribute"}},
		"scope attribute":    {[]string{"scope.attributes.a"}, []string{"scope attribute"}},
		"resource attribute": {[]string{"resource.attributes.a"}, []string{"resource attribute"}},
		"all of them": {
			[]string{"attributes.a", "scope.attributes.a", "resource.attributes.a", "body"},
			[]string{"body", "no record attribute", "record attribute", "resource attribute", "scope attribute"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				p := newPipelineOf(t, logs, func(c *Config) {
					byRecord(c)
					c.Map.LogKeys = test.keys
				}, func(_ context.Context, ld plog.Logs) error {
					for _, r := range ld.ResourceLogs().All() {
						for _, s := range r.ScopeLogs().All() {
							for _, record := range s.LogRecords().All() {
								is, _ := record.Attributes().Get("is")
								got = append(got, is.Str())
							}
						}
					}
					return nil
				})
				for _, is := range append(slices.Sorted(maps.Keys(differences)), "nothing") { // the last one is the newest
					ld := plog.NewLogs()
					r := ld.ResourceLogs().AppendEmpty()
					s := r.ScopeLogs().AppendEmpty()
					record := s.LogRecords().AppendEmpty()
					r.Resource().Attributes().PutStr("a", "resource's")
					s.Scope().Attributes().PutStr("a", "scope's")
					record.Attributes().PutStr("a", "record's")
					record.Attributes().PutStr("is", is)
					record.Body().SetStr("1")
					record.SetSeverityText("INFO")
					record.SetEventName("event")
					differences[is](r, s, record)
					require.NoError(t, p.consume(ld))
				}
				p.stop()
				require.ElementsMatch(t, append([]string{"nothing"}, test.apart...), got)
			})
		})
	}
}

// TestRecordsWithoutIdentityOfMixedTenants: a request of several tenants by turns has one batch for each, with all of its records, and those that
// lack a key stand in their order.
func TestRecordsWithoutIdentityOfMixedTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := map[string][]int64{} // numbers of the records without identity, by tenant and resource
		identified, calls := 0, 0
		p := newPipelineTo(t, logs, func(c *Config) {
			byRecord(c)
			c.Map.LogKeys, c.AttributeKeys = []string{"id"}, []string{"tenant"}
		}, func(p *pipeline, ctx context.Context, ld plog.Logs) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			calls++
			tenant := client.FromContext(ctx).Metadata.Get("tenant")[0]
			for _, r := range ld.ResourceLogs().All() {
				resource, _ := r.Resource().Attributes().Get("n")
				below := fmt.Sprint(tenant, " ", resource.Int())
				for _, record := range r.ScopeLogs().At(0).LogRecords().All() {
					if of, ok := record.Attributes().Get("tenant"); !ok || of.Str() != tenant {
						t.Errorf("a record of %q is sent to %q", of.AsRaw(), tenant)
					}
					if _, ok := record.Attributes().Get("id"); ok {
						identified++
						continue
					}
					got[below] = append(got[below], record.Body().Int())
				}
			}
			return nil
		}).begun(t)
		ld := plog.NewLogs()
		want := map[string][]int64{}
		for resource := range int64(2) {
			rl := ld.ResourceLogs().AppendEmpty()
			rl.Resource().Attributes().PutInt("n", resource)
			list := rl.ScopeLogs().AppendEmpty().LogRecords()
			for i := range int64(30) {
				record, tenant := list.AppendEmpty(), fmt.Sprint("tenant-", i%3)
				record.Attributes().PutStr("tenant", tenant)
				if record.Body().SetInt(100*resource + i); i%5 == 0 {
					record.Attributes().PutInt("id", i)
					continue
				}
				below := fmt.Sprint(tenant, " ", resource)
				want[below] = append(want[below], record.Body().Int())
			}
		}
		require.NoError(t, send(context.Background(), p, ld))
		later(time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Equal(t, want, got)
		require.Equal(t, 6, identified, "of two resources, each with the same identities")
		require.Equal(t, 3, calls)
	})
}
