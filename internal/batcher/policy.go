// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"regexp"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/failure"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// policy decides what becomes of a batch that failed: it comes again, in halves or later, or it is given up.
type policy[P any] struct { // immutable
	wait     bool             // callers wait for the result
	split    bool             // a batch that is too large is sent again in halves
	isolate  bool             // so is one that is rejected for its data, until the bad items are alone
	tooLarge []*regexp.Regexp // answers that mean it, beside the known ones
	retry    configretry.BackOffConfig
	maxAge   time.Duration // 0: any
	payloads *payloads[P]
	storage  *storage[P] // nil: there is none

	halved, isolated, retried, dropped, returned *notice
}

func newPolicy[P any](cfg Settings, p *payloads[P], st *storage[P], log *zap.Logger) policy[P] {
	return policy[P]{
		wait: cfg.WaitForResult, split: cfg.SplitOnTooLarge, isolate: cfg.SplitOnRejected, tooLarge: cfg.TooLargeErrors, retry: cfg.Retry, maxAge: cfg.MaxAge, payloads: p, storage: st,
		halved:   newNotice(log, zap.InfoLevel, "A batch is too large and is sent again in halves"),
		isolated: newNotice(log, zap.InfoLevel, "A batch is rejected for its data and is sent again in halves, to find the bad items"),
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

// decision is what becomes of a batch that failed.
type decision int

const (
	gaveUp    decision = iota // it does not come again
	postponed                 // all that failed comes again after a pause
	halved                    // it comes again in halves, at once
	rejected                  // it does not come again: it is what a search for bad items has found
)

// decide returns the verdict on a batch, and what it amounts to.
func (o *policy[P]) decide(batch *partitioned.Batch[request[P]], f *failed[P]) (v partitioned.Verdict[request[P]], what decision) {
	f.examine(o.payloads)
	tries := attemptsOf(batch.Items)
	tries.before, tries.bySize = true, f.bySize
	fields := func() []zap.Field { return []zap.Field{zap.Error(f.Err())} }
	halve, bad := o.halve(f, &tries)
	var a *again[P]
	if halve != nil && f.items > 1 {
		size := 0
		if halve == o.halved {
			size = f.size(o.payloads)
		}
		a = o.again(batch.Items, f, tries)
		if groups := a.halves(o.payloads, f.items, size); groups != nil {
			halve.happened(f.items, fields)
			return partitioned.Verdict[request[P]]{Rest: a.requests, From: a.from, Groups: groups}, halved
		}
	}
	if after, comes := o.postpone(f, &tries, bad); comes {
		if a == nil {
			a = o.again(batch.Items, f, tries)
		}
		a.attempted(tries)
		return partitioned.Verdict[request[P]]{Rest: a.requests, From: a.from, Groups: []int{len(a.requests)}, After: after}, postponed
	}
	outcome := o.dropped
	if o.wait {
		outcome = o.returned
	}
	outcome.happened(f.items, func() []zap.Field { return append(fields(), zap.Int("attempts", max(tries.failed, 1))) })
	o.giveUp(batch.Items, f, a)
	// Each caller gets back what it lent, and no telemetry that the error carries.
	v = partitioned.Verdict[request[P]]{Err: f.ForCallers(o.wait || several(batch.Items)), Taken: f.out.items - f.items}
	if !bad {
		return v, gaveUp
	}
	if !consumererror.IsPermanent(v.Err) {
		v.Err = consumererror.NewPermanent(v.Err)
	}
	return v, rejected
}

// postpone returns how long what failed waits for its next attempt; false: there is none. While Shutdown drains with a storage there is
// always one: so what cannot be delivered in time is still pending at the end, and is kept.
func (o *policy[P]) postpone(f *failed[P], tries *attempts, bad bool) (after time.Duration, comes bool) {
	if !f.out.repeatable() || bad || f.Permanent() {
		return 0, false
	}
	if o.retry.Enabled {
		if after, comes = tries.next(&o.retry, f.took, f.Delay()); comes {
			o.retried.happened(f.items, func() []zap.Field { return []zap.Field{zap.Error(f.Err()), zap.Duration("after", after)} })
			return after, true
		}
	}
	return closingPause, o.storage.keeps()
}

// halve returns what to log if f is to be sent again in halves; nil: it is not. bad: it was rejected for its data, and is what a
// search for the bad items has found.
func (o *policy[P]) halve(f *failed[P], tries *attempts) (why *notice, bad bool) {
	switch {
	case !f.out.copied:
		return nil, false
	case o.split && f.TooLarge(o.tooLarge):
		return o.halved, false
	case !o.isolate || !f.Rejected():
		return nil, false
	}
	if tries.isolation == nil {
		tries.isolation = newIsolation(f.items)
	}
	if !tries.isolation.rejected(f.err) {
		tries.isolation = nil // it is not the data: what is left is like any other batch that fails
		return nil, false
	}
	return o.isolated, true
}

// attempts is what a batch that is sent again knows of the times before. Halves go on with that of the whole.
type attempts struct {
	failed int
	first  time.Time // when the first began
	before bool      // there were any, which may have been too large instead of failed
	bySize bool      // why the batch was cut

	isolation *isolation // that it is part of; nil: none
	backoff   backoff.ExponentialBackOff
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
