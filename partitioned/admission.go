// SPDX-License-Identifier: Apache-2.0

package partitioned

import "errors"

// errNoCapacity: not now. It never leaves the package.
var errNoCapacity = errors.New("no capacity")

// part is a run of the items of one push, for one stream.
type part[T any] struct {
	partition *partition[T]
	key       string
	from, to  int // of the pushed items
	weight    Weight
	units     int64
	stream    *stream[T] // set by admit
	freed     bool       // set by admit: units were given back for which somebody may wait
}

// measures is what is known of the items of a push before any lock is taken.
type measures struct {
	how     write
	weights []packedWeight // nil: one item each, no bytes
	hashes  []uint64       // of their keys in a Map; nil in a Queue
}

func (m *measures) weight(i int) packedWeight {
	if m.weights == nil {
		return packedWeight{items: 1}
	}
	return m.weights[i]
}

// admit is the one path of every push. Under the locks of all partitions concerned it finds the streams, takes the units, and
// appends: all of it or nothing. Without capacity it returns errNoCapacity and the first stream that is full, or nil if the
// whole queue is. w is the caller in the wait list for whom it is done; nil: a caller that has not waited.
//
// Units are taken under the lock under which the items are appended. So the order of acceptance is the order in the stream
// (I2), and Shutdown, which closes the gate and then holds each lock once, has seen every item that will ever be here (I7).
//
// items and measures are parameters of their own, and no fields of a part: escape analysis does not tell fields apart, the key
// of a part escapes to the stream, and the caller's slice would have to leave its stack.
func (q *Queue[T]) admit(parts []part[T], items []T, m *measures, c *completion, w *waiter[T]) (full *stream[T], err error) {
	lockAll(parts)
	if w != nil || len(items) > 1 || !m.how.overwrites() || !q.overwrite(&parts[0], items[0], m) {
		var units int64
		n := 0
		for ; n < len(parts) && err == nil; n++ {
			p := &parts[n]
			if p.stream, err = q.find(p.partition, p.key, w); err != nil {
				full = p.stream
				break
			}
			units += p.units
		}
		if err == nil {
			err = q.gate.enter(units, w != nil)
		}
		if err == nil {
			for i := range parts {
				q.write(&parts[i], items, m, c)
			}
		}
		if err != nil || m.hashes != nil { // nothing was written, or all may have been superseded
			forgetEmpty(parts[:n])
		}
	}
	unlockAll(parts)
	return full, err
}

// overwrite is admit for an item that replaces an entry of a Map which is no lighter. It needs no units, so that a Map that is
// full still takes what is newer. It reports false if there is no such entry. Partition's lock held.
func (q *Queue[T]) overwrite(p *part[T], item T, m *measures) bool {
	s := p.partition.existing(p.key)
	if s == nil || p.partition.mu.dead || q.gate.closed() {
		return false
	}
	at := s.backlog.index.position(s.backlog.active, item, m.hashes[0])
	if at < 0 || p.units > q.units(s.backlog.active[at].weight.unpack()) {
		return false
	}
	p.stream, p.freed = s, q.replace(s, at, item, m.weight(0), 0, m.how, nil)
	return true
}

// find returns the stream of key, with an error if it is full. Partition's lock held.
//
// A waiter that was promoted from any key's wait list passes those of other keys: with turns in one list only, two callers
// that want the same two keys could send each other back for ever.
func (q *Queue[T]) find(p *partition[T], key string, w *waiter[T]) (*stream[T], error) {
	s := p.existing(key)
	if s == nil {
		var err error
		if s, err = p.open(key); err != nil {
			return nil, err
		}
	}
	if s.reserved < q.cfg.KeyCapacity && (!s.blocked || w != nil && w.from != nil) {
		return s, nil
	}
	if q.gate.closed() {
		return nil, ErrClosed // no wait list any more
	}
	if w != nil {
		s.block()
	}
	return s, errNoCapacity
}

// write puts the items of a part into its stream; the units are taken. Partition's lock held.
func (q *Queue[T]) write(p *part[T], items []T, m *measures, c *completion) {
	s := p.stream
	c = s.claimant(c, p)
	if !s.backlog.contiguous {
		for i := p.from; i < p.to; i++ {
			s.backlog.append(items[i], c, m.weight(i))
		}
		s.accept(int64(p.weight.Items), p.units)
		return
	}
	for i := p.from; i < p.to; i++ {
		if (i-p.from)%ahead == 0 && p.to-p.from > 1 {
			s.backlog.index.slots().fetch(m.hashes[i:min(i+ahead, p.to)])
		}
		if q.insert(s, items[i], m.hashes[i], m.weight(i), m.how, c) {
			p.freed = true
		}
	}
}

// forgetEmpty leaves no stream behind that was opened for nothing. Only after all writes: parts may share a stream.
func forgetEmpty[T any](parts []part[T]) {
	for i := range parts {
		parts[i].partition.forget(parts[i].stream)
	}
}

// lockAll locks the partitions of parts, which are in the order of their numbers.
func lockAll[T any](parts []part[T]) {
	parts[0].partition.mu.Lock()
	for i := 1; i < len(parts); i++ {
		if parts[i].partition != parts[i-1].partition {
			parts[i].partition.mu.Lock()
		}
	}
}

func unlockAll[T any](parts []part[T]) {
	parts[0].partition.mu.Unlock()
	for i := 1; i < len(parts); i++ {
		if parts[i].partition != parts[i-1].partition {
			parts[i].partition.mu.Unlock()
		}
	}
}
