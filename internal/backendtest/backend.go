// SPDX-License-Identifier: Apache-2.0

// Package backendtest is a backend that bears so many calls at once, for tests in fake time and for measurements in real time.
package backendtest

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// MeanWork is how long a call takes on average, if it shares with nobody, unless Work says otherwise.
const MeanWork = 40 * time.Millisecond

const (
	refusal = 10 * time.Millisecond // how long a call takes that is refused
	network = time.Millisecond      // on average, there and back each: so whose call comes next is left to chance, as it is anywhere
)

// ErrRefused is what such a call gets.
var ErrRefused = status.Error(codes.Unavailable, "too many calls")

// Backend has room for a number of calls. Above that they share it, so that each takes longer; above twice that it refuses them. It is
// what queueing theory calls processor sharing.
//
// Each call that is in it has got the same amount of service per second, so one number, served, says how far all of them have come: a
// call that came when served was s and needs w ends when served is s + w.
type Backend struct {
	Work   func(*rand.Rand) time.Duration // of a call that shares with nobody
	Errors float64                        // part of the calls that is refused for nothing

	mu struct {
		sync.Mutex
		rng      *rand.Rand
		capacity int
		served   float64   // seconds of service of a call that was here from the beginning
		at       time.Time // when served was right
		calls    calls
		timer    *time.Timer
		refused  int
		taken    int
	}
}

// call is one that is in the backend.
type call struct {
	until float64 // served
	over  chan struct{}
}

// New makes a Backend with room for so many calls, of 40 ms ± 10 %.
func New(seed uint64, capacity int) *Backend {
	b := &Backend{Work: func(rng *rand.Rand) time.Duration {
		return 36*time.Millisecond + time.Duration(rng.Int64N(int64(8*time.Millisecond)))
	}}
	b.mu.rng = rand.New(rand.NewPCG(seed, 1))
	b.mu.capacity, b.mu.at = capacity, time.Now()
	return b
}

// SetCapacity changes for how many calls there is room.
func (b *Backend) SetCapacity(capacity int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	b.mu.capacity = capacity
	b.schedule()
}

// Counts returns how many calls were taken and refused so far.
func (b *Backend) Counts() (taken, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.taken, b.mu.refused
}

// Call is one call. It returns when that has been served, or refused.
func (b *Backend) Call(ctx context.Context) error {
	there, back := b.ways()
	time.Sleep(there)
	c, ok := b.enter()
	if !ok {
		time.Sleep(refusal)
		return ErrRefused
	}
	select {
	case <-c.over:
		time.Sleep(back)
		return nil
	case <-ctx.Done(): // it goes on, as in a server that does not look
		return ctx.Err()
	}
}

func (b *Backend) ways() (there, back time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	way := func() time.Duration { return network/2 + time.Duration(b.mu.rng.Int64N(int64(network))) }
	return way(), way()
}

func (b *Backend) enter() (*call, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	if len(b.mu.calls) >= 2*b.mu.capacity || b.mu.rng.Float64() < b.Errors {
		b.mu.refused++
		return nil, false
	}
	c := &call{b.mu.served + b.Work(b.mu.rng).Seconds(), make(chan struct{})}
	heap.Push(&b.mu.calls, c)
	b.schedule()
	return c, true
}

// advance brings served up to now, and ends the calls that are over. Lock held, as in all below.
func (b *Backend) advance() {
	const resolution = 1e-9 // of the clock
	now := time.Now()
	b.mu.served += now.Sub(b.mu.at).Seconds() * b.speed()
	b.mu.at = now
	for len(b.mu.calls) > 0 && b.mu.calls[0].until <= b.mu.served+resolution {
		close(heap.Pop(&b.mu.calls).(*call).over)
		b.mu.taken++
	}
}

// speed is the service that a call gets in a second.
func (b *Backend) speed() float64 {
	return min(1, float64(b.mu.capacity)/float64(max(len(b.mu.calls), 1)))
}

// schedule sets the timer for the next call that is over.
func (b *Backend) schedule() {
	if len(b.mu.calls) == 0 {
		return
	}
	left := time.Duration((b.mu.calls[0].until-b.mu.served)/b.speed()*float64(time.Second)) + 1
	if b.mu.timer == nil {
		b.mu.timer = time.AfterFunc(left, b.tick)
		return
	}
	b.mu.timer.Reset(left)
}

func (b *Backend) tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	b.schedule()
}

// calls is a heap of calls; that which ends first is on top.
type calls []*call

func (c calls) Len() int           { return len(c) }
func (c calls) Less(i, j int) bool { return c[i].until < c[j].until }
func (c calls) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *calls) Push(x any)        { *c = append(*c, x.(*call)) }

func (c *calls) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
