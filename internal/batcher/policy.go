// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"regexp"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/config/configretry"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/failure"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// policy decides what becomes of a batch that failed: it comes again, in halves or later, or it is given up.
type policy[P any] struct { // immutable
	wait     bool             // callers wait for the result
	split    bool             // a batch that is too large is sent again in halves
	tooLarge []*regexp.Regexp // answers that mean it, beside the known ones
	retry    configretry.BackOffConfig
	payloads *payloads[P]

	halved, retried, dropped, returned *notice
}

func newPolicy[P any](cfg Settings, p *payloads[P], log *zap.Logger) policy[P] {
	return policy[P]{
		wait: cfg.WaitForResult, split: cfg.SplitOnTooLarge, tooLarge: cfg.TooLargeErrors, retry: cfg.Retry, payloads: p,
		halved:   newNotice(log, zap.InfoLevel, "A batch is too large and is sent again in halves"),
		retried:  newNotice(log, zap.InfoLevel, "A batch failed and is sent again later"),
		dropped:  newNotice(log, zap.ErrorLevel, "A batch failed and is dropped; see items_dropped"),
		returned: newNotice(log, zap.WarnLevel, "A batch failed; its callers were told"),
	}
}

// failed is a call of the next consumer that failed.
type failed[P any] struct {
	failure.Failure
	err    error
	took   time.Duration
	bySize bool // why the batch was cut
	out    *outgoing[P]

	items   int  // that failed
	partial bool // only subset failed
	subset  P    // another's
}

// decide returns the verdict on a batch, and whether it comes again in halves: that is no failure of the next consumer.
func (o *policy[P]) decide(batch *partitioned.Batch[request[P]], f *failed[P]) (v partitioned.Verdict[request[P]], halved bool) {
	f.examine(o.payloads)
	tries := attemptsOf(batch.Items)
	tries.before, tries.bySize = true, f.bySize
	fields := func() []zap.Field { return []zap.Field{zap.Error(f.Err())} }
	var a *again[P]
	if o.split && f.out.copied && f.items > 1 && f.TooLarge(o.tooLarge) {
		a = o.again(batch.Items, f, tries)
		if groups := a.halves(o.payloads, f.items); groups != nil {
			o.halved.happened(f.items, fields)
			return partitioned.Verdict[request[P]]{Rest: a.requests, From: a.from, Groups: groups}, true
		}
	}
	if o.retry.Enabled && f.out.copied && !batch.Closing && !f.Permanent() {
		if after, again := tries.next(&o.retry, f.took, f.Delay()); again {
			o.retried.happened(f.items, func() []zap.Field { return append(fields(), zap.Duration("after", after)) })
			if a == nil {
				a = o.again(batch.Items, f, tries)
			}
			a.attempted(tries)
			return partitioned.Verdict[request[P]]{Rest: a.requests, From: a.from, Groups: []int{len(a.requests)}, After: after}, false
		}
	}
	outcome := o.dropped
	if o.wait {
		outcome = o.returned
	}
	outcome.happened(f.items, func() []zap.Field { return append(fields(), zap.Int("attempts", max(tries.failed, 1))) })
	o.giveUp(batch.Items, f, a)
	// Each caller gets back what it lent, and no telemetry that the error carries.
	return partitioned.Verdict[request[P]]{Err: f.ForCallers(o.wait || several(batch.Items)), Taken: f.out.items - f.items}, false
}

// attempts is what a batch that is sent again knows of the times before. Halves go on with that of the whole.
type attempts struct {
	failed  int
	first   time.Time // when the first began
	before  bool      // there were any, which may have been too large instead of failed
	bySize  bool      // why the batch was cut
	backoff backoff.ExponentialBackOff
}

// next books an attempt that failed and returns how long to wait for the next one; false: there is to be none. asked is what
// the server wants it to be at least.
func (a *attempts) next(cfg *configretry.BackOffConfig, took, asked time.Duration) (time.Duration, bool) {
	if a.failed++; a.failed == 1 {
		a.first = time.Now().Add(-took)
		a.backoff = backoff.ExponentialBackOff{
			InitialInterval:     cfg.InitialInterval,
			RandomizationFactor: cfg.RandomizationFactor,
			Multiplier:          cfg.Multiplier,
			MaxInterval:         cfg.MaxInterval,
		}
	}
	delay := max(a.backoff.NextBackOff(), asked)
	return delay, cfg.MaxElapsedTime == 0 || time.Since(a.first)+delay <= cfg.MaxElapsedTime
}
