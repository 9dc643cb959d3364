// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/plog"
)

// TestNewKeyIsNotRefusedToTwo: two producers open one new key at once, and the limit has room for it. batch looks the
// key up outside of its lock and checks the limit inside, before it looks again, so whoever comes second is told that
// there are too many keys, by a permanent error: the data is lost. How often depends on the machine, and is only logged.
func TestNewKeyIsNotRefusedToTwo(t *testing.T) {
	const sets, rounds = 30, 50
	for _, r := range []Rival{Batch, Ours} {
		refused := 0
		for range sets {
			refused += openKeysTwice(t, r, rounds)
		}
		t.Logf("%s: refused %d times in %d rounds", r.Name, refused, sets*rounds)
		if r.Name == ours && refused > 0 {
			t.Errorf("%s: refused %d times in %d rounds", r.Name, refused, sets*rounds)
		}
	}
}

// openKeysTwice gives each round a processor with room for one key, and has two producers, who meet before each round,
// open it. It returns how many calls were refused. What was accepted has to arrive.
func openKeysTwice(t *testing.T, r Rival, rounds int) (refused int) {
	t.Helper()
	var arrived atomic.Int64
	subjects := make([]*Subject[plog.Logs], rounds)
	for i := range subjects {
		subjects[i] = openForOneKey(t, r, &arrived)
	}
	ctx := client.NewContext(t.Context(), client.Info{
		Metadata: client.NewMetadata(map[string][]string{"tenant": {"blue"}}),
	})

	var meeting atomic.Int64
	var producers sync.WaitGroup
	errs := make([][2]error, rounds)
	for p := range errs[0] {
		producers.Go(func() {
			for round, s := range subjects {
				payload := Logs.Make(Flat(1), round)
				// Spinning brings the two closer together than a channel would.
				for meeting.Add(1); meeting.Load() < int64(2*(round+1)); {
					runtime.Gosched()
				}
				errs[round][p] = s.Consume(ctx, payload)
			}
		})
	}
	producers.Wait()

	for i, s := range subjects {
		if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		for _, err := range errs[i] {
			if err != nil {
				refused++
			}
		}
	}
	if accepted := 2*rounds - refused; int(arrived.Load()) != accepted {
		t.Errorf("%s: %d accepted, %d arrived", r.Name, accepted, arrived.Load())
	}
	return refused
}

func openForOneKey(t *testing.T, r Rival, arrived *atomic.Int64) *Subject[plog.Logs] {
	t.Helper()
	s := Settings{"metadata_keys": []string{"tenant"}, "metadata_cardinality_limit": 1}
	subject, err := Logs.Open(r, s, NoTelemetry, func(_ context.Context, ld plog.Logs) error {
		arrived.Add(int64(ld.LogRecordCount())) // called by several at once
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := subject.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return subject
}
