// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Without a trigger Interval alone makes a stream due, and a cap still divides what is sent then.
func TestNoTriggerLeavesItToInterval(t *testing.T) {
	for name, c := range map[string]struct {
		size, limit Weight
		want        string
	}{
		"without a cap":  {Weight{Items: NoTrigger}, Weight{}, "[[0 1 2 3 4 5 6 7 8 9]]"},
		"with a cap":     {Weight{Items: NoTrigger}, Weight{Items: 4}, "[[0 1 2 3] [4 5 6 7] [8 9]]"},
		"in both units":  {Weight{Items: NoTrigger, Bytes: NoTrigger}, Weight{Items: 7, Bytes: 1000}, "[[0 1 2 3 4 5 6] [7 8 9]]"},
		"but in another": {Weight{Items: 5, Bytes: NoTrigger}, Weight{}, "[[0 1 2 3 4] [5 6 7 8 9]]"},
		"without a size": {Weight{}, Weight{}, "[[0 1 2 3 4 5 6 7 8 9]]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				q := start(t, QueueConfig[parcel]{Process: r.process, Weigh: weighParcel, Interval: time.Minute, BatchSize: c.size, MaxBatchSize: c.limit})
				for id := range 10 {
					if err := q.Push(bg, parcel{id: id}); err != nil {
						t.Fatal(err)
					}
				}
				if c.size.Items == NoTrigger {
					time.Sleep(time.Minute - 1)
					synctest.Wait()
					if n := r.calls(); n != 0 {
						t.Errorf("%d calls before the interval was over", n)
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if err := q.Shutdown(bg); err != nil {
					t.Error(err)
				}
				if got := fmt.Sprint(r.all()); got != c.want {
					t.Errorf("sent %s, want %s", got, c.want)
				}
			})
		})
	}
}
