// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// With buffer: map, what arrives twice is held once. Two kinds of entries do that: resources, into which what arrives for
// them is folded, and records, of which the newest stays. Either way a batch becomes requests again when it is processed, so
// that from there on everything is as with a queue.

// mapKey tells the entries of a map apart, in full.
type mapKey interface {
	comparable
	of() string // the key of the request
}

// newMap makes the map that the configuration asks for. R is a record of the signal.
func newMap[P, R any](b *buffer[P]) (pending[P], error) {
	if b.cfg.Map.Key == mapResource {
		return newResources(b, any(b.signal).(signal.Groups[P]))
	}
	return newRecords(b, any(b.signal).(signal.Records[P, R]))
}

// mapConfig is what the maps have in common. Streams are keys, or with several partitions lanes by resource; without either
// there is one, with one lock.
func mapConfig[P any, K mapKey, V any](b *buffer[P]) partitioned.MapConfig[K, V] {
	mc := partitioned.MapConfig[K, V]{QueueConfig: pendingConfig[P, partitioned.Entry[K, V]](b)}
	if !b.cfg.keyed() {
		mc.Partitions = int(b.cfg.Partitions)
	}
	if b.cfg.keyed() || b.cfg.Partitions > 1 {
		mc.Key = func(e partitioned.Entry[K, V]) string { return e.Key.of() }
	}
	if mc.Partitions > 1 {
		for i := range mc.Partitions {
			b.lanes = append(b.lanes, strconv.Itoa(i))
		}
	}
	return mc
}

// streams makes the streams of one request's resources.
type streams[P any] struct {
	b      *buffer[P]
	key    []byte
	client int // length of the part that is the same for all
	last   string
}

func (b *buffer[P]) streams(ctx context.Context, s *streams[P]) {
	s.b, s.last = b, ""
	s.key = b.keys.appendClient(ctx, s.key[:0])
	s.client = len(s.key)
}

// of returns the stream of a resource.
func (s *streams[P]) of(payload P, i int) string {
	if s.b.keys.none() && len(s.b.lanes) == 0 {
		return ""
	}
	s.key = s.b.appendPart(s.key[:s.client], payload, i)
	if s.last == "" || string(s.key) != s.last {
		s.last = string(s.key)
	}
	return s.last
}

// processEntries processes a batch of entries as the requests that they stand for. What comes again becomes an entry, for good.
func processEntries[P, E any](ctx context.Context, b *buffer[P], batch partitioned.Batch[E], requests []request[P], entry func(*request[P]) E) (v partitioned.Verdict[E]) {
	answer := b.process(ctx, partitioned.Batch[request[P]]{
		Key: batch.Key, Items: requests, Weight: batch.Weight, Reason: batch.Reason, Oldest: batch.Oldest, Closing: batch.Closing,
	})
	v.Err, v.Taken, v.Alone, v.After = answer.Err, answer.Taken, answer.Alone, answer.After
	for i := range answer.Rest {
		v.Rest = append(v.Rest, entry(&answer.Rest[i]))
	}
	return v
}

// both is what is known of two requests that became one.
func both[P any](held, added *more[P]) *more[P] {
	if held == nil && added == nil {
		return nil
	}
	if held == nil {
		held = &more[P]{}
	} else if !held.several { // it may be that of other entries too
		own := *held
		held = &own
	}
	switch {
	case added == nil || added.deadline.IsZero():
		held.deadline = time.Time{}
	case !held.deadline.IsZero() && added.deadline.After(held.deadline):
		held.deadline = added.deadline
	}
	if added != nil && added.origin.IsValid() && len(held.links) < maxLinks {
		held.links = append(held.links, trace.Link{SpanContext: added.origin})
	}
	held.several = true
	return held
}

// errNoMap is for signals that have no map.
func errNoMap(name string) error {
	return fmt.Errorf("buffer is %q; %s can only be in a queue, as their parts refer to one dictionary a payload and are not merged by resource", bufferMap, name)
}
