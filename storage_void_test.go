// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

// A caller that gives up, or whose data cannot be written, has its payload as it was, and keeps it: nobody changes it later.

func sets(ops []*storage.Operation) bool {
	return slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Set })
}

// TestStorageCallerGivesUpWhileItsBatchIsRead: a batch has a request of now, and one of an earlier run that cannot be read for a while.
func TestStorageCallerGivesUpWhileItsBatchIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		anyLogs.leave(t, d, 1)
		p := anyLogs.stored(t, d, func(c *Config) { c.Timeout = time.Second }, nil)
		synctest.Wait() // recovered
		d.SetFault(func(ops []*storage.Operation) storagetest.Fault {
			if sets(ops) {
				return storagetest.Hang
			}
			return storagetest.Fail
		})
		ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
		defer cancel()
		payload, want := logs.payload(10, 10), logs.items(logs.payload(10, 10))
		require.Error(t, send(ctx, p, payload))
		require.Equal(t, want, logs.items(payload))
		d.SetFault(nil)
		d.Release()
		time.Sleep(10 * time.Second)
		require.Equal(t, want, logs.items(payload), "it was changed after the caller had it back")
		p.stop(t)
	})
}

// TestStorageVoidRequestsThatTheQueueDrops were withdrawn by their caller behind a batch in a call, and then expire or give way to newer
// ones: their payload is not released once more, and what is left at shutdown is counted as what it is.
func TestStorageVoidRequestsThatTheQueueDrops(t *testing.T) {
	slow := func(ctx context.Context, _ int) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
		return errDown
	}
	for reason, set := range map[string]func(*Config){
		"expired":  func(c *Config) { c.MaxAge = 30 * time.Second },
		"overflow": func(c *Config) { c.QueueSize, c.DropOldestOnOverflow = 30, true },
	} {
		for _, pooled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s pooled=%t", reason, pooled), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					usePooling(t, pooled)
					d := storagetest.NewDisk()
					p := anyLogs.stored(t, d, func(c *Config) { c.SendBatchSize = 20; set(c) }, slow)
					synctest.Wait()
					for i := range 2 {
						require.NoError(t, p.push(context.Background(), 10*i+10, 10))
					}
					synctest.Wait() // in a call
					d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					payload, want := logs.payload(0, 10), logs.items(logs.payload(0, 10))
					require.Error(t, send(ctx, p, payload))
					d.SetFault(nil)
					d.Release()
					for i := range 5 {
						require.NoError(t, p.push(context.Background(), 10*i+30, 10))
					}
					time.Sleep(2 * time.Minute)
					require.NotZero(t, p.metric(t, "items_dropped", reason))
					require.Equal(t, want, logs.items(payload))
					if pooled {
						require.False(t, logs.freed(payload))
					}
					p.stop(t)
					require.EqualValues(t, 10*len(storedKeys(d)), p.metric(t, "items_kept", ""))
				})
			})
		}
	}
}

// TestStorageCountersOnlyGrow: what is lost in the storage counts before the queue knows, and so does what is restored. Meanwhile
// items_returned fell below zero, and the incoming items rose and fell again.
func TestStorageCountersOnlyGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		anyLogs.leave(t, d, 2)
		d.SetFault(nil)
		release := make(chan struct{})
		p := anyLogs.stored(t, d, func(c *Config) { c.Timeout = time.Second }, func(context.Context, int) error { <-release; return nil })
		time.Sleep(time.Millisecond)
		d.Alter(storedKeys(d)[0], func([]byte) []byte { return nil })
		time.Sleep(2 * time.Second) // one of two is lost, the other is in a call
		require.Zero(t, p.metric(t, "items_returned", ""))
		require.Zero(t, p.metric(t, "items_dropped", "storage"))
		incoming, ok := p.collect(t)["incoming_items"].Data.(metricdata.Sum[int64])
		require.True(t, ok)
		require.Len(t, incoming.DataPoints, 1)
		require.Zero(t, incoming.DataPoints[0].Value)
		close(release)
		time.Sleep(time.Second)
		require.Zero(t, p.metric(t, "items_returned", ""))
		require.EqualValues(t, 10, p.metric(t, "items_dropped", "storage"))
		p.stop(t)
	})
}

// TestStorageNobodyWaitsForCallersWhoGaveUp: callers who are answered are expected to come again, and hold up the others' transaction for a
// moment. Those who were refused, and those who gave up, are not.
func TestStorageNobodyWaitsForCallersWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		p := anyLogs.stored(t, d, func(c *Config) { c.Timeout = time.Minute }, nil)
		synctest.Wait()
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				require.Error(t, p.push(ctx, 10*i, 10))
			})
		}
		all.Wait()
		d.SetFault(nil)
		d.Release()
		synctest.Wait()
		begin := time.Now()
		for i := range 3 {
			require.NoError(t, p.push(context.Background(), 100+10*i, 10))
		}
		require.Zero(t, time.Since(begin))
		p.stop(t)
	})
}
