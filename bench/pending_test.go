// SPDX-License-Identifier: Apache-2.0

package bench

import "testing"

// What cmd/memory measures is there for every signal, and of the order of what docs/sizing.md says.
func TestPendingLoadIsMeasured(t *testing.T) {
	for _, signal := range []string{"traces", "metrics", "logs"} {
		m, err := PendingLoad{Signal: signal, Attributes: 5, Items: 10}.Measure(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if times := m.Heap / m.Encoded; m.Encoded < 100 || times < 1 || times > 20 {
			t.Errorf("%s: %+v", signal, m)
		}
	}
	if _, err := (PendingLoad{Signal: "traffic"}).Measure(1); err == nil {
		t.Error("no error for an unknown signal")
	}
}
