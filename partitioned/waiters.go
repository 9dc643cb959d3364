// SPDX-License-Identifier: Apache-2.0

package partitioned

// waiters is a list of callers, linked through them.
type waiters[T any] struct {
	first, last *waiter[T]
	len         int
}

func (l *waiters[T]) pushBack(w *waiter[T])  { l.insert(w, l.last, nil) }
func (l *waiters[T]) pushFront(w *waiter[T]) { l.insert(w, nil, l.first) }

func (l *waiters[T]) insert(w, prev, next *waiter[T]) {
	w.in, w.prev, w.next = l, prev, next
	*l.after(prev), *l.before(next) = w, w
	l.len++
}

func (l *waiters[T]) remove(w *waiter[T]) {
	*l.after(w.prev), *l.before(w.next) = w.next, w.prev
	w.in, w.prev, w.next = nil, nil, nil
	l.len--
}

// after and before are the links beside w; beside nobody, the ends of the list.
func (l *waiters[T]) after(w *waiter[T]) **waiter[T] {
	if w == nil {
		return &l.first
	}
	return &w.next
}

func (l *waiters[T]) before(w *waiter[T]) **waiter[T] {
	if w == nil {
		return &l.last
	}
	return &w.prev
}
