// SPDX-License-Identifier: Apache-2.0

// Package batcher is what happens to a request, for every signal. Each part of it has one job, and calls run downwards only:
//
//	Batcher    Consume, and the life cycle
//	router     keys and parts of a payload; the client metadata of a key
//	store      where requests wait for their batch: queue, resources or records
//	storage    what keeps requests until they are settled, so that they survive a crash
//	sender     merges a batch, makes its context, calls the next consumer
//	policy     what becomes of a batch that failed: it comes again, in halves or later, or is given up
//	payloads   the only place that takes, copies, moves or releases a payload
//
// ARCHITECTURE.md in the root of the repository follows one request through them.
package batcher

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/failure"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// Batcher takes the requests of one pipeline and sends them on in batches. P is the payload: ptrace.Traces, or that of another signal.
type Batcher[P any] struct {
	cfg       Settings // immutable
	payloads  *payloads[P]
	store     store[P]
	storage   *storage[P] // nil: requests are in memory alone
	telemetry *telemetry
	health    *health
	log       *zap.Logger

	refusing, tooManyKeys, waiting, evicted, expired *notice
	stalled                                          *stalledKeys

	lossLogged sync.Once // Shutdown may be called twice
}

// Next is the next consumer.
type Next[P any] struct {
	Consume func(context.Context, P) error
	Mutates bool // it may change what it gets
}

// New makes a Batcher that accepts nothing until Start. The expressions are those of cfg.KeyExpressions.
func New[P, R any](set processor.Settings, cfg Settings, kind signal.Descriptor[P, R], all []Expression[P], next Next[P]) (*Batcher[P], error) {
	t, err := newTelemetry(set, kind.Name)
	if err != nil {
		return nil, err
	}
	b := &Batcher[P]{
		cfg: cfg, payloads: newPayloads(cfg, kind.Signal, kind.Dictionary, set.Logger),
		telemetry: t, health: &health{}, log: set.Logger,
		refusing:    newNotice(set.Logger, zap.WarnLevel, "Requests are refused; their senders were told"),
		waiting:     newNotice(set.Logger, zap.WarnLevel, "The queue is full: callers wait"),
		evicted:     newNotice(set.Logger, zap.ErrorLevel, "The queue is full: its oldest items are dropped; see items_dropped"),
		expired:     newNotice(set.Logger, zap.ErrorLevel, "Items are older than max_age when their turn comes, and are dropped; see items_dropped"),
		stalled:     &stalledKeys{log: set.Logger},
		tooManyKeys: newNotice(set.Logger, zap.WarnLevel, "Requests with new keys are refused; their senders were told"),
	}
	xs := newExpressions(all, set.Logger)
	keys := newKeyer(cfg.MetadataKeys, cfg.ResourceKeys, xs.of(OfResource).names(), cfg.AttributeKeys, slices.Concat(xs.of(OfScope), xs.of(OfItem)).names())
	cfg.observer, cfg.limiter = b.observer(&keys), newAdaptive(cfg)
	if cfg.stored() {
		b.storage = newStorage(&b.cfg, set.ID, kind.Name, b.payloads, set.Logger)
	}
	s := newSender(cfg, keys, b.payloads, b.storage, t, b.health, set.Logger, next)
	if b.store, err = newStore(cfg, kind, keys, xs, b.payloads, b.storage, s.send); err != nil {
		return nil, err
	}
	return b, t.observe(set, cfg, xs.names(), func() snapshot {
		return snapshot{Stats: b.Stats(), storage: b.figures(), limit: cfg.limiter.changes(), expressionErrors: xs.failures()}
	})
}

// observer notes what the queue reports: callers that begin to wait, and what it dropped.
func (b *Batcher[P]) observer(keys *keyer) *partitioned.Observer {
	return &partitioned.Observer{
		Waiting: func(_, key string, _ int64) {
			b.waiting.happened(0, func() []zap.Field {
				st := b.Stats()
				return append(keys.fields(key), zap.Int64("callers_waiting", st.Callers), zap.Int64("pending", st.Used), zap.String("limits", b.cfg.limits()))
			})
		},
		Evicted: func(_ string, _, items int) {
			b.evicted.happened(items, func() []zap.Field { return []zap.Field{zap.String("limits", b.cfg.limits())} })
		},
		Expired: func(_ string, _, items int) {
			b.expired.happened(items, func() []zap.Field { return []zap.Field{zap.Duration("max_age", b.cfg.MaxAge)} })
		},
		Stalled: func(_ string, _ int, key string, items int) {
			b.stalled.of(key).happened(items, func() []zap.Field {
				return append(keys.fields(key), zap.Duration("stalled_key_timeout", b.cfg.StallTimeout))
			})
		},
	}
}

// newStore makes what the configuration asks for.
func newStore[P, R any](cfg Settings, kind signal.Descriptor[P, R], keys keyer, xs expressions[P], p *payloads[P], st *storage[P], send sendFunc[P]) (store[P], error) {
	switch {
	case cfg.Map == nil:
		return newQueue(cfg, keys, xs, p, st, send)
	case cfg.Map.Records && kind.Records != nil:
		return newRecords(cfg, kind, keys, xs, p, send)
	case !cfg.Map.Records && kind.Groups != nil:
		return newResources(cfg, kind.Groups, keys, xs, p, send)
	default:
		return nil, fmt.Errorf("%s cannot be held in a map", kind.Name)
	}
}

// Start begins to accept, and logs the settings as they are in effect.
func (b *Batcher[P]) Start(ctx context.Context, host component.Host) error {
	if b.storage != nil {
		if err := b.storage.start(ctx, host); err != nil {
			return err
		}
	}
	b.log.Info("Batching", b.cfg.fields()...)
	b.health.start(host, b.store)
	err := b.store.Start()
	if b.storage == nil {
		return err
	}
	if err != nil {
		return errors.Join(err, b.storage.abandon(ctx))
	}
	b.storage.recover(host)
	return nil
}

// Consume accepts payload, or returns an error and leaves it as it was. With wait_for_result it returns when the data was delivered.
// Unless its error is permanent, the payload is as it was, and what was not delivered is in the error.
func (b *Batcher[P]) Consume(ctx context.Context, payload P) error {
	r := request[P]{payload: payload, items: b.payloads.signal.Items(payload)}
	if r.items == 0 {
		return nil
	}
	caller := ctx
	if b.cfg.WaitTimeout > 0 {
		limited := newPatience(ctx, b.cfg.WaitTimeout)
		defer limited.end()
		ctx = limited
	}
	if b.cfg.WaitForResult {
		return b.consumeWait(caller, ctx, r)
	}
	r.meta = b.describe(ctx, payload)
	if b.storage != nil {
		return b.consumeStored(ctx, r)
	}
	b.payloads.hold(payload)
	if _, err := b.store.push(ctx, r, false); err != nil {
		b.payloads.release(payload)
		return b.refused(err, r.items)
	}
	return nil
}

// consumeStored is Consume with a storage: it returns when the data is written, or delivered.
func (b *Batcher[P]) consumeStored(ctx context.Context, r request[P]) error {
	b.payloads.hold(r.payload)
	accepted, err := b.storage.push(ctx, r)
	switch {
	case err == nil:
		return nil
	case accepted && consumererror.IsPermanent(err): // of what became of it
		return consumererror.NewPermanent(b.cfg.explain(err))
	case accepted:
		return b.refused(err, r.items)
	default:
		b.payloads.release(r.payload)
		return b.refused(err, r.items)
	}
}

// consumeWait is Consume for a caller that waits for its result. The wait ends with ctx; what is sent for caller, by its deadline.
func (b *Batcher[P]) consumeWait(caller, ctx context.Context, r request[P]) error {
	keep := b.cfg.Map != nil || b.payloads.dictionary || b.payloads.signal.Shared(r.payload)
	l, m := newLease(r.payload, r.items, keep, trace.SpanContextFromContext(caller))
	m.deadline, _ = caller.Deadline()
	b.stamp(m, r.payload)
	r.meta = m
	result, err := b.store.push(ctx, r, true)
	if err != nil {
		return b.refused(err, r.items) // nothing was lent
	}
	return b.handBack(l, b.told(result.Wait(ctx)))
}

// told returns what a caller is told of its result.
func (b *Batcher[P]) told(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, partitioned.ErrAbandoned), errors.Is(err, partitioned.ErrWithdrawn), errors.Is(err, partitioned.ErrDropped):
		return b.cfg.explain(err)
	}
	if reasons, others := splitDropped(err); len(reasons) > 0 {
		return b.toldDropped(reasons, others)
	}
	return failure.Of(err).ForCallers(false)
}

// toldDropped returns what a caller is told of a request of which the queue dropped something. Sending that again would only meet the
// same fate, so it is permanent, unless something else of the request failed and is worth another attempt.
func (b *Batcher[P]) toldDropped(reasons, others []error) error {
	for i := range reasons {
		reasons[i] = b.cfg.explain(reasons[i])
	}
	dropped := consumererror.NewPermanent(errors.Join(reasons...))
	if len(others) == 0 {
		return dropped
	}
	f := failure.Of(errors.Join(others...))
	if f.Permanent() {
		return consumererror.NewPermanent(errors.Join(dropped, f.ForCallers(true)))
	}
	return f.ForCallers(false)
}

// splitDropped returns why the queue dropped something by itself, each reason once, and the other errors that it joined with those.
func splitDropped(err error) (reasons, others []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			r, o := splitDropped(e)
			for _, reason := range r {
				if !slices.Contains(reasons, reason) {
					reasons = append(reasons, reason)
				}
			}
			others = append(others, o...)
		}
		return reasons, others
	}
	// The queue does not wrap them. Those of another processor, further on, are wrapped.
	if slices.Contains([]error{partitioned.ErrStalled, partitioned.ErrEvicted, partitioned.ErrExpired}, err) {
		return []error{err}, nil
	}
	return nil, []error{err}
}

// handBack ends a lease with the error of its call.
func (b *Batcher[P]) handBack(l *lease[P], err error) (told error) {
	defer func() {
		if r := recover(); r != nil { // I8: the next consumer changed a batch although it says that it does not
			b.log.Error("A payload could not be handed back to its caller", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			told = consumererror.NewPermanent(errors.Join(err, &failure.PanicError{Value: r, Stack: debug.Stack()}))
		}
	}()
	return l.end(b.payloads, err)
}

// describe returns what has to be known of a request that nobody waits for beside its items; nil, mostly: nothing.
func (b *Batcher[P]) describe(ctx context.Context, payload P) (m *meta[P]) {
	span := trace.SpanContextFromContext(ctx)
	switch {
	case span.IsSampled():
		m = newLinkedMeta[P](span)
	case b.payloads.dictionary || b.payloads.bytes || b.cfg.MaxAge > 0 || b.storage != nil:
		m = &meta[P]{}
	}
	b.stamp(m, payload)
	return m
}

// stamp notes when a request came, and how large it is, as far as that matters now.
func (b *Batcher[P]) stamp(m *meta[P], payload P) {
	if b.cfg.MaxAge > 0 || b.storage != nil {
		m.arrived = time.Now()
	}
	if b.payloads.dictionary {
		m.measure, m.whole = b.payloads.measure(payload)
	}
}

// refused returns the error for a caller whose request was refused, and notes it.
func (b *Batcher[P]) refused(err error, items int) error {
	err = b.cfg.explain(err)
	fields := func() []zap.Field { return []zap.Field{zap.Error(err)} }
	switch {
	case errors.Is(err, partitioned.ErrTooManyKeys):
		b.tooManyKeys.happened(items, fields)
	case !errors.Is(err, partitioned.ErrClosed) && !errors.Is(err, partitioned.ErrNotStarted):
		b.refusing.happened(items, fields)
	}
	return err
}

// Stats is the snapshot that all instruments observe. The streams of a map with partitions are not keys.
func (b *Batcher[P]) Stats() partitioned.Stats {
	st := b.store.Stats()
	if !b.cfg.keyed() {
		st.Keys = 0
	}
	return st
}

// Shutdown refuses what comes from now on, and sends what is pending until shutdown_timeout or ctx is over. What is left then is
// kept in the storage, or lost, and logged. It returns nil all the same: an error would end a Collector that only reloads its
// configuration.
func (b *Batcher[P]) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.ShutdownTimeout)
	defer cancel()
	b.health.end()
	var err error
	if b.storage == nil {
		err = b.store.Shutdown(ctx)
	} else {
		err = b.storage.drain(ctx, b.store)
	}
	b.telemetry.shutdown()
	if err == nil {
		return nil
	}
	b.lossLogged.Do(func() {
		st := b.store.Stats() // the last figures
		fields := []zap.Field{
			zap.Error(b.cfg.explainLoss(err)), zap.Int64("accepted", st.Accepted), zap.Int64("forwarded", st.Forwarded),
			zap.Int64("returned", st.Returned), zap.Int64("failed", st.Failed),
		}
		kept := b.figures().kept
		if kept > 0 {
			b.log.Info("Shutdown kept what was pending in the storage, for the next run", append(fields, zap.Int64("kept", kept))...)
		}
		if dropped := st.Lost - kept; dropped > 0 {
			b.log.Error("Shutdown dropped what was pending", append(fields, zap.Int64("dropped", dropped))...)
		}
	})
	return nil
}

// figures are those of the storage, as they are now.
func (b *Batcher[P]) figures() figures {
	if b.storage == nil {
		return figures{}
	}
	return b.storage.figures()
}
