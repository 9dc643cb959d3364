// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// noticeInterval is the least time between two lines of one notice.
const noticeInterval = time.Minute

// notice is something that an operator has to know, and that may happen a million times a second: it is logged when it begins,
// and then at most once per noticeInterval, with how often it happened and how many items it concerned since the last line.
type notice struct { // immutable but for mu
	log     *zap.Logger
	level   zapcore.Level
	message string

	mu struct { // guards everything in it
		sync.Mutex
		last         time.Time // of the last line; zero: there was none
		times, items int64     // since then
	}
}

func newNotice(log *zap.Logger, level zapcore.Level, message string) *notice {
	return &notice{log: log, level: level, message: message}
}

// happened counts one event with so many items, and logs it if it is time. fields are those of this event; they are made only
// if there is a line. It is not called under a lock (I4).
func (n *notice) happened(items int, fields func() []zap.Field) {
	n.mu.Lock()
	n.mu.times++
	n.mu.items += int64(items)
	now := time.Now()
	if !n.mu.last.IsZero() && now.Sub(n.mu.last) < noticeInterval {
		n.mu.Unlock()
		return
	}
	times, sum := n.mu.times, n.mu.items
	n.mu.last, n.mu.times, n.mu.items = now, 0, 0
	n.mu.Unlock()
	all := []zap.Field{zap.Int64("times", times), zap.Int64("items", sum)}
	if fields != nil {
		all = append(all, fields()...)
	}
	n.log.Log(n.level, n.message, all...)
}
