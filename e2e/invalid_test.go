// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otelcol"
)

// A config that cannot work keeps the collector from starting, and the message names the setting and its value.
func TestInvalidConfig(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		settings string
		want     []string
	}{
		"unknown key": {
			// The collector itself finds this one, and does not say the value.
			"{send_batch_sise: 100}", []string{"send_batch_sise"},
		},
		"maximum below the trigger": {
			"{send_batch_size: 1234, send_batch_max_size: 567}",
			[]string{"send_batch_max_size", "567", "send_batch_size", "1234"},
		},
		"negative timeout": {
			"{timeout: -3s}", []string{"timeout", "-3s"},
		},
		"the same metadata key twice": {
			"{metadata_keys: [x-tenant, other, X-Tenant]}", []string{"metadata_keys", "x-tenant"},
		},
		"queue smaller than the trigger": {
			"{send_batch_size: 1000, queue_size: 432}", []string{"queue_size", "432"},
		},
		"unknown unit": {
			"{sizer: furlongs}", []string{"sizer", "furlongs"},
		},
		"negative shutdown_timeout": {
			"{shutdown_timeout: -5s}", []string{"shutdown_timeout", "-5s"},
		},
		"negative number of consumers": {
			"{num_consumers: -7}", []string{"num_consumers", "-7"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			dir := t.TempDir()
			config := `
receivers: {otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}}
processors: {partitionedbuffer: ` + tt.settings + `}
exporters: {nop: {}}
service: {pipelines: {traces: {receivers: [otlp], processors: [partitionedbuffer], exporters: [nop]}}}
`
			out, err := otelcol.Refuse(ctx, otelcol.Options{
				Binary:  plainBinary(t),
				Configs: []string{writeFile(t, dir, "config.yaml", config)},
				Dir:     dir,
			})
			if err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			for _, want := range append(tt.want, "partitionedbuffer") {
				if !strings.Contains(strings.ToLower(out), want) {
					t.Errorf("the message does not say %q:\n%s", want, out)
				}
			}
		})
	}
}
