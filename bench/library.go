// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// The cases of the library below the processor: what anybody would write by hand instead of a Queue, and the maps that would
// stand in for a Map.

// libraryCases returns all of them.
func libraryCases() []Case {
	var cases []Case
	for _, producers := range []int{8, 64, 256} {
		cases = append(cases, queueCase(producers))
	}
	return append(cases, keyedCase(), mapCase("Put"), mapCase("PutNewer"), mapCase("Get"), memoryCase(), throughputCase())
}

// contender is a row of a table of the library: do is the operation, number i of a run; end is inside the measure.
type contender struct {
	do  func(i int)
	end func()
}

// contest runs so many operations on so many goroutines, and returns nanoseconds and allocations of each.
func contest(c contender, producers, operations int) ([]float64, error) {
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for part := range split(operations, producers) {
		wg.Go(func() {
			<-gate
			for i := part.from; i < part.to; i++ {
				c.do(i)
			}
		})
	}
	cost, err := measure(func() error {
		close(gate)
		wg.Wait()
		if c.end != nil {
			c.end()
		}
		return nil
	})
	n := float64(operations)
	return []float64{float64(cost.Wall) / n, float64(cost.Allocs) / n}, err
}

// labels makes rows of names.
func labels(names ...string) (vs []Variant) {
	for _, n := range names {
		vs = append(vs, Variant{Rival: Rival{Name: n}})
	}
	return vs
}

const (
	oursSpread = "ours(partitions=8)"
	oursFine   = "ours(partitions=64)"
)

var nsAndAllocs = []Column{{Unit: "ns/op", Ratio: true}, {Unit: "allocs/op"}}

type message struct{ _ [64]byte }

// The triggers in all rows.
const (
	queueBatch    = 8192
	queueInterval = 200 * time.Millisecond
)

// queueCase pushes pointers.
func queueCase(producers int) Case {
	const calls = 1_000_000
	return Case{
		Group: "Queue", Name: "Push", Param: fmt.Sprintf("producers=%d", producers),
		About: fmt.Sprintf("Push of one pointer, with a capacity, an interval and batches of %d, on the library's Queue; a mutex around an append and a swap, "+
			"which hands nothing on and has no bound; a channel of 1024 with one goroutine that makes the batches, by size or a ticker's time. %d pushes a round, drain included.", queueBatch, calls),
		Columns:  nsAndAllocs,
		Variants: labels(ours, oursSpread, "mutex", "channel"),
		Targets: []Target{
			{Column: "ns/op", Of: ours, Over: "mutex", AtMost: 3},
			{Column: "ns/op", Of: ours, Over: "channel", AtMost: 0.5},
		},
		Run: func(v Variant) ([]float64, error) {
			c, err := queueContender(v.Name)
			if err != nil {
				return nil, err
			}
			return contest(c, producers, calls)
		},
	}
}

func queueContender(name string) (contender, error) {
	m := &message{}
	switch name {
	case "mutex":
		var mu sync.Mutex
		var active, spare []*message
		return contender{do: func(int) {
			mu.Lock()
			if active = append(active, m); len(active) == queueBatch {
				active, spare = spare[:0], active
			}
			mu.Unlock()
		}}, nil
	case "channel":
		ch, done := make(chan *message, 1024), make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(queueInterval)
			defer tick.Stop()
			var batch []*message
			for {
				select {
				case m, ok := <-ch:
					if !ok {
						return
					}
					if batch = append(batch, m); len(batch) == queueBatch {
						batch = batch[:0]
					}
				case <-tick.C:
					batch = batch[:0]
				}
			}
		}()
		return contender{do: func(int) { ch <- m }, end: func() { close(ch); <-done }}, nil
	}
	partitions := 1
	if name == oursSpread {
		partitions = 8
	}
	q, err := partitioned.NewQueue(partitioned.QueueConfig[*message]{
		Partitions: partitions,
		Process:    func(context.Context, partitioned.Batch[*message]) (v partitioned.Verdict[*message]) { return v },
		Interval:   queueInterval,
		BatchSize:  partitioned.Weight{Items: queueBatch},
		Capacity:   1 << 20,
	})
	if err != nil {
		return contender{}, err
	}
	ctx := context.Background()
	return contender{
		do:  func(int) { _ = q.Push(ctx, m) },
		end: func() { _ = q.Shutdown(ctx) },
	}, q.Start()
}

// keyedCase pushes to 1000 keys over 8 partitions, from one goroutine and from many.
func keyedCase() Case {
	const calls = 1_000_000
	producers := map[string]int{"ours(producers=1)": 1, "ours(producers=8)": 8, "ours(producers=64)": 64, "ours(producers=256)": 256}
	return Case{
		Group: "Keys", Name: "Push", Param: "partitions=8",
		About:    fmt.Sprintf("Push of one integer to one of 1000 keys over 8 partitions, 2 consumers; %d pushes a round, drain included.", calls),
		Columns:  nsAndAllocs,
		Variants: labels("ours(producers=1)", "ours(producers=8)", "ours(producers=64)", "ours(producers=256)"),
		Targets:  []Target{{Column: "ns/op", Of: "ours(producers=256)", Over: "ours(producers=1)", AtMost: 1.05}},
		Run: func(v Variant) ([]float64, error) {
			keys := make([]string, 1000)
			for i := range keys {
				keys[i] = fmt.Sprint("key", i)
			}
			q, err := partitioned.NewQueue(partitioned.QueueConfig[int]{
				Process:    func(context.Context, partitioned.Batch[int]) (v partitioned.Verdict[int]) { return v },
				Key:        func(i int) string { return keys[i%len(keys)] },
				Partitions: 8, Consumers: 2,
				Interval:  200 * time.Millisecond,
				BatchSize: partitioned.Weight{Items: 256},
				Capacity:  1 << 20,
			})
			if err != nil {
				return nil, err
			}
			ctx := context.Background()
			if err := q.Start(); err != nil {
				return nil, err
			}
			return contest(contender{
				do:  func(i int) { _ = q.Push(ctx, i) },
				end: func() { _ = q.Shutdown(ctx) },
			}, producers[v.Name], calls)
		},
	}
}

// versioned is what the rivals of a Map hold of a key.
type versioned struct{ value, version int64 }

// mapKeys is how many keys the operations on maps go over.
const mapKeys = 100_000

// mapCase does one operation on 100 000 keys that are there already.
func mapCase(operation string) Case {
	const calls = 1_000_000
	c := Case{
		Group: "Map", Name: operation, Param: "producers=8",
		About: fmt.Sprintf("%d keys, integers, all of them there already; 8 goroutines, %d operations a round; PutNewer's version is greater every time. "+
			"The rivals hold pointers to value and version, as both are replaced at once: xsync.Map by Compute, sync.Map by a loop around CompareAndSwap. "+
			"By default there are 4 partitions for each processor, as each makes batches of its own; 64 of them is what a map with so many keys is for.", mapKeys, calls),
		Columns:  nsAndAllocs,
		Variants: labels(ours, oursFine, "xsync.Map", "sync.Map"),
		Run: func(v Variant) ([]float64, error) {
			c, err := mapContender(v.Name, operation)
			if err != nil {
				return nil, err
			}
			return contest(c, 8, calls)
		},
	}
	switch operation {
	case "Get":
		c.Targets = []Target{{Column: "ns/op", Of: oursFine, Over: "xsync.Map", AtMost: 3}}
	case "PutNewer":
		c.Targets = []Target{{Column: "ns/op", Of: oursFine, Over: "xsync.Map", AtMost: 1}, {Column: "ns/op", Of: oursFine, Over: "sync.Map", AtMost: 1.0 / 3}}
	default:
		c.Targets = []Target{{Column: "ns/op", Of: oursFine, Over: "xsync.Map", AtMost: 1}}
	}
	return c
}

// mapContender is a filled map. Versions begin at 1 there, and operation i brings version i + 2.
func mapContender(name, operation string) (contender, error) {
	var do func(key, i int64)
	ctx := context.Background()
	switch name {
	case "xsync.Map":
		m := xsync.NewMap[int64, versioned]()
		for k := range int64(mapKeys) {
			m.Store(k, versioned{k, 1})
		}
		do = map[string]func(key, i int64){
			"Get": func(key, _ int64) { m.Load(key) },
			"Put": func(key, i int64) {
				m.Compute(key, func(old versioned, _ bool) (versioned, xsync.ComputeOp) {
					return versioned{i, old.version}, xsync.UpdateOp
				})
			},
			"PutNewer": func(key, i int64) {
				m.Compute(key, func(old versioned, _ bool) (versioned, xsync.ComputeOp) {
					if i+2 <= old.version {
						return old, xsync.CancelOp
					}
					return versioned{i, i + 2}, xsync.UpdateOp
				})
			},
		}[operation]
	case "sync.Map":
		var m sync.Map
		for k := range int64(mapKeys) {
			m.Store(k, &versioned{k, 1})
		}
		replace := func(key int64, with func(old *versioned) *versioned) {
			for {
				old, _ := m.Load(key)
				v := with(old.(*versioned))
				if v == nil || m.CompareAndSwap(key, old, v) {
					return
				}
			}
		}
		do = map[string]func(key, i int64){
			"Get": func(key, _ int64) { m.Load(key) },
			"Put": func(key, i int64) {
				replace(key, func(old *versioned) *versioned { return &versioned{i, old.version} })
			},
			"PutNewer": func(key, i int64) {
				replace(key, func(old *versioned) *versioned {
					if i+2 <= old.version {
						return nil
					}
					return &versioned{i, i + 2}
				})
			},
		}[operation]
	default:
		partitions := 0
		if name == oursFine {
			partitions = 64
		}
		m, err := newMap(partitions)
		if err != nil {
			return contender{}, err
		}
		for k := range int64(mapKeys) {
			if err := m.PutNewer(ctx, k, k, 1); err != nil {
				return contender{}, err
			}
		}
		do = map[string]func(key, i int64){
			"Get":      func(key, _ int64) { m.Get(key) },
			"Put":      func(key, i int64) { _ = m.Put(ctx, key, i) },
			"PutNewer": func(key, i int64) { _ = m.PutNewer(ctx, key, i, i+2) },
		}[operation]
		return contender{do: scattered(do), end: func() { _ = m.Shutdown(ctx) }}, nil
	}
	return contender{do: scattered(do)}, nil
}

// scattered goes over the keys in no order that a cache would know.
func scattered(do func(key, i int64)) func(i int) {
	return func(i int) { do(int64(uint64(i)*2_654_435_761%mapKeys), int64(i)) }
}

func newMap(partitions int) (*partitioned.Map[int64, int64], error) {
	m, err := partitioned.NewMap(partitioned.MapConfig[int64, int64]{QueueConfig: partitioned.QueueConfig[partitioned.Entry[int64, int64]]{
		Process: func(context.Context, partitioned.Batch[partitioned.Entry[int64, int64]]) (v partitioned.Verdict[partitioned.Entry[int64, int64]]) {
			return v
		},
		Partitions: partitions,
		Interval:   time.Hour,
		BatchSize:  partitioned.Weight{Items: 1 << 30},
		Capacity:   1 << 40,
	}})
	if err != nil {
		return nil, err
	}
	err = m.Start()
	return m, err
}

// memoryCase holds a million things.
func memoryCase() Case {
	const pending = 1_000_000
	return Case{
		Group: "Memory", Name: "pending=1000000",
		About: "Heap for each of a million pending integers in a Queue, and for each of a million entries with integers for key and value in a Map. " +
			"The original needs 152 and 96 bytes.",
		Columns:  []Column{{Unit: "B/item"}},
		Variants: labels("ours(Queue)", "ours(Map)"),
		Run: func(v Variant) ([]float64, error) {
			ctx := context.Background()
			var err error
			var stop func()
			before := heap()
			if v.Name == "ours(Map)" {
				var m *partitioned.Map[int64, int64]
				if m, err = newMap(0); err != nil {
					return nil, err
				}
				for i := range int64(pending) {
					_ = m.Put(ctx, i, i)
				}
				stop = func() { _ = m.Shutdown(ctx) }
			} else {
				q, err := partitioned.NewQueue(partitioned.QueueConfig[int64]{
					Process:   func(context.Context, partitioned.Batch[int64]) (v partitioned.Verdict[int64]) { return v },
					Interval:  time.Hour,
					BatchSize: partitioned.Weight{Items: 1 << 30},
				})
				if err != nil {
					return nil, err
				}
				if err := q.Start(); err != nil {
					return nil, err
				}
				for i := range int64(pending) {
					_ = q.Push(ctx, i)
				}
				stop = func() { _ = q.Shutdown(ctx) }
			}
			figure := float64(heap()-before) / pending
			stop()
			return []float64{figure}, nil
		},
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// throughputCase is the way through a Queue and a Map, from a push to Process, in slices of ten.
func throughputCase() Case {
	const calls, slice = 200_000, 10
	return Case{
		Group: "Throughput", Name: "items", Param: "producers=8",
		About: fmt.Sprintf("Items a second from 8 goroutines to a Process that does nothing, pushed one by one and in slices of %d, drain included. "+
			"The original's best on two cores is 1.4 million.", slice),
		Columns:  []Column{{Unit: "items/s"}},
		Variants: labels("ours(one by one)", "ours(slices)"),
		Run: func(v Variant) ([]float64, error) {
			c, err := queueContender(ours)
			if err != nil {
				return nil, err
			}
			items := 1.0
			if v.Name == "ours(slices)" {
				q, err := partitioned.NewQueue(partitioned.QueueConfig[int]{
					Process:   func(context.Context, partitioned.Batch[int]) (v partitioned.Verdict[int]) { return v },
					Interval:  queueInterval,
					BatchSize: partitioned.Weight{Items: queueBatch},
					Capacity:  1 << 20,
				})
				if err != nil {
					return nil, err
				}
				if err := q.Start(); err != nil {
					return nil, err
				}
				ctx := context.Background()
				items = slice
				c = contender{
					do:  func(i int) { _ = q.Push(ctx, i, i, i, i, i, i, i, i, i, i) },
					end: func() { _ = q.Shutdown(ctx) },
				}
			}
			figures, err := contest(c, 8, calls)
			if err != nil {
				return nil, err
			}
			return []float64{items * 1e9 / figures[0]}, nil
		},
	}
}
