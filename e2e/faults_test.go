// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/faults"
)

// Whatever is wrong with the backend: the numbers add up to the last item, and what was acknowledged arrived, if the setting
// promises that.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults.All {
		for _, s := range faults.Settings {
			for _, queue := range []bool{false, true} {
				if queue && f != faults.Killed {
					continue // nothing is promised behind a queue, so one of them shows that it adds up
				}
				t.Run(fmt.Sprint(f, "/", s.Name, "/queue ", queue), func(t *testing.T) {
					t.Parallel()
					row, err := faults.Run(testContext(t), plainBinary(t), t.TempDir(), f, s, queue)
					if err != nil {
						t.Fatal(err)
					}
					if err := row.Check(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}
