// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// Profiles are batched like the other signals. Each sample refers to a dictionary that its whole payload shares, and has to
// find its stack and its attributes in the batch's.
func TestProfiles(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{
		"merged": "{}",
		"split":  "{send_batch_size: 50, send_batch_max_size: 50, timeout: 10ms}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			p := (&pipelines{
				settings: settings,
				signals:  []otlpio.Signal{otlpio.Profiles},
				gates:    "service.profilesSupport",
			}).start(ctx, t)
			var ledger otlpio.Ledger
			if err := sendVaried(ctx, dial(t, p.Collector), otlpio.Profiles, &ledger); err != nil {
				t.Fatalf("%v\n%s", err, p.Log())
			}
			batches := p.stop(t, otlpio.Profiles)
			if err := ledger.Audit(batches); err != nil {
				t.Error(err)
			}
			t.Logf("%d items in %d batches", otlpio.Items(batches), len(batches))
		})
	}
}
