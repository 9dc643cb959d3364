// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"maps"
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

// quiet reports whether the next event would be logged.
func (n *notice) quiet() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.last.IsZero() || time.Since(n.mu.last) >= noticeInterval
}

// maxStalledNotices bounds how many keys have a notice of their own at a time.
const maxStalledNotices = 100

// stalledKeys has a notice for each key that has stalled, so that each is named.
type stalledKeys struct {
	log *zap.Logger
	mu  struct { // guards everything in it
		sync.Mutex
		keys   map[string]*notice
		others *notice // of keys beyond maxStalledNotices
	}
}

// of returns the notice of a key.
func (s *stalledKeys) of(key string) *notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.mu.keys[key]; ok {
		return n
	}
	if len(s.mu.keys) >= maxStalledNotices {
		maps.DeleteFunc(s.mu.keys, func(_ string, n *notice) bool { return n.quiet() })
	}
	if len(s.mu.keys) >= maxStalledNotices {
		if s.mu.others == nil {
			s.mu.others = s.notice()
		}
		return s.mu.others
	}
	if s.mu.keys == nil {
		s.mu.keys = map[string]*notice{}
	}
	n := s.notice()
	s.mu.keys[key] = n
	return n
}

func (s *stalledKeys) notice() *notice {
	return newNotice(s.log, zap.ErrorLevel, "A key has stalled: its part of requests with other keys is dropped; see items_dropped")
}
