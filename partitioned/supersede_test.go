// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// tallied is a value that says how many writes it stands for, and which of them it was.
type tallied struct{ write, writes int }

func tallies(kept, gone Entry[string, tallied]) tallied {
	v := kept.Value
	v.writes += gone.Value.writes
	return v
}

// TestSupersedeIsToldOfEachWrite: what a flush sends stands for all writes since the one before, and is the newest of them.
func TestSupersedeIsToldOfEachWrite(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type write struct {
			key     string
			version int64
		}
		writes := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) write {
			return write{rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key"), rapid.SampledFrom([]int64{AlwaysNewer, 1, 2, 3}).Draw(rt, "version")}
		}), 1, 20).Draw(rt, "writes")
		problem := ""
		synctest.Test(t, func(t *testing.T) {
			got := map[string]tallied{}
			m, err := NewUnstartedMap(MapQueueConfig[string, tallied]{
				QueueConfig: QueueConfig[Entry[string, tallied]]{
					Interval: time.Hour, BatchSize: Weight{Items: 1000},
					Process: func(_ context.Context, b Batch[Entry[string, tallied]]) (v Verdict[Entry[string, tallied]]) {
						for _, e := range b.Items {
							got[e.Key] = e.Value // Shutdown waits for it, and there is one flush
						}
						return v
					},
					Partitions: 1,
				},
				Supersede: tallies,
			})
			if err == nil {
				err = m.Start()
			}
			want, newest := map[string]tallied{}, map[string]int64{}
			for i, w := range writes {
				if err == nil {
					err = m.PutNewer(context.Background(), w.key, tallied{i, 1}, w.version)
				}
				v := want[w.key]
				held, ok := newest[w.key]
				if v.writes++; !ok || w.version == AlwaysNewer || w.version > held {
					v.write = i
					if !ok || w.version != AlwaysNewer {
						newest[w.key] = w.version
					}
				}
				want[w.key] = v
			}
			if err == nil {
				err = m.Shutdown(context.Background())
			}
			switch {
			case err != nil:
				problem = err.Error()
			case len(got) != len(want):
				problem = "keys are missing"
			}
			for key, v := range want {
				if got[key] != v {
					problem = key
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// A Supersede that panics costs the added entry, whether it is the newer one or not, and nothing else.
func TestSupersedeThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		m, err := NewUnstartedMap(MapQueueConfig[string, int]{
			QueueConfig: QueueConfig[Entry[string, int]]{
				Interval: time.Hour, BatchSize: Weight{Items: 1000}, Partitions: 1,
				Process: func(_ context.Context, b Batch[Entry[string, int]]) (v Verdict[Entry[string, int]]) {
					for _, e := range b.Items {
						got = append(got, e.Value)
					}
					return v
				},
			},
			Supersede: func(_, _ Entry[string, int]) int { panic("no") },
		})
		if err == nil {
			err = m.Start()
		}
		if err == nil {
			err = m.PutNewer(context.Background(), "a", 1, 5)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []int64{4, 6} {
			_ = m.PutNewer(context.Background(), "a", 2, version) // says what Merge says
		}
		st := m.Stats()
		if err := m.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0] != 1 || st.Failed != 2 {
			t.Fatal(got, st)
		}
	})
}
