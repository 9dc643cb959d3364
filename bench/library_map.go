// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/puzpuzpuz/xsync/v4"
)

// versioned is what the rivals of a Map hold of a key, as an Entry does.
type versioned struct{ value, version, updates int64 }

// put and newer are what they make of it.
func (v versioned) put(value int64) versioned { return versioned{value, v.version, v.updates + 1} }

func (v versioned) newer(value, version int64) (versioned, bool) {
	if version <= v.version {
		return v, false
	}
	return versioned{value, version, v.updates + 1}, true
}

// mapKeys is how many keys the operations on maps go over.
const mapKeys = 100_000

// mapCase does one operation on 100 000 keys that are there already.
func mapCase(operation string) Case {
	const calls = 1_000_000
	c := Case{
		Group: "Map", Name: operation, Param: "producers=8",
		About: fmt.Sprintf("%d keys, integers, all of them there already; 8 goroutines, %d operations a round; PutNewer's version is greater almost every time. "+
			"The rivals hold value, version and number of updates, as an Entry does: xsync.Map by Compute, sync.Map by a loop around CompareAndSwap, mutexes, which are 64 with a "+
			"Go map each, in place. None of them knows an order, a capacity, or what it would hand on. "+
			"By default there are 4 partitions for each processor, as each makes batches of its own; 64 of them is what a map with so many keys is for.", mapKeys, calls),
		Columns:  nsAndAllocs,
		Variants: labels(ours, oursFine, "xsync.Map", "sync.Map", mutexes),
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
			m.Store(k, versioned{k, 1, 1})
		}
		do = map[string]func(key, i int64){
			"Get": func(key, _ int64) { m.Load(key) },
			"Put": func(key, i int64) {
				m.Compute(key, func(old versioned, _ bool) (versioned, xsync.ComputeOp) { return old.put(i), xsync.UpdateOp })
			},
			"PutNewer": func(key, i int64) {
				m.Compute(key, func(old versioned, _ bool) (versioned, xsync.ComputeOp) {
					v, ok := old.newer(i, i+2)
					if !ok {
						return old, xsync.CancelOp
					}
					return v, xsync.UpdateOp
				})
			},
		}[operation]
	case "sync.Map":
		var m sync.Map
		for k := range int64(mapKeys) {
			m.Store(k, &versioned{k, 1, 1})
		}
		replace := func(key int64, with func(old versioned) (versioned, bool)) {
			for {
				old, _ := m.Load(key)
				v, ok := with(*old.(*versioned))
				if !ok || m.CompareAndSwap(key, old, &v) {
					return
				}
			}
		}
		do = map[string]func(key, i int64){
			"Get":      func(key, _ int64) { m.Load(key) },
			"Put":      func(key, i int64) { replace(key, func(old versioned) (versioned, bool) { return old.put(i), true }) },
			"PutNewer": func(key, i int64) { replace(key, func(old versioned) (versioned, bool) { return old.newer(i, i+2) }) },
		}[operation]
	case mutexes:
		type shard struct {
			sync.Mutex
			of map[int64]*versioned
			_  [48]byte // a cache line each
		}
		shards := make([]shard, 64)
		seed := maphash.MakeSeed()
		shardOf := func(key int64) *shard { return &shards[maphash.Comparable(seed, key)%uint64(len(shards))] }
		in := func(key int64, f func(*versioned)) {
			s := shardOf(key)
			s.Lock()
			f(s.of[key])
			s.Unlock()
		}
		for k := range int64(mapKeys) {
			s := shardOf(k)
			if s.of == nil {
				s.of = map[int64]*versioned{}
			}
			s.of[k] = &versioned{k, 1, 1}
		}
		do = map[string]func(key, i int64){
			"Get": func(key, _ int64) { in(key, func(v *versioned) { _ = *v }) },
			"Put": func(key, i int64) { in(key, func(v *versioned) { *v = v.put(i) }) },
			"PutNewer": func(key, i int64) {
				in(key, func(v *versioned) { *v, _ = v.newer(i, i+2) })
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
