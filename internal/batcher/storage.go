// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// storage keeps the requests of a queue in a storage extension. stored_call.go says how.
type storage[P any] struct {
	cfg      *Settings // immutable, as are the next five
	id       component.ID
	signal   string
	payloads *payloads[P]
	queue    *queue[P] // set by newQueue
	log      *zap.Logger

	failing, unreadable, lostNotice *notice

	memory  *memory[P]
	journal *journal.Journal
	ready   chan struct{} // closed when what earlier runs left is in the queue
	closed  chan struct{} // closed when the journal is
	failure error         // why nothing will be accepted; valid when ready is closed
	stop    context.CancelFunc
	over    chan struct{} // closed when the recovery has ended
	name    storageName   // in the registry

	calls    context.Context // of what is read while a batch is cut; it ends as those of the calls of the next consumer do
	endCalls context.CancelFunc

	started    atomic.Bool
	closing    atomic.Bool
	volatile   atomic.Int64 // items of calls that are neither written nor delivered, and of void ones that are still in the queue
	refused    atomic.Int64 // items, because the storage failed, or was still being read
	recovering atomic.Int64 // items, from before the queue has them on
	recovered  atomic.Int64 // items
	lost       atomic.Int64 // items that could not be read back when their turn came
	damages    atomic.Int64 // entries that could not be read at the start. Each counts as one item
	kept       atomic.Int64 // items, at shutdown
}

func newStorage[P any](cfg *Settings, id component.ID, signalName string, p *payloads[P], log *zap.Logger) *storage[P] {
	calls, endCalls := context.WithCancel(context.Background())
	s := &storage[P]{
		calls: calls, endCalls: endCalls,
		cfg: cfg, id: id, signal: signalName, payloads: p, log: log, memory: newMemory[P](cfg.MemorySize),
		failing:    newNotice(log, zap.ErrorLevel, "The storage fails"),
		unreadable: newNotice(log, zap.ErrorLevel, "A batch could not be read back from the storage, and is tried again"),
		lostNotice: newNotice(log, zap.ErrorLevel, "Something in the storage is not what was written, and is dropped; see items_dropped"),
		ready:      make(chan struct{}), closed: make(chan struct{}), over: make(chan struct{}),
	}
	s.journal = journal.New(journal.Config{Failed: func(err error) {
		s.failing.happened(0, func() []zap.Field { return []zap.Field{zap.Stringer("storage", s.cfg.Storage), zap.Error(err)} })
	}})
	return s
}

// push is the queue's push with a storage. It returns when r is accepted, and written or delivered. accepted: it was in the queue, and err
// says what became of it.
func (s *storage[P]) push(ctx context.Context, r request[P]) (accepted bool, err error) {
	if !s.started.Load() {
		return false, partitioned.ErrClosed
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		s.refused.Add(int64(r.items))
		text := "nothing accepted: what an earlier run left in the storage is still being read; " + s.cfg.ended(context.Cause(ctx))
		return false, &callerError{text, context.Cause(ctx)}
	case <-s.closed:
		return false, partitioned.ErrClosed
	}
	if err = s.failure; err == nil {
		err = s.journal.Failing()
	}
	if err != nil {
		s.refused.Add(int64(r.items))
		return false, s.failed(err)
	}
	c, requests, err := s.call(ctx, r)
	if err != nil {
		return false, err
	}
	s.volatile.Add(int64(r.items))
	if err := s.queue.Push(ctx, requests...); err != nil {
		s.volatile.Add(-int64(r.items))
		return false, err
	}
	entries := make([]*journal.Entry, 0, len(c.parts))
	for i := range c.parts {
		if e := c.parts[i].entry; e != nil {
			entries = append(entries, e)
		}
	}
	s.journal.Append(c.written, entries...)
	defer s.journal.Answered()
	return true, c.wait(ctx)
}

// call makes the call of a request, and its requests with their keys.
func (s *storage[P]) call(ctx context.Context, r request[P]) (*call[P], []request[P], error) {
	var key string
	var requests []request[P]
	if !s.queue.router.single() {
		var err error
		if key, requests, err = s.queue.router.route(ctx, r); err != nil {
			return nil, nil, err
		}
	}
	var c *call[P]
	if requests != nil {
		c = newCall(s, requests)
	} else {
		var m *meta[P]
		c, m = newSingleCall(s, *r.meta)
		m.key = key
		if s.payloads.bytes {
			m.measure = signal.MeasureOf(s.payloads.signal, r.payload)
		}
		requests = []request[P]{{items: r.items, meta: m}}
	}
	c.payload, c.done = r.payload, make(chan struct{})
	heads := make([]storedHead, len(c.parts))
	for i := range requests {
		m := requests[i].meta
		k := m.kept[0]
		k.key, k.items, k.counted = m.key, requests[i].items, true
		heads[k.part] = storedHead{items: requests[i].items, size: m.measure.Bytes, span: trace.SpanContextFromContext(ctx)}
		heads[k.part].metadata = s.queue.router.metadataOf(client.FromContext(ctx).Metadata.Get)
	}
	c.mu.held = true
	if err := s.encode(c, heads, r.meta.arrived); err != nil {
		return nil, nil, err
	}
	return c, requests, nil
}

// cutting returns the context of a read while a batch is cut, on a consumer. As a call of the next consumer it ends with export_timeout, and
// when Shutdown is nearly over: a hung disk must not hold the consumer longer.
func (s *storage[P]) cutting() (context.Context, context.CancelFunc) {
	if s.cfg.ExportTimeout == 0 {
		return context.WithCancel(s.calls)
	}
	return context.WithTimeout(s.calls, s.cfg.ExportTimeout)
}

// failed returns the error of a caller whose request could not be written.
func (s *storage[P]) failed(err error) error {
	return &callerError{fmt.Sprintf("nothing accepted: the storage %s failed: %v; send again later", s.cfg.Storage, err), err}
}

// figures are what there is to know of a storage.
type figures struct {
	journal                                    journal.Stats
	recovering, recovered, refused, lost, kept int64         // items
	damages                                    int64         // entries
	memory                                     int64         // bytes
	oldest                                     time.Duration // age of the oldest entry
	calling                                    time.Duration // of the oldest call that has not ended
}

func (s *storage[P]) figures() figures {
	f := figures{recovering: s.recovering.Load(), recovered: s.recovered.Load(), refused: s.refused.Load(), lost: s.lost.Load(), kept: s.kept.Load(), damages: s.damages.Load(), memory: s.memory.used()}
	f.journal = s.journal.Stats()
	if oldest := f.journal.Oldest; !oldest.IsZero() {
		f.oldest = max(time.Since(oldest), 0) // the clock may have been set back
	}
	if calling := f.journal.Calling; !calling.IsZero() {
		f.calling = time.Since(calling)
	}
	return f
}
