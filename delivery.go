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
func (b *buffer[P]) process(ctx context.Context, batch partitioned.Batch[request[P]]) (v partitioned.Verdict[request[P]]) {
	b.health.begins()
	if b.cfg.WaitForResult {
		// One that is over already is nobody's any more: the batch goes out all the same.
		if latest, ok := latestDeadline(batch.Items); ok && time.Until(latest) > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, latest)
			defer cancel()
		}
	}
	s := b.telemetry.begin(b.keys.context(ctx, batch.Key), links(batch.Items))
	s.items, s.bySize, s.age = batch.Weight.Items, batch.Reason == partitioned.Size, time.Since(batch.Oldest)
	if tries := attemptsOf(batch.Items); tries.before {
		s.bySize = tries.bySize
	}
	if b.bytes {
		s.bytes = batch.Weight.Bytes
		b.tellOversized(batch.Weight)
	}
	var out outgoing[P]
	err := b.send(s, batch.Items, &out)
	s.end(err)
	if err == nil {
		b.health.delivered(nil)
	} else {
		v = b.failed(s, &batch, &out, err)
	}
	b.letGo(&out)
	return v
}

// tellOversized logs once in a while that an item is larger than a batch may be.
func (b *buffer[P]) tellOversized(w partitioned.Weight) {
	most := b.cfg.SendBatchMaxSizeBytes
	if most == 0 || int64(w.Bytes) <= most {
		return
	}
	now := time.Now().UnixNano()
	if last := b.told.Load(); last != 0 && now-last < int64(time.Minute) || !b.told.CompareAndSwap(last, now) {
		return
	}
	b.logger.Warn("An item is larger than send_batch_max_size_bytes and is sent alone; others like it are counted in items_oversized",
		zap.Int("bytes", w.Bytes), zap.Int64("send_batch_max_size_bytes", most))
}

// outgoing is the payload of one call of the next consumer. We hold a reference to either of the two until letGo, so that
// they can be read after the call, and what an error says of a subset, which may be made of them.
type outgoing[P any] struct {
	merged P    // what the requests of the batch became
	held   bool // ours
	sent   P    // what the next consumer gets: merged or, if that may have to be sent again, a deep copy
	copied bool // ours
}

func (b *buffer[P]) letGo(out *outgoing[P]) {
	if out.held {
		b.release(out.merged)
	}
	if out.copied {
		b.release(out.sent)
	}
}

// send merges the requests and calls the next consumer. A panic of it is an error (I8).
func (b *buffer[P]) send(s *sending, requests []request[P], out *outgoing[P]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			panicked := &partitioned.PanicError{Value: r, Stack: debug.Stack()}
			b.logger.Error("The next consumer panicked", zap.Any("panic", r), zap.ByteString("stack", panicked.Stack))
			err = consumererror.NewPermanent(panicked)
		}
	}()
	out.merged = b.merge(requests)
	out.held, out.sent = true, out.merged
	if b.cfg.SplitOnTooLarge || b.cfg.RetryOnFailure.Enabled { // else nobody pays for it
		out.sent, out.copied = b.signal.Copy(out.merged), true
	}
	if b.telemetry.bytes && !b.bytes {
		s.bytes = b.signal.Size(out.sent)
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx) // I7: Shutdown may have ended while this was made ready
	}
	defer s.timeCall()()
	return b.next(s.ctx, out.sent)
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
