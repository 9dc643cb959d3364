// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestSchedulerIsARival: it hands all on, in the order of each key, and forgets a key that has nothing pending.
func TestSchedulerIsARival(t *testing.T) {
	const keys, each = 50, 200
	var mu sync.Mutex
	got := map[string][]int{}
	s := newScheduler(2, 16, time.Millisecond, func(key string, items []int) {
		mu.Lock()
		defer mu.Unlock()
		got[key] = append(got[key], items...)
	})
	for i := range keys * each {
		if err := s.add(strconv.Itoa(i%keys), i); err != nil {
			t.Fatal(err)
		}
	}
	s.flush()
	mu.Lock()
	defer mu.Unlock()
	for key, items := range got {
		if len(items) != each {
			t.Errorf("%s: %d items, want %d", key, len(items), each)
		}
		for i := 1; i < len(items); i++ {
			if items[i] < items[i-1] {
				t.Errorf("%s: %d behind %d", key, items[i], items[i-1])
			}
		}
	}
	if len(got) != keys || len(s.keys) != 0 {
		t.Errorf("%d keys arrived, want %d; %d are left", len(got), keys, len(s.keys))
	}
}
