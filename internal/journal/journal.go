// SPDX-License-Identifier: Apache-2.0

// Package journal keeps values in a storage extension from their acceptance until they are settled, so that they survive a crash.
//
// It is a group commit: one goroutine, the committer, takes all that was put and deleted while the last transaction ran, and writes it
// with one call of Client.Batch. A transaction of file_storage costs two fdatasyncs, whatever it holds. Without fsync it still costs as much as
// several entries. So the committer waits a moment for callers who are about to come again.
//
// What is stored:
//
//	"pb1"      header: magic, version, size of a block, live blocks, CRC. It is written when a block begins, in the transaction of its
//	           first entry and before it
//	"r%016x"   entry: version, CRC over the number and what follows, time of acceptance, value. The number grows with each entry and is
//	           never used twice
//
// Storage extensions have no common way to list their keys, so the header names the blocks of numbers in which entries may be
// found. A block stays in the header until all of its entries are deleted. Entries that are read back come in the order of their numbers.
//
// Some extensions apply a part of a Batch that fails, so each entry stands alone, and what failed is deleted. Keys are printable, as not
// every database takes any byte.
//
// The package knows nothing of telemetry and of the queue.
package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Errors of a Journal. Those of the storage client come as they are, joined or wrapped.
var (
	// ErrClosed: Close has begun, or is over.
	ErrClosed = errors.New("journal: closed")
	// ErrNewer: written by a later version of this package. It is left as it is.
	ErrNewer = errors.New("journal: a later version wrote it")
	// ErrDamaged: what was stored is not what was written.
	ErrDamaged = errors.New("journal: damaged")
	// ErrMissing: an entry is not in the storage any more.
	ErrMissing = errors.New("journal: missing")
)

// Config says how a Journal works. The zero value of a field means its default.
type Config struct {
	BlockSize   int           // numbers of a block; default 1024
	MaxBytes    int           // of the values of one transaction, or of one read, unless a single one is larger; default 8 MiB
	DeleteDelay time.Duration // longest that a delete waits for a transaction that puts something; default 100 ms
	Failed      func(error)   // is told of each call of the client that failed or has not ended after slowCall, on any goroutine and under no lock; nil: nobody is
}

const (
	maxGather    = time.Millisecond // after a transaction, until which callers gather for the next one
	maxDeletes   = 4096             // of one transaction, at most
	maxReads     = 64               // of Load at once, those included that hang
	slowCall     = 10 * time.Second
	firstBackoff = 100 * time.Millisecond
	maxPause     = time.Second     // during which nothing is put after a failure
	maxBackoff   = 5 * time.Second // between attempts to read or delete
)

// Journal keeps entries. Make one with New, and Connect it. All its methods may be called at once, but Connect and then Recover are called
// once, and nothing is written before Recover has returned.
type Journal struct {
	cfg    Config         // immutable
	client storage.Client // immutable once it is connected
	wake   chan struct{}  // capacity 1, lossy
	reads  chan struct{}  // of Load that run; capacity maxReads
	done   chan struct{}  // closed when the committer has ended, and the client is closed
	ctx    context.Context
	cancel context.CancelFunc // of the calls of the client

	headed map[uint64]bool // blocks that the stored header names. The committer's

	mu struct { // guards everything in it, and the state and value of each entry
		sync.Mutex
		connected bool // there is a client, and the committer runs
		opened    bool // the header was read
		recovered bool // Recover is over: entries may be written
		closing   bool

		next   uint64         // number
		blocks map[uint64]int // by number / BlockSize: entries that are stored, or may be; never 0
		found  []uint64       // first number of each block that the header named, until Recover has read it
		size   uint64         // of the blocks of found

		puts        []group
		callers     int       // that called Append, and not Answered since
		gatherUntil time.Time // when puts are written, however few they are
		deletes     []*Entry
		most        int       // deletes of one transaction: half of those that failed last, then twice those that succeed
		deleteAt    time.Time // when deletes are written at the latest, or tried again
		backoff     time.Duration

		pause   time.Duration // after the last failure to put; 0: the last put succeeded
		resume  time.Time
		failure error

		calls   []time.Time // when those of the client began that have not ended, in order
		entries list
		stats   Stats // but for Oldest and Calling
	}
}

// Stats are figures of a Journal.
type Stats struct {
	Entries      int64     // stored, also those whose deletion was not written yet
	Bytes        int64     // of their values
	Oldest       time.Time // when the oldest of them was accepted; zero: there is none
	Transactions int64     // that wrote something
	Written      int64     // entries
	Errors       int64     // calls of the client that failed
	Calling      time.Time // when the oldest call of the client began that has not ended; zero: there is none
}

// group is entries that are written in one transaction.
type group struct {
	entries []*Entry
	written func(error)
}

// New makes a Journal, which has no client yet.
func New(cfg Config) *Journal {
	if cfg.BlockSize == 0 {
		cfg.BlockSize = 1024
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 8 << 20
	}
	if cfg.DeleteDelay == 0 {
		cfg.DeleteDelay = 100 * time.Millisecond
	}
	j := &Journal{cfg: cfg, wake: make(chan struct{}, 1), reads: make(chan struct{}, maxReads), done: make(chan struct{}), headed: map[uint64]bool{}}
	j.mu.blocks, j.mu.most = map[uint64]int{}, maxDeletes
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j
}

// Connect gives j the client that open makes, for its own. Nothing is read or written before Open or Recover. After an error there is
// nothing to close.
func (j *Journal) Connect(open func() (storage.Client, error)) error {
	var client storage.Client
	err := j.call(func() (err error) {
		client, err = open()
		return err
	})
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.client, j.mu.connected = client, !j.mu.closing
	connected := j.mu.connected
	j.mu.Unlock()
	if !connected {
		return errors.Join(ErrClosed, client.Close(j.ctx))
	}
	go j.run()
	return nil
}

// Append stores entries in one transaction, as soon as it can. written is called once, on any goroutine and under no lock: with nil
// when all of them are stored, except for those that were deleted before; or with the error, and then none of them will be found by
// Recover once their deletion has succeeded.
func (j *Journal) Append(written func(error), entries ...*Entry) {
	j.mu.Lock()
	j.mu.callers++
	if j.mu.closing {
		j.mu.Unlock()
		written(ErrClosed)
		return
	}
	for _, e := range entries {
		if e.state == fresh { // else it was deleted already
			e.state = queued
		}
	}
	j.mu.puts = append(j.mu.puts, group{entries, written})
	wake := len(j.mu.puts) == 1 || j.gathered() // with the first one the committer sets its timer
	j.mu.Unlock()
	if wake {
		j.nudge()
	}
}

// Answered is called once for each Append, by the caller who waited for it, when that runs again: with or without an answer. As long as it
// has not been called, others wait for this caller to come again, up to maxGather.
func (j *Journal) Answered() {
	j.mu.Lock()
	j.mu.callers--
	wake := len(j.mu.puts) > 0 && j.gathered()
	j.mu.Unlock()
	if wake {
		j.nudge()
	}
}

// Delete removes an entry, with the next transaction. One that is not written yet never will be.
func (j *Journal) Delete(entries ...*Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		switch e.state {
		case fresh, queued:
			e.state, e.value = gone, nil
		case writing:
			e.state = doomed
		case stored:
			j.remove(e)
		}
	}
}

// Load returns what the entries hold, which are stored, with one call of the client. An entry that is not as it was has no value, but an
// error: ErrMissing, ErrDamaged or ErrNewer. err: the call failed, or ctx is done, and it may succeed later.
func (j *Journal) Load(ctx context.Context, entries []*Entry) (values [][]byte, errs []error, err error) {
	ops := make([]*storage.Operation, len(entries))
	for i, e := range entries {
		ops[i] = storage.GetOperation(key(e.number))
	}
	if err := j.read(ctx, ops); err != nil {
		return nil, nil, err
	}
	values, errs = make([][]byte, len(entries)), make([]error, len(entries))
	for i, e := range entries {
		values[i], _, errs[i] = open(e.number, ops[i].Value)
	}
	return values, errs, nil
}

// read calls the client, and returns when ctx is done even if the client does not: file_storage takes no notice of a context, and a disk may
// hang. The call that is left behind keeps ops, and one of so many places, so that not ever more of them pile up.
func (j *Journal) read(ctx context.Context, ops []*storage.Operation) error {
	select {
	case j.reads <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	go func() {
		err := j.batch(ctx, ops)
		<-j.reads
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		err := fmt.Errorf("journal: a read has not ended: %w", context.Cause(ctx))
		j.failed(err)
		return err
	}
}

// Failing returns the error of the last transaction, if that failed and so short a time ago that another one is not worth a try.
func (j *Journal) Failing() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.pause > 0 && time.Now().Before(j.mu.resume) {
		return j.mu.failure
	}
	return nil
}

// Stats returns the figures as they are now.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.mu.stats
	if e := j.mu.entries.oldest; e != nil {
		s.Oldest = time.UnixMilli(e.since)
	}
	if len(j.mu.calls) > 0 {
		s.Calling = j.mu.calls[0]
	}
	return s
}

// Close writes what is left to be written, and closes the client. When ctx is done it returns its cause; then the committer ends, and
// closes the client, as soon as the call returns that it is in.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	j.mu.closing = true
	connected := j.mu.connected
	j.mu.Unlock()
	if !connected {
		return nil
	}
	j.nudge()
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
	}
	j.cancel()
	j.nudge()
	select {
	case <-j.done:
		return nil
	default:
		return fmt.Errorf("journal: not closed: %w", context.Cause(ctx))
	}
}

// remove has a stored entry deleted. mu is held.
func (j *Journal) remove(e *Entry) {
	e.state = gone
	if len(j.mu.deletes) == 0 && j.mu.backoff == 0 {
		j.mu.deleteAt = time.Now().Add(j.cfg.DeleteDelay)
		j.nudge() // the committer sets its timer
	}
	if j.mu.deletes = append(j.mu.deletes, e); len(j.mu.deletes) == j.mu.most {
		j.nudge()
	}
}

// admit books that an entry is stored, or may be. mu is held.
func (j *Journal) admit(e *Entry) {
	j.mu.stats.Entries++
	j.mu.stats.Bytes += int64(e.size)
	j.mu.entries.add(e)
}

// settle books that an entry is not stored any more. mu is held.
func (j *Journal) settle(e *Entry) {
	j.mu.stats.Entries--
	j.mu.stats.Bytes -= int64(e.size)
	j.mu.entries.remove(e)
	b := j.block(e)
	if j.mu.blocks[b]--; j.mu.blocks[b] == 0 {
		delete(j.mu.blocks, b)
	}
}

func (j *Journal) blockSize() uint64     { return uint64(j.cfg.BlockSize) }
func (j *Journal) block(e *Entry) uint64 { return e.number / j.blockSize() }

// call makes a call of the client, and notes that it is under way: a disk that hangs fails no call. A panic there is an error, as a
// damaged page must not end the process.
func (j *Journal) call(f func() error) error {
	begun := j.begin()
	slow := time.AfterFunc(slowCall, func() { j.tell(fmt.Errorf("journal: a call has not ended after %v", slowCall)) })
	err := guard(f)
	slow.Stop()
	j.end(begun)
	if err != nil {
		j.failed(err)
	}
	return err
}

func (j *Journal) begin() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	j.mu.calls = append(j.mu.calls, now)
	return now
}

// end ends a call. Those that began at the same time are alike.
func (j *Journal) end(begun time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.Index(j.mu.calls, begun)
	j.mu.calls = slices.Delete(j.mu.calls, i, i+1)
}

func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("journal: panic in the storage client: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

// failed counts a call of the client that failed, and tells of it.
func (j *Journal) failed(err error) {
	j.mu.Lock()
	j.mu.stats.Errors++
	j.mu.Unlock()
	j.tell(err)
}

func (j *Journal) tell(err error) {
	if j.cfg.Failed != nil {
		j.cfg.Failed(err)
	}
}

func (j *Journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}
