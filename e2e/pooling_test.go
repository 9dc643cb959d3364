// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// With pooling a payload's memory is used again as soon as its last reference is gone. A processor that drops a reference too
// early, or holds on to data without one, shows as a race or as items with the content of others.
func TestProtoPooling(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{
		"merged": "{}",
		"split":  "{send_batch_size: 50, send_batch_max_size: 50, timeout: 10ms, num_consumers: 4}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSignal(t, otlpio.All, func(t *testing.T, s otlpio.Signal) {
				ctx := testContext(t)
				p := (&pipelines{
					settings: settings,
					signals:  []otlpio.Signal{s},
					binary:   raceBinary(t),
					gates:    "+pdata.useProtoPooling,service.profilesSupport",
				}).start(ctx, t)
				client := dial(t, p.Collector)
				var ledger otlpio.Ledger
				// The second round is built from what the first one gave back.
				for range 2 {
					if err := sendVaried(ctx, client, s, &ledger); err != nil {
						t.Fatalf("%v\n%s", err, p.Log())
					}
				}
				if err := ledger.Audit(p.stop(t, s)); err != nil {
					t.Error(err)
				}
				if strings.Contains(p.Log(), otelcol.RaceReport) {
					t.Errorf("the race detector found something:\n%s", p.Log())
				}
			})
		})
	}
}
