// SPDX-License-Identifier: Apache-2.0

package partitioned

import "errors"

// Neither of them leaves the package.
var (
	errNoCapacity = errors.New("no capacity") // not now
	errUndecided  = errors.New("undecided")   // admit has to look
)

// part is what a push has for one stream: a run of its items. No two parts of a push have the same stream.
type part[T any] struct {
	partition *partition[T]
	key       string
	from, to  int // of the pushed items
	weight    Weight
	units     int64

	// Set by admit.
	stream  *stream[T]
	held    int64       // units that the stream holds
	freed   bool        // units were given back for which somebody may wait
	dropped bool        // the key has stalled, and the part is accepted and dropped
	failed  *PanicError // of a Merge, Supersede or Void; the last one

	passed bool // it had its turn in the wait list of its key, so the share no longer holds it up. Owned by the wait list
}

// measures is what is known of the items of a push before any lock is taken.
type measures struct {
	how     write
	weights []packedWeight // nil: one item each, no bytes
	hashes  []uint64       // of their keys in a Map; nil in a Queue
}

func (m *measures) hash(i int) uint64 {
	if m.hashes == nil {
		return 0
	}
	return m.hashes[i]
}

func (m *measures) weight(i int) packedWeight {
	if m.weights == nil {
		return packedWeight{items: 1}
	}
	return m.weights[i]
}

// admit is the one path of every push. Under the locks of all partitions concerned it finds the streams, checks their shares,
// takes key slots and units, and appends: all of it or nothing. Without capacity it returns errNoCapacity and the stream that is
// full, or nil if the whole queue is. w is the caller in the wait list for whom it is done; nil: a caller that has not waited.
//
// Units are taken under the lock under which the items are appended. So the order of acceptance is the order in the stream
// (I2), and Shutdown, which closes the gate and then holds each lock once, has seen every item that will ever be here (I7).
//
// items and measures are parameters of their own, and no fields of a part: escape analysis does not tell fields apart, the key
// of a part escapes to the stream, and the caller's slice would have to leave its stack.
func (q *Queue[T]) admit(parts []part[T], items []T, m *measures, c *completion, w *waiter[T]) (full *stream[T], err error) {
	lockAll(parts)
	if w != nil || len(items) > 1 || !q.mapping.howOf(items[0], m.how).overwrites() || !q.overwrite(&parts[0], items[0], m) {
		if full, err = q.enter(parts, w); err == nil {
			for i := range parts {
				q.write(&parts[i], items, m, c)
			}
		}
		if err != nil || m.hashes != nil { // nothing was written, or all may have been superseded
			forgetEmpty(parts)
		}
		if q.spreads {
			q.passTurns(parts, err != nil)
		}
	}
	unlockAll(parts)
	return full, err
}

// admitItem is admit for a single item where there is nothing to find out: its stream exists, and it has room for the item, or there is
// one stream and one answer. Else it returns errUndecided, and has done nothing. Most pushes end here: what admit does for several parts
// makes a push take half as long again.
func (q *Queue[T]) admitItem(p *partition[T], key string, item T, w packedWeight, c *completion) error {
	units := q.units(w)
	p.mu.Lock()
	err := errUndecided
	s := p.existing(key)
	if s != nil {
		err = q.enterItem(s, units)
	}
	if err == nil {
		if c != nil {
			c = s.claimant(c, share{1, w.unpack(), units})
		}
		quiet := s.backlog.append(item, c, w)
		s.accept(int64(w.items), units, quiet)
		if q.spreads {
			q.took(s, int(w.items))
		}
	}
	p.mu.Unlock()
	return err
}

// enterItem takes the units of a single item, for s, which is where it goes. It returns errUndecided if s has no key slot, or callers wait
// for it, or its share may refuse the item. Partition's lock held.
func (q *Queue[T]) enterItem(s *stream[T], units int64) error {
	if s.slot == slotFree || s.blocked {
		return errUndecided
	}
	err := q.gate.enter(units, q.most(s, units, units), false)
	switch {
	case err == nil:
		s.take(true)
	case q.shares:
		return errUndecided
	}
	return err
}

// overwrite is admit for an item that replaces an entry of a Map which is no lighter. It needs no units, so that a Map that is
// full still takes what is newer. It reports false if there is no such entry. Partition's lock held.
func (q *Queue[T]) overwrite(p *part[T], item T, m *measures) bool {
	s := p.partition.existing(p.key)
	if s == nil || p.partition.mu.dead || q.gate.closed() {
		return false
	}
	at := s.backlog.index.position(s.backlog.active.items, item, m.hashes[0])
	if at < 0 || p.units > q.units(s.backlog.active.note(at).weight) {
		return false
	}
	p.stream = s
	p.freed, p.failed = q.replace(s, at, item, m.weight(0), 0, m.how, nil)
	return true
}

// enter finds the streams and takes what the parts need, or nothing. Partitions' locks held.
func (q *Queue[T]) enter(parts []part[T], w *waiter[T]) (full *stream[T], err error) {
	for i := range parts {
		p := &parts[i]
		s := p.partition.existing(p.key)
		if s == nil {
			if s, err = p.partition.open(p.key); err != nil {
				return nil, err
			}
		}
		p.stream, p.dropped = s, false
	}
	if !q.shares {
		return nil, q.gate.enter(parts[0].units, q.gate.capacity-1, w.hasTurn())
	}
	if q.gate.closed() {
		return nil, ErrClosed // no wait list any more
	}
	if q.cfg.StallTimeout > 0 && len(parts) > 1 {
		q.dropStalled(parts, w != nil)
	}
	n := q.need(parts, w)
	if err = q.enterGate(n, w); errors.Is(err, errNoCapacity) {
		if full = q.firstFull(parts, n.units, w); full != nil && q.probe(parts, full, n, w) {
			full, err = nil, nil
		}
	}
	for i := range parts {
		if p := &parts[i]; err == nil && !p.dropped {
			p.stream.take(!p.passed)
			p.held = p.stream.reserved + p.units
		} else {
			p.held = p.stream.reserved
		}
	}
	if full != nil {
		full.refuse(w != nil, q.cfg.StallTimeout)
	}
	return full, err
}

// need is what a push takes all at once.
type need struct {
	units int64
	slots int64 // keys of which nothing is pending yet
	most  int64 // units that may be taken at most when it comes: what all shares allow
}

// need adds up what the parts need. Partitions' locks held.
func (q *Queue[T]) need(parts []part[T], w *waiter[T]) need {
	n := need{most: q.gate.capacity - 1}
	for i := range parts {
		if p := &parts[i]; !p.dropped {
			n.units += p.units
			if p.stream.slot == slotFree {
				n.slots++
			}
		}
	}
	for i := range parts {
		n.most = min(n.most, q.bound(&parts[i], n.units, w))
	}
	return n
}

// bound returns how many units may be taken at most, for the share of one part to allow the whole push; -1: it does not.
func (q *Queue[T]) bound(p *part[T], push int64, w *waiter[T]) int64 {
	switch s := p.stream; {
	case p.dropped || p.passed:
		return q.gate.capacity - 1
	case s.blocked && !w.headOf(s):
		return -1
	default:
		return q.most(s, p.units, push)
	}
}

// most is bound for so many units of a push for s, which others do not wait for.
//
// The share: a stream that holds something may take a part if it then holds at most free / (1 + stuck). Free is what remains of
// the capacity after the push. stuck is the number of other streams that are full, and of which nothing was forwarded since.
// Whatever the order in which n streams get stuck, they leave capacity / (n + 1), less n parts. It is the dynamic threshold of
// Choudhury and Hahne (Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998), with a divisor for streams
// that never drain. An empty stream may take one part while there is capacity at all.
//
// As a bound it needs no second lock: the gate compares it with the units taken in its one compare-and-swap (I5).
func (q *Queue[T]) most(s *stream[T], units, push int64) int64 {
	capacity := q.gate.capacity
	switch {
	case s.reserved == 0 || !q.shares:
		return capacity - 1
	case s.reserved >= q.cfg.KeyCapacity:
		return -1
	}
	divisor := q.divisor(s)
	holds := s.reserved + units
	if divisor > 1 && holds > capacity/divisor { // then there may be an overflow below
		return -1
	}
	return capacity - push - holds*divisor
}

// divisor is by what the free capacity is divided for the share of s: 1 + the number of other streams that are stuck. Partition's lock
// held.
func (q *Queue[T]) divisor(s *stream[T]) int64 {
	n := 1 + q.stuck.Load()
	if s.stuck {
		n--
	}
	return n
}

// refuses reports whether the share of a part refuses a push of so many units. Partition's lock held.
func (q *Queue[T]) refuses(p *part[T], push int64, w *waiter[T]) bool {
	return q.bound(p, push, w) < min(q.gate.used(), q.gate.capacity-1)
}

// firstFull returns the first stream whose share refuses a push of so many units, if one does: that of which w is the first
// before all others. All whose share refuses it are full from now on: else keys that get stuck together would be found to have
// stalled one after another, a StallTimeout each. Partitions' locks held.
func (q *Queue[T]) firstFull(parts []part[T], push int64, w *waiter[T]) (full *stream[T]) {
	for i := range parts {
		p := &parts[i]
		if !q.refuses(p, push, w) {
			continue
		}
		p.stream.refuse(false, q.cfg.StallTimeout)
		if full == nil || w.headOf(p.stream) {
			full = p.stream
		}
	}
	return full
}

// enterGate takes units and key slots, or neither. The one lock is for pushes that open a key while MaxKeys limits their number:
// a slot that is taken and given back would refuse others meanwhile.
func (q *Queue[T]) enterGate(n need, w *waiter[T]) error {
	if n.slots == 0 || q.keys.max == 0 {
		err := q.gate.enter(n.units, n.most, w.hasTurn())
		if err == nil && n.slots > 0 {
			q.keys.n.Add(n.slots)
		}
		return err
	}
	q.keys.Lock()
	defer q.keys.Unlock()
	// A push of more keys than MaxKeys is admitted while nothing else is pending by key, so it is not refused for ever.
	if taken := q.keys.n.Load(); taken > 0 && taken+n.slots > q.keys.max {
		return ErrTooManyKeys
	}
	err := q.gate.enter(n.units, n.most, w.hasTurn())
	if err == nil {
		q.keys.n.Add(n.slots)
	}
	return err
}

// write puts the items of a part into its stream; the units are taken. Partition's lock held.
func (q *Queue[T]) write(p *part[T], items []T, m *measures, c *completion) {
	s := p.stream
	if p.dropped {
		p.partition.mu.drop(int64(p.weight.Items))
		return
	}
	c = s.claimant(c, share{p.to - p.from, p.weight, p.units})
	if !s.backlog.contiguous {
		for i := p.from; i < p.to; i++ {
			s.backlog.append(items[i], c, m.weight(i))
		}
		s.accept(int64(p.weight.Items), p.units, false)
		return
	}
	for i := p.from; i < p.to; i++ {
		if (i-p.from)%ahead == 0 && p.to-p.from > 1 {
			s.backlog.index.slots().fetch(m.hashes[i:min(i+ahead, p.to)])
		}
		freed, failed := q.insert(s, items[i], m.hashes[i], m.weight(i), q.mapping.howOf(items[i], m.how), c)
		p.freed = p.freed || freed
		if failed != nil {
			p.failed = failed
		}
	}
	if q.mapping.void != nil {
		s.tidy() // of entries that were taken out as void
	}
}

// forgetEmpty leaves no stream behind that was opened for nothing. Only after all writes.
func forgetEmpty[T any](parts []part[T]) {
	for i := range parts {
		if s := parts[i].stream; s != nil {
			s.partition.forget(s)
		}
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
