// SPDX-License-Identifier: Apache-2.0

package partitioned

import "slices"

// standing is the versions of a batch of which something comes again under a key that the batch does not have: one request for many
// records, say. Nobody can tell which of them that stands for. So all stay pending until all of it is settled, and are remembered if all of
// it was taken. The completions of its entries lead to it.
type standing[K comparable] struct {
	keys   []K
	others []*standing[K] // in whose place it stands, too, once for each part of theirs
	parts  int            // that are not settled: entries, or parts of one that was split
	failed bool           // something of it was not taken
}

// stander is a standing of any keys.
type stander interface{ divided() }

// divided books that an entry was split. Its consumer calls it while it cuts, when nobody else looks at the drain.
func (s *standing[K]) divided() { s.parts++ }

// settle books that a part is settled, and calls end with the keys whose versions are: all or none of some are taken. Partition's lock held.
func (s *standing[K]) settle(taken bool, end func(keys []K, taken bool)) {
	s.failed = s.failed || !taken
	if s.parts--; s.parts > 0 {
		return
	}
	end(s.keys, !s.failed)
	for _, o := range s.others {
		o.settle(!s.failed, end)
	}
}

// stand returns a standing for keys, and in place of each of standings, one for each part of theirs. What all of a standing's parts
// are here for is taken over, so that what comes again and again leaves no chain behind. Partition's lock held.
func stand[K comparable](keys []K, standings []*standing[K], parts int, failed bool) *standing[K] {
	var st *standing[K]
	here := map[*standing[K]]int{}
	for _, o := range standings {
		here[o]++
	}
	for o, n := range here {
		if o.parts == n && st == nil {
			st = o
			delete(here, o)
		}
	}
	if st == nil {
		st = &standing[K]{}
	}
	for o, n := range here {
		if o.parts == n {
			st.keys, st.others = append(st.keys, o.keys...), append(st.others, o.others...)
			st.failed = st.failed || o.failed
			continue
		}
		for range n {
			st.others = append(st.others, o)
		}
	}
	st.keys, st.parts, st.failed = append(st.keys, keys...), parts, st.failed || failed
	return st
}

// fell books that an entry that stands for others was dropped. Partition's lock held.
func (g *generation[K, V]) fell(active []Entry[K, V], s stander) {
	s.(*standing[K]).settle(false, func(keys []K, taken bool) {
		for _, key := range keys {
			g.settled(active, Entry[K, V]{Key: key}, taken)
		}
	})
}

// departed is the versions of a batch that is with Process.
type departed[K comparable, V any] struct {
	m      *Map[K, V]
	stream *stream[Entry[K, V]]
	call   *call[Entry[K, V]]
	keys   []K            // by index in the batch, as its items will be the callee's
	stands []*standing[K] // by index, what an entry stands for instead of its key; nil: none does
}

// depart returns what remembers the versions of a batch: those of what was delivered. What comes again stays pending. Where
// something failed and Errs does not say what, or was left out, nobody can tell what it was, and none is remembered: its repetition is
// sent.
func (m *Map[K, V]) depart(s *stream[Entry[K, V]], c *call[Entry[K, V]]) func(MapVerdict[K, V]) {
	d := departed[K, V]{m: m, stream: s, call: c, keys: make([]K, len(c.batch.Items))}
	for i := range c.batch.Items {
		d.keys[i] = c.batch.Items[i].Key
	}
	for _, w := range c.waiting {
		st, ok := w.completion.stands.(*standing[K])
		if ok && d.stands == nil {
			d.stands = make([]*standing[K], len(d.keys))
		}
		if ok {
			d.stands[w.at] = st
		}
	}
	return d.arrive
}

// arrive is told of the verdict. The batch is still in flight, so its stream exists, and nothing is cut from it.
func (d *departed[K, V]) arrive(v MapVerdict[K, V]) {
	again := make(map[K]struct{}, len(v.Rest))
	for i := range v.Rest {
		again[v.Rest[i].Key] = struct{}{}
	}
	failed := v.Err != nil || v.Returned > 0
	if len(again) > 0 && !d.has(again) {
		d.call.stands = d.standFor(len(v.Rest), failed || slices.ContainsFunc(v.Errs, func(err error) bool { return err != nil }))
		return
	}
	if v.Errs == nil {
		d.settle(again, !failed, nil)
		return
	}
	d.settle(again, v.Returned == 0, func(i int) bool { return v.Errs[i] == nil })
	d.settle(again, false, func(i int) bool { return v.Errs[i] != nil })
}

// has reports whether all keys that come again are of entries of the batch that stand for themselves.
func (d *departed[K, V]) has(again map[K]struct{}) bool {
	found := 0
	seen := make(map[K]struct{}, len(again))
	for i, key := range d.keys {
		if _, ok := again[key]; !ok || d.standing(i) != nil {
			continue
		}
		if _, ok := seen[key]; !ok {
			seen[key] = struct{}{}
			found++
		}
	}
	return found == len(again)
}

func (d *departed[K, V]) standing(i int) *standing[K] {
	if d.stands == nil {
		return nil
	}
	return d.stands[i]
}

// standFor returns what so many entries stand for that come again.
func (d *departed[K, V]) standFor(parts int, failed bool) *standing[K] {
	var keys []K
	var standings []*standing[K]
	for i, key := range d.keys {
		if st := d.standing(i); st != nil {
			standings = append(standings, st)
		} else {
			keys = append(keys, key)
		}
	}
	p := d.stream.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	return stand(keys, standings, parts, failed)
}

// settle books what became of the entries that some names by their index; nil: of all. again: keys that come again.
func (d *departed[K, V]) settle(again map[K]struct{}, delivered bool, some func(i int) bool) {
	keys := d.keys
	if some != nil || d.stands != nil {
		keys = nil
		for i, key := range d.keys {
			switch {
			case some != nil && !some(i):
			case d.standing(i) != nil:
				d.settlePart(d.stands[i], delivered)
			default:
				keys = append(keys, key)
			}
		}
	}
	d.m.arrived(d.stream, keys, again, delivered)
}

// settlePart books what became of an entry that stands for others.
func (d *departed[K, V]) settlePart(st *standing[K], delivered bool) {
	type ended struct {
		keys  []K
		taken bool
	}
	var all []ended
	p := d.stream.partition
	p.mu.Lock()
	st.settle(delivered, func(keys []K, taken bool) { all = append(all, ended{keys, taken}) })
	p.mu.Unlock()
	for _, e := range all {
		d.m.arrived(d.stream, e.keys, nil, e.taken)
	}
}
