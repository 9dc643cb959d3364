// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	xstorage "go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
)

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
	if err := s.name.register(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.name.unregister()
		}
	}()
	err = s.journal.Connect(func() (xstorage.Client, error) {
		return extension.GetClient(ctx, component.KindProcessor, s.id, s.signal)
	})
	if err != nil {
		return fmt.Errorf("storage is %q: %w", s.cfg.Storage, err)
	}
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
	draining, cancel := mostOf(ctx)
	defer cancel()
	calls, cancelCalls := mostOf(draining) // as the queue cancels its calls
	defer cancelCalls()
	context.AfterFunc(calls, s.endCalls)
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

// mostOf returns a context that ends at nine tenths of the time that ctx has; with it, if it has no deadline.
func mostOf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithDeadline(ctx, time.Now().Add(left-left/10)) // nine times a time that is long overflows
}
