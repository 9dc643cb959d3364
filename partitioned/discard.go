// SPDX-License-Identifier: Apache-2.0

package partitioned

// Discard drops what is pending of key and in no batch, what comes again as a Rest too, and returns how many items that was. What
// is with Process goes on. The items count as Evicted; Dropped and waiting callers get ErrDiscarded. Without batches by key there
// is nothing to drop.
func (q *Queue[T]) Discard(key string) (items int) {
	if q.gate == nil || !q.byKey() {
		return 0
	}
	var victims []victim[T]
	p := q.partition(key)
	p.mu.Lock()
	s := p.existing(key)
	if s != nil && !p.mu.dead {
		for q.evict(s, &victims) {
		}
	}
	p.mu.Unlock()
	var last *completion
	for _, e := range victims {
		items += int(e.weight.items)
		last = q.dropped(e.entry, ErrDiscarded, last)
	}
	if items == 0 {
		return 0
	}
	q.cfg.Observer.evicted(q.cfg.Name, p.number, items)
	if q.gate.waiting() {
		q.roomOf(s)
	}
	return items
}

// Discard drops what is pending of batchKey, as Key returns it, as [Queue.Discard] does: also what a flush has taken and no batch has
// yet, which Delete does not reach. A version that was dropped is not remembered. Without a Key it does nothing.
func (m *Map[K, V]) Discard(batchKey string) (items int) { return m.queue.Discard(batchKey) }
