// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"testing"
	"time"
)

// The load runs with everybody, and ends, also with those whose queue does not.
func TestTenantsDownRunsWithEverybody(t *testing.T) {
	t.Parallel()
	l := DefaultTenantsDown(2)
	l.Tenants, l.Warm, l.Window, l.Patience = 6, 20*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	for _, v := range TenantsDownVariants() {
		share, err := l.Share(v)
		if err != nil || share < 0 || share > 1 {
			t.Errorf("%s: %v, %v", v.Label, share, err)
		}
	}
}
