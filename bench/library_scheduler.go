// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"sync"
	"time"

	"google.golang.org/api/support/bundler"
)

// scheduler makes batches by key as the publish scheduler of cloud.google.com/go/pubsub does, which is internal to it: a bundler, with its
// timer, for each key that has something pending, and a number of handlers that all of them share. A key has one call at a time.
type scheduler[T any] struct {
	handle  func(key string, items []T)
	workers chan struct{} // one for each call at once
	count   int           // items that make a batch
	delay   time.Duration

	mu   sync.Mutex
	keys map[string]*bundled
}

// bundled is what is pending of a key. The scheduler's lock guards it.
type bundled struct {
	bundler     *bundler.Bundler
	outstanding int
}

func newScheduler[T any](workers, count int, delay time.Duration, handle func(key string, items []T)) *scheduler[T] {
	return &scheduler[T]{handle: handle, workers: make(chan struct{}, workers), count: count, delay: delay, keys: map[string]*bundled{}}
}

func (s *scheduler[T]) add(key string, item T) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil {
		k = &bundled{}
		k.bundler = bundler.NewBundler(item, func(items any) { s.handled(key, k, items.([]T)) })
		k.bundler.DelayThreshold, k.bundler.BundleCountThreshold, k.bundler.HandlerLimit = s.delay, s.count, 1
		s.keys[key] = k
	}
	k.outstanding++
	return k.bundler.Add(item, 1)
}

// handled is the handler of one key. A key with nothing pending is forgotten.
func (s *scheduler[T]) handled(key string, k *bundled, items []T) {
	s.workers <- struct{}{}
	s.handle(key, items)
	<-s.workers
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.outstanding -= len(items); k.outstanding == 0 {
		delete(s.keys, key)
	}
}

// flush returns when nothing is pending.
func (s *scheduler[T]) flush() {
	s.mu.Lock()
	all := make([]*bundler.Bundler, 0, len(s.keys))
	for _, k := range s.keys {
		all = append(all, k.bundler)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, b := range all {
		wg.Go(b.Flush)
	}
	wg.Wait()
}
