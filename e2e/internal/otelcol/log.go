// SPDX-License-Identifier: Apache-2.0

package otelcol

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

const readyMessage = "Everything is ready. Begin running and processing data."

var listenMessage = regexp.MustCompile(`Starting (GRPC|HTTP) server\t.*"endpoint": "([^"]+)"`)

// processLog collects a collector's output and watches for what it says about itself.
type processLog struct {
	ready chan struct{} // closed when the collector says that it is ready

	mu struct { // guards everything in it
		sync.Mutex
		buf        bytes.Buffer
		seen       int // what was watched already: whole lines, from the start of buf
		isReady    bool
		grpc, http string
	}
}

func newProcessLog() *processLog {
	return &processLog{ready: make(chan struct{})}
}

// Write is called by one goroutine, that of exec.Cmd.
func (l *processLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.buf.Write(p)
	for {
		line, _, ok := bytes.Cut(l.mu.buf.Bytes()[l.mu.seen:], []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.mu.seen += len(line) + 1
		l.watch(string(line))
	}
}

func (l *processLog) watch(line string) {
	if m := listenMessage.FindStringSubmatch(line); m != nil {
		if m[1] == "GRPC" {
			l.mu.grpc = m[2]
		} else {
			l.mu.http = m[2]
		}
	}
	if !l.mu.isReady && strings.Contains(line, readyMessage) {
		l.mu.isReady = true
		close(l.ready)
	}
}

func (l *processLog) endpoints() (grpc, http string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.grpc, l.mu.http
}

func (l *processLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.buf.String()
}
