// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// buffer is the processor, for every signal: an adapter between the pipeline and a partitioned.Queue. It takes references
// and keys on the way in, and merges, sends and reports on the way out. P is the payload: ptrace.Traces and its kin.
type buffer[P any] struct {
	cfg       *Config
	profiles  bool // the signal: limited by signal.Size too
	pooled    bool // payloads are recycled when nobody holds them
	signal    signal.Signal[P]
	next      func(context.Context, P) error
	keys      keyer
	queue     *partitioned.Queue[request[P]]
	logger    *zap.Logger
	telemetry *telemetry
	scratch   sync.Pool // of *[]P
}

// request is one Consume call's payload on its way through, or what is left of it. It is small, as it is copied in and out
// of the queue: what most requests do without stands in more.
type request[P any] struct {
	payload P
	items   int
	more    *more[P]
}

type more[P any] struct {
	key    string
	size   int               // signal.Size, where it is limited
	whole  bool              // can be neither merged nor cut
	origin trace.SpanContext // of the call, if it was sampled
	left   signal.Cutter[P]  // set when a part of payload is gone: has what is left of it
}

// maxDictionary bounds the dictionary entries of the profiles that are merged into one batch: pdata looks each entry up
// from the front, so that the cost of a merge grows with their square.
const maxDictionary = 4096

func newBuffer[P any](set processor.Settings, cfg *Config, signalName string, sig signal.Signal[P], next func(context.Context, P) error) (*buffer[P], error) {
	b := &buffer[P]{cfg: cfg, signal: sig, next: next, keys: newKeyer(cfg.MetadataKeys), logger: set.Logger}
	_, b.profiles = any(sig).(signal.Profiles)
	b.pooled = pref.UseProtoPooling.IsEnabled()
	queue, perKey := cfg.capacity()
	qc := partitioned.QueueConfig[request[P]]{
		Process:        b.process,
		Consumers:      cfg.consumers(),
		Interval:       cfg.Timeout,
		BatchSize:      partitioned.Weight{Items: int(cfg.SendBatchSize)},
		MaxBatchSize:   partitioned.Weight{Items: int(cfg.SendBatchMaxSize)},
		Weigh:          weigh[P],
		Split:          b.split,
		Capacity:       queue,
		Unit:           cfg.unit(),
		Refuse:         !cfg.BlockOnOverflow,
		ProcessTimeout: cfg.ExportTimeout,
	}
	if len(b.keys) > 0 {
		qc.Key = func(r request[P]) string { return r.more.key }
		qc.MaxKeys = int(cfg.MetadataCardinalityLimit)
		qc.KeyCapacity = perKey
	}
	if b.profiles {
		qc.MaxBatchSize.Bytes = maxDictionary
	}
	var err error
	if b.queue, err = partitioned.NewQueue(qc); err != nil {
		return nil, err
	}
	b.telemetry, err = newTelemetry(set, signalName, b.queue.Stats)
	return b, err
}

// Capabilities: payloads are moved into batches.
func (b *buffer[P]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start begins to accept.
func (b *buffer[P]) Start(context.Context, component.Host) error {
	return b.queue.Start()
}

// Shutdown refuses what comes from now on, and sends what is pending until shutdown_timeout or ctx is over. Its error says
// how much was dropped then.
func (b *buffer[P]) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.ShutdownTimeout)
	defer cancel()
	err := b.queue.Shutdown(ctx)
	b.telemetry.shutdown()
	if err != nil {
		st := b.queue.Stats() // the metrics end here, so the last figures go to the log
		b.logger.Error("Shutdown dropped what was pending", zap.Error(err), zap.Int64("accepted", st.Accepted),
			zap.Int64("forwarded", st.Forwarded), zap.Int64("failed", st.Failed), zap.Int64("dropped", st.Lost))
	}
	return err
}

// consume accepts payload, or returns an error and leaves it as it was. It only reads until then.
func (b *buffer[P]) consume(ctx context.Context, payload P) error {
	r := request[P]{payload: payload, items: b.signal.Items(payload)}
	if r.items == 0 {
		return nil
	}
	origin := trace.SpanContextFromContext(ctx)
	if origin.IsSampled() || len(b.keys) > 0 || b.profiles {
		r.more = b.describe(ctx, payload, origin)
	}
	b.hold(payload)
	if err := b.queue.Push(ctx, r); err != nil {
		b.release(payload)
		return b.refusal(err)
	}
	return nil
}

func (b *buffer[P]) describe(ctx context.Context, payload P, origin trace.SpanContext) *more[P] {
	m := &more[P]{key: b.keys.key(ctx)}
	if origin.IsSampled() {
		m.origin = origin
	}
	if b.profiles {
		m.size = b.signal.Size(payload)
		if b.signal.Check(payload) != nil {
			m.whole = true
			m.size = maxDictionary + 1 // goes on alone, as it came: the next component may know better
		}
	}
	return m
}

func weigh[P any](r request[P]) partitioned.Weight {
	w := partitioned.Weight{Items: r.items}
	if r.more != nil {
		w.Bytes = r.more.size
	}
	return w
}

// hold keeps payload from being recycled after Consume returned, until release. Without the gate pdata.useProtoPooling
// references have no meaning, and two atomic operations on each payload's own cache line cost an eighth of Consume.
func (b *buffer[P]) hold(payload P) {
	if b.pooled {
		b.signal.Ref(payload)
	}
}

func (b *buffer[P]) release(payload P) {
	if b.pooled {
		b.signal.Unref(payload)
	}
}

// refusal says what a user can do about a push that was refused. None is permanent: the sender may try again.
func (b *buffer[P]) refusal(err error) error {
	queue, perKey := b.cfg.capacity()
	switch {
	case errors.Is(err, partitioned.ErrFull) && perKey > 0:
		return fmt.Errorf("queue is full: queue_size is %d, queue_size_per_key is %d %s: %w", queue, perKey, b.cfg.Sizer, err)
	case errors.Is(err, partitioned.ErrFull):
		return fmt.Errorf("queue is full: queue_size is %d %s: %w", queue, b.cfg.Sizer, err)
	case errors.Is(err, partitioned.ErrTooManyKeys):
		return fmt.Errorf("too many combinations of metadata values pending: metadata_cardinality_limit is %d: %w", b.cfg.MetadataCardinalityLimit, err)
	default:
		return err
	}
}

// split takes as many items off r as there is room for. A dictionary cannot be split: without room for it the batch ends
// before r, and one that is larger than any batch's gets batches of its own.
func (b *buffer[P]) split(r request[P], room partitioned.Weight) (head, tail request[P], ok bool) {
	if r.more == nil {
		r.more = &more[P]{}
	}
	if room.Items >= r.items || r.more.whole || r.more.size > room.Bytes && room.Bytes < maxDictionary {
		return r, r, false
	}
	defer func() {
		if p := recover(); p != nil { // I8: on a worker it would end the process; like this it costs the request its cap
			b.logger.Error("A request could not be cut", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			ok = false
		}
	}()
	if r.more.left == nil {
		r.payload = b.own(r.payload)
		r.more.left = b.signal.Cut(r.payload)
	}
	head, tail = r, r
	head.payload = r.more.left.Take(room.Items)
	head.items = room.Items
	head.more = &more[P]{key: r.more.key, size: r.more.size, origin: r.more.origin}
	tail.items -= room.Items
	return head, tail, true
}

// take returns what r stands for, as a payload that is ours to change, and of which we hold a reference.
func (b *buffer[P]) take(r *request[P]) P {
	if r.more != nil && r.more.left != nil {
		defer b.release(r.payload) // nothing is left of it
		return r.more.left.Take(r.items)
	}
	return b.own(r.payload)
}

// own returns p, or a copy in its place if others may read it.
func (b *buffer[P]) own(p P) P {
	if !b.signal.Shared(p) {
		return p
	}
	defer b.release(p)
	return b.signal.Copy(p)
}

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
