// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"math"
	"sync"
	"sync/atomic"
)

// maxUnits is the capacity of a gate without a limit: what fits above the flags of its word.
const maxUnits = math.MaxInt64 >> gateShift

const (
	gateClosed  = 1 << iota // nobody enters
	gateWaiting             // somebody waits: whoever gives units back serves
	gateWhole               // somebody waits for the whole: nobody passes
	gateShift   = iota
)

// gate counts the units of the capacity that are taken. To enter it is to be accepted, and closing it is the single point
// after which nothing is.
//
// The units and the flags are one atomic word, so that entering is one compare-and-swap, exact under any number of
// producers (I5): no add that has to be taken back, which others would see as a full queue. A mutex of its own was tried:
// 47 ns instead of 38 for a push's two locks, on two cores (BenchmarkGate).
type gate struct {
	word     atomic.Int64  // units taken << gateShift | flags
	capacity int64         // immutable
	empty    chan struct{} // closed when the gate is closed and all have left
	once     sync.Once     // closes it
}

// init makes a closed gate.
func (g *gate) init(capacity int64) {
	g.capacity = capacity
	g.empty = make(chan struct{})
	g.word.Store(gateClosed)
}

// enter takes units if at most so many are taken already, or returns ErrClosed or errNoCapacity. hasTurn: the caller is not held
// up by those who wait for the whole.
func (g *gate) enter(units, most int64, hasTurn bool) error {
	for {
		w := g.word.Load()
		switch {
		case w&gateClosed != 0:
			return ErrClosed
		case w&gateWhole != 0 && !hasTurn, w>>gateShift > most:
			return errNoCapacity
		}
		if g.word.CompareAndSwap(w, w+units<<gateShift) {
			return nil
		}
	}
}

// leave gives units back, and reports whether somebody waits. A negative number takes more: what is inside has grown.
func (g *gate) leave(units int64) (waiting bool) {
	w := g.word.Add(-units << gateShift)
	g.settle(w)
	return w&gateWaiting != 0
}

// close lets nobody in any more.
func (g *gate) close() {
	g.settle(g.word.Or(gateClosed) | gateClosed)
}

func (g *gate) settle(w int64) {
	if w&gateClosed != 0 && w>>gateShift == 0 {
		g.once.Do(func() { close(g.empty) })
	}
}

func (g *gate) open()         { g.word.And(^gateClosed) }
func (g *gate) closed() bool  { return g.word.Load()&gateClosed != 0 }
func (g *gate) waiting() bool { return g.word.Load()&gateWaiting != 0 }
func (g *gate) used() int64   { return g.word.Load() >> gateShift }

func (g *gate) set(flag int64) { g.setIf(flag, true) }

// setIf sets or clears a flag of those who wait. Wait list's lock held, so nobody else changes it.
func (g *gate) setIf(flag int64, on bool) {
	switch is := g.word.Load() & flag; {
	case on && is != flag:
		g.word.Or(flag)
	case !on && is != 0:
		g.word.And(^flag)
	}
}
