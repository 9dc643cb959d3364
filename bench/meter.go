// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"runtime"
	"syscall"
	"time"
)

// Cost is what a stretch of work took from the whole process, whoever of its goroutines did the work.
type Cost struct {
	Wall, CPU     time.Duration
	Allocs, Bytes uint64
	GCs           uint32
}

// measure collects the garbage of preparation, then runs f. The prepared payloads are live at that point, so that with
// the default GOGC the heap has to double before another collection starts: a round's own garbage is far from that, and
// no rival pays for marking the harness's payloads. GCs says when that was not so.
func measure(f func() error) (Cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, start := processCPU(), time.Now()
	err := f()
	c := Cost{Wall: time.Since(start), CPU: processCPU() - cpu}
	runtime.ReadMemStats(&after)
	c.Allocs = after.Mallocs - before.Mallocs
	c.Bytes = after.TotalAlloc - before.TotalAlloc
	c.GCs = after.NumGC - before.NumGC
	return c, err
}

// grow makes the heap larger by so many bytes, in use before and free now. What a rival allocates beyond what is free is new
// pages, and these may cost more than all else, on a virtual machine most of all; a process that has run for a while has them.
func grow(bytes int) {
	b := make([]byte, bytes)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	runtime.GC()
}

// processCPU is the user and system time of all threads so far.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
