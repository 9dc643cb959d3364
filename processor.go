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
	signal    signal.Signal[P]
	next      func(context.Context, P) error
	keys      keyer
	queue     *partitioned.Queue[request[P]]
	logger    *zap.Logger
	telemetry *telemetry
	scratch   sync.Pool // of *[]P
}

// request is one Consume call's payload on its way through, or what is left of it.
type request[P any] struct {
	payload P
	cut     *cut[P] // set when a part of payload is gone: then it is the source of what is left
	key     string
	items   int
	size    int                // signal.Size, where it is limited; above the limit: not to be merged or cut
	origin  *trace.SpanContext // of the call; nil if it was not sampled
}

// cut is a payload that is being taken apart.
type cut[P any] struct{ signal.Cutter[P] }

// maxDictionary bounds the dictionary entries of the profiles that are merged into one batch: pdata looks each entry up
// from the front, so that the cost of a merge grows with their square.
const maxDictionary = 8192

func newBuffer[P any](set processor.Settings, cfg *Config, signalName string, sig signal.Signal[P], next func(context.Context, P) error) (*buffer[P], error) {
	b := &buffer[P]{cfg: cfg, signal: sig, next: next, keys: newKeyer(cfg.MetadataKeys), logger: set.Logger}
	queue, perKey := cfg.capacity()
	qc := partitioned.QueueConfig[request[P]]{
		Process:        b.process,
		Consumers:      cfg.consumers(),
		Interval:       cfg.Timeout,
		BatchSize:      partitioned.Weight{Items: int(cfg.SendBatchSize)},
		MaxBatchSize:   partitioned.Weight{Items: int(cfg.SendBatchMaxSize)},
		Weigh:          func(r request[P]) partitioned.Weight { return partitioned.Weight{Items: r.items, Bytes: r.size} },
		Split:          b.split,
		Capacity:       queue,
		Unit:           cfg.unit(),
		Refuse:         !cfg.BlockOnOverflow,
		ProcessTimeout: cfg.ExportTimeout,
	}
	if len(b.keys) > 0 {
		qc.Key = func(r request[P]) string { return r.key }
		qc.MaxKeys = int(cfg.MetadataCardinalityLimit)
		qc.KeyCapacity = perKey
	}
	if b.limitsSize() {
		qc.MaxBatchSize.Bytes = maxDictionary
	}
	var err error
	if b.queue, err = partitioned.NewQueue(qc); err != nil {
		return nil, err
	}
	b.telemetry, err = newTelemetry(set, signalName, b.queue.Stats)
	return b, err
}

// limitsSize tells whether payloads are measured by signal.Size too: for profiles alone, by their dictionary.
func (b *buffer[P]) limitsSize() bool {
	_, profiles := any(b.signal).(signal.Profiles)
	return profiles
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
	defer b.telemetry.shutdown()
	return b.queue.Shutdown(ctx)
}

// consume accepts payload, or returns an error and leaves it as it was. It only reads until then.
func (b *buffer[P]) consume(ctx context.Context, payload P) error {
	r := request[P]{payload: payload, items: b.signal.Items(payload)}
	if r.items == 0 {
		return nil
	}
	if b.limitsSize() {
		if r.size = b.signal.Size(payload); b.signal.Check(payload) != nil {
			r.size = maxDictionary + 1 // goes on alone, as it came: the next component may know better
		}
	}
	r.key = b.keys.key(ctx)
	if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
		r.origin = new(sc)
	}
	b.signal.Ref(payload)
	if err := b.queue.Push(ctx, r); err != nil {
		b.signal.Unref(payload)
		return b.refusal(err)
	}
	return nil
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

// split takes as many items off r as there is room for.
func (b *buffer[P]) split(r request[P], room partitioned.Weight) (head, tail request[P], ok bool) {
	if room.Items >= r.items || r.size > room.Bytes {
		return r, r, false // a dictionary is not split: it ends the batch, or goes alone
	}
	if r.cut == nil {
		r.cut = &cut[P]{b.signal.Cut(b.signal.Own(r.payload))}
	}
	head, tail = r, r
	head.payload, head.cut, head.items = r.cut.Take(room.Items), nil, room.Items
	tail.items -= room.Items
	return head, tail, true
}

// take returns what r stands for, as a payload that is ours to change.
func (b *buffer[P]) take(r *request[P]) P {
	if r.cut != nil {
		return r.cut.Take(r.items)
	}
	return b.signal.Own(r.payload)
}

// process merges the requests of a batch into one payload and sends it.
func (b *buffer[P]) process(ctx context.Context, batch partitioned.Batch[request[P]]) (v partitioned.Verdict[request[P]]) {
	defer func() {
		if r := recover(); r != nil { // I8
			err := &partitioned.PanicError{Value: r, Stack: debug.Stack()}
			b.logger.Error("The next consumer panicked; its batch is dropped",
				zap.Any("panic", r), zap.ByteString("stack", err.Stack), zap.Int("items", batch.Weight.Items))
			v.Err = consumererror.NewPermanent(err)
		}
	}()
	payload := b.merge(batch.Items)
	ctx, span := b.telemetry.start(b.keys.context(ctx, batch.Key), origins(batch.Items))
	size := 0
	if b.telemetry.detailed(ctx) {
		size = b.signal.Size(payload)
	}
	begin := time.Now()
	err := b.next(ctx, payload)
	b.telemetry.sent(ctx, span, &sent{
		items: batch.Weight.Items, bytes: size, bySize: batch.Reason == partitioned.Size,
		age: begin.Sub(batch.Oldest), duration: time.Since(begin), err: err,
	})
	b.signal.Unref(payload)
	if err != nil {
		b.logger.Warn("Sending failed; the batch is dropped", zap.Error(err), zap.Int("items", batch.Weight.Items))
	}
	return partitioned.Verdict[request[P]]{Err: err}
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
		b.signal.Unref(p)
	}
	clear(others)
	*scratch = others
	b.scratch.Put(scratch)
	return first
}
