// SPDX-License-Identifier: Apache-2.0

package batcher

import "math/bits"

// isolation is the search for the bad items of a batch that was rejected for its data. The batch is halved, and each half that is
// rejected too, until the bad items are alone. What comes again stands before everything else of its stream, so the search
// goes depth first: the halves of a half are sent before the other half. All parts share the isolation. They are sent one after
// another, by whichever consumer has their stream, and the partition's lock is taken in between; so it needs no lock.
//
// One bad item among n costs at most 2⌈log2 n⌉ calls, with a success beside almost each. An answer that always comes is not about the data:
// after ⌈log2 n⌉ + 8 rejections in a row the search is given up, and what is left of the batch fails without another call.
type isolation struct {
	patience int   // rejections in a row that end the search
	row      int   // rejections in a row so far
	gaveUp   error // the last of them, when the search has ended; nil: it goes on
}

// newIsolation begins the search in a batch of n items.
func newIsolation(n int) *isolation { return &isolation{patience: bits.Len(uint(n-1)) + 8} }

// taken notes that a part was delivered. i may be nil.
func (i *isolation) taken() {
	if i != nil {
		i.row = 0
	}
}

// rejected notes a rejection, and reports whether the search goes on.
func (i *isolation) rejected(err error) bool {
	if i.row++; i.row >= i.patience && i.gaveUp == nil {
		i.gaveUp = err
	}
	return i.gaveUp == nil
}

// over returns the error that ended the search, with which the parts that are left fail; nil: it goes on, or there is none.
func (i *isolation) over() error {
	if i == nil {
		return nil
	}
	return i.gaveUp
}
