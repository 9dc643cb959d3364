// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// process sends a batch as one payload.
func (b *buffer[P]) process(ctx context.Context, batch partitioned.Batch[request[P]]) partitioned.Verdict[request[P]] {
	s := b.telemetry.begin(b.keys.context(ctx, batch.Key), links(batch.Items))
	s.items, s.bySize, s.age = batch.Weight.Items, batch.Reason == partitioned.Size, time.Since(batch.Oldest)
	err := b.send(s, batch.Items)
	s.end(err)
	if err != nil {
		b.logger.Warn("A batch could not be sent and is dropped", zap.Error(err), zap.Int("items", s.items))
	}
	return partitioned.Verdict[request[P]]{Err: err}
}

// send merges the requests and calls the next consumer. A panic of it is an error (I8).
func (b *buffer[P]) send(s *sending, requests []request[P]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			panicked := &partitioned.PanicError{Value: r, Stack: debug.Stack()}
			b.logger.Error("The next consumer panicked", zap.Any("panic", r), zap.ByteString("stack", panicked.Stack))
			err = consumererror.NewPermanent(panicked)
		}
	}()
	payload := b.merge(requests)
	defer b.release(payload)
	if b.telemetry.bytes {
		s.bytes = b.signal.Size(payload)
	}
	defer s.timeCall()()
	return b.next(s.ctx, payload)
}

// merge moves all requests into the payload of the first.
func (b *buffer[P]) merge(requests []request[P]) P {
	first := b.take(&requests[0])
	if len(requests) == 1 {
		return first
	}
	scratch, _ := b.scratch.Get().(*[]P)
	if scratch == nil {
		scratch = new([]P)
	}
	others := (*scratch)[:0]
	for i := range requests[1:] {
		others = append(others, b.take(&requests[i+1]))
	}
	b.signal.Merge(first, others...)
	for _, p := range others {
		b.release(p)
	}
	clear(others)
	*scratch = others
	b.scratch.Put(scratch)
	return first
}
