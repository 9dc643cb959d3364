// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/plog"
)

// TestTenantsThatExporterhelperMerges: {a: 1, b: 2} and {a: [1, b, 2]} have one key in exporterhelper v0.161.0, which puts
// zero bytes between names and values alike. So one of the two is sent as the other's. Here and in batch they are two.
func TestTenantsThatExporterhelperMerges(t *testing.T) {
	keys := []string{"a", "b"}
	tenants := []map[string][]string{{"a": {"1"}, "b": {"2"}}, {"a": {"1", "b", "2"}}}
	for _, test := range []struct {
		rival    Rival
		settings Settings
		batches  []int
	}{
		{Ours, Settings{"metadata_keys": keys}, []int{1, 1}},
		{Batch, Settings{"metadata_keys": keys}, []int{1, 1}},
		{Queuebatch, Settings{"batch": map[string]any{"flush_timeout": "10s", "partition": map[string]any{"metadata_keys": keys}}}, []int{2}},
	} {
		t.Run(test.rival.Name, func(t *testing.T) {
			var mu sync.Mutex
			var got []int
			s, err := Logs.Open(test.rival, test.settings, NoTelemetry, func(_ context.Context, ld plog.Logs) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, ld.LogRecordCount())
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			var callers sync.WaitGroup
			for i, metadata := range tenants {

				ctx := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(metadata)})
				callers.Go(func() {
					if err := s.Consume(ctx, Logs.Make(Flat(1), i)); err != nil {
						t.Error(err)
					}
				})
			}
			callers.Wait()
			if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.batches) {
				t.Errorf("batches of %v records, want %v", got, test.batches)
			}
		})
	}
}
