// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"sync"
	"testing"
)

// BenchmarkGate is the gate beside the obvious rival, under the lock of a partition as in a push, and left in runs of a batch.
func BenchmarkGate(b *testing.B) {
	const batch = 820
	run := func(b *testing.B, enter, leave func()) {
		var partition sync.Mutex
		b.RunParallel(func(pb *testing.PB) {
			n := 0
			for pb.Next() {
				partition.Lock()
				enter()
				partition.Unlock()
				if n++; n == batch {
					n = 0
					leave()
				}
			}
		})
	}
	b.Run("word", func(b *testing.B) {
		var g gate
		g.init(maxUnits)
		g.open()
		run(b, func() { _ = g.enter(10, g.capacity-1, false) }, func() { g.leave(10 * batch) })
	})
	b.Run("mutex", func(b *testing.B) {
		var mu sync.Mutex
		var used, capacity int64 = 0, maxUnits
		run(b, func() {
			mu.Lock()
			if used < capacity {
				used += 10
			}
			mu.Unlock()
		}, func() {
			mu.Lock()
			used -= 10 * batch
			mu.Unlock()
		})
	})
}
