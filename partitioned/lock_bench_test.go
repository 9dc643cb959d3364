// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkLock guards what a push does at least, beside the mutex that it is made of.
func BenchmarkLock(b *testing.B) {
	for _, goroutines := range []int{1, 8, 64, 256} {
		run := func(name string, l sync.Locker) {
			b.Run(fmt.Sprintf("goroutines=%d/%s", goroutines, name), func(b *testing.B) {
				var buffer [bufferSize]entry[payload]
				at := 0
				var wg sync.WaitGroup
				for g := range goroutines {
					wg.Go(func() {
						for range b.N*(g+1)/goroutines - b.N*g/goroutines {
							l.Lock()
							buffer[at%bufferSize] = entry[payload]{item: payload{items: at}}
							at++
							l.Unlock()
						}
					})
				}
				wg.Wait()
				if at != b.N {
					b.Errorf("%d of %d", at, b.N)
				}
			})
		}
		run("lock", &lock{})
		run("mutex", &sync.Mutex{})
	}
}
