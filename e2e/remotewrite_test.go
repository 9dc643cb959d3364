// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/remotewrite"
)

// A Prometheus that receives remote write takes samples in order, and one for each time. Several calls at once get there in any order,
// unless each series has a partition. What two replicas measure is one sample with a map.
func TestRemoteWrite(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	server, err := remotewrite.Server(ctx, binary(t, "PROMETHEUS", "../build/prometheus"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	o := remotewrite.Options{Collector: proofBinary(t), Latency: 30 * time.Millisecond, Series: 64, Steps: 40}
	run := func(metric string, v remotewrite.Variant) remotewrite.Result {
		t.Helper()
		r, err := remotewrite.Run(ctx, server, metric, v, o)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		t.Logf("%s: %+v", v.Name, r)
		return r
	}

	if r := run("one", remotewrite.One); r.Rejected > 0 || r.Stored != r.Sent || r.InFlight != 1 {
		t.Errorf("with one consumer: %+v", r)
	}
	if r := run("several", remotewrite.Several); r.Rejected == 0 || r.Stored >= r.Sent {
		t.Errorf("several consumers without partitions keep the order: %+v", r)
	}
	if r := run("partitions", remotewrite.Partitions); r.Rejected > 0 || r.Stored != r.Sent || r.InFlight < 4 {
		t.Errorf("with partitions: %+v", r)
	}
	if r := run("replicas", remotewrite.TwoQueue); r.Rejected == 0 {
		t.Errorf("two replicas do not send duplicates: %+v", r)
	}
	if r := run("deduplicated", remotewrite.TwoMap); r.Rejected > 0 || r.Superseded < r.Sent/2 || r.Stored != r.Sent-r.Superseded {
		t.Errorf("with a map: %+v", r)
	}
}
