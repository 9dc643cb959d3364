// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// idleWaiter waits until nobody else uses the machine. A round of the case Consume takes some ten milliseconds: with one
// of two CPUs taken it measures how well a rival does on the other one, which is a different question with a different
// answer. Waiting is bounded over the whole run, and what ran all the same is counted and printed.
type idleWaiter struct {
	left time.Duration // that may still be spent
	runs int
	busy int // of runs: started while somebody else was busy
}

const (
	sample  = 100 * time.Millisecond // ten ticks of the kernel's account
	allowed = 0.15                   // of one CPU
)

// wait is called before each run, while this process does nothing.
func (w *idleWaiter) wait() {
	w.runs++
	for {
		before, ok := cpuUsed()
		if !ok {
			return
		}
		time.Sleep(sample)
		after, _ := cpuUsed()
		if (after - before).Seconds() <= allowed*sample.Seconds() {
			return
		}
		if w.left -= sample; w.left <= 0 {
			w.busy++
			return
		}
	}
}

// cpuUsed is the time that all CPUs together have not been idle, in ticks of 10 ms; false where the system does not say.
func cpuUsed() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	var ticks int64
	for i, f := range fields[1:9] { // user, nice, system, idle, iowait, irq, softirq, steal
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, false
		}
		if i != 3 && i != 4 {
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, true
}
