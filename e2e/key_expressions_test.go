// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/grpc/metadata"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// examples/key-expressions: the records of two tenants and two environments, in one request, reach the backend apart, each with the headers of
// its own. The tenant is a part of a resource's attribute. The environment stands in the record, else in its resource.
func TestKeysByExpressions(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	backend := startBackend(t, nil)
	keyed := binary(t, "OTELCOL_KEYED", "../build/key-expressions/otelcol-key-expressions")
	c := startExampleOf(ctx, t, keyed, "key-expressions/config.yaml", otelcol.AnyPort, exporterTo(backend.Addr))
	client := dial(t, c)

	var ledger otlpio.Ledger
	want, got := map[int64]string{}, map[int64]string{}
	for range 5 {
		request := otlpio.Payload{Signal: otlpio.Logs, Logs: plog.NewLogs()}
		ids := ledger.Next(60)
		for i, tenant := range []string{"acme", "umbrella"} {
			addRecords(request.Logs, tenant, ids[30*i:30*(i+1)], want)
		}
		if err := client.Send(ctx, request); err != nil {
			t.Fatal(err)
		}
		ledger.Ack(ids)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	batches, headers := backend.Batches(), backend.Headers()
	if err := ledger.Audit(batches); err != nil {
		t.Error(err)
	}
	for i, b := range batches {
		b.Visit(func(id int64, _ error) { got[id] = keyIn(headers[i]) })
	}
	if !maps.Equal(want, got) {
		t.Errorf("items went out with the headers %v, want %v", got, want)
	}
	keys := slices.Compact(slices.Sorted(maps.Values(want)))
	if len(keys) != 4 {
		t.Errorf("the request has the keys %q, want four", keys)
	}
}

// addRecords adds records of a tenant, each third of which has an environment of its own. keys gets the key of each.
func addRecords(to plog.Logs, tenant string, ids []int64, keys map[int64]string) {
	for _, id := range ids {
		part := otlpio.Build(otlpio.Logs, []int64{id}).Logs
		r := part.ResourceLogs().At(0)
		r.Resource().Attributes().PutStr("service.name", tenant+"-checkout")
		r.Resource().Attributes().PutStr("deployment.environment", "production")
		keys[id] = tenant + " production"
		if id%3 == 0 {
			r.ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("deployment.environment", "test")
			keys[id] = tenant + " test"
		}
		part.ResourceLogs().MoveAndAppendTo(to.ResourceLogs())
	}
}

func keyIn(headers metadata.MD) string {
	return strings.Join(append(headers.Get("x-scope-orgid"), headers.Get("x-environment")...), " ")
}
