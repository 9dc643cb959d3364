// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/samber/lo"
	"gocloud.dev/pubsub/batcher"
	"google.golang.org/api/support/bundler"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

const (
	bundlerRival = "bundler"
	gocloudRival = "gocloud"
	loRival      = "lo"
	channelRival = "channel"
)

// rivalCases put the Queue beside the libraries that a Go programmer would take instead, and beside what is written by hand. All
// make batches of at most 8192 pointers, by 200 ms where they have an interval, for one call of a function at a time.
func rivalCases() (cases []Case) {
	for _, producers := range []int{1, 8, 64} {
		const calls = 200_000
		cases = append(cases, Case{
			Group: "Rivals", Name: "push", Param: fmt.Sprintf("producers=%d", producers),
			About: fmt.Sprintf("One pointer handed over without waiting for its result, %d a round, drain included: Push; Bundler.Add of google.golang.org/api; Batcher.AddNoWait of "+
				"gocloud.dev/pubsub; a channel of 1024 read by lo.BufferWithTimeout; and one read by a loop with a ticker.", calls),
			Columns:  nsAndAllocs,
			Variants: labels(ours, bundlerRival, gocloudRival, loRival, channelRival),
			Run: func(v Variant) ([]float64, error) {
				c, err := pushRival(v.Name)
				if err != nil {
					return nil, err
				}
				return contest(c, producers, calls)
			},
		})
	}
	for _, producers := range []int{1, 64} {
		const calls = 100_000
		cases = append(cases, Case{
			Group: "Rivals", Name: "wait", Param: fmt.Sprintf("producers=%d", producers),
			About: fmt.Sprintf("One pointer whose result the caller waits for, %d a round: PushWait; Batcher.Add of gocloud.dev/pubsub; and a channel by hand, whose "+
				"reader takes what is there and answers each caller on a channel of its own. The others have no results.", calls),
			Columns:  nsAndAllocs,
			Variants: labels(ours, gocloudRival, channelRival),
			Run: func(v Variant) ([]float64, error) {
				c, err := waitRival(v.Name)
				if err != nil {
					return nil, err
				}
				return contest(c, producers, calls)
			},
		})
	}
	return append(cases, fullQueueCase())
}

const (
	slowBatch    = 100
	slowCapacity = 1000
	slowCall     = time.Millisecond
)

// fullQueueCase has producers wait for capacity nearly all of the time.
func fullQueueCase() Case {
	const producers, calls = 64, 100_000
	return Case{
		Group: "Rivals", Name: "slow", Param: fmt.Sprintf("producers=%d", producers),
		About: fmt.Sprintf("One pointer handed over to a function that takes %v for each batch of at most %d, while %d may be pending, so that all producers wait most of the time; "+
			"%d a round: Push; and a channel read by a loop with a ticker. CPU is that of the whole process.", slowCall, slowBatch, slowCapacity, calls),
		Columns:  []Column{{Unit: "cpu-ns/op", Ratio: true}, {Unit: "ns/op", Ratio: true}, {Unit: "allocs/op"}},
		Variants: labels(ours, channelRival),
		Targets:  []Target{{Column: "cpu-ns/op", Of: ours, Over: channelRival, AtMost: 1}},
		Run: func(v Variant) ([]float64, error) {
			c, err := slowRival(v.Name)
			if err != nil {
				return nil, err
			}
			cost, err := contend(c, producers, calls)
			return []float64{float64(cost.CPU) / calls, float64(cost.Wall) / calls, float64(cost.Allocs) / calls}, err
		},
	}
}

// slowRival hands pointers over to what is slow, and waits while as many are pending as may be.
func slowRival(name string) (contender, error) {
	m, ctx := &message{}, context.Background()
	if name == channelRival {
		// What the loop has in its hands is pending too.
		ch, done := make(chan *message, slowCapacity-slowBatch), make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(queueInterval)
			defer tick.Stop()
			var batch []*message
			for open := true; open; {
				var m *message
				var full bool
				select {
				case m, open = <-ch:
					if open {
						batch = append(batch, m)
					}
					full = len(batch) == slowBatch
				case <-tick.C:
					full = true
				}
				if len(batch) > 0 && (full || !open) {
					time.Sleep(slowCall)
					batch = batch[:0]
				}
			}
		}()
		return contender{do: func(int) { ch <- m }, end: func() { close(ch); <-done }}, nil
	}
	q, err := partitioned.NewUnstarted(partitioned.QueueConfig[*message]{
		Process: func(context.Context, partitioned.Batch[*message]) (v partitioned.Verdict[*message]) {
			time.Sleep(slowCall)
			return v
		},
		Interval:     queueInterval,
		BatchSize:    partitioned.Weight{Items: slowBatch},
		MaxBatchSize: partitioned.Weight{Items: slowBatch},
		Capacity:     slowCapacity,
	})
	if err != nil {
		return contender{}, err
	}
	return contender{
		do:  func(int) { _ = q.Push(ctx, m) },
		end: func() { _ = q.Shutdown(ctx) },
	}, q.Start()
}

// pushRival hands pointers over, and waits for none of them.
func pushRival(name string) (contender, error) {
	m := &message{}
	switch name {
	case bundlerRival:
		b := bundler.NewBundler(m, func(any) {})
		b.DelayThreshold, b.BundleCountThreshold, b.HandlerLimit = queueInterval, queueBatch, 1
		return contender{do: func(int) { _ = b.Add(m, 1) }, end: b.Flush}, nil
	case gocloudRival:
		b := newGocloud()
		return contender{do: func(int) { b.AddNoWait(m) }, end: b.Shutdown}, nil
	case loRival:
		ch, done := make(chan *message, 1024), make(chan struct{})
		go func() {
			defer close(done)
			for open := true; open; {
				_, _, _, open = lo.BufferWithTimeout(ch, queueBatch, queueInterval)
			}
		}()
		return contender{do: func(int) { ch <- m }, end: func() { close(ch); <-done }}, nil
	default: // ours, and the channel by hand
		return queueContender(name)
	}
}

func newGocloud() *batcher.Batcher {
	return batcher.New(reflect.TypeFor[*message](), &batcher.Options{MaxHandlers: 1, MaxBatchSize: queueBatch}, func(any) error { return nil })
}

// waitRival hands pointers over, and waits for the result of each.
func waitRival(name string) (contender, error) {
	m, ctx := &message{}, context.Background()
	switch name {
	case gocloudRival:
		b := newGocloud()
		return contender{do: func(int) { _ = b.Add(ctx, m) }, end: b.Shutdown}, nil
	case channelRival:
		ch, done := make(chan chan error, 1024), make(chan struct{})
		go func() {
			defer close(done)
			var batch []chan error
			for first := range ch {
				batch = append(batch[:0], first)
				for more := true; more && len(batch) < queueBatch; {
					select {
					case next, ok := <-ch:
						if more = ok; ok {
							batch = append(batch, next)
						}
					default:
						more = false
					}
				}
				for _, caller := range batch {
					caller <- nil
				}
			}
		}()
		callers := sync.Pool{New: func() any { return make(chan error, 1) }}
		return contender{
			do: func(int) {
				caller, _ := callers.Get().(chan error)
				ch <- caller
				if err := <-caller; err != nil {
					panic(err) // nobody answers so
				}
				callers.Put(caller)
			},
			end: func() { close(ch); <-done },
		}, nil
	}
	q, err := partitioned.New(func(context.Context, []*message) error { return nil }, partitioned.Config[*message]{Size: queueBatch, Capacity: 1 << 20})
	if err != nil {
		return contender{}, err
	}
	return contender{
		do:  func(int) { _ = q.PushWait(ctx, m) },
		end: func() { _ = q.Shutdown(ctx) },
	}, nil
}
