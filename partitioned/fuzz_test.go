// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzMap asserts I1 and I3, and all else that the model knows: each two bytes are a step, of one to four entries.
func FuzzMap(f *testing.F) {
	f.Add(uint8(0), []byte{1, 20, 7, 0, 1, 10, 6, 20, 0, 7})
	f.Add(uint8(5), []byte{1, 200, 7, 0, 1, 2, 8, 6, 4, 201, 7, 0})
	f.Add(uint8(100), []byte{4, 255, 6, 254, 4, 253, 7, 1, 4, 100})
	f.Fuzz(func(t *testing.T, remember uint8, bytes []byte) {
		var script []mapOp
		for i := 0; i+1 < len(bytes) && i < 400; i += 2 {
			o := mapOp{kind: int(bytes[i]) % 9, wait: time.Duration(bytes[i+1]%8) * time.Second}
			for n := range 1 + int(bytes[i]/9)%4 {
				b := int(bytes[i+1]) + 37*n
				o.entries = append(o.entries, kv{Key: string(rune('a' + b%5)), Value: b, Version: int64(1 + b/5%9)})
			}
			script = append(script, o)
		}
		if fault := replay(t, time.Duration(remember)*time.Second, int(remember)%4, script); fault != "" {
			t.Fatal(fault)
		}
	})
}

// FuzzQueue asserts I1, I2, I5 and I6 for whatever is configured and done: each byte of script is a push, a flush, an update
// or a wait, and each byte of behaviour what becomes of a batch.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0}, []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{0})
	f.Add([]byte{1, 3, 2, 5, 2, 20, 2}, []byte{10, 20, 30, 7, 40, 50, 60, 15, 70, 80, 23, 99}, []byte{0, 1, 2, 3})
	f.Add([]byte{2, 0, 0, 9, 0, 4, 1}, []byte{255, 254, 253, 252, 251, 250, 249}, []byte{3, 3, 0})
	f.Fuzz(func(t *testing.T, conf, script, behaviour []byte) {
		conf = append(slices.Clone(conf), make([]byte, 8)...)
		script = script[:min(len(script), 300)]
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			calls := 0
			seen := map[int]int{}    // items of each that have been settled
			last := map[string]int{} // by key
			limit := Weight{}
			if conf[3]%2 == 1 {
				limit.Items = 8 + int(conf[3])
			}
			cfg := QueueConfig[parcel]{
				Process: func(_ context.Context, b Batch[parcel]) (v Verdict[parcel]) {
					mu.Lock()
					defer mu.Unlock()
					calls++
					what := byte(0)
					if len(behaviour) > 0 && calls < 1000 {
						what = behaviour[calls%len(behaviour)]
					}
					if limit.Items > 0 && b.Weight.Items > limit.Items {
						t.Errorf("I6: a batch of %+v", b.Weight)
					}
					for _, u := range b.Items {
						if u.id < last[u.key] {
							t.Errorf("I2: %d of %q came after %d", u.id, u.key, last[u.key])
						}
						last[u.key] = u.id
					}
					settled := b.Items
					switch what % 4 {
					case 1:
						v.Err = errTest
					case 2:
						defer panic(errTest)
					case 3:
						if n := int(what/4) % len(b.Items); !b.Closing {
							settled, v.Rest = b.Items[:n], slices.Clone(b.Items[n:])
							v.Groups, v.After = []int{int(what / 8)}, time.Duration(what/8)*time.Second
						}
					}
					for _, u := range slices.Backward(v.Rest) { // they come again
						last[u.key] = u.id
					}
					for _, u := range settled {
						seen[u.id] += u.n
					}
					return v
				},
				Weigh:      weighParcel,
				Partitions: int(conf[1] % 4), Consumers: int(conf[2] % 4),
				Interval: time.Minute, BatchSize: Weight{Items: 1 + int(conf[4]%8)}, MaxBatchSize: limit, Adaptive: conf[4]%3 == 0,
				Capacity: int64(conf[5]), Overflow: []Overflow{OverflowRefuse, OverflowDropOldest}[conf[6]%2],
			}
			if limit != (Weight{}) {
				cfg.Split = splitParcel
			}
			switch conf[0] % 3 {
			case 0:
				cfg.Consumers, cfg.Partitions = 1, 1
			case 1:
				cfg.Key = parcelKey
			case 2:
				cfg.Key, cfg.OrderOnlyByPartition = parcelKey, true
			}
			sensible(&cfg)
			q := start(t, cfg)
			pushed := map[int]int{}
			for id, b := range script {
				switch b % 8 {
				case 7:
					go q.Flush(bg)
				case 6:
					time.Sleep(time.Duration(b) * time.Second)
				case 5:
					size, interval := Weight{Items: 1 + int(b/8)%8}, time.Duration(b)*time.Second
					if err := q.Update(Change{BatchSize: &size, Interval: &interval}); err != nil {
						t.Error(err)
					}
				default:
					u := parcel{id: id, key: string('a' + b/8%3), n: 1 + int(b/24)}
					if (b%8 == 4 && q.PushKey(bg, u.key, u) == nil) || (b%8 != 4 && q.Push(bg, u) == nil) {
						pushed[id] = u.n
					}
				}
				st := q.Stats()
				conserved(t, st)
				if cfg.Capacity > 0 && st.Used > cfg.Capacity+11 {
					t.Errorf("I5: %+v", st)
				}
			}
			if err := q.Shutdown(bg); err != nil {
				t.Error(err)
			}
			nothingLeft(t, q)
			evicted := q.Stats().Evicted
			for id, n := range pushed {
				if seen[id] > n || evicted == 0 && seen[id] != n {
					t.Errorf("I1: item %d had %d, %d were delivered, %d evicted in all", id, n, seen[id], evicted)
				}
				delete(seen, id)
			}
			if len(seen) > 0 {
				t.Errorf("I1: not accepted, but delivered: %v", seen)
			}
		})
	})
}
