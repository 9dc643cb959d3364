// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/config/configretry"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// attempts is what a batch that is sent again knows of the times before. Halves go on with that of the whole.
type attempts struct {
	failed  int
	first   time.Time // when the first began
	before  bool      // there were any, which may have been too large instead of failed
	bySize  bool      // why the batch was cut
	backoff backoff.ExponentialBackOff
}

// attemptsOf returns what the batch knows of the times before: one that comes again is a single request.
func attemptsOf[P any](requests []request[P]) (a attempts) {
	if m := requests[0].more; m != nil {
		a = m.attempts
	}
	return a
}

// next books an attempt that failed and returns how long to wait for the next one; false: there is to be none.
func (a *attempts) next(cfg *configretry.BackOffConfig, took time.Duration, err error) (time.Duration, bool) {
	if a.failed++; a.failed == 1 {
		a.first = time.Now().Add(-took)
		a.backoff = backoff.ExponentialBackOff{
			InitialInterval:     cfg.InitialInterval,
			RandomizationFactor: cfg.RandomizationFactor,
			Multiplier:          cfg.Multiplier,
			MaxInterval:         cfg.MaxInterval,
		}
	}
	delay := max(a.backoff.NextBackOff(), askedDelay(err))
	return delay, cfg.MaxElapsedTime == 0 || time.Since(a.first)+delay <= cfg.MaxElapsedTime
}

// failed decides what becomes of a batch of which something was not taken: it comes again, or it is given up.
func (b *buffer[P]) failed(s *sending, batch *partitioned.Batch[request[P]], out *outgoing[P], err error) (v partitioned.Verdict[request[P]]) {
	f := examine(b.signal, err, batch.Weight.Items)
	tries := attemptsOf(batch.Items)
	tries.before, tries.bySize = true, s.bySize
	log := b.logger.With(zap.Error(err), zap.Int("items", f.items))
	if out.copied && b.cfg.SplitOnTooLarge && f.items > 1 && anyTooLarge(f.parts) {
		if v.Rest = b.halves(b.comesAgain(f, batch, out, tries)); v.Rest != nil {
			log.Info("A batch is too large and is sent again in halves")
			v.Alone = true
			return v
		}
	}
	b.health.delivered(err)
	if out.copied && b.cfg.RetryOnFailure.Enabled && !batch.Closing && !allPermanent(f.parts) {
		var again bool
		if v.After, again = tries.next(&b.cfg.RetryOnFailure, s.duration, err); again {
			log.Info("A batch could not be sent and is sent again", zap.Duration("after", v.After))
			v.Rest, v.Alone = []request[P]{b.comesAgain(f, batch, out, tries)}, true
			return v
		}
		log = log.With(zap.Int("attempts", tries.failed))
	}
	if b.cfg.WaitForResult {
		log.Warn("A batch could not be sent, as those are told who wait for it")
	} else {
		log.Warn("A batch could not be sent and is dropped")
	}
	return partitioned.Verdict[request[P]]{Err: forOrigins(err, several(batch.Items)), Taken: batch.Weight.Items - f.items}
}

// comesAgain makes a request of what failed. It takes the merged payload out of out, unless only a subset of it failed.
func (b *buffer[P]) comesAgain(f failure[P], batch *partitioned.Batch[request[P]], out *outgoing[P], tries attempts) request[P] {
	r := request[P]{payload: out.merged, items: f.items, more: &more[P]{
		several:  several(batch.Items),
		links:    links(batch.Items),
		attempts: tries,
	}}
	r.more.deadline, _ = latestDeadline(batch.Items)
	if f.partly {
		r.payload = b.signal.Copy(f.subset) // whoever made it may go on to use it
	} else {
		out.held = false
	}
	b.measure(r.more, r.payload)
	return r
}

// halves cuts r in two, or releases it and returns nil if that cannot be done.
func (b *buffer[P]) halves(r request[P]) []request[P] {
	if !r.more.whole {
		if head, tail, ok := b.cut(r, signal.Items(r.items/2)); ok {
			return []request[P]{head, tail}
		}
	}
	b.release(r.payload)
	return nil
}

// several tells whether more than one call of Consume has items in the batch. Of a call it never has two requests.
func several[P any](requests []request[P]) bool {
	return len(requests) > 1 || requests[0].more != nil && requests[0].more.several
}
