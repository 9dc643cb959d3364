// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What comes again is a request, and no longer its records. Their versions are pending all the same, until it is known what became of
// all of them.

var (
	errBadData     = consumererror.NewPermanent(status.Error(codes.InvalidArgument, "bad"))
	errMuchTooMuch = consumererror.NewPermanent(status.Error(codes.ResourceExhausted, "message larger than max"))
)

// givenUps are the ways in which versions are dropped after they were sent.
var givenUps = map[string]struct {
	set  func(*Config)
	fail func(call int64) error
}{
	"without retry":    {func(*Config) {}, func(int64) error { return errNext }},
	"retries ran out":  {func(c *Config) { retries(c); c.RetryOnFailure.MaxElapsedTime = 10 * time.Second }, func(int64) error { return errNext }},
	"half is rejected": {func(c *Config) { c.SplitOnTooLarge = true }, halfIsRejected},
	"half ran out": {func(c *Config) {
		c.SplitOnTooLarge = true
		retries(c)
		c.RetryOnFailure.MaxElapsedTime = 10 * time.Second
	}, func(call int64) error {
		if call == 1 {
			return errMuchTooMuch
		}
		return errNext
	}},
	"bad data": {func(c *Config) { c.SplitOnRejected = true }, func(int64) error { return errBadData }},
	"expired": {func(c *Config) {
		retries(c)
		c.RetryOnFailure.MaxElapsedTime, c.MaxAge = 0, 3*time.Second
	}, func(int64) error { return errNext }},
}

// halfIsRejected takes the second half only.
func halfIsRejected(call int64) error {
	switch call {
	case 1:
		return errMuchTooMuch
	case 2:
		return errBadData
	default:
		return nil
	}
}

// TestVersionThatIsGivenUpIsSentAgain: it does not count as delivered, however often it was sent, so its repetition heals the loss.
func TestVersionThatIsGivenUpIsSentAgain(t *testing.T) {
	t.Run("traces", func(t *testing.T) { versionThatIsGivenUpIsSentAgain(t, versionedTraces) })
	t.Run("metrics", func(t *testing.T) { versionThatIsGivenUpIsSentAgain(t, versionedMetrics) })
	t.Run("logs", func(t *testing.T) { versionThatIsGivenUpIsSentAgain(t, versionedLogs) })
}

func versionThatIsGivenUpIsSentAgain[P payload](t *testing.T, k versioned[P]) {
	one, two := version{"a", "x", 1, 10, 1}, version{"a", "x", 2, 10, 2}
	for name, way := range givenUps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var works atomic.Bool
				var calls atomic.Int64
				p, sent := k.begin(t, func(c *Config) {
					mapsByKey[mapRecord](c)
					c.Map.Remember = time.Hour
					way.set(c)
				}, func(context.Context) error {
					if works.Load() {
						return nil
					}
					return way.fail(calls.Add(1))
				})
				require.NoError(t, send(context.Background(), p, k.make(one, two)))
				later(time.Minute)
				require.Positive(t, p.metric(t, "items_dropped", ""))
				sent()
				works.Store(true)
				require.NoError(t, send(context.Background(), p, k.make(one, two)))
				later(time.Second)
				require.Equal(t, []versions{{combination(), [][]version{{one, two}}}}, sent())
				require.NoError(t, send(context.Background(), p, k.make(one, two)))
				later(time.Second)
				require.Empty(t, sent(), "now they were delivered")
				require.EqualValues(t, 2, p.metric(t, "remembered_versions", ""))
				p.requireConserved(t)
			})
		})
	}
}

// TestVersionThatCameAgainIsRemembered once it was delivered: what is older, or equal, is superseded. What is equal and comes before that
// waits until it is known.
func TestVersionThatCameAgainIsRemembered(t *testing.T) {
	for name, way := range map[string]struct {
		set  func(*Config)
		errs []error
	}{
		"whole":      {retries, []error{errNext, errNext}},
		"in halves":  {func(c *Config) { c.SplitOnTooLarge = true }, []error{errMuchTooMuch}},
		"halves too": {func(c *Config) { c.SplitOnTooLarge = true; retries(c) }, []error{errMuchTooMuch, errNext, nil, errNext}},
		"capped": {func(c *Config) {
			retries(c)
			c.SendBatchSize, c.SendBatchMaxSize = 1, 1
		}, []error{errNext, nil, errNext}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := versionedMetrics
				var calls atomic.Int64
				p, sent := k.begin(t, func(c *Config) {
					mapsByKey[mapRecord](c)
					c.Map.Remember = time.Hour
					way.set(c)
				}, func(context.Context) error {
					if n := int(calls.Add(1)); n <= len(way.errs) {
						return way.errs[n-1]
					}
					return nil
				})
				push := func(all ...version) { require.NoError(t, send(context.Background(), p, k.make(all...))) }
				push(version{"a", "x", 1, 10, 1}, version{"a", "x", 2, 10, 2})
				later(210 * ms) // sent once, and to come again
				push(version{"a", "x", 1, 9, 3}, version{"a", "x", 2, 10, 4})
				later(time.Minute)
				push(version{"a", "x", 1, 9, 5}, version{"a", "x", 2, 10, 6})
				later(time.Minute)
				var got []version
				for _, b := range sent() {
					for _, r := range b.resources {
						got = append(got, r...)
					}
				}
				require.Equal(t, []version{{"a", "x", 1, 10, 1}, {"a", "x", 2, 10, 2}}, got)
				require.EqualValues(t, 4, p.metric(t, "items_superseded", ""))
				require.EqualValues(t, 2, p.metric(t, "remembered_versions", ""))
				p.requireConserved(t)
			})
		})
	}
}

// TestRepetitionOfWhatIsGivenUp comes while the version is still tried, and is sent when that was given up.
func TestRepetitionOfWhatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := versionedLogs
		var works atomic.Bool
		p, sent := k.begin(t, func(c *Config) {
			mapsByKey[mapRecord](c)
			retries(c)
			c.Map.Remember, c.RetryOnFailure.MaxElapsedTime = time.Hour, 10*time.Second
		}, func(context.Context) error {
			if works.Load() {
				return nil
			}
			return errNext
		})
		push := func(all ...version) { require.NoError(t, send(context.Background(), p, k.make(all...))) }
		push(version{"a", "x", 1, 10, 1})
		later(4 * time.Second) // given up at the next attempt, after 7.2 s
		push(version{"a", "x", 1, 10, 2})
		later(4 * time.Second)
		require.Zero(t, p.metric(t, "items_superseded", ""))
		works.Store(true)
		later(time.Minute)
		require.Equal(t, []versions{{combination(), [][]version{{{"a", "x", 1, 10, 2}}}}}, sent())
		p.accounts(t, 1, 0, 1, 4)
	})
}
