// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// leftBehind is what a run of TestDeliveryChaos leaves on its disk for the next one.
type leftBehind struct {
	disk      *storagetest.Disk
	requests  []chaosRequest // that had returned
	delivered map[int]int    // by then, how often
	dropped   int64          // items that were given up for another reason than an answer

	// What may be on the disk, though it should be sent no more.

	all     bool            // anything: it was a crash, or not all deletes were written
	late    map[int]bool    // what was delivered while Shutdown ended
	unsent  map[string]bool // entries of which something was left
	refused map[int]bool    // what must not be there: callers were told that nothing was accepted
}

// twice reports whether an item of an entry may arrive once more.
func (l *leftBehind) twice(entry string, id int) bool {
	return l.all || l.late[id] || l.unsent[entry]
}

// host has the storage, if there is one.
func (c *deliveryChaos) host() component.Host {
	if c.disk == nil {
		return componenttest.NewNopHost()
	}
	return onDisk(c.disk)
}

// failDisk lets each so many-th call of the storage fail from now on.
func (c *deliveryChaos) failDisk() {
	if c.diskFaults == 0 {
		return
	}
	calls := 0
	c.disk.SetFault(func(ops []*storage.Operation) storagetest.Fault {
		if c.putFaults && !slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Set }) {
			return storagetest.None
		}
		if calls++; calls%c.diskFaults == 0 {
			return c.diskFault
		}
		return storagetest.None
	})
}

// failedTogether is told of a batch that failed. What comes again as one stays in the storage until all of it is delivered.
func (c *deliveryChaos) failedTogether(a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.entries[c.ids[a.items[0]]]
	for _, item := range a.items {
		other := c.entries[c.ids[item]]
		for id, entry := range c.entries {
			if other != one && entry == other {
				c.entries[id] = one
			}
		}
	}
}

// crashes returns what a crash would leave now. What had returned is on the disk, or delivered: it is looked at first, and what is delivered last.
func (c *deliveryChaos) crashes() *leftBehind {
	c.mu.Lock()
	l := &leftBehind{requests: slices.Clone(c.requests), all: true}
	c.mu.Unlock()
	l.disk = c.disk.Crash()
	c.mu.Lock()
	l.delivered = maps.Clone(c.delivered)
	c.mu.Unlock()
	return l
}

// leaves returns what the run has left. Of what was pending in the end, so many items were lost, and the others kept. If nothing was pending,
// and all deletes were written, the disk is empty.
func (c *deliveryChaos) leaves(p *pipeline, st *partitioned.Stats, lost int64) *leftBehind {
	l := &leftBehind{disk: c.disk, requests: c.requests, delivered: c.delivered, unsent: map[string]bool{}, refused: map[int]bool{}}
	l.all = p.log.FilterMessageSnippet("The storage could not be closed in time").Len() > 0
	if st.Lost > 0 {
		l.late = c.late
		for id, entry := range c.entries {
			if c.delivered[id] == 0 || c.late[id] {
				l.unsent[entry] = true
			}
		}
	}
	for _, r := range c.requests {
		for id := r.first; !l.all && r.err != nil && !maybeAccepted(r.err) && id < r.first+r.n; id++ {
			l.refused[id] = true
		}
	}
	kept := st.Lost - lost // the others of what was pending were never written
	if n := len(storedKeys(c.disk)); !l.all && (n > 0 && st.Lost == 0 || n == 0 && kept > 0) {
		c.fault("%d entries are left, %d items were pending, and %d of them were kept", n, st.Lost, kept)
	}
	return l
}

// runAgain starts once more on the same disk, with a next consumer that takes everything: what was accepted arrives, or was dropped and
// counted by one of the runs. What an answer let the first run give up is known by item.
func (c *deliveryChaos) runAgain(t *testing.T, left *leftBehind) {
	left.disk.SetFault(nil)
	c.left, c.disk, c.delivered = left, left.disk, left.delivered
	c.closedAt, c.over = time.Time{}, false
	clear(c.last)
	p := c.kind.answered(t, func(cfg *Config) {
		*cfg = *c.cfg
		cfg.ShutdownTimeout = time.Hour
	}, c.next)
	if err := p.Start(context.Background(), c.host()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	st := p.stats()
	c.checkConserved(&st)
	missing := int64(0)
	for _, r := range left.requests {
		for id := r.first; r.err == nil && id < r.first+r.n; id++ {
			if c.delivered[id] == 0 && !c.given[id] {
				missing++
			}
		}
	}
	if most := left.dropped + dropped(&st); st.Lost != 0 || missing > most {
		c.fault("I1: %d of what was accepted are missing, %d were dropped; %+v", missing, most, st)
	}
	if n := len(storedKeys(c.disk)); n > 0 {
		c.fault("%d entries are left after everything was delivered", n)
	}
}

// maybeAccepted reports whether a caller with this error gave up on a request that a consumer had touched, or was told that it was dropped.
func maybeAccepted(err error) bool {
	return consumererror.IsPermanent(err) || strings.Contains(err.Error(), "before the data was in the storage") || strings.Contains(err.Error(), "until its data is in the storage")
}
