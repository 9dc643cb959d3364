// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
)

// BenchmarkKeys pushes requests of 100 log records, each with a tenant of its own or all with one, until all are sent. What the key is made of is
// all that differs.
func BenchmarkKeys(b *testing.B) {
	for _, keys := range []struct {
		name    string
		section map[string]any
	}{
		{"resource_keys", map[string]any{"resource_keys": []any{"tenant"}}},
		{"expression_of_resource", map[string]any{"key_expressions": map[string]any{"tenant": `resource.attributes["tenant"]`}}},
		{"attribute_keys", map[string]any{"attribute_keys": []any{"tenant"}}},
		{"expression_of_record", map[string]any{"key_expressions": map[string]any{"tenant": `attributes["tenant"]`}}},
		{"expression_with_function", map[string]any{"key_expressions": map[string]any{"tenant": `Split(attributes["tenant"], " ")[2]`}}},
	} {
		for _, tenants := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/tenants=%d", keys.name, tenants), func(b *testing.B) { benchmarkKeys(b, keys.section, tenants) })
		}
	}
}

func benchmarkKeys(b *testing.B, section map[string]any, tenants int) {
	const requests, items = 64, 100
	cfg := factory.CreateDefaultConfig()
	require.NoError(b, confmap.NewFromStringMap(section).Unmarshal(cfg))
	p, consume, err := records.create(processortest.NewNopSettings(factory.Type()), cfg, func(context.Context, plog.Logs) error { return nil })
	require.NoError(b, err)
	require.NoError(b, p.Start(context.Background(), componenttest.NewNopHost()))
	var all [requests]plog.Logs
	n := 0
	for i := range all {
		list := make([]string, items)
		if tenants > 1 { // a resource for each record, so that resources may be keys too
			all[i] = records.payload(list, []string{"record"}, func(resource, _, own pcommon.Map) {
				n++
				resource.PutStr("tenant", fmt.Sprint("tenant of ", n%tenants))
				own.PutStr("tenant", fmt.Sprint("tenant of ", n%tenants))
			})
		} else {
			all[i] = records.payload([]string{"r"}, list, func(resource, _, own pcommon.Map) {
				resource.PutStr("tenant", "tenant of all")
				own.PutStr("tenant", "tenant of all")
			})
		}
		all[i].MarkReadOnly() // so it is there for the next round
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := consume(context.Background(), all[i%requests]); err != nil {
			b.Fatal(err)
		}
		i++
	}
	require.NoError(b, p.Shutdown(context.Background()))
	b.ReportMetric(float64(i*items)/b.Elapsed().Seconds(), "records/s")
}
