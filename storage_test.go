// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

var (
	storageID = component.MustNewID("fake_storage")
	errDown   = errors.New("the backend is down")
)

// onDisk is a host with a storage on d.
func onDisk(d *storagetest.Disk) component.Host {
	return &storagetest.Host{ID: storageID, Extension: &storagetest.Extension{Disk: d}}
}

// stored makes a pipeline with a storage on d, and starts it.
func (k anyKind) stored(t *testing.T, d *storagetest.Disk, set func(*Config), next nextFunc) *pipeline {
	p := k.make(t, withStorage(set), next)
	require.NoError(t, p.Start(context.Background(), onDisk(d)))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })
	return p
}

// leave runs a pipeline that leaves n requests of ten items on d, as its backend is down, and returns it stopped.
func (k anyKind) leave(t *testing.T, d *storagetest.Disk, n int) *pipeline {
	t.Helper()
	p := k.stored(t, d, nil, down)
	for i := range n {
		require.NoError(t, p.push(context.Background(), 10*i, 10))
	}
	p.stop(t)
	return p
}

// tens lists the items of n pushes of ten, at 0, 10, 20 and so on.
func (k anyKind) tens(n int) (all []string) {
	for i := range n {
		all = append(all, k.list(10*i, 10)...)
	}
	return all
}

func withStorage(set func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Storage = storageID.String()
		c.RetryOnFailure.Enabled = true
		c.RetryOnFailure.MaxElapsedTime = 0
		if set != nil {
			set(c)
		}
	}
}

func (p *pipeline) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Shutdown(context.Background()))
	p.requireConserved(t)
}

func down(context.Context, int) error { return errDown }

// storedKeys are the keys of a disk that belong to requests.
func storedKeys(d *storagetest.Disk) (keys []string) {
	for _, k := range d.Keys() {
		if !strings.HasSuffix(k, "/pb1") {
			keys = append(keys, k)
		}
	}
	return keys
}

// onlyReads makes f decide about calls that read entries, and nothing about others.
func onlyReads(f func() storagetest.Fault) func([]*storage.Operation) storagetest.Fault {
	return func(ops []*storage.Operation) storagetest.Fault {
		for _, op := range ops {
			if op.Type != storage.Get || !strings.HasPrefix(op.Key, "r") {
				return storagetest.None
			}
		}
		return f()
	}
}

// TestStorageSurvivesACrash: everything that was accepted is delivered by the next run, in its order, and then nothing is left.
func TestStorageSurvivesACrash(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				p := k.stored(t, d, nil, down)
				for i := range 50 {
					require.NoError(t, p.push(context.Background(), 10*i, 10))
				}
				crashed := d.Crash()
				p.stop(t)

				p = k.stored(t, crashed, nil, nil)
				time.Sleep(time.Second)
				require.Equal(t, k.tens(50), p.items())
				require.Equal(t, int64(500), p.metric(t, "items_recovered", ""))
				require.Zero(t, p.metric(t, "queue_size", ""))
				require.NoError(t, p.push(context.Background(), 500, 10))
				p.stop(t)
				require.Equal(t, k.tens(51), p.items())
				require.Empty(t, storedKeys(crashed))
				require.Zero(t, crashed.Open())
			})
		})
	}
}

// TestStorageKeepsNothingThatWasDelivered in a run without faults, whatever became of each batch on the way.
func TestStorageKeepsNothingThatWasDelivered(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"plain": nil,
		"cut":   func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 7, 7 },
		"bytes": func(c *Config) { c.SendBatchMaxSizeBytes = 500 },
		"keys":  func(c *Config) { c.ResourceKeys = []string{"service.name"} },
		"partitions": func(c *Config) {
			c.Partitions, c.SendBatchMaxSize, c.SendBatchSize = 3, 4, 4
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				var calls atomic.Int64
				p := anyLogs.stored(t, d, set, func(context.Context, int) error {
					if calls.Add(1)%3 == 0 {
						return errDown
					}
					return nil
				})
				for i := range 20 {
					require.NoError(t, p.pushAll(context.Background(), 5, 100*i, 100*i+10, 100*i+20))
				}
				time.Sleep(10 * time.Minute)
				require.Empty(t, storedKeys(d))
				require.Len(t, p.items(), 300)
				require.Zero(t, p.metric(t, "storage_entries", ""))
				require.Zero(t, p.metric(t, "storage_bytes", ""))
				require.Positive(t, p.metric(t, "storage_transactions", ""))
				p.stop(t)
			})
		})
	}
}

// TestStorageReadsFail: exporterhelper deletes what it could not read once, of a batch and at the start.
func TestStorageReadsFail(t *testing.T) {
	for name, set := range map[string]func(*Config){"whole": nil, "cut": func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 7, 7 }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				p := anyLogs.leave(t, d, 100)
				require.Equal(t, int64(1000), p.metric(t, "items_kept", ""))

				n := 0
				d.SetFault(onlyReads(func() storagetest.Fault {
					if n++; n%3 != 0 {
						return storagetest.Fail
					}
					return storagetest.None
				}))
				p = anyLogs.stored(t, d, set, nil)
				time.Sleep(time.Hour)
				require.Equal(t, anyLogs.tens(100), p.items())
				for _, size := range p.sizes() {
					require.True(t, name == "whole" || size <= 7, "a batch has %d items", size)
				}
				p.stop(t)
				require.Empty(t, storedKeys(d))
			})
		})
	}
}

// TestStorageRestoresMoreThanIsAllowedToday: core#12532, 9451, a full queue never starts; #15747, caps hold for what is restored.
func TestStorageRestoresMoreThanIsAllowedToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		keyed := func(c *Config) { c.MetadataKeys = []string{"tenant"} }
		p := anyLogs.stored(t, d, keyed, down)
		for i := range 100 {
			require.NoError(t, p.push(from("tenant", fmt.Sprint(i%20)), 10*i, 10))
		}
		p.stop(t)
		p = anyLogs.stored(t, d, func(c *Config) {
			keyed(c)
			c.QueueSize, c.MetadataCardinalityLimit, c.SendBatchSize, c.SendBatchMaxSize = 20, 3, 5, 5
		}, nil)
		time.Sleep(time.Minute)
		require.Len(t, p.items(), 1000)
		for _, b := range p.batches() {
			require.LessOrEqual(t, len(b.items), 5)
			require.Len(t, b.info.Metadata.Get("tenant"), 1)
		}
		p.stop(t)
		require.Empty(t, storedKeys(d))
	})
}

// TestStorageKeepsWhatIsLeftAtShutdown: core#15677, 6771, deleted when the backend is down at shutdown.
func TestStorageKeepsWhatIsLeftAtShutdown(t *testing.T) {
	hangs := func(ctx context.Context, _ int) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, c := range []struct {
		name  string
		retry bool
		next  nextFunc
	}{
		{"down, retry", true, down},
		{"down since the shutdown began", false, hangs},
		{"hangs", true, hangs},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				p := anyLogs.stored(t, d, func(cfg *Config) { cfg.RetryOnFailure.Enabled = c.retry }, c.next)
				for i := range 10 {
					require.NoError(t, p.push(context.Background(), 10*i, 10))
					time.Sleep(50 * time.Millisecond)
				}
				p.stop(t)
				require.Len(t, storedKeys(d), 10)
				require.Equal(t, int64(100), p.metric(t, "items_kept", ""))
				require.Zero(t, p.metric(t, "items_dropped", ""))
				require.Empty(t, p.losses())
				require.Len(t, p.log.FilterMessage("Shutdown kept what was pending in the storage, for the next run").All(), 1)
				p = anyLogs.stored(t, d, nil, nil)
				time.Sleep(time.Minute)
				p.stop(t)
				require.Equal(t, anyLogs.tens(10), p.items())
			})
		})
	}
}

// TestStorageIsFull: core#12634; the error is retryable, nothing of it is delivered later, and there is room again.
func TestStorageIsFull(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.None, storagetest.Half, storagetest.Late, storagetest.Panic} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				p := anyLogs.stored(t, d, nil, nil)
				require.NoError(t, p.push(context.Background(), 0, 10))
				if fault == storagetest.None {
					d.SetFull(true)
				} else {
					d.SetFault(func([]*storage.Operation) storagetest.Fault { return fault })
				}
				payload := logs.payload(10, 10)
				err := send(context.Background(), p, payload)
				require.ErrorContains(t, err, "the storage fake_storage failed")
				require.False(t, consumererror.IsPermanent(err))
				require.Equal(t, logs.items(logs.payload(10, 10)), logs.items(payload))
				require.Error(t, p.push(context.Background(), 20, 10), "at once, without another try")
				require.Equal(t, int64(10), p.metric(t, "items_refused", "storage"))
				time.Sleep(time.Minute)
				require.Positive(t, p.metric(t, "storage_errors", ""))
				require.Equal(t, anyLogs.list(0, 10), p.items())
				d.SetFull(false)
				d.SetFault(nil)
				time.Sleep(10 * time.Second)
				require.Empty(t, storedKeys(d))
				require.NoError(t, p.push(context.Background(), 30, 10))
				p.stop(t)
				require.Equal(t, append(anyLogs.list(0, 10), anyLogs.list(30, 10)...), p.items())
				require.Empty(t, storedKeys(d))
			})
		})
	}
}

// TestStorageHangs: callers are let go by wait_timeout, or by the delivery, which needs no write any more (core#13355).
func TestStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		var isDown atomic.Bool
		p := anyLogs.stored(t, d, func(c *Config) { c.WaitTimeout = 10 * time.Second; c.Timeout = time.Second }, func(context.Context, int) error {
			if isDown.Load() {
				return errDown
			}
			return nil
		})
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		begin := time.Now()
		require.NoError(t, p.push(context.Background(), 0, 10))
		require.Equal(t, time.Second, time.Since(begin), "it was delivered")

		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		payload := logs.payload(10, 10)
		err := send(ctx, p, payload) // nobody has touched it yet
		cancel()
		require.ErrorContains(t, err, "gave up waiting until its data is in the storage")
		require.Equal(t, logs.items(logs.payload(10, 10)), logs.items(payload))

		isDown.Store(true)
		payload = logs.payload(20, 10)
		err = send(context.Background(), p, payload) // a batch was made of it, and failed
		require.ErrorContains(t, err, "wait_timeout, which is 10s, was over")
		require.False(t, consumererror.IsPermanent(err))
		require.Equal(t, logs.items(logs.payload(20, 10)), logs.items(payload), "the caller has it as it was")
		isDown.Store(false)
		d.SetFault(nil)
		d.Release()
		p.stop(t)
		require.Equal(t, append(anyLogs.list(0, 10), anyLogs.list(20, 10)...), p.items())
		require.Empty(t, storedKeys(d))
	})
}

// TestStorageTellsThatItHangs whichever call it is: no call fails meanwhile, and nothing is counted but callers that wait.
func TestStorageTellsThatItHangs(t *testing.T) {
	isWrite := func(ops []*storage.Operation) bool { return ops[len(ops)-1].Type == storage.Set }
	isRecovery := func(ops []*storage.Operation) bool { return len(ops) > 1 && ops[0].Type == storage.Get }
	isRead := func(ops []*storage.Operation) bool {
		return len(ops) == 1 && ops[0].Type == storage.Get && ops[0].Key != "pb1"
	}
	for name, hangs := range map[string]func(ops []*storage.Operation) bool{"write": isWrite, "recovery": isRecovery, "read": isRead} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				anyLogs.leave(t, d, 1)
				d.SetFault(func(ops []*storage.Operation) storagetest.Fault {
					if hangs(ops) {
						return storagetest.Hang
					}
					return storagetest.None
				})
				p := anyLogs.stored(t, d, nil, nil)
				pushed := make(chan error, 1)
				go func() { pushed <- p.push(context.Background(), 10, 10) }()
				time.Sleep(time.Minute)
				require.InDelta(t, 60, p.gauge(t, "storage_oldest_call_age"), 2)
				lines := p.log.FilterMessage("The storage fails").All()
				require.Len(t, lines, 1)
				require.Equal(t, "journal: a call has not ended after 10s", lines[0].ContextMap()["error"])
				d.SetFault(nil)
				d.Release()
				time.Sleep(10 * time.Second)
				require.NoError(t, <-pushed)
				require.Zero(t, p.gauge(t, "storage_oldest_call_age"))
				require.Zero(t, p.metric(t, "storage_errors", ""))
				p.stop(t)
				require.ElementsMatch(t, anyLogs.tens(2), p.items())
			})
		})
	}
}

// TestStorageCountsWhatItRefusesWhileItIsRead at the start: its callers give up meanwhile.
func TestStorageCountsWhatItRefusesWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		anyLogs.leave(t, d, 1)
		d.SetFault(onlyReads(func() storagetest.Fault { return storagetest.Hang }))
		p := anyLogs.stored(t, d, nil, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := p.push(ctx, 10, 10)
		refused := p.metric(t, "items_refused", "storage")
		d.SetFault(nil)
		d.Release()
		require.ErrorContains(t, err, "what an earlier run left in the storage is still being read")
		require.False(t, consumererror.IsPermanent(err))
		require.Equal(t, int64(10), refused)
		time.Sleep(10 * time.Second)
		p.stop(t)
		require.Equal(t, anyLogs.list(0, 10), p.items())
	})
}

// slowExtension is a storage that takes until opened to make a client, as one that looks through a large file.
type slowExtension struct {
	*storagetest.Extension
	opened chan struct{}
}

func (e *slowExtension) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	<-e.opened
	return e.Extension.GetClient(ctx, kind, id, name)
}

// TestStorageTellsThatItHangsAtTheStart, which waits for it: else nobody knew why the Collector does not start.
func TestStorageTellsThatItHangsAtTheStart(t *testing.T) {
	for name, key := range map[string]string{"client": "", "header": "pb1", "probe": "pb0"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				e := &slowExtension{&storagetest.Extension{Disk: d}, make(chan struct{})}
				if key != "" {
					close(e.opened)
				}
				d.SetFault(func(ops []*storage.Operation) storagetest.Fault {
					if ops[0].Key == key {
						return storagetest.Hang
					}
					return storagetest.None
				})
				p := anyLogs.make(t, withStorage(nil), nil)
				require.Zero(t, p.gauge(t, "storage_oldest_call_age"))
				started := make(chan error, 1)
				go func() { started <- p.Start(context.Background(), &storagetest.Host{ID: storageID, Extension: e}) }()
				time.Sleep(time.Minute)
				age, lines := p.gauge(t, "storage_oldest_call_age"), p.log.FilterMessage("The storage fails").All()
				require.Empty(t, started)
				if key == "" {
					close(e.opened)
				}
				d.SetFault(nil)
				d.Release()
				require.NoError(t, <-started)
				require.InDelta(t, 60, age, 1)
				require.Len(t, lines, 1)
				require.Equal(t, "fake_storage", lines[0].ContextMap()["storage"])
				require.Equal(t, "journal: a call has not ended after 10s", lines[0].ContextMap()["error"])
				require.NoError(t, p.push(context.Background(), 0, 10))
				require.Zero(t, p.gauge(t, "storage_oldest_call_age"))
				p.stop(t)
				require.Equal(t, anyLogs.list(0, 10), p.items())
			})
		})
	}
}

// TestStorageHangsWhileItIsRead: a consumer that reads a batch back, or what it cuts, is let go with export_timeout, and serves others.
func TestStorageHangsWhileItIsRead(t *testing.T) {
	for name, most := range map[string]int64{"whole": 0, "cut": 7} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				set := func(c *Config) {
					c.MetadataKeys, c.NumConsumers, c.ExportTimeout, c.ShutdownTimeout = []string{"tenant"}, 1, 5*time.Second, 10*time.Second
					c.SendBatchSize, c.SendBatchMaxSize = 7, most
				}
				p := anyLogs.stored(t, d, set, down)
				require.NoError(t, p.push(from("tenant", "a"), 0, 10))
				p.stop(t)

				d.SetFault(func(ops []*storage.Operation) storagetest.Fault {
					if len(ops) == 1 && ops[0].Type == storage.Get && strings.HasPrefix(ops[0].Key, "r") { // the recovery reads many at once
						return storagetest.Hang
					}
					return storagetest.None
				})
				p = anyLogs.stored(t, d, set, nil)
				require.NoError(t, p.push(from("tenant", "b"), 10, 10))
				time.Sleep(time.Minute)
				require.Equal(t, anyLogs.list(10, 10), p.items())
				require.Positive(t, p.metric(t, "storage_errors", ""))
				begin := time.Now()
				p.stop(t)
				require.LessOrEqual(t, time.Since(begin), 10*time.Second)
				require.Equal(t, int64(10), p.metric(t, "items_kept", ""))
				d.Release()
				d.SetFault(nil)
				synctest.Wait()

				p = anyLogs.stored(t, d, set, nil)
				time.Sleep(time.Minute)
				p.stop(t)
				require.Equal(t, anyLogs.list(0, 10), p.items())
			})
		})
	}
}

func TestStorageHangsAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		p := anyLogs.stored(t, d, nil, down)
		require.NoError(t, p.push(context.Background(), 0, 10))
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		result := make(chan error, 1)
		go func() { result <- p.push(context.Background(), 10, 10) }()
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, p.Shutdown(context.Background()))
		require.LessOrEqual(t, time.Since(begin), 5*time.Second)
		require.Error(t, <-result, "a caller is not left behind")
		d.Release()
		synctest.Wait()
		p.requireConserved(t)
		require.Equal(t, int64(10), p.metric(t, "items_kept", ""))
		require.Equal(t, int64(10), p.metric(t, "items_dropped", "shutdown"))
	})
}

// TestStorageTellsACallerWhatBecameOfIt when it is dropped before it is written.
func TestStorageTellsACallerWhatBecameOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		p := anyLogs.stored(t, d, nil, func(context.Context, int) error { return consumererror.NewPermanent(errDown) })
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		err := p.push(context.Background(), 0, 10)
		require.ErrorIs(t, err, errDown)
		require.True(t, consumererror.IsPermanent(err))
		synctest.Wait() // the caller may be told before the batch is settled
		require.Equal(t, int64(10), p.metric(t, "items_dropped", "error"))
		d.SetFault(nil)
		d.Release()
		p.stop(t)
		require.Empty(t, storedKeys(d))
	})
}

// TestStorageSendsAgainWhatItHas, and not what the next consumer made of it: nothing is copied before the first attempt.
func TestStorageSendsAgainWhatItHas(t *testing.T) {
	hangs := func(ops []*storage.Operation) storagetest.Fault {
		if sets(ops) {
			return storagetest.Hang
		}
		return storagetest.None
	}
	failing := onlyReads(func() storagetest.Fault { return storagetest.Fail })
	for name, c := range map[string]struct {
		fault func([]*storage.Operation) storagetest.Fault // for a minute
		most  int64
	}{"written": {}, "being written": {fault: hangs}, "not read at once": {fault: failing}, "cut": {most: 15}} {
		for _, k := range kinds {
			t.Run(name+" "+k.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := storagetest.NewDisk()
					p := k.answered(t, withStorage(func(cfg *Config) { cfg.SendBatchSize, cfg.SendBatchMaxSize = c.most, c.most }), func(a *answer) error {
						if a.call <= 3 {
							a.spoil()
							return errDown
						}
						return nil
					})
					require.NoError(t, p.Start(context.Background(), onDisk(d)))
					synctest.Wait()
					d.SetFault(c.fault)
					pushed := make(chan error, 3)
					for i := range 3 {
						go func() { pushed <- p.push(context.Background(), 10*i, 10) }()
						synctest.Wait()
					}
					time.Sleep(time.Minute)
					d.SetFault(nil)
					d.Release()
					time.Sleep(time.Minute)
					for range 3 {
						require.NoError(t, <-pushed)
					}
					require.Equal(t, k.tens(3), p.items())
					p.stop(t)
					require.Empty(t, storedKeys(d))
				})
			})
		}
	}
}

// TestStorageEntries that are damaged, lost or of a later version (core PR4475, #5894).
func TestStorageEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		anyLogs.leave(t, d, 10)
		keys := storedKeys(d)
		d.Alter(keys[2], func(v []byte) []byte { return append(v[:len(v)-1], v[len(v)-1]^1) })
		d.Alter(keys[4], func(v []byte) []byte { v[0]++; return v })
		p := anyLogs.stored(t, d, nil, nil)
		synctest.Wait() // all are in the queue, and none was read for its batch
		d.Alter(keys[6], func([]byte) []byte { return nil })
		time.Sleep(time.Minute)
		require.Len(t, p.items(), 70, "the third is damaged, the fifth newer, the seventh lost")
		require.Equal(t, int64(1+10), p.metric(t, "items_dropped", "storage"))
		require.Len(t, p.log.FilterMessage("Something in the storage is not read, and left there").FilterField(zap.String("key", keys[4][strings.LastIndex(keys[4], "/")+1:])).All(), 1)
		require.NotEmpty(t, p.log.FilterMessageSnippet("is not what was written").All())
		p.stop(t)
		require.Equal(t, keys[4:5], storedKeys(d), "what is newer is left")
	})
}

func TestStorageRefusesToStart(t *testing.T) {
	newer := storagetest.NewDisk()
	p := anyLogs.stored(t, newer, nil, nil)
	require.NoError(t, p.push(context.Background(), 0, 1))
	p.stop(t)
	for _, k := range newer.Keys() {
		newer.Alter(k, func(v []byte) []byte {
			if bytes.HasPrefix(v, []byte("pbj")) {
				v[3]++
			}
			return v
		})
	}
	text := storagetest.NewDisk() // contrib#39112
	text.SetFault(func(ops []*storage.Operation) storagetest.Fault {
		for _, op := range ops {
			op.Value = bytes.ToValidUTF8(op.Value, []byte("?"))
		}
		return storagetest.None
	})
	broken := storagetest.NewDisk()
	broken.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Fail })
	for name, c := range map[string]struct {
		host component.Host
		want string
		disk *storagetest.Disk
	}{
		"no such extension": {componenttest.NewNopHost(), `storage is "fake_storage"; there is no such extension`, nil},
		"no storage":        {&storagetest.Host{ID: storageID, Extension: struct{ component.Component }{}}, `storage is "fake_storage"; that extension is no storage`, nil},
		"newer":             {onDisk(newer), "a later version wrote it", newer},
		"text":              {onDisk(text), "cannot hold binary data", text},
		"broken":            {onDisk(broken), "does not work", broken},
	} {
		t.Run(name, func(t *testing.T) {
			p := anyLogs.make(t, withStorage(nil), nil)
			require.ErrorContains(t, p.Start(context.Background(), c.host), c.want)
			require.NoError(t, p.Shutdown(context.Background()))
			if c.disk != nil {
				require.Zero(t, c.disk.Open(), "core#6003: the file stays locked")
			}
		})
	}
}

// TestStorageOfTwoPipelines: contrib#12424, 19434. Processors do not learn their pipeline, so two with one name would share it.
func TestStorageOfTwoPipelines(t *testing.T) {
	host := onDisk(storagetest.NewDisk())
	first, second := anyLogs.make(t, withStorage(nil), nil), anyLogs.make(t, withStorage(nil), nil)
	require.NoError(t, first.Start(context.Background(), host))
	require.ErrorContains(t, second.Start(context.Background(), host), "give each its own name, as partitionedbuffer/a and partitionedbuffer/b")
	other := kinds[0].make(t, withStorage(nil), nil)
	require.NoError(t, other.Start(context.Background(), host), "another signal")
	for _, p := range []*pipeline{first, second, other} {
		require.NoError(t, p.Shutdown(context.Background()))
	}
	again := anyLogs.make(t, withStorage(nil), nil)
	require.NoError(t, again.Start(context.Background(), host), "a reload")
	require.NoError(t, again.Shutdown(context.Background()))
}

// TestStorageOfASlowTenant: a request with several keys has an entry for each, so that one does not keep the others' data on disk.
func TestStorageOfASlowTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		next := func(ctx context.Context, _ int) error {
			if strings.HasSuffix(strings.Join(client.FromContext(ctx).Metadata.Get("service.name"), ""), "service 0") {
				return errDown
			}
			return nil
		}
		keyed := func(c *Config) { c.ResourceKeys = []string{"service.name"} }
		p := anyLogs.stored(t, d, keyed, next)
		for range 10 {
			require.NoError(t, p.pushAll(context.Background(), 2, 0, 10, 20))
		}
		time.Sleep(time.Minute)
		require.Len(t, storedKeys(d), 10)
		require.Len(t, p.items(), 40)
		crashed := d.Crash()
		p.stop(t)

		p = anyLogs.stored(t, crashed, nil, nil) // without keys today
		time.Sleep(time.Minute)
		p.stop(t)
		require.Len(t, p.items(), 20)
		require.Empty(t, storedKeys(crashed))
	})
}

// TestStorageTellsTheAgeOfItsOldestEntry, which is older than the run.
func TestStorageTellsTheAgeOfItsOldestEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		age := func(p *pipeline) float64 { return p.gauge(t, "storage_oldest_entry_age") }
		set := func(c *Config) { c.Timeout = time.Hour }
		p := anyLogs.stored(t, d, set, down)
		require.Zero(t, age(p))
		require.NoError(t, p.push(context.Background(), 0, 10))
		time.Sleep(time.Minute)
		require.NoError(t, p.push(context.Background(), 10, 10))
		require.InDelta(t, 60, age(p), 0.01)
		d = d.Crash()
		p.stop(t)

		time.Sleep(time.Hour)
		p = anyLogs.stored(t, d, set, nil)
		synctest.Wait()
		require.InDelta(t, 3660, age(p), 10, "and what it took to stop")
		require.NoError(t, p.push(context.Background(), 20, 10))
		time.Sleep(2 * time.Hour)
		require.Zero(t, age(p), "all is delivered")
		p.stop(t)
	})
}

// TestStorageWithOtherKeysToday: what was stored without keys is taken apart by today's.
func TestStorageWithOtherKeysToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		p := anyLogs.stored(t, d, nil, down)
		for range 10 {
			require.NoError(t, p.pushAll(context.Background(), 2, 0, 10, 20))
		}
		p.stop(t)
		p = anyLogs.stored(t, d, func(c *Config) { c.ResourceKeys = []string{"service.name"} }, nil)
		time.Sleep(time.Minute)
		p.stop(t)
		require.Len(t, p.items(), 60)
		require.GreaterOrEqual(t, len(p.batches()), 3)
		require.Empty(t, storedKeys(d))
	})
}

// TestStorageWeighsPartsOfToday: requests that have several keys today weigh what their parts weigh, once.
func TestStorageWeighsPartsOfToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		bytes := func(c *Config) { c.Sizer = sizerBytes }
		p := anyLogs.stored(t, d, bytes, down)
		require.NoError(t, p.pushAll(context.Background(), 2, 0, 10, 20))
		weighs := p.metric(t, "queue_size", "")
		p.stop(t)
		p = anyLogs.stored(t, d, func(c *Config) { bytes(c); c.ResourceKeys = []string{"service.name"} }, down)
		synctest.Wait()
		require.Equal(t, weighs, p.metric(t, "queue_size", ""))
		p.stop(t)
	})
}

// TestStorageSpills: beyond memory_size payloads are in the storage alone, those of the stream that holds most first, and are read back when their
// turn comes, in their order.
func TestStorageSpills(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"metadata_keys": func(c *Config) { c.MetadataKeys = []string{"tenant"} },
		"cut":           func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize, c.MetadataKeys = 7, 7, []string{"tenant"} },
		"partitions":    func(c *Config) { c.Partitions = 3 }, // a request has parts in several
		"large batches": func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize, c.MetadataKeys = 1500, 1500, []string{"tenant"} },
	} {
		for _, k := range kinds {
			t.Run(name+" "+k.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := storagetest.NewDisk()
					var up atomic.Bool
					p := k.stored(t, d, func(c *Config) {
						c.SendBatchSize, c.SendBatchMaxSize = 15, 15 // what is in a batch does not count any more
						set(c)
						c.MemorySize = 20_000
						c.RetryOnFailure.MaxInterval = time.Second
						c.RetryOnFailure.InitialInterval = time.Second
					}, func(context.Context, int) error {
						if !up.Load() {
							return errDown
						}
						return nil
					})
					require.NoError(t, p.pushAll(from("tenant", "small"), 2, 10_000, 20_000, 30_000))
					for i := range 200 {
						require.NoError(t, p.pushAll(from("tenant", "large"), 5, 30*i, 30*i+10, 30*i+20))
						synctest.Wait() // a batch is taken as soon as it is due: it has the oldest, and those are in memory
						if i%10 == 0 {
							require.LessOrEqual(t, p.metric(t, "storage_memory", ""), int64(20_000))
						}
					}
					synctest.Wait()
					require.Greater(t, p.metric(t, "storage_bytes", ""), int64(50_000))
					require.Greater(t, p.metric(t, "storage_memory", ""), int64(5_000))
					var reads atomic.Int64
					d.SetFault(onlyReads(func() storagetest.Fault { reads.Add(1); return storagetest.None }))
					up.Store(true)
					time.Sleep(time.Minute)
					require.Positive(t, reads.Load())
					require.Len(t, p.items(), 6+200*15)
					require.Zero(t, p.metric(t, "storage_memory", ""))
					if name != "partitions" {
						p.requireOrder(t, k, 200)
					}
					require.Empty(t, storedKeys(d))
					p.stop(t)
				})
			})
		}
	}
}

// requireOrder asks that the items of pushes of three times five, 30 apart, arrived in their order.
func (p *pipeline) requireOrder(t *testing.T, k anyKind, pushes int) {
	t.Helper()
	at := map[string]int{}
	for i, item := range p.items() {
		at[item] = i
	}
	last := -1
	for i := range 3 * pushes {
		for _, item := range k.list(10*i, 5) {
			require.Greater(t, at[item], last, "%s", item)
			last = at[item]
		}
	}
}

// TestStorageThatCannotBeRoutedToday: an entry that has no key under this configuration is left for one under which it has.
func TestStorageThatCannotBeRoutedToday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		p := anyLogs.stored(t, d, nil, down)
		payload := logs.payload(0, 10)
		for _, r := range payload.ResourceLogs().All() {
			r.Resource().Attributes().PutStr("long", strings.Repeat("x", 20_000))
		}
		require.NoError(t, send(context.Background(), p, payload))
		require.NoError(t, p.push(context.Background(), 10, 10))
		p.stop(t)
		p = anyLogs.stored(t, d, func(c *Config) { c.ResourceKeys = []string{"long"} }, nil)
		time.Sleep(time.Minute)
		require.Len(t, p.items(), 10)
		require.Zero(t, p.metric(t, "items_dropped", "storage"))
		require.Len(t, p.log.FilterMessageSnippet("cannot be routed").All(), 1)
		p.stop(t)
		require.Len(t, storedKeys(d), 1)
		p = anyLogs.stored(t, d, nil, nil)
		time.Sleep(time.Minute)
		require.Len(t, p.items(), 10)
		p.stop(t)
		require.Empty(t, storedKeys(d))
	})
}

// TestStorageChaos accepts, fails, delivers and crashes at random: what was accepted and not delivered before is delivered by a later run.
func TestStorageChaos(t *testing.T) {
	for seed := range 8 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storageChaos(t, seed) })
		})
	}
}

func storageChaos(t *testing.T, seed int) {
	d := storagetest.NewDisk()
	accepted, arrived := map[string]bool{}, map[string]bool{}
	var mu sync.Mutex
	for run := range 3 {
		var reads atomic.Int64
		k := anyLogs
		p := k.answered(t, withStorage(func(c *Config) {
			c.MetadataKeys = []string{"tenant"}
			c.QueueSize, c.SendBatchSize = 200, 20
			c.SendBatchMaxSize = int64(seed/2%2) * 20 // what is cut is copied before it is sent
			c.MemorySize = int64(seed%2) * 2000
			c.WaitTimeout = time.Second
			c.ShutdownTimeout = 10 * time.Second
		}), func(a *answer) error {
			if a.call%5 < seed%3+1 {
				a.spoil()
				return errDown
			}
			return nil
		})
		require.NoError(t, p.Start(context.Background(), onDisk(d)))
		d.SetFault(func([]*storage.Operation) storagetest.Fault {
			switch n := reads.Add(1); {
			case (int(n)+run)%7 == seed%7:
				return []storagetest.Fault{storagetest.Fail, storagetest.Half, storagetest.Late, storagetest.Panic}[seed%4]
			default:
				return storagetest.None
			}
		})
		var all sync.WaitGroup
		for producer := range 5 {
			all.Go(func() {
				for i := range 20 {
					first := ((run*5+producer)*20 + i) * 10
					if p.push(from("tenant", fmt.Sprint(producer%3)), first, 7) == nil {
						mu.Lock()
						for _, item := range k.list(first, 7) {
							accepted[item] = true
						}
						mu.Unlock()
					}
					time.Sleep(time.Duration(producer+1) * 20 * time.Millisecond)
				}
			})
		}
		if seed < 4 {
			all.Wait()
		} else {
			time.Sleep(700 * time.Millisecond) // in the middle of it
		}
		mu.Lock()
		crashed := d.Crash()
		sure := make(map[string]bool, len(accepted))
		for item := range accepted {
			sure[item] = true
		}
		for _, item := range p.items() {
			arrived[item] = true
		}
		mu.Unlock()
		all.Wait()
		d.SetFault(nil)
		require.NoError(t, p.Shutdown(context.Background()))
		p.requireConserved(t)
		accepted, d = sure, crashed // the rest never happened
	}
	p := anyLogs.stored(t, d, func(c *Config) { c.MetadataKeys = []string{"tenant"} }, nil)
	time.Sleep(time.Minute)
	p.stop(t)
	for _, item := range p.items() {
		arrived[item] = true
	}
	for item := range accepted {
		require.True(t, arrived[item], "%s was accepted, and is lost", item)
	}
	require.NotEmpty(t, accepted)
}
