// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
)

// recover begins to put what earlier runs left into the queue. Consume waits until that is done.
func (s *storage[P]) recover(host component.Host) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.started.Store(true)
	go func() {
		defer close(s.over)
		began, entries := time.Now(), 0
		err := s.journal.Recover(ctx, s.found(func(f journal.Found) {
			entries++
			s.restore(ctx, f)
		}))
		switch {
		case err == nil && entries > 0:
			s.log.Info("Recovered what an earlier run left in the storage", zap.Int("requests", entries), zap.Int64("items", s.recovered.Load()), zap.Duration("took", time.Since(began)))
		case errors.Is(err, journal.ErrNewer):
			s.failure = fmt.Errorf("storage is %q: %w", s.cfg.Storage, err)
			s.log.Error("The storage cannot be used", zap.Error(s.failure))
			componentstatus.ReportStatus(host, componentstatus.NewPermanentErrorEvent(s.failure))
		case err != nil:
			return // Shutdown
		}
		close(s.ready)
	}()
}

// found is told of everything in the storage. What is no entry, or not as it was, it logs, and counts where it is an entry.
func (s *storage[P]) found(entry func(journal.Found)) func(journal.Found) {
	return func(f journal.Found) {
		switch {
		case f.Err == nil:
			entry(f)
		case f.Entry == nil: // the header; or of a later version, and left for that
			s.log.Error("Something in the storage is not read, and left there", zap.String("key", f.Key), zap.Error(f.Err))
		default:
			s.damaged(f.Entry, f.Key, f.Err)
		}
	}
}

// damaged drops an entry that nobody can read. How many items it had is not known.
func (s *storage[P]) damaged(e *journal.Entry, key string, err error) {
	s.damages.Add(1)
	s.lostNotice.happened(1, func() []zap.Field { return []zap.Field{zap.String("key", key), zap.Error(err)} })
	s.journal.Delete(e)
}

// restore puts an entry back into the queue, without its payload: that is read when its turn comes. Today's configuration says what
// key it has.
func (s *storage[P]) restore(ctx context.Context, f journal.Found) {
	h, encoded, err := readStoredHead(f.Value)
	if err != nil {
		s.damaged(f.Entry, f.Key, err)
		return
	}
	c, m := newSingleCall(s, meta[P]{arrived: f.Since})
	c.mu.taken, c.mu.answered = true, true
	k := m.kept[0]
	k.entry, k.stored = f.Entry, true
	switch {
	case s.payloads.dictionary:
		m.measure.Bytes, m.whole = h.size, h.size == wholeSize
	case s.payloads.bytes:
		m.measure.Bytes = len(encoded)
	}
	if h.span.IsSampled() {
		m.links = []trace.Link{{SpanContext: h.span}}
	}
	r := request[P]{items: h.items, meta: m}
	requests := []request[P]{r}
	if !s.queue.router.single() {
		ctx = client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(h.metadata)})
		if requests, err = s.reroute(ctx, r, encoded); errors.Is(err, errStoredPayload) {
			s.damaged(f.Entry, f.Key, err)
			return
		} else if err != nil { // another configuration may have a key for it
			s.log.Error("A request in the storage cannot be routed, and is left there", zap.String("key", f.Key), zap.Int("items", h.items), zap.Error(err))
			return
		}
	}
	s.recovering.Add(int64(h.items))
	if s.queue.Restore(requests...) != nil { // Shutdown has begun, and the entry stays
		s.recovering.Add(-int64(h.items))
		return
	}
	s.recovered.Add(int64(h.items))
}

var errStoredPayload = errors.New("the payload cannot be decoded")

// reroute returns the request with its key, or one for each key if it has several today. Then they share the entry.
func (s *storage[P]) reroute(ctx context.Context, r request[P], encoded []byte) ([]request[P], error) {
	if s.queue.router.byResource() {
		payload, err := s.payloads.signal.Unmarshal(encoded)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errStoredPayload, err)
		}
		r.payload = payload
	}
	key, parts, err := s.queue.router.route(ctx, r)
	if err != nil {
		return nil, err
	}
	if parts == nil {
		var none P
		r.payload, r.meta.key = none, key
		return []request[P]{r}, nil
	}
	k := r.meta.kept[0]
	k.holders = len(parts)
	return parts, nil
}
