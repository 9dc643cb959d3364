// SPDX-License-Identifier: Apache-2.0

package bench

import "testing"

// What cmd/outage measures is there, and more than memory_size of payloads is never in memory.
func TestOutageIsMeasured(t *testing.T) {
	for backend, restart := range map[OutageBackend]bool{BackendEncodes: false, BackendOTLP: true, BackendGzip: false} {
		o, err := OutageLoad{Requests: 2000, Spans: 10, MemorySize: 700_000, Restart: restart, Backend: backend}.Measure()
		if err != nil {
			t.Fatal(err)
		}
		if o.File < 2000*3000 || o.First == 0 || o.Delivering < o.First || (o.Start > 0) != restart {
			t.Errorf("%s: %+v", backend, o)
		}
	}
}
