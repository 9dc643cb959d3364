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
	again     bool // what is sent may have to be sent again
	halves    bool // and in halves
	adaptive  bool // the number of calls follows how they end
	keys      keyer
	payloads  *payloads[P]
	policy    policy[P]
	telemetry *telemetry
	health    *health
	log       *zap.Logger
	oversized *notice
	panicked  *notice
	next      Next[P]
	storage   *storage[P] // nil: there is none

	asked atomic.Bool // where the client metadata is
}

func newSender[P any](cfg Settings, keys keyer, p *payloads[P], st *storage[P], t *telemetry, h *health, log *zap.Logger, next Next[P]) *sender[P] {
	halves := cfg.SplitOnTooLarge || cfg.SplitOnRejected
	return &sender[P]{
		wait: cfg.WaitForResult, again: halves || cfg.Retry.Enabled || st != nil,
		halves:   halves,
		adaptive: cfg.Adaptive.enabled(),
		keys:     keys, payloads: p, policy: newPolicy(cfg, p, st, log), telemetry: t, health: h, log: log, next: next, storage: st,
		panicked:  newNotice(log, zap.ErrorLevel, "The next consumer panicked"),
		oversized: newNotice(log, zap.WarnLevel, "A batch is larger than send_batch_max_size_bytes or send_batch_max_size, as it cannot be divided; see items_oversized"),
	}
}

// send sends a batch as one payload, and returns what became of it. Each consumer calls it, under no lock.
func (s *sender[P]) send(ctx context.Context, batch partitioned.Batch[request[P]]) (v partitioned.Verdict[request[P]]) {
	var out outgoing[P]
	defer s.payloads.releaseOutgoing(&out)
	if s.storage != nil {
		if err := s.storage.fetch(ctx, batch.Items); err != nil {
			return s.storage.putOff(&batch, err)
		}
	}
	err := s.guard(func() error {
		s.payloads.load(&out, batch.Items, s.wait)
		return nil
	})
	if out.items == 0 && err == nil {
		return partitioned.Verdict[request[P]]{Returned: batch.Weight.Items}
	}
	s.health.begins(s.keyOf(&batch))
	s.askForMetadata()
	ctx, cancel := s.deadline(ctx, batch.Items)
	defer cancel()
	c := s.begin(ctx, &batch, &out)
	if err == nil {
		err = s.guard(func() error { return s.call(c, &batch, &out) })
	}
	c.end(err)
	v = s.answer(&batch, &out, c, err)
	v.Returned = batch.Weight.Items - itemsOf(batch.Items)
	return v
}

// askForMetadata warns once that requests lack the client metadata that they are to be batched by.
func (s *sender[P]) askForMetadata() {
	if s.keys.neverMet() && s.asked.CompareAndSwap(false, true) {
		s.log.Warn("No request so far has client metadata for metadata_keys: does the receiver have include_metadata: true, and do senders set it?",
			zap.Strings("metadata_keys", s.keys.metadata))
	}
}

// deadline returns ctx with the latest deadline of the callers that wait for the requests, if each has one.
func (s *sender[P]) deadline(ctx context.Context, requests []request[P]) (context.Context, context.CancelFunc) {
	if s.wait {
		// One that is over already is nobody's any more: the batch goes out all the same.
		if latest, ok := latestDeadline(requests); ok && time.Until(latest) > 0 {
			return context.WithDeadline(ctx, latest)
		}
	}
	return ctx, func() {}
}

// answer returns the verdict on a batch after its call ended with err.
func (s *sender[P]) answer(batch *partitioned.Batch[request[P]], out *outgoing[P], c *sending, err error) partitioned.Verdict[request[P]] {
	if err == nil {
		if s.wait {
			s.payloads.delivered(batch.Items)
		}
		releaseAll(batch.Items, nil)
		attemptsOf(batch.Items).isolation.taken()
		s.health.delivered(s.keyOf(batch), nil, 0)
		return partitioned.Verdict[request[P]]{}
	}
	f := failed[P]{Failure: failure.Of(err), err: err, took: c.duration, bySize: c.bySize, out: out}
	v, what := s.policy.decide(batch, &f)
	if s.adaptive {
		v.Refused, v.Pause = f.Overloaded(), f.Delay()
	}
	switch what {
	case halved: // no failure of the next consumer
		s.health.halved(s.keyOf(batch))
		return v
	case rejected:
		s.telemetry.rejected(f.items)
	case gaveUp:
		if !s.keys.none() { // an answer that asks for a pause would refuse the key's next batch as well
			v.After = min(f.Delay(), s.policy.retry.MaxInterval)
		}
	}
	s.health.delivered(s.keyOf(batch), err, v.After)
	return v
}

// keyOf is whose batch it is; "": there are no keys. Partitions are none: they have one backend.
func (s *sender[P]) keyOf(batch *partitioned.Batch[request[P]]) string {
	if s.keys.none() {
		return ""
	}
	return batch.Key
}

// begin starts the span of a batch, and notes what there is to tell of it.
func (s *sender[P]) begin(ctx context.Context, batch *partitioned.Batch[request[P]], out *outgoing[P]) *sending {
	c := s.telemetry.begin(s.keys.context(ctx, batch.Key), linksOf(batch.Items))
	c.items, c.bySize, c.age = out.items, batch.Reason == partitioned.ReasonSize, time.Since(batch.Oldest)
	if tries := attemptsOf(batch.Items); tries.before {
		c.bySize = tries.bySize
	}
	return c
}

// guard calls f. A panic is an error, and noted (I8).
func (s *sender[P]) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			panicked := &failure.PanicError{Value: r, Stack: debug.Stack()}
			s.panicked.happened(0, func() []zap.Field { return []zap.Field{zap.Any("panic", r), zap.ByteString("stack", panicked.Stack)} })
			err = consumererror.NewPermanent(panicked)
		}
	}()
	return f()
}

// call calls the next consumer.
func (s *sender[P]) call(c *sending, batch *partitioned.Batch[request[P]], out *outgoing[P]) error {
	tooLarge := s.payloads.tooLarge(batch.Weight)
	out.stored = s.storage != nil && !s.halves && canTakeBack(batch.Items)
	// Else nobody pays for a copy. What is lent is only read after the call, so a next consumer that does not change it can have it.
	s.payloads.address(out, s.again && !out.stored || out.lends && s.next.Mutates, tooLarge)
	switch {
	case tooLarge:
		c.bytes = s.payloads.signal.Size(out.sent) // without what was stripped
	case s.payloads.bytes && out.items == batch.Weight.Items:
		c.bytes = batch.Weight.Bytes
	case s.payloads.bytes, s.telemetry.bytes: // of the first, something was left out
		c.bytes = s.payloads.signal.Size(out.sent)
	}
	if !attemptsOf(batch.Items).before { // parts and repetitions are not counted again
		s.noteOversized(c)
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx) // I7: Shutdown may have ended while this was made ready
	}
	if err := attemptsOf(batch.Items).isolation.over(); err != nil {
		return err
	}
	defer c.timeCall()()
	return s.next.Consume(c.ctx, out.sent)
}

// noteOversized counts a batch that is larger than a batch may be, as it cannot be divided.
func (s *sender[P]) noteOversized(c *sending) {
	if !s.payloads.oversized(c.items, c.bytes) {
		return
	}
	s.telemetry.oversized(c.items)
	s.oversized.happened(c.items, func() []zap.Field {
		return []zap.Field{
			zap.Int("bytes", c.bytes), zap.Int("send_batch_max_size_bytes", s.payloads.maxBytes),
			zap.Int("batch_items", c.items), zap.Int("send_batch_max_size", s.payloads.maxItems),
		}
	})
}
