// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/proof"
)

// What `make proof` measures is complete for every way to make batches: all items arrive, once, and every figure is there.
func TestProof(t *testing.T) {
	o := proof.Options{Binary: proofBinary(t), Lasts: 200 * time.Millisecond, Producers: 4, PerSecond: 2000}
	for _, v := range proof.Variants {
		for _, s := range []proof.Signal{proof.Traces, proof.Metrics, proof.Logs} {
			if s != proof.Traces && v.Processor != "partitionedbuffer: {}" {
				continue
			}
			r, err := proof.Run(testContext(t), proof.Case{Variant: v, Signal: s, Compression: "gzip", Items: 10, Resources: 3}, o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Lost != 0 || r.Copies != 0 || r.Failed != 0 {
				t.Errorf("%s, %s: %d items lost, %d twice, %d requests failed", v.Name, s, r.Lost, r.Copies, r.Failed)
			}
			if r.Throughput <= 0 || r.Memory <= 0 || r.Batch <= 0 || r.Wire <= 0 || r.Encoded < r.Wire || r.P50 <= 0 || r.P99 < r.P50 {
				t.Errorf("%s, %s: a figure is missing: %+v", v.Name, s, r)
			}
		}
	}
}

// What is held is in the collector, and arrives in the end.
func TestProofHeld(t *testing.T) {
	o := proof.Options{Binary: proofBinary(t), Lasts: 200 * time.Millisecond, Producers: 4}
	for _, v := range proof.Variants[:6] {
		r, err := proof.Held(testContext(t), proof.Case{Variant: v, Signal: proof.Traces, Compression: "gzip", Items: 10, Resources: 3}, o, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if r.Lost != 0 || r.Failed != 0 || r.Held <= 0 || r.HeldPeak < r.Held || r.Pending <= 0 {
			t.Errorf("%s: %+v", v.Name, r)
		}
	}
}

// Nothing that a sender was told is taken gets lost when the backend is killed: a sender that waits for results hears of the failure, and
// what is stored waits for the backend.
func TestProofWithBackendKilled(t *testing.T) {
	o := proof.Options{Binary: proofBinary(t), Lasts: 600 * time.Millisecond, Producers: 4}
	for _, v := range proof.Variants {
		waits, stores := v.Name == "**here**, `wait_for_result`", v.Name == "**here**, `storage`, retry"
		if !waits && !stores {
			continue
		}
		r, err := proof.Killed(testContext(t), proof.Case{Variant: v, Signal: proof.Traces, Compression: "none", Items: 10, Resources: 3}, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Lost != 0 || waits != (r.Failed > 0) {
			t.Errorf("%s: %d items lost, %d requests failed", v.Name, r.Lost, r.Failed)
		}
	}
}

// A profile says what the CPU time went on. A short one may have no sample of one part or another, or none at all.
func TestProfile(t *testing.T) {
	o := proof.Options{Binary: proofBinary(t), Lasts: time.Second, Producers: 4}
	for _, v := range proof.Variants {
		if v.Name != "**here**, `storage`, retry" {
			continue
		}
		ctx := testContext(t)
		var s proof.Spent
		for s.Total <= 0 || s.On["the rest"] >= s.Total {
			var err error
			if s, err = proof.Profile(ctx, proof.Case{Variant: v, Signal: proof.Traces, Compression: "gzip", Items: 10, Resources: 3}, o); err != nil {
				t.Fatal(err)
			}
		}
		var sum float64
		for _, name := range proof.Parts() {
			sum += s.On[name]
		}
		if sum < s.Total*0.99 || sum > s.Total*1.01 {
			t.Errorf("%+v", s)
		}
	}
}

func proofBinary(t *testing.T) string {
	t.Helper()
	return binary(t, "OTELCOL_PROOF", "../build/proof/otelcol-proof")
}

// The soak in short: backends refuse, hang and go away, and the collector is reloaded under load; nothing is lost, nothing grows.
func TestSoak(t *testing.T) {
	o := proof.SoakOptions{Binary: proofBinary(t), Lasts: 4 * time.Second, Cycle: time.Second, PerSecond: 1000}
	all, err := proof.Soak(testContext(t), o, func(s proof.Sample) { t.Logf("%+v", s) })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Acked == 0 || s.Heap == 0 || s.Memory == 0 || s.Goroutines == 0 || s.Files == 0 {
			t.Errorf("a figure is missing: %+v", s)
		}
	}
}
