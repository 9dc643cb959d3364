// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/goleak"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small makes transactions and blocks so small that a few entries fill several.
var small = Config{BlockSize: 4, MaxBytes: 3 * (Overhead + 8)}

func entryOf(value string) *Entry {
	return NewEntry(append(make([]byte, Overhead), value...), time.Now())
}

// opened returns a journal on a disk that nothing is on, ready to write.
func opened(t *testing.T, d *storagetest.Disk, cfg Config) *Journal {
	j, found := recovered(t, d, cfg)
	require.Empty(t, found)
	return j
}

// recovered returns a journal on d, and what it found there.
func recovered(t *testing.T, d *storagetest.Disk, cfg Config) (j *Journal, found []Found) {
	j = connected(t, d, cfg)
	require.NoError(t, j.Recover(context.Background(), func(f Found) { found = append(found, f) }))
	return j, found
}

// connected returns a journal that has read nothing yet.
func connected(t *testing.T, d *storagetest.Disk, cfg Config) *Journal {
	j := New(cfg)
	require.NoError(t, j.Connect(func() (storage.Client, error) { return d.Client("") }))
	return j
}

// put appends entries in one group, and returns the error that it got.
func put(j *Journal, entries ...*Entry) error {
	done := make(chan error, 1)
	j.Append(func(err error) { done <- err }, entries...)
	return <-done
}

func values(found []Found) (all []string) {
	for _, f := range found {
		all = append(all, string(f.Value))
	}
	return all
}
