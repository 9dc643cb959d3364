// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// maxGets is the number of entries that are read at once.
const maxGets = 256

// Found is something that Recover came across.
type Found struct {
	Key   string
	Entry *Entry    // stored, until Delete; nil: Err concerns the header, or what is left as it is
	Value []byte    // if Err is nil, as is the next
	Since time.Time // when it was accepted
	Err   error     // ErrDamaged or ErrNewer, wrapped
}

// Probe finds out whether the storage gives back what it got: some databases do not take any byte.
func (j *Journal) Probe(ctx context.Context) error {
	const probe, value = "pb0", "\x00\xff"
	get := storage.GetOperation(probe)
	if err := j.batch(ctx, []*storage.Operation{storage.SetOperation(probe, []byte(value)), get, storage.DeleteOperation(probe)}); err != nil {
		return err
	}
	if string(get.Value) != value {
		return fmt.Errorf("journal: the storage gives back %q for %q, so it cannot hold binary data", get.Value, value)
	}
	return nil
}

// Open reads the header. Recover does so too, and tries it again and again, so Open is for whoever wants to know at once. An
// error that wraps ErrNewer is final. A damaged header is no error; found is told.
func (j *Journal) Open(ctx context.Context, found func(Found)) error {
	j.mu.Lock()
	opened := j.mu.opened
	j.mu.Unlock()
	if opened {
		return nil
	}
	get := storage.GetOperation(headerKey)
	if err := j.batch(ctx, []*storage.Operation{get}); err != nil {
		return err
	}
	size, first, err := readHeader(get.Value)
	switch {
	case get.Value == nil, errors.Is(err, ErrDamaged):
		size = j.blockSize()
		walked, walkErr := j.walk(ctx)
		if walkErr != nil && !errors.Is(walkErr, errNoWalker) {
			return walkErr
		}
		if first = walked; get.Value != nil {
			found(Found{Key: headerKey, Err: errors.Join(err, walkErr)})
		}
	case err != nil:
		return err
	}
	// Numbers of this run are above those of all others. The clock sees to it even if a header was lost, or was not written when
	// entries of a transaction that failed were.
	next := uint64(max(time.Now().UnixMilli(), 0)) << 20
	for _, f := range first {
		next = max(next, f+size)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.opened, j.mu.found, j.mu.size, j.mu.next = true, first, size, (next+j.blockSize()-1)/j.blockSize()*j.blockSize()
	return nil
}

var errNoWalker = errors.New("the storage extension cannot list its keys, so the entries of earlier runs are not found")

// walk returns the first number of each block that has an entry, where the header does not say.
func (j *Journal) walk(ctx context.Context) (first []uint64, err error) {
	w, ok := j.client.(storage.Walker)
	if !ok {
		return nil, errNoWalker
	}
	blocks := map[uint64]bool{}
	err = j.call(func() error {
		return w.Walk(ctx, func(k string, _ []byte) ([]*storage.Operation, error) {
			if n, err := strconv.ParseUint(k[min(1, len(k)):], 16, 64); err == nil && k == key(n) {
				blocks[n/j.blockSize()] = true
			}
			return nil, nil
		})
	})
	if err != nil {
		return nil, err
	}
	for b := range blocks {
		first = append(first, b*j.blockSize())
	}
	slices.Sort(first)
	return first, nil
}

// Recover hands all entries of earlier runs to found, in the order in which they were put, and then lets the committer write. It
// tries again what fails, until ctx is done. An entry whose Err is set is found's to delete, or not. An error that wraps ErrNewer
// is final.
func (j *Journal) Recover(ctx context.Context, found func(Found)) error {
	if err := j.retry(ctx, func() error { return j.Open(ctx, found) }); err != nil {
		return err
	}
	j.mu.Lock()
	blocks, size := j.mu.found, j.mu.size
	j.mu.Unlock()
	gets, largest := 16, 1 // as long as nobody knows how large entries are
	for _, first := range blocks {
		for at, end := first, first+size; at < end; {
			n := min(uint64(gets), end-at)
			var ops []*storage.Operation
			err := j.retry(ctx, func() error {
				ops = ops[:0]
				for i := range n {
					ops = append(ops, storage.GetOperation(key(at+i)))
				}
				return j.batch(ctx, ops)
			})
			if err != nil {
				return err
			}
			largest = max(largest, j.visit(at, ops, found))
			gets = min(2*gets, max(j.cfg.MaxBytes/largest, 1), maxGets)
			at += n
		}
	}
	j.mu.Lock()
	j.mu.found, j.mu.recovered = nil, true
	j.mu.Unlock()
	j.nudge()
	return nil
}

// visit hands what was read to found, and returns the size of the largest entry.
func (j *Journal) visit(at uint64, ops []*storage.Operation, found func(Found)) (largest int) {
	for i, op := range ops {
		if op.Value == nil {
			continue
		}
		largest = max(largest, len(op.Value))
		e := &Entry{number: at + uint64(i), size: len(op.Value), state: stored}
		f := Found{Key: op.Key, Entry: e}
		if f.Value, e.since, f.Err = open(e.number, op.Value); f.Err != nil {
			e.since = time.Now().UnixMilli() // nobody can say
		}
		f.Since = time.UnixMilli(e.since)
		j.mu.Lock()
		j.mu.blocks[j.block(e)]++
		j.admit(e)
		j.mu.Unlock()
		if errors.Is(f.Err, ErrNewer) {
			f.Entry = nil
		}
		found(f)
	}
	return largest
}

// retry calls f until it succeeds, finds something newer, or ctx is done.
func (j *Journal) retry(ctx context.Context, f func() error) error {
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		err := f()
		if err == nil || errors.Is(err, ErrNewer) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
