// SPDX-License-Identifier: Apache-2.0

package partitioned

import "errors"

// pauses is what is paused of a partition. The partition's lock guards it. A stream that is paused holds no consumer: it waits, in state
// paused, until nothing pauses it. Until a consumer has come for it, it may be in any other state.
type pauses struct {
	keys map[string]struct{} // by Pause; "" stands for the partition where streams are not by key
	all  bool                // by PauseAll
}

// Pause keeps what is pending of key, and what will be pushed of it, from being processed, until Resume. A call of Process that has
// begun, or whose batch is cut just now, goes on. Key need not have anything pending. Where batches are not made by key, its
// partition is paused, as [Queue.PushKey] finds it: with one partition that is all. To pause twice is to pause once. A zero
// Queue returns an error.
//
// Meanwhile:
//
//   - A paused key holds its share of Capacity, its key of MaxKeys, and no consumer. When it is full, pushes of it do what Overflow says;
//     OverflowDropOldest drops of it as of others. After StallTimeout it stalls: then the parts of pushes that also have other keys are
//     accepted and dropped (Stalled).
//   - Callers that wait for its results wait on. One that gives up takes its items back. Discard drops what is pending.
//   - Interval, MinInterval and the After of a Verdict run on: what is due by then is processed when Resume is called. Expired is asked
//     then, not before.
//   - Flush passes over it, and does not wait for it. A Flush that had begun before waits until Resume, until what it waits for was
//     discarded or withdrawn, or until its context is done.
//   - Shutdown ends all pauses, and delivers what they kept. From then on Pause does nothing. Discard first what is not to be delivered.
func (q *Queue[T]) Pause(key string) error {
	return q.setPaused(key, true)
}

// Resume undoes Pause of key. What became due meanwhile is processed at once. It does not undo PauseAll. A key that is not paused stays
// as it is. A zero Queue returns an error.
func (q *Queue[T]) Resume(key string) error {
	return q.setPaused(key, false)
}

// PauseAll is Pause of all keys, or partitions, until ResumeAll. What Pause did and does stays apart from it: a key is processed while
// neither it nor all is paused. A zero Queue returns an error.
func (q *Queue[T]) PauseAll() error { return q.setAllPaused(true) }

// ResumeAll undoes PauseAll. Keys that Pause named stay paused. A zero Queue returns an error.
func (q *Queue[T]) ResumeAll() error { return q.setAllPaused(false) }

func (q *Queue[T]) setPaused(key string, paused bool) error {
	if q.gate == nil {
		return errZero
	}
	p := q.partition(key)
	if !q.byKey() {
		key = ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case q.closing.Load(): // drain has ended all pauses of this partition, or will, under this lock
	case paused:
		if p.pauses.keys == nil {
			p.pauses.keys = map[string]struct{}{}
		}
		p.pauses.keys[key] = struct{}{}
	default:
		delete(p.pauses.keys, key)
		if s := p.existing(key); s != nil {
			s.resume()
		}
		for s := range p.apart {
			s.resume()
		}
	}
	return nil
}

func (q *Queue[T]) setAllPaused(paused bool) error {
	if q.gate == nil {
		return errZero
	}
	q.life.Lock() // so that of two calls at once the later one holds in all partitions
	defer q.life.Unlock()
	for _, p := range q.partitions {
		p.mu.Lock()
		if p.pauses.all = paused && !q.closing.Load(); !p.pauses.all {
			p.all((*stream[T]).resume)
		}
		p.mu.Unlock()
	}
	return nil
}

// endPauses ends all pauses. Shutdown has begun, so none begins after it.
func (q *Queue[T]) endPauses() {
	for _, p := range q.partitions {
		p.mu.Lock()
		p.pauses = pauses{}
		p.all((*stream[T]).resume)
		p.mu.Unlock()
	}
}

// isPaused reports whether no consumer may cut a batch of s that has items. Partition's lock held.
func (s *stream[T]) isPaused() bool {
	p := &s.partition.pauses
	if p.all || len(p.keys) == 0 {
		return p.all
	}
	_, ok := p.keys[s.key]
	return ok
}

// heldByPause reports whether s waits for a Resume: it is paused, and holds items. What holds nothing but markers of Flush goes on, as there
// is nothing that they wait for. Partition's lock held.
func (s *stream[T]) heldByPause() bool { return s.isPaused() && s.backlog.weight.Items > 0 }

// resume goes on with s if it is in state paused and nothing pauses it any more. Partition's lock held.
func (s *stream[T]) resume() {
	if s.state == paused && !s.isPaused() {
		s.schedule()
	}
}

// errNoBatchKeys is the answer of a Map that makes no batches by key.
var errNoBatchKeys = errors.New("partitioned: the Map makes no batches by key: its config has no Key. PauseAll pauses all")

// Pause keeps the batches of batchKey, as Key returns it, from being processed, as [Queue.Pause] does. What is held can still be written,
// read, folded and deleted. Without a Key it returns an error, and PauseAll is what there is.
func (m *Map[K, V]) Pause(batchKey string) error { return m.setPaused(batchKey, true) }

// Resume undoes Pause of batchKey, as [Queue.Resume] does.
func (m *Map[K, V]) Resume(batchKey string) error { return m.setPaused(batchKey, false) }

// PauseAll keeps all that is held from being processed until ResumeAll, as [Queue.PauseAll] does.
func (m *Map[K, V]) PauseAll() error { return m.queue.PauseAll() }

// ResumeAll undoes PauseAll, as [Queue.ResumeAll] does.
func (m *Map[K, V]) ResumeAll() error { return m.queue.ResumeAll() }

func (m *Map[K, V]) setPaused(batchKey string, paused bool) error {
	if m.queue.gate != nil && !m.queue.byKey() {
		return errNoBatchKeys
	}
	return m.queue.setPaused(batchKey, paused)
}
