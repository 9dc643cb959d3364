// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// transaction is what the committer writes with one call of the client.
type transaction struct {
	groups  []group
	puts    []*Entry // of groups, without those that were deleted meanwhile
	deletes []*Entry
	headed  map[uint64]bool // blocks that its header names; nil: it has none
	header  []byte
	refused []group // that are not written any more
}

// run is the committer. It ends after Close, and closes the client.
func (j *Journal) run() {
	defer close(j.done)
	defer func() { _ = j.call(func() error { return j.client.Close(context.WithoutCancel(j.ctx)) }) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait, over := j.take()
		for _, g := range t.refused {
			g.written(ErrClosed)
		}
		if over {
			return
		}
		if len(t.groups)+len(t.deletes) > 0 {
			j.commit(&t)
			continue
		}
		timer.Reset(wait)
		select {
		case <-j.wake:
		case <-timer.C:
		case <-j.ctx.Done():
		}
	}
}

// take returns the next transaction, or for how long there is none. over: there is none any more.
func (j *Journal) take() (t transaction, wait time.Duration, over bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	wait = time.Hour
	switch {
	case j.ctx.Err() != nil:
		j.refusePuts(&t)
		j.mu.deletes, j.mu.closing = nil, true
	case j.mu.recovered && j.gathered():
		j.takePuts(&t)
	case j.mu.recovered:
		wait = time.Until(j.mu.gatherUntil)
	case j.mu.closing:
		j.refusePuts(&t)
	}
	if len(j.mu.deletes) > 0 {
		due := time.Until(j.mu.deleteAt)
		wait = min(wait, due)
		together := j.mu.backoff == 0 && (len(t.puts) > 0 || j.mu.closing || len(j.mu.deletes) >= j.mu.most)
		if together || due <= 0 {
			n := min(len(j.mu.deletes), j.mu.most)
			t.deletes, j.mu.deletes = j.mu.deletes[:n:n], j.mu.deletes[n:]
		}
	}
	over = j.mu.closing && len(t.groups)+len(t.deletes)+len(j.mu.puts)+len(j.mu.deletes) == 0
	return t, wait, over
}

// gathered reports whether what was put is to be written: half of the callers wait for it, or gatherUntil has come. The other callers were
// answered, and have not run since. Most of them come again, so two halves take turns: one is written while the other makes its entries.
// Where a transaction is as quick as a caller is to come again, it would have one or two callers otherwise, and cost as much as one of all.
// The wait mostly ends before gatherUntil, as each caller that runs comes again or is gone. mu is held.
func (j *Journal) gathered() bool {
	n := len(j.mu.puts)
	return n == 0 || n >= j.mu.callers/2 || j.mu.closing || !time.Now().Before(j.mu.gatherUntil)
}

// takePuts moves whole groups into t, until it has MaxBytes, and numbers their entries. mu is held.
func (j *Journal) takePuts(t *transaction) {
	size, n, begins := 0, 0, false
	for _, g := range j.mu.puts {
		if size >= j.cfg.MaxBytes {
			break
		}
		for _, e := range g.entries {
			if e.state != queued {
				continue
			}
			e.state, e.number = writing, j.mu.next
			j.mu.next++
			j.mu.blocks[j.block(e)]++
			begins = begins || !j.headed[j.block(e)]
			size += e.size
			t.puts = append(t.puts, e)
		}
		n++
	}
	if begins {
		t.header, t.headed = j.header()
	}
	t.groups = append(t.groups, j.mu.puts[:n]...)
	clear(j.mu.puts[:n])
	if j.mu.puts = j.mu.puts[n:]; len(j.mu.puts) == 0 {
		j.mu.puts = nil
	}
}

// refusePuts gives up what is not written. mu is held.
func (j *Journal) refusePuts(t *transaction) {
	for _, g := range j.mu.puts {
		for _, e := range g.entries {
			if e.state == queued {
				e.state, e.value = gone, nil
			}
		}
	}
	t.refused, j.mu.puts = j.mu.puts, nil
}

// commit writes a transaction, and tells those who wait for it. If it fails, its deletes are tried alone: a storage that is full
// may take them, and have room afterwards.
func (j *Journal) commit(t *transaction) {
	var err, deleted error
	if ops := t.operations(); len(ops) > 0 {
		err = j.batch(j.ctx, ops)
	}
	deleted = err
	if err != nil && len(t.puts) > 0 && len(t.deletes) > 0 {
		deleted = j.batch(j.ctx, (&transaction{deletes: t.deletes}).operations())
	}
	if err == nil && t.headed != nil {
		j.headed = t.headed
	}
	j.mu.Lock()
	j.put(t, err)
	j.deleted(t, deleted)
	j.mu.gatherUntil = time.Now().Add(maxGather)
	j.mu.Unlock()
	for _, g := range t.groups {
		g.written(err)
	}
}

// operations returns what t does, in order: the header comes before the first entry of a block.
func (t *transaction) operations() []*storage.Operation {
	all := make([]storage.Operation, 0, 1+len(t.puts)+len(t.deletes))
	if t.header != nil {
		all = append(all, storage.Operation{Type: storage.Set, Key: headerKey, Value: t.header})
	}
	for _, e := range t.puts {
		all = append(all, storage.Operation{Type: storage.Set, Key: key(e.number), Value: seal(e)})
	}
	for _, e := range t.deletes {
		all = append(all, storage.Operation{Type: storage.Delete, Key: key(e.number)})
	}
	ops := make([]*storage.Operation, len(all))
	for i := range all {
		ops[i] = &all[i]
	}
	return ops
}

// put books that entries were written, or may have been. mu is held.
func (j *Journal) put(t *transaction, err error) {
	if len(t.puts) == 0 {
		return
	}
	if err == nil {
		j.mu.pause, j.mu.failure = 0, nil
		j.mu.stats.Transactions++
		j.mu.stats.Written += int64(len(t.puts))
	} else {
		j.mu.pause = min(max(2*j.mu.pause, firstBackoff), maxPause)
		j.mu.resume, j.mu.failure = time.Now().Add(j.mu.pause), err
	}
	for _, e := range t.puts {
		e.value = nil
		j.admit(e)
		if err != nil || e.state == doomed { // of what failed nobody knows whether it is stored
			j.remove(e)
		} else {
			e.state = stored
		}
	}
}

// deleted books that entries were deleted, or has them deleted again. A storage that is full may have room for fewer at a time:
// file_storage writes what is beside each entry that it deletes into a free page. mu is held.
func (j *Journal) deleted(t *transaction, err error) {
	if len(t.deletes) == 0 {
		return
	}
	if err != nil {
		j.mu.backoff = min(max(2*j.mu.backoff, firstBackoff), maxBackoff)
		if j.mu.most = len(t.deletes) / 2; j.mu.most > 0 {
			j.mu.backoff = firstBackoff // fewer are worth a try soon
		}
		j.mu.most = max(j.mu.most, 1)
		j.mu.deleteAt = time.Now().Add(j.mu.backoff)
		j.mu.deletes = append(t.deletes, j.mu.deletes...)
		return
	}
	j.mu.most = min(max(j.mu.most, 2*len(t.deletes)), maxDeletes)
	if j.mu.backoff = 0; len(t.puts) == 0 {
		j.mu.stats.Transactions++
	}
	for _, e := range t.deletes {
		j.settle(e)
	}
	if len(j.mu.deletes) > 0 {
		j.mu.deleteAt = time.Now().Add(j.cfg.DeleteDelay)
	}
}

func (j *Journal) batch(ctx context.Context, ops []*storage.Operation) error {
	return j.call(func() error { return j.client.Batch(ctx, ops...) })
}
