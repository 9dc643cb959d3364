// SPDX-License-Identifier: Apache-2.0

package partitioned_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

type event struct{ user, what string }

func store(_ context.Context, events []event) error {
	slog.Info("stored", "events", len(events))
	return nil
}

// run is what a service's main does: run(ctx) under signal.NotifyContext. Whatever ends first ends the others; the queue
// is stopped last, so that what the handlers accepted is delivered.
func run(ctx context.Context, addr string) error {
	q, err := partitioned.NewUnstarted(partitioned.QueueConfig[event]{
		Name:           "events",
		Process:        partitioned.Plain(store),
		Key:            func(e event) string { return e.user },
		Interval:       time.Second,
		BatchSize:      partitioned.Weight{Items: 1000},
		Capacity:       100_000,
		Overflow:       partitioned.OverflowRefuse,
		ProcessTimeout: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	if err := q.Start(); err != nil {
		return err
	}
	server := &http.Server{Addr: addr, ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if err := q.Push(r.Context(), event{user: r.FormValue("user"), what: r.URL.Path}); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable) // nothing of it was accepted
			}
		})}
	serving := make(chan error, 1)
	go func() { serving <- server.ListenAndServe() }()
	select {
	case err = <-serving:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	// The queue's error says how much was left, if the time was not enough.
	return errors.Join(err, server.Shutdown(ctx), q.Shutdown(ctx))
}

// A service's main: the queue starts before what pushes to it, and is shut down after it.
func Example_service() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	time.AfterFunc(10*time.Millisecond, stop) // as if somebody pressed ^C
	fmt.Println(run(ctx, "localhost:0"))
	// Output:
	// <nil>
}

// Two buffers, stopped in the order in which items go through them.
func ExampleQueue_Start() {
	sums, _ := partitioned.NewUnstartedMap(partitioned.MapQueueConfig[string, int]{
		QueueConfig: partitioned.QueueConfig[partitioned.Entry[string, int]]{
			Process: partitioned.Plain(func(_ context.Context, sums []partitioned.Entry[string, int]) error {
				for _, e := range sums {
					fmt.Println(e.Key, "did", e.Value)
				}
				return nil
			}),
			Partitions: 1, Interval: time.Minute, BatchSize: partitioned.Weight{Items: 1000},
		},
		Merge: func(held, added partitioned.Entry[string, int]) int { return held.Value + added.Value },
	})
	events, _ := partitioned.NewUnstarted(partitioned.QueueConfig[event]{
		Process: partitioned.Plain(func(ctx context.Context, events []event) error {
			for _, e := range events {
				if err := sums.Merge(ctx, e.user, 1); err != nil {
					return err
				}
			}
			return nil
		}),
		Interval: time.Second, BatchSize: partitioned.Weight{Items: 100},
	})
	if err := sums.Start(); err != nil {
		fmt.Println(err)
	}
	if err := events.Start(); err != nil {
		fmt.Println(err)
	}
	ctx := context.Background()
	events.Push(ctx, event{"ann", "login"}, event{"bob", "login"}, event{"ann", "logout"})
	fmt.Println(events.Shutdown(ctx), sums.Shutdown(ctx))
	// Output:
	// ann did 2
	// bob did 1
	// <nil> <nil>
}
