// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc: USER_HZ is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// cpuTime returns the CPU time that a process has used, in user and in system mode.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on: state
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var sum time.Duration
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

var (
	highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
	resident  = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)
)

// peakMemory returns the most resident memory that a process has had, in bytes.
func peakMemory(pid int) (int, error) { return memory(pid, highWater) }

// residentMemory returns the resident memory of a process, in bytes.
func residentMemory(pid int) (int, error) { return memory(pid, resident) }

func memory(pid int, which *regexp.Regexp) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := which.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("/proc/%d/status has no %s", pid, which)
	}
	n, err := strconv.Atoi(string(m[1]))
	return n << 10, err
}
