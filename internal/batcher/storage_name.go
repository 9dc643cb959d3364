// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
)

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

// isComparable reports whether x can be the key of a map.
func isComparable(x any) (ok bool) {
	defer func() { ok = recover() == nil }()
	return x == x //nolint:gocritic // it panics if not
}
