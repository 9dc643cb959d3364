// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

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
	cases = append(cases, rivalCases()...)
	return append(cases, keyedCase(), mapCase("Put"), mapCase("PutNewer"), mapCase("Get"), memoryCase(), throughputCase())
}

// contender is a row of a table of the library: do is the operation, number i of a run; end is inside the measure.
type contender struct {
	do  func(i int)
	end func()
}

// contest runs so many operations on so many goroutines, and returns nanoseconds and allocations of each.
func contest(c contender, producers, operations int) ([]float64, error) {
	cost, err := contend(c, producers, operations)
	n := float64(operations)
	return []float64{float64(cost.Wall) / n, float64(cost.Allocs) / n}, err
}

// contend is contest that returns the cost of all operations together. Each goroutine takes the next 64 of all again and again, so that
// they are done in their order, almost.
func contend(c contender, producers, operations int) (Cost, error) {
	const run = 64
	gate := make(chan struct{})
	var next atomic.Int64
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			<-gate
			for {
				from := int(next.Add(run)) - run
				if from >= operations {
					return
				}
				for i := from; i < min(from+run, operations); i++ {
					c.do(i)
				}
			}
		})
	}
	return measure(func() error {
		close(gate)
		wg.Wait()
		if c.end != nil {
			c.end()
		}
		return nil
	})
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
	mutexes    = "mutexes"
	bundlers   = "bundlers"
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
	q, err := partitioned.NewUnstarted(partitioned.QueueConfig[*message]{
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

const (
	keyedPartitions = 8
	keyedBatch      = 256
	keyedConsumers  = 2
	keyedInterval   = 200 * time.Millisecond
)

// keyedCase pushes to 1000 keys over 8 partitions, from one goroutine and from many.
func keyedCase() Case {
	const calls = 1_000_000
	c := Case{
		Group: "Keys", Name: "Push", Param: fmt.Sprintf("partitions=%d", keyedPartitions),
		About: fmt.Sprintf("Push of one integer to one of 1000 keys over %d partitions, 2 consumers; %d pushes a round, drain included. Beside it what anybody would write "+
			"by hand, as a floor: %d mutexes, each with a map of slices, which are emptied at %d integers and handed to nobody; no bound, no interval, no order between two batches. And a scheduler as that of pubsub: "+
			"a bundler of google.golang.org/api for each key that has something pending, for 2 calls at once.", keyedPartitions, calls, keyedPartitions, keyedBatch),
		Columns: nsAndAllocs,
	}
	producers := map[string]int{} // by label
	for _, n := range []int{1, 8, 64, 256} {
		for _, name := range []string{ours, mutexes, bundlers} {
			v := Variant{Rival: Rival{Name: name}, Label: fmt.Sprintf("%s(producers=%d)", name, n)}
			producers[v.Label] = n
			c.Variants = append(c.Variants, v)
		}
	}
	for _, name := range []string{ours, mutexes} {
		c.Targets = append(c.Targets, Target{Column: "ns/op", Of: name + "(producers=256)", Over: name + "(producers=1)", AtMost: 1.05})
	}
	c.Run = func(v Variant) ([]float64, error) {
		k, err := keyedContender(v.Name)
		if err != nil {
			return nil, err
		}
		return contest(k, producers[v.Label], calls)
	}
	return c
}

func keyedContender(name string) (contender, error) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
	}
	switch name {
	case bundlers:
		s := newScheduler(keyedConsumers, keyedBatch, keyedInterval, func(string, []int) {})
		return contender{do: func(i int) { _ = s.add(keys[i%len(keys)], i) }, end: s.flush}, nil
	case mutexes:
		seed := maphash.MakeSeed()
		var partitions [keyedPartitions]struct {
			sync.Mutex
			of map[string][]int
			_  [48]byte // a cache line each
		}
		for i := range partitions {
			partitions[i].of = map[string][]int{}
		}
		return contender{do: func(i int) {
			key := keys[i%len(keys)]
			l := &partitions[maphash.String(seed, key)%keyedPartitions]
			l.Lock()
			held := l.of[key]
			held = append(held, i)
			if len(held) == keyedBatch {
				held = held[:0]
			}
			l.of[key] = held
			l.Unlock()
		}}, nil
	}
	q, err := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
		Process:    func(context.Context, partitioned.Batch[int]) (v partitioned.Verdict[int]) { return v },
		Key:        func(i int) string { return keys[i%len(keys)] },
		Partitions: keyedPartitions, Consumers: keyedConsumers,
		Interval:  keyedInterval,
		BatchSize: partitioned.Weight{Items: keyedBatch},
		Capacity:  1 << 20,
	})
	if err != nil {
		return contender{}, err
	}
	ctx := context.Background()
	return contender{
		do:  func(i int) { _ = q.Push(ctx, i) },
		end: func() { _ = q.Shutdown(ctx) },
	}, q.Start()
}

func newMap(partitions int) (*partitioned.Map[int64, int64], error) {
	m, err := partitioned.NewUnstartedMap(partitioned.MapQueueConfig[int64, int64]{QueueConfig: partitioned.QueueConfig[partitioned.Entry[int64, int64]]{
		Process: func(context.Context, partitioned.MapBatch[int64, int64]) (v partitioned.MapVerdict[int64, int64]) {
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
				q, err := partitioned.NewUnstarted(partitioned.QueueConfig[int64]{
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
				q, err := partitioned.NewUnstarted(partitioned.QueueConfig[int]{
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
