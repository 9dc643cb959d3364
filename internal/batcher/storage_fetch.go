// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// loadPause is how long a batch waits that could not be read back.
const loadPause = time.Second

var errUnread = errors.New("a request could not be read back when the batch was cut")

// fetch claims the requests of a batch, and reads back those that are in the storage alone, all with one call. Those that are void, or
// not to be found, have no items from then on. If it fails, it may succeed later, and the batch is as it was, without void requests.
func (s *storage[P]) fetch(ctx context.Context, requests []request[P]) error {
	var unread error
	var absent []*kept[P]
	var of []int
	for i := range requests {
		k, ok := requests[i].from().(*kept[P])
		switch {
		case !ok:
		case !k.claim():
			requests[i].items = 0
			k.release(nil)
		case k.setUnread(false):
			unread = errUnread
		case k.absent():
			absent, of = append(absent, k), append(of, i)
		}
	}
	if len(absent) == 0 || unread != nil {
		return unread
	}
	damages, err := s.readBack(ctx, absent)
	if err != nil {
		return err
	}
	for i, damage := range damages {
		if damage != nil {
			r := &requests[of[i]]
			s.lost.Add(int64(r.items))
			s.lostNotice.happened(r.items, func() []zap.Field { return []zap.Field{zap.Error(damage)} })
			r.items = 0
			absent[i].release(damage)
		}
	}
	return nil
}

// readBack loads parts that are in the storage alone, all with one call. damages says of each why it is lost, or nil. If err is set, none is
// loaded, and it may succeed later.
func (s *storage[P]) readBack(ctx context.Context, parts []*kept[P]) (damages []error, err error) {
	entries := make([]*journal.Entry, len(parts))
	for i, k := range parts {
		entries[i] = k.entry
	}
	values, damages, err := s.journal.Load(ctx, entries)
	if err != nil {
		return nil, err
	}
	inParallel(len(parts), func(i int) {
		var payload P
		if payload, damages[i] = s.decode(values[i], damages[i]); damages[i] == nil {
			parts[i].load(payload)
		}
	})
	return damages, nil
}

// decodesEach is how many values, which take some µs each, are worth a goroutine.
const decodesEach = 32

// inParallel calls f with each number below n, on all processors. Decoding a batch takes longer than encoding it, and its consumer is mostly
// the only one that is at work.
func inParallel(n int, f func(i int)) {
	workers := max(min(runtime.GOMAXPROCS(0), n/decodesEach), 1)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w * n / workers; i < (w+1)*n/workers; i++ {
				f(i)
			}
		})
	}
	all.Wait()
}

// putOff is the verdict on a batch that could not be read back: nothing of it is settled, and it comes again as it is.
func (s *storage[P]) putOff(batch *partitioned.Batch[request[P]], err error) partitioned.Verdict[request[P]] {
	rest := slices.Clone(withItems(batch.Items))
	s.unreadable.happened(itemsOf(rest), func() []zap.Field { return []zap.Field{zap.Error(err)} })
	return partitioned.Verdict[request[P]]{
		Rest: rest, Groups: []int{len(rest)}, After: loadPause, Returned: batch.Weight.Items - itemsOf(rest),
	}
}

// decode returns the payload of a value, unless err says why there is none. A panic is an error: it costs the value, not the process (I8).
func (s *storage[P]) decode(value []byte, err error) (payload P, damage error) {
	defer func() {
		if r := recover(); r != nil {
			damage = fmt.Errorf("panic while a stored value was decoded: %v\n%s", r, debug.Stack())
		}
	}()
	if err != nil {
		return payload, err
	}
	_, encoded, err := readStoredHead(value)
	if err != nil {
		return payload, err
	}
	return s.payloads.signal.Unmarshal(encoded)
}
