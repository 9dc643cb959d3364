// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"testing"
	"time"
)

// TestLock lets nobody in while somebody is, whether he was quick or slept.
func TestLock(t *testing.T) {
	var l lock
	var wg sync.WaitGroup
	n := 0
	for g := range 16 {
		wg.Go(func() {
			for i := range 300 {
				l.Lock()
				n++
				if i%100 == g {
					time.Sleep(time.Millisecond) // longer than anybody's pauses
				}
				l.Unlock()
			}
		})
	}
	wg.Wait()
	if n != 16*300 {
		t.Errorf("%d", n)
	}
}
