// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestConfigOfMIGRATING: what MIGRATING.md makes of the original's defaults does what those did: nothing before the interval is
// over, then one call for each partition at once, of at most ten items. Without Consumers there is one call at a time.
func TestConfigOfMIGRATING(t *testing.T) {
	for consumers, want := range map[int]int64{4: 4, 0: 1} {
		synctest.Test(t, func(t *testing.T) {
			l := &recorder{hold: make(chan struct{})}
			q := start(t, QueueConfig[parcel]{
				Process: l.process, Partitions: 4, Consumers: consumers, Interval: 5 * time.Second,
				BatchSize: Weight{Items: NoTrigger}, MaxBatchSize: Weight{Items: 10}, ProcessTimeout: time.Minute,
			})
			for id := range 100 {
				if err := q.Push(bg, parcel{id: id}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(5*time.Second - 1)
			if l.calls() != 0 {
				t.Errorf("%d calls before the interval was over", l.calls())
			}
			time.Sleep(time.Millisecond)
			if st := q.Stats(); st.Calls != want {
				t.Errorf("Consumers %d: %d calls at once, want %d", consumers, st.Calls, want)
			}
			close(l.hold)
			q.Shutdown(bg)
			for _, b := range l.batches {
				if len(b.Items) > 10 {
					t.Errorf("a batch of %d", len(b.Items))
				}
			}
			nothingLeft(t, q)
		})
	}
}
