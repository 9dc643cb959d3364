// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"errors"
	"fmt"
	"sync"
)

// Ledger records which items were sent and which of them were acknowledged, and audits what arrived. Its IDs are unique
// across all its senders. Safe for concurrent use.
type Ledger struct {
	mu struct { // guards everything in it
		sync.Mutex
		acked []bool // by ID; those sent without an acknowledgement are false
		n     int    // how many are true
	}
}

// Next gives n IDs that were never given before.
func (l *Ledger) Next(n int) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(len(l.mu.acked))
		l.mu.acked = append(l.mu.acked, false)
	}
	return ids
}

// Ack records that these items were acknowledged, and returns how many now are.
func (l *Ledger) Ack(ids []int64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.mu.acked[id] = true
	}
	l.mu.n += len(ids)
	return l.mu.n
}

// Acked is the number of items acknowledged so far.
func (l *Ledger) Acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.n
}

// Audit compares what arrived with what was sent: every acknowledged item must be there exactly once, one that was sent
// without an acknowledgement at most once, and each as it was sent.
func (l *Ledger) Audit(batches []Payload) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := make([]int, len(l.mu.acked))
	var faults faults
	for _, b := range batches {
		b.Visit(func(id int64, err error) {
			switch {
			case err != nil:
				faults.add("altered", err)
			case id >= int64(len(times)):
				faults.add("never sent", fmt.Errorf("item %d", id))
			}
			if id >= 0 && id < int64(len(times)) {
				times[id]++
			}
		})
	}
	for id, n := range times {
		switch {
		case n > 1:
			faults.add("more than once", fmt.Errorf("item %d: %d times", id, n))
		case n == 0 && l.mu.acked[id]:
			faults.add("lost", fmt.Errorf("item %d was acknowledged", id))
		}
	}
	return faults.err()
}

// Tally is what became of the items that were sent.
type Tally struct {
	Sent, Acked int
	Delivered   int // different ones
	Duplicated  int // further copies
	Lost        int // acknowledged, not delivered
}

// Tally counts what arrived.
func (l *Ledger) Tally(batches []Payload) (t Tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := make([]int, len(l.mu.acked))
	for _, b := range batches {
		b.Visit(func(id int64, _ error) {
			if id >= 0 && id < int64(len(times)) {
				times[id]++
			}
		})
	}
	t.Sent, t.Acked = len(times), l.mu.n
	for id, n := range times {
		if n > 0 {
			t.Delivered++
			t.Duplicated += n - 1
		} else if l.mu.acked[id] {
			t.Lost++
		}
	}
	return t
}

// faults counts what went wrong, by kind, with the first of each kind as an example.
type faults struct {
	kinds []string
	count map[string]int
	first map[string]error
}

func (f *faults) add(kind string, err error) {
	if f.count == nil {
		f.count, f.first = map[string]int{}, map[string]error{}
	}
	if f.count[kind] == 0 {
		f.kinds = append(f.kinds, kind)
		f.first[kind] = err
	}
	f.count[kind]++
}

func (f *faults) err() error {
	var errs []error
	for _, k := range f.kinds {
		errs = append(errs, fmt.Errorf("%s: %d, the first: %w", k, f.count[k], f.first[k]))
	}
	return errors.Join(errs...)
}
