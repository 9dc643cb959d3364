// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
)

// A file that is full has hardly a free page, and each delete needs one for what is beside it. If every other entry of a file is to be
// deleted, as those of one tenant of two, one transaction needs more pages than there are.
func TestAFullFileTakesDeletes(t *testing.T) {
	host, err := newFileStorage(func(c *filestorage.Config) { c.MaxSize = 1 << 20 })
	if err != nil {
		t.Fatal(err)
	}
	j := journal.New(journal.Config{})
	err = j.Connect(func() (storage.Client, error) {
		return host.Extension.(storage.Extension).GetClient(t.Context(), component.KindProcessor, host.id, "full")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Recover(t.Context(), func(journal.Found) {}); err != nil {
		t.Fatal(err)
	}
	entries, err := fill(j)
	if !errors.Is(err, storage.ErrStorageFull) {
		t.Fatal(err)
	}
	for i := 0; i < len(entries); i += 2 {
		j.Delete(entries[i])
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := j.Close(ctx); err != nil {
		t.Errorf("%d of %d entries are left: %v", j.Stats().Entries, len(entries), err)
	}
	if got, want := j.Stats().Entries, int64(len(entries)/2); got != want {
		t.Errorf("%d entries are left, not %d", got, want)
	}
	if err := host.remove(); err != nil {
		t.Error(err)
	}
}

// fill stores entries of one span's size, ten at a time, until that fails.
func fill(j *journal.Journal) (all []*journal.Entry, err error) {
	for err == nil {
		group := make([]*journal.Entry, 10)
		for i := range group {
			group[i] = journal.NewEntry(make([]byte, 300), time.Now())
		}
		written := make(chan error, 1)
		j.Append(func(err error) { written <- err }, group...)
		if err = <-written; err == nil {
			all = append(all, group...)
		}
	}
	return all, err
}
