// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// buffer is the processor, for every signal: an adapter between the pipeline and what holds its requests. It takes references
// and keys on the way in, and merges, sends and reports on the way out. P is the payload: ptrace.Traces and its kin.
type buffer[P any] struct {
	cfg       *Config
	profiles  bool // the signal: limited by signal.Size too
	bytes     bool // payloads are measured in bytes
	pooled    bool // payloads are recycled when nobody holds them
	signal    signal.Signal[P]
	next      func(context.Context, P) error
	keys      keyer
	lanes     []string     // with several partitions: a key that leads to each of them
	seed      maphash.Seed // of what decides between them
	queue     pending[P]
	logger    *zap.Logger
	telemetry *telemetry
	health    health
	scratch   sync.Pool    // of *[]P
	told      atomic.Int64 // when an oversized item was logged last, in Unix nanoseconds; 0: never
}

// newBuffer makes the processor. newMap is what makes its map if it is to have one; nil: the signal has none.
func newBuffer[P any](set processor.Settings, cfg *Config, signalName string, sig signal.Signal[P], newMap func(*buffer[P]) (pending[P], error),
	next func(context.Context, P) error,
) (*buffer[P], error) {
	b := &buffer[P]{cfg: cfg, signal: sig, next: next, keys: newKeyer(cfg.MetadataKeys, cfg.ResourceKeys), seed: maphash.MakeSeed(), logger: set.Logger}
	_, b.profiles = any(sig).(signal.Profiles)
	b.pooled = pref.UseProtoPooling.IsEnabled()
	if b.bytes = cfg.bytesKey() != ""; b.bytes && b.profiles {
		return nil, fmt.Errorf("%s: not for profiles, which have no size in bytes before they are encoded", cfg.bytesKey())
	}
	for _, warning := range cfg.warnings() {
		set.Logger.Warn(warning)
	}
	hold := newQueue[P]
	if cfg.Buffer == bufferMap {
		if hold = newMap; hold == nil {
			return nil, errNoMap(signalName)
		}
	}
	var err error
	if b.queue, err = hold(b); err != nil {
		return nil, err
	}
	b.health.queue = b.queue
	b.telemetry, err = newTelemetry(set, signalName, b.stats)
	return b, err
}

// stats are those of what holds the requests. A map's lanes are streams of it, but no keys.
func (b *buffer[P]) stats() partitioned.Stats {
	st := b.queue.Stats()
	if b.keys.none() {
		st.Keys = 0
	}
	return st
}

// Capabilities: payloads are moved into batches.
func (b *buffer[P]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start begins to accept.
func (b *buffer[P]) Start(_ context.Context, host component.Host) error {
	b.health.start(host)
	return b.queue.Start()
}

// Shutdown refuses what comes from now on, and sends what is pending until shutdown_timeout or ctx is over. Its error says
// how much was dropped then.
func (b *buffer[P]) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.ShutdownTimeout)
	defer cancel()
	b.health.end()
	err := b.queue.Shutdown(ctx)
	b.telemetry.shutdown()
	if err != nil {
		st := b.queue.Stats() // the metrics end here, so the last figures go to the log
		b.logger.Error("Shutdown dropped what was pending", zap.Error(err), zap.Int64("accepted", st.Accepted),
			zap.Int64("forwarded", st.Forwarded), zap.Int64("returned", st.Returned), zap.Int64("failed", st.Failed), zap.Int64("dropped", st.Lost))
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
	if b.needsMore(ctx, origin) {
		r.more = b.describe(ctx, payload, origin)
	}
	b.hold(payload)
	result, err := b.queue.push(ctx, r, b.cfg.WaitForResult)
	if err != nil {
		b.release(payload)
		return b.refusal(err)
	}
	if !b.cfg.WaitForResult {
		return nil
	}
	if err = result.Wait(ctx); err != nil {
		err = forOrigins(err, false)
	}
	return err
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
		return fmt.Errorf("too many combinations of the keys' values pending: metadata_cardinality_limit is %d: %w", b.cfg.MetadataCardinalityLimit, err)
	default:
		return err
	}
}
