// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Items that Process leaves out, since their callers took them back, count as returned, whatever becomes of the others (I1).
func TestItemsLeftOutAreReturned(t *testing.T) {
	failed := errors.New("failed")
	for name, test := range map[string]struct {
		verdicts []Verdict[int]
		want     [3]int64 // forwarded, returned, failed
	}{
		"the others are taken":   {[]Verdict[int]{{Returned: 2}}, [3]int64{3, 2, 0}},
		"all of them":            {[]Verdict[int]{{Returned: 5}}, [3]int64{0, 5, 0}},
		"more than there are":    {[]Verdict[int]{{Returned: 9}}, [3]int64{0, 5, 0}},
		"the others fail":        {[]Verdict[int]{{Returned: 2, Err: failed}}, [3]int64{0, 2, 3}},
		"one of the others too":  {[]Verdict[int]{{Returned: 2, Err: failed, Taken: 2}}, [3]int64{2, 2, 1}},
		"the others come again":  {[]Verdict[int]{{Returned: 2, Rest: []int{2, 3, 4}}, {}}, [3]int64{3, 2, 0}},
		"and fail the next time": {[]Verdict[int]{{Returned: 2, Rest: []int{2, 3, 4}}, {Err: failed, Taken: 1}}, [3]int64{1, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				q, err := NewUnstarted(QueueConfig[int]{BatchSize: Weight{Items: 5}, Interval: 1, Process: func(context.Context, Batch[int]) Verdict[int] {
					calls++
					return test.verdicts[calls-1]
				}})
				if err != nil {
					t.Fatal(err)
				}
				if err = q.Start(); err != nil {
					t.Fatal(err)
				}
				if err = q.Push(context.Background(), 0, 1, 2, 3, 4); err != nil {
					t.Fatal(err)
				}
				if err = q.Shutdown(context.Background()); err != nil {
					t.Fatal(err)
				}
				st := q.Stats()
				if got := [3]int64{st.Forwarded, st.Returned, st.Failed}; got != test.want || st.Accepted != 5 || st.Queued+st.InFlight != 0 {
					t.Errorf("%+v; forwarded, returned, failed: %v, not %v", st, got, test.want)
				}
			})
		})
	}
}
