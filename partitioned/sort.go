// SPDX-License-Identifier: Apache-2.0

package partitioned

import "slices"

// sort orders a batch as Sort says, with all that is known by the index of an item. It runs between the cut and the booking, under
// no lock: before that nobody else reads c.
func (q *Queue[T]) sort(c *call[T]) {
	items := c.batch.Items
	if q.cfg.Sort == nil || len(items) < 2 {
		return
	}
	from := q.sorted(items)
	if from == nil {
		return
	}
	c.batch.Items = arranged(items, from)
	if c.weights != nil {
		c.weights = arranged(c.weights, from)
	}
	to := make([]int, len(from))
	for at, i := range from {
		to[i] = at
	}
	for i := range c.waiting {
		c.waiting[i].at = to[c.waiting[i].at]
	}
}

// sorted returns, for each place of the sorted items, the index of the item that belongs there. After a panic of Sort it returns
// nil: the batch stays in the order of acceptance.
func (q *Queue[T]) sorted(items []T) (from []int) {
	defer q.cfg.Observer.guard(q.cfg.Name, "Sort")
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return q.cfg.Sort(items[a], items[b]) })
	return order
}

func arranged[E any](all []E, from []int) []E {
	out := make([]E, len(all))
	for at, i := range from {
		out[at] = all[i]
	}
	return out
}
