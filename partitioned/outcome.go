// SPDX-License-Identifier: Apache-2.0

package partitioned

import "fmt"

// check makes the errors of Errs the Err of v too, or puts an error in their place if there is not one for each item.
func (v *Verdict[T]) check(items int) {
	if v.Errs == nil {
		return
	}
	if len(v.Errs) != items {
		v.Err = fmt.Errorf("partitioned: Process returned %d Errs for a batch of %d items", len(v.Errs), items)
		v.Errs, v.Taken = nil, 0
		return
	}
	var all completion
	for _, err := range v.Errs {
		all.fail(err)
	}
	v.Err = all.mu.err
}

// errorOf returns the error of the item at that index of the batch, of which err is the error as a whole.
func (c *call[T]) errorOf(at int, err error) error {
	if c.errs != nil {
		return c.errs[at]
	}
	return err
}

// failedItems is the weight, in items, of what Errs says failed, and does not come again, as From says.
func (c *call[T]) failedItems(named []bool) (items int) {
	for at, err := range c.errs {
		if err == nil || len(named) > 0 && named[at] {
			continue
		}
		if c.weights == nil {
			items++
			continue
		}
		items += int(c.weights[at])
	}
	return items
}
