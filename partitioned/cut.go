// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"math"
	"time"
)

// cutResult is what a cut changed besides moving entries.
type cutResult struct {
	grown     Weight      // by splits: a part may repeat something of the whole
	units     int64       // that the growth takes of the capacity
	urgent    int32       // entries that were taken, and whose completion makes the stream due
	skipped   int         // entries that were withdrawn
	late      share       // what Split was called for, or its tail, if it was withdrawn meanwhile
	of        *completion // of late
	now       time.Time   // when Expired is asked; zero: it is not
	expired   Weight      // of the entries that expired
	oversized bool        // the batch is one item above a limit that could not be split, or was no smaller afterwards
}

// cut moves the next batch from d to c: entries until one of the sizes of BatchSize is reached, or all there are, and never more
// than MaxBatchSize, for which the last item is split if it can be. What it makes depends on the entries alone, and not on when
// they came or were swapped.
func (q *Queue[T]) cut(d *drain[T], c *call[T]) (r cutResult) {
	if q.cfg.Expired != nil {
		r.now = time.Now()
	}
	c.grow(d.entries)
	for run := d.run(); run != nil; run = d.run() {
		var n int
		var full bool
		if len(run.notes) == 0 && r.now.IsZero() {
			n, full = q.cutPlain(run.items[d.cursor:], c)
		} else {
			n, full = q.cutRun(run, d.cursor, c, &r)
		}
		d.consume(n)
		if full {
			break
		}
	}
	return r
}

// cutPlain is cutRun for items whose entries are plain: it copies all that fit at once.
func (q *Queue[T]) cutPlain(run []T, c *call[T]) (n int, full bool) {
	b := &c.batch
	if len(b.Items) == 0 {
		c.group = nil
	} else if c.group != nil {
		return 0, true
	}
	n = len(run)
	for _, most := range []int{c.until.Items, c.limit.Items} {
		if most > 0 {
			n = min(n, max(most-b.Weight.Items, 0))
		}
	}
	b.Items = append(b.Items, run[:n]...)
	clear(run[:n]) // what is delivered is not kept
	b.Weight.Items += n
	if c.weights != nil {
		for range n {
			c.weights = append(c.weights, plain.weight.items)
		}
	}
	c.units += int64(n) * q.units(plain.weight)
	return n, n < len(run) || b.Weight.reaches(c.until)
}

// cutRun moves entries of run, from position from on, to c, and returns how many. full: the batch is complete. It is long, as it runs for
// each entry, and so calls as little as it can.
func (q *Queue[T]) cutRun(run *buffer[T], from int, c *call[T], r *cutResult) (n int, full bool) {
	b := &c.batch
	for at := from; at < len(run.items); at++ {
		e := run.note(at)
		var g *group
		weight := e.weight.unpack()
		if w := e.completion; w != nil {
			if w == tombstone || w.flush {
				c.pass(w, r)
				run.clear(at, at+1)
				continue
			}
			g = w.group
		}
		if len(b.Items) == 0 {
			c.group = g
		} else if c.group != g {
			return at - from, true
		}
		units := q.units(e.weight)
		if e.completion != nil && !e.completion.claim(weight, units) {
			r.skipped++
			run.clear(at, at+1)
			continue
		}
		if !r.now.IsZero() && q.expires(c, run.entry(at), r) {
			run.clear(at, at+1)
			continue
		}
		if b.Weight.plus(weight).exceeds(c.limit) {
			if q.cutInto(c, run, at, r) {
				return at - from, true
			}
			if len(b.Items) > 0 {
				q.unclaim(e, false, r)
				return at - from, true
			}
			r.oversized = true
		}
		b.Items = append(b.Items, run.items[at])
		b.Weight = b.Weight.plus(weight)
		if c.weights != nil {
			c.weights = append(c.weights, e.weight.items)
		}
		c.units += units
		if e.completion != nil {
			c.await(e.completion, weight.Items, r)
		}
		run.clear(at, at+1) // what is delivered is not kept
		if g == nil && b.Weight.reaches(c.until) || r.oversized {
			return at + 1 - from, true
		}
	}
	return run.len() - from, false
}

// pass passes an entry that stands for no item: a tombstone, or a marker of Flush.
func (c *call[T]) pass(w *completion, r *cutResult) {
	switch {
	case w == tombstone:
	case w.claim(Weight{}, 0):
		c.flushes = append(c.flushes, w)
		r.urgent++
	default:
		r.skipped++
	}
}

// await books who waits for the last item of c.
func (c *call[T]) await(w *completion, items int, r *cutResult) {
	c.waiting = append(c.waiting, waiting{w, len(c.batch.Items) - 1, int64(items)})
	if w.urgent() {
		r.urgent++
	}
}

// unclaim leaves what is left of an entry in the drain. What its caller withdrew meanwhile is taken back when the batch is booked.
func (q *Queue[T]) unclaim(e note, tail bool, r *cutResult) {
	w := e.weight.unpack()
	if units := q.units(e.weight); !e.completion.unclaim(w, units, tail) {
		r.late, r.of = share{}.plus(w, units), e.completion
	}
}

// cutInto splits the item at position i of run, so that its head fills the batch, if it can. The tail stays where the item was.
func (q *Queue[T]) cutInto(c *call[T], run *buffer[T], i int, r *cutResult) bool {
	e := run.entry(i)
	head, tail, ok := q.split(e.item, c.batch.Weight, c.limit)
	if !ok {
		return false
	}
	w, hw, tw := e.weight, q.reweigh(head, e.weight), q.reweigh(tail, e.weight)
	at := len(c.batch.Items)
	c.batch.Items = append(c.batch.Items, head)
	c.batch.Weight = c.batch.Weight.plus(hw.unpack())
	if c.weights != nil {
		c.weights = append(c.weights, hw.items)
	}
	c.units += q.units(hw)
	r.oversized = hw.unpack().exceeds(c.limit)
	if e.completion != nil {
		e.completion.add()
		if e.completion.stands != nil {
			e.completion.stands.divided()
		}
		c.waiting = append(c.waiting, waiting{e.completion, at, int64(hw.items)})
	}
	e.item, e.weight = tail, tw
	run.set(i, e)
	r.grown = hw.unpack().plus(tw.unpack()).minus(w.unpack())
	if r.units = q.units(hw) + q.units(tw) - q.units(w); r.units < 0 {
		c.units -= r.units // given back when the batch is settled
		r.units = 0
	}
	q.unclaim(e.note, true, r)
	return true
}

// split divides item so that its head fits into a batch that weighs full already, below limit.
func (q *Queue[T]) split(item T, full, limit Weight) (head, tail T, ok bool) {
	if q.cfg.Split == nil {
		return head, tail, false
	}
	room := Weight{math.MaxInt, math.MaxInt}
	if limit.Items > 0 {
		room.Items = limit.Items - full.Items
	}
	if limit.Bytes > 0 {
		room.Bytes = limit.Bytes - full.Bytes
	}
	if room.Items < 1 || room.Bytes < 1 {
		return head, tail, false
	}
	return q.safeSplit(item, room)
}
