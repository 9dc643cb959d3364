// SPDX-License-Identifier: Apache-2.0

package batcher

import "sync"

// group is the callers behind a request in which nobody can tell what belongs to whom: a resource that several callers wrote to, or a
// subset that an error named. What each of them lent counts as delivered once all of the group is.
type group[P any] struct {
	mu struct { // guards everything in it. Before lease.mu; that of a subset before those that it stands for
		sync.Mutex
		open   int         // requests that it was cut into
		pieces []*piece[P] // that callers lent. They are in no batch themselves
		groups []*group[P] // of a subset: groups that one request of is what the subset is of
	}
}

func newGroup[P any](pieces []*piece[P], groups []*group[P]) *group[P] {
	g := &group[P]{}
	g.mu.open, g.mu.pieces, g.mu.groups = 1, pieces, groups
	return g
}

// join makes g stand for the callers of other too, before either is in a batch.
func (g *group[P]) join(other *group[P]) *group[P] {
	if g == nil || other == nil {
		return nil
	}
	g.mu.pieces = append(g.mu.pieces, other.mu.pieces...)
	return g
}

// cut notes that one of its requests was cut in two.
func (g *group[P]) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.open++
}

// deliver notes that one of its requests was delivered.
func (g *group[P]) deliver() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.open--; g.mu.open > 0 {
		return
	}
	for _, c := range g.mu.pieces {
		c.deliver()
	}
	for _, other := range g.mu.groups {
		other.deliver()
	}
}

// sole returns the lease of the caller that lent all of the group; nil: there are several, or some of it is in another request.
func (g *group[P]) sole() (l *lease[P]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.open > 1 {
		return nil
	}
	for i, c := range g.mu.pieces {
		if i > 0 && c.lease != l {
			return nil
		}
		l = c.lease
	}
	for i, other := range g.mu.groups {
		of := other.sole()
		if of == nil || (i > 0 || l != nil) && of != l {
			return nil
		}
		l = of
	}
	return l
}

// groupOf makes a group for a subset of a batch. Somebody waits for each request of it.
func groupOf[P any](batch []request[P]) *group[P] {
	g := newGroup[P](nil, nil)
	for i := range batch {
		switch r := &batch[i]; {
		case r.items == 0:
		case r.meta.piece != nil:
			g.mu.pieces = append(g.mu.pieces, r.meta.piece)
		case r.meta.group != nil:
			g.mu.groups = append(g.mu.groups, r.meta.group)
		}
	}
	return g
}
