// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestProbeIsForKeysThatHaveBeenFull: the first push that finds a key full is refused like the next. Only when the key has been full
// for StallTimeout does one push ignore its share.
func TestProbeIsForKeysThatHaveBeenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		r.hold = make(chan struct{})
		q := start(t, QueueConfig[parcel]{
			Process: r.process, Key: parcelKey, Consumers: 1, Interval: time.Hour, BatchSize: Weight{Items: 5},
			Capacity: 100, KeyCapacity: 5, Overflow: OverflowRefuse, StallTimeout: time.Minute,
		})
		for range 5 {
			if err := q.Push(bg, parcel{key: "stuck"}); err != nil {
				t.Fatal(err)
			}
		}
		both := func() error { return q.Push(bg, parcel{key: "stuck"}, parcel{key: "other"}) }
		for range 3 {
			if err := both(); !errors.Is(err, ErrFull) {
				t.Errorf("a push of a key that has just become full got %v", err)
			}
		}
		time.Sleep(time.Minute)
		if err := both(); err != nil {
			t.Errorf("the probe got %v", err)
		}
		if err := both(); !errors.Is(err, ErrFull) {
			t.Errorf("a push right after the probe got %v", err)
		}
		if by := q.Stats().RefusedBy; by != (Refusals{Key: 8}) {
			t.Errorf("refused %+v", by)
		}
		close(r.hold)
		if err := q.Shutdown(bg); err != nil {
			t.Error(err)
		}
		nothingLeft(t, q)
	})
}
