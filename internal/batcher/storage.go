// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	xstorage "go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// loadPause is how long a batch waits that could not be read back.
const loadPause = time.Second

// storage keeps the requests of a queue in a storage extension. call.go says how.
type storage[P any] struct {
	cfg      *Settings // immutable, as are the next five
	id       component.ID
	signal   string
	payloads *payloads[P]
	queue    *queue[P] // set by newQueue
	log      *zap.Logger

	failing, unreadable, lostNotice *notice

	journal *journal.Journal // set by start
	ready   chan struct{}    // closed when what earlier runs left is in the queue
	closed  chan struct{}    // closed when the journal is
	failure error            // why nothing will be accepted; valid when ready is closed
	stop    context.CancelFunc
	over    chan struct{} // closed when the recovery has ended
	name    storageName   // in the registry

	started   atomic.Bool
	closing   atomic.Bool
	volatile  atomic.Int64 // items of calls that are neither written nor delivered, and of void ones that are still in the queue
	refused   atomic.Int64 // items, because the storage failed
	recovered atomic.Int64 // items
	lost      atomic.Int64 // items that could not be read back when their turn came
	damages   atomic.Int64 // entries that could not be read at the start. Each counts as one item
	kept      atomic.Int64 // items, at shutdown
}

func newStorage[P any](cfg *Settings, id component.ID, signalName string, p *payloads[P], log *zap.Logger) *storage[P] {
	return &storage[P]{
		cfg: cfg, id: id, signal: signalName, payloads: p, log: log,
		failing:    newNotice(log, zap.ErrorLevel, "The storage fails"),
		unreadable: newNotice(log, zap.ErrorLevel, "A batch could not be read back from the storage, and is tried again"),
		lostNotice: newNotice(log, zap.ErrorLevel, "Something in the storage is not what was written, and is dropped; see items_dropped"),
		ready:      make(chan struct{}), closed: make(chan struct{}), over: make(chan struct{}),
	}
}

// storageName is what there must be one of: two processors with the same one would write over each other.
type storageName struct {
	extension any // as it is comparable; else its ID
	id        component.ID
	signal    string
}

var storageNames struct { // guards everything in it
	sync.Mutex
	open map[storageName]bool
}

func (n storageName) register() error {
	storageNames.Lock()
	defer storageNames.Unlock()
	if storageNames.open[n] {
		return fmt.Errorf("%s of two pipelines for %s use the same storage: give each its own name, as %s/a and %s/b", n.id, n.signal, n.id.Type(), n.id.Type())
	}
	if storageNames.open == nil {
		storageNames.open = map[storageName]bool{}
	}
	storageNames.open[n] = true
	return nil
}

func (n storageName) unregister() {
	storageNames.Lock()
	defer storageNames.Unlock()
	delete(storageNames.open, n)
}

// start opens the storage. It fails if that cannot work, and leaves nothing open then. It does not wait for what is in there.
func (s *storage[P]) start(ctx context.Context, host component.Host) (err error) {
	extension, ok := host.GetExtensions()[s.cfg.Storage].(xstorage.Extension)
	if !ok {
		if host.GetExtensions()[s.cfg.Storage] == nil {
			return fmt.Errorf("storage is %q; there is no such extension in service.extensions", s.cfg.Storage)
		}
		return fmt.Errorf("storage is %q; that extension is no storage", s.cfg.Storage)
	}
	s.name = storageName{s.cfg.Storage, s.id, s.signal}
	if isComparable(extension) {
		s.name.extension = extension
	}
	if err = s.name.register(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.name.unregister()
		}
	}()
	c, err := extension.GetClient(ctx, component.KindProcessor, s.id, s.signal)
	if err != nil {
		return fmt.Errorf("storage is %q: %w", s.cfg.Storage, err)
	}
	s.journal = journal.New(c, journal.Config{Failed: func(err error) {
		s.failing.happened(0, func() []zap.Field { return []zap.Field{zap.Stringer("storage", s.cfg.Storage), zap.Error(err)} })
	}})
	if err = s.journal.Open(ctx, s.found(nil)); errors.Is(err, journal.ErrNewer) {
		return errors.Join(fmt.Errorf("storage is %q: %w", s.cfg.Storage, err), s.journal.Close(ctx))
	}
	// What fails now may be a full disk, which must not keep what is stored from being sent. What cannot hold binary data never will.
	if err = s.journal.Probe(ctx); err != nil && !errors.Is(err, xstorage.ErrStorageFull) && s.journal.Probe(ctx) != nil {
		return errors.Join(fmt.Errorf("storage is %q, and does not work: %w", s.cfg.Storage, err), s.journal.Close(ctx))
	}
	return nil
}

// abandon undoes start.
func (s *storage[P]) abandon(ctx context.Context) error {
	defer s.name.unregister()
	return s.journal.Close(ctx)
}

// isComparable reports whether x can be the key of a map.
func isComparable(x any) (ok bool) {
	defer func() { ok = recover() == nil }()
	return x == x //nolint:gocritic,staticcheck // it panics if not
}

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
	c := &call[P]{storage: s, parts: make([]kept[P], 1), items: h.items}
	c.mu.taken, c.mu.answered, c.mu.open = true, true, 1
	k := &c.parts[0]
	k.call, k.entry, k.stored, k.holders = c, f.Entry, true, 1
	m := &meta[P]{arrived: h.arrived, source: k, kept: []*kept[P]{k}}
	switch {
	case s.payloads.dictionary:
		m.size, m.whole = h.size, h.size == wholeSize
	case s.payloads.bytes:
		m.size = len(encoded)
	}
	if h.span.IsSampled() {
		m.links = []trace.Link{{SpanContext: h.span}}
	}
	r := request[P]{items: h.items, meta: m}
	requests := []request[P]{r}
	if !s.queue.router.single() {
		ctx = client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(h.metadata)})
		if requests, err = s.reroute(ctx, r, encoded); err != nil {
			s.damaged(f.Entry, f.Key, err)
			return
		}
	}
	if s.queue.Restore(requests...) == nil { // else Shutdown has begun, and the entry stays
		s.recovered.Add(int64(h.items))
	}
}

// reroute returns the request with its key, or one for each key if it has several today. Then they share the entry.
func (s *storage[P]) reroute(ctx context.Context, r request[P], encoded []byte) ([]request[P], error) {
	if s.queue.router.byResource() {
		payload, err := s.payloads.signal.Unmarshal(encoded)
		if err != nil {
			return nil, err
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

// push is the queue's push with a storage. It returns when r is accepted, and written or delivered. accepted: it was in the queue, and err
// says what became of it.
func (s *storage[P]) push(ctx context.Context, r request[P]) (accepted bool, err error) {
	if !s.started.Load() {
		return false, partitioned.ErrClosed
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
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
	c := &call[P]{storage: s, items: r.items, payload: r.payload, done: make(chan struct{})}
	n := 1
	if requests != nil {
		c.division = requests[0].meta.source.(*part[P]).division
		n = c.division.parts
	} else {
		m := *r.meta
		m.key = key
		if s.payloads.bytes {
			m.size = s.payloads.signal.Size(r.payload)
		}
		requests = []request[P]{{items: r.items, meta: &m}}
	}
	c.parts = make([]kept[P], n)
	heads := make([]storedHead, n)
	for i := range requests {
		m, at := requests[i].meta, 0
		if p, ok := m.source.(*part[P]); ok {
			at = p.n
		}
		k := &c.parts[at]
		k.call, k.part, k.holders = c, at, 1
		m.source, m.kept = k, []*kept[P]{k}
		heads[at] = storedHead{items: requests[i].items, size: m.size, arrived: m.arrived, span: trace.SpanContextFromContext(ctx)}
		heads[at].metadata = s.queue.router.metadataOf(client.FromContext(ctx).Metadata.Get)
	}
	c.mu.open = len(requests)
	if err := s.encode(c, heads); err != nil {
		return nil, nil, err
	}
	return c, requests, nil
}

// failed returns the error of a caller whose request could not be written.
func (s *storage[P]) failed(err error) error {
	return &callerError{fmt.Sprintf("nothing accepted: the storage %s failed: %v; send again later", s.cfg.Storage, err), err}
}

var errUnread = errors.New("a request could not be read back when the batch was cut")

// fetch claims the requests of a batch, and reads back those that are in the storage alone, all with one call. Those that are void, or
// not to be found, have no items from then on. If it fails, it may succeed later, and the batch is as it was, without void requests.
func (s *storage[P]) fetch(ctx context.Context, requests []request[P]) error {
	var unread error
	var absent []*kept[P]
	var entries []*journal.Entry
	var of []int
	for i := range requests {
		k, ok := requests[i].from().(*kept[P])
		switch {
		case !ok:
		case !k.claim():
			s.volatile.Add(-int64(requests[i].items))
			requests[i].items = 0
			k.release(nil)
		case k.setUnread(false):
			unread = errUnread
		case k.absent():
			absent, entries, of = append(absent, k), append(entries, k.entry), append(of, i)
		}
	}
	if len(absent) == 0 || unread != nil {
		return unread
	}
	values, errs, err := s.journal.Load(ctx, entries)
	if err != nil {
		return err
	}
	for i, k := range absent {
		payload, err := s.decode(values[i], errs[i])
		if err != nil {
			r := &requests[of[i]]
			s.lost.Add(int64(r.items))
			s.lostNotice.happened(r.items, func() []zap.Field { return []zap.Field{zap.Error(err)} })
			r.items = 0
			k.release(err)
			continue
		}
		k.load(payload)
	}
	return nil
}

// putOff is the verdict on a batch that could not be read back: nothing of it is settled, and it comes again as it is.
func (s *storage[P]) putOff(batch *partitioned.Batch[request[P]], err error) partitioned.Verdict[request[P]] {
	rest := slices.Clone(withItems(batch.Items))
	s.unreadable.happened(itemsOf(rest), func() []zap.Field { return []zap.Field{zap.Error(err)} })
	return partitioned.Verdict[request[P]]{
		Rest: rest, Groups: []int{len(rest)}, After: loadPause, Returned: batch.Weight.Items - itemsOf(rest),
	}
}

func (s *storage[P]) decode(value []byte, err error) (payload P, _ error) {
	if err != nil {
		return payload, err
	}
	_, encoded, err := readStoredHead(value)
	if err != nil {
		return payload, err
	}
	return s.payloads.signal.Unmarshal(encoded)
}

// closingPause is how long a batch that is kept waits for its next attempt while Shutdown drains, at most.
const closingPause = time.Second

// keeps reports whether Shutdown has begun, so that what fails is kept: it stays in the queue, and its entries in the storage. s may be
// nil.
func (s *storage[P]) keeps() bool { return s != nil && s.closing.Load() }

// drain is the queue's Shutdown with a storage. The last tenth of the time is for writing what is left to be deleted.
func (s *storage[P]) drain(ctx context.Context, q store[P]) error {
	if s.closing.Swap(true) || !s.started.Load() {
		return q.Shutdown(ctx)
	}
	s.stop()
	draining := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		draining, cancel = context.WithDeadline(ctx, time.Now().Add(time.Until(deadline)*9/10))
		defer cancel()
	}
	err := q.Shutdown(draining)
	select {
	case <-s.over:
	case <-ctx.Done():
	}
	if closeErr := s.journal.Close(ctx); closeErr != nil {
		s.log.Error("The storage could not be closed in time: what was delivered last may be sent again by the next run", zap.Error(closeErr))
	} else {
		s.name.unregister()
	}
	s.kept.Store(max(q.Stats().Lost-s.volatile.Load(), 0))
	close(s.closed)
	return err
}

// figures are what there is to know of a storage.
type figures struct {
	journal                        journal.Stats
	recovered, refused, lost, kept int64 // items
	damages                        int64 // entries
}

func (s *storage[P]) figures() figures {
	f := figures{recovered: s.recovered.Load(), refused: s.refused.Load(), lost: s.lost.Load(), kept: s.kept.Load(), damages: s.damages.Load()}
	if s.started.Load() {
		f.journal = s.journal.Stats()
	}
	return f
}
