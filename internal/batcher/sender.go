// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/failure"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// sender calls the next consumer with one payload for each batch, and tells health and telemetry how that ended.
type sender[P any] struct { // immutable but for asked
	wait      bool // callers wait for the result
	copies    bool // what is sent may have to be sent again
	keys      keyer
	payloads  *payloads[P]
	policy    policy[P]
	telemetry *telemetry
	health    *health
	log       *zap.Logger
	oversized *notice
	panicked  *notice
	next      func(context.Context, P) error

	asked atomic.Bool // where the client metadata is
}

func newSender[P any](cfg Settings, keys keyer, p *payloads[P], t *telemetry, h *health, log *zap.Logger, next func(context.Context, P) error) *sender[P] {
	return &sender[P]{
		wait: cfg.WaitForResult, copies: cfg.SplitOnTooLarge || cfg.Retry.Enabled,
		keys: keys, payloads: p, policy: newPolicy(cfg, p, log), telemetry: t, health: h, log: log, next: next,
		panicked: newNotice(log, zap.ErrorLevel, "The next consumer panicked"),
		oversized: newNotice(log, zap.WarnLevel, "An item, or what the items of a batch have in common, is larger than send_batch_max_size_bytes and is "+
			"sent in a batch of its own; see items_oversized"),
	}
}

// send sends a batch as one payload, and returns what became of it. Each consumer calls it, under no lock.
func (s *sender[P]) send(ctx context.Context, batch partitioned.Batch[request[P]]) (v partitioned.Verdict[request[P]]) {
	s.health.begins()
	if s.keys.neverMet() && s.asked.CompareAndSwap(false, true) {
		s.log.Warn("No request so far has client metadata for metadata_keys: does the receiver have include_metadata: true, and do senders set it?",
			zap.Strings("metadata_keys", s.keys.metadata))
	}
	if s.wait {
		// One that is over already is nobody's any more: the batch goes out all the same.
		if latest, ok := latestDeadline(batch.Items); ok && time.Until(latest) > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, latest)
			defer cancel()
		}
	}
	c := s.telemetry.begin(s.keys.context(ctx, batch.Key), linksOf(batch.Items))
	c.items, c.bySize, c.age = batch.Weight.Items, batch.Reason == partitioned.Size, time.Since(batch.Oldest)
	if tries := attemptsOf(batch.Items); tries.before {
		c.bySize = tries.bySize
	}
	if s.payloads.bytes {
		c.bytes = batch.Weight.Bytes
	}
	var out outgoing[P]
	defer s.payloads.releaseOutgoing(&out)
	err := s.call(c, batch, &out)
	c.end(err)
	if err == nil {
		s.health.delivered(nil)
		return v
	}
	f := failed[P]{Failure: failure.Of(err), err: err, took: c.duration, bySize: c.bySize, out: &out}
	v, halved := s.policy.decide(&batch, &f)
	if !halved {
		s.health.delivered(err)
	}
	return v
}

// call merges the batch and calls the next consumer. A panic of it is an error (I8).
func (s *sender[P]) call(c *sending, batch partitioned.Batch[request[P]], out *outgoing[P]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			panicked := &failure.PanicError{Value: r, Stack: debug.Stack()}
			s.panicked.happened(0, func() []zap.Field { return []zap.Field{zap.Any("panic", r), zap.ByteString("stack", panicked.Stack)} })
			err = consumererror.NewPermanent(panicked)
		}
	}()
	tooLarge := s.payloads.tooLarge(batch.Weight)
	s.payloads.load(out, batch.Items, s.copies, tooLarge)
	if tooLarge {
		c.bytes = s.payloads.signal.Size(out.merged)
		s.warnOversized(c.items, c.bytes)
	}
	if s.telemetry.bytes && !s.payloads.bytes {
		c.bytes = s.payloads.signal.Size(out.sent)
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx) // I7: Shutdown may have ended while this was made ready
	}
	defer c.timeCall()()
	return s.next(c.ctx, out.sent)
}

// warnOversized notes that what cannot be divided is larger than a batch may be.
func (s *sender[P]) warnOversized(items, bytes int) {
	s.oversized.happened(items, func() []zap.Field {
		return []zap.Field{zap.Int("bytes", bytes), zap.Int("send_batch_max_size_bytes", s.payloads.maxBytes)}
	})
}
