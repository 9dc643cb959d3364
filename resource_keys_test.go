// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

func byService(c *Config) { c.ResourceKeys = []string{"service.name"} }

func TestOnePayloadIsBatchedByResource(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, byService, nil)
				require.NoError(t, p.pushAll(from("tenant", "ignored"), 3, 0, 10, 0, 20))
				require.NoError(t, p.push(context.Background(), 10, 2))
				require.NoError(t, p.pushAll(context.Background(), 1, 20, 0))
				require.EqualValues(t, 3, p.metric(t, "metadata_cardinality", ""))
				require.EqualValues(t, 16, p.metric(t, "items_pending", ""))
				p.requireConserved(t)
				require.NoError(t, p.Shutdown(context.Background()))
				got := map[string][]string{}
				for _, b := range p.batches() {
					metadata := everything(client.NewContext(context.Background(), b.info))
					require.Len(t, metadata, 1)
					require.Len(t, metadata["service.name"], 1)
					got[metadata["service.name"][0]] = append(got[metadata["service.name"][0]], b.items...)
				}
				require.Equal(t, map[string][]string{
					"service 0":  slices.Concat(k.list(0, 3), k.list(0, 3), k.list(0, 1)),
					"service 10": slices.Concat(k.list(10, 3), k.list(10, 2)),
					"service 20": slices.Concat(k.list(20, 3), k.list(20, 1)),
				}, got)
				require.Len(t, p.batches(), 3)
			})
		})
	}
}

// Parts are cut as payloads are.
func TestPartsOfAPayloadAreCut(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, func(c *Config) {
					byService(c)
					c.SendBatchSize, c.SendBatchMaxSize, c.NumConsumers = 4, 4, 1
				}, nil)
				require.NoError(t, p.pushAll(context.Background(), 10, 0, 100))
				require.NoError(t, p.Shutdown(context.Background()))
				require.ElementsMatch(t, []int{4, 4, 4, 4, 2, 2}, p.sizes())
				require.ElementsMatch(t, slices.Concat(k.list(0, 10), k.list(100, 10)), p.items())
			})
		})
	}
}

func TestBatchContextHasTheResourcesValues(t *testing.T) {
	payload := func() plog.Logs {
		ld := plog.NewLogs()
		add := func(attributes map[string]any) {
			r := ld.ResourceLogs().AppendEmpty()
			require.NoError(t, r.Resource().Attributes().FromRaw(attributes))
			r.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		}
		add(map[string]any{"Tenant.ID": "1", "region": "resource's", "other": "ignored"})
		add(map[string]any{"Tenant.ID": 1, "region": "resource's"})
		add(map[string]any{"Tenant.ID": 1.5})
		add(map[string]any{"Tenant.ID": true})
		add(map[string]any{"Tenant.ID": ""})
		add(map[string]any{"Tenant.ID": []any{"a", 1}})
		add(map[string]any{"Tenant.ID": map[string]any{"b": 1, "a": 2}})
		add(map[string]any{"tenant.id": "another attribute"})
		add(map[string]any{"Tenant.ID": "1", "region": "resource's"})
		nothing := ld.ResourceLogs().AppendEmpty() // no items: no batch
		nothing.Resource().Attributes().PutStr("Tenant.ID", "2")
		nothing.ScopeLogs().AppendEmpty()
		return ld
	}
	one := func(region, tenant string) map[string][]string {
		all := map[string][]string{}
		if region != "" {
			all["region"] = []string{region}
		}
		if tenant != "missing" {
			all["tenant.id"] = []string{tenant}
		}
		return all
	}
	for name, test := range map[string]struct {
		ctx  context.Context
		want func(tenant string) map[string][]string
	}{
		// That of metadata_keys wins, the resource's is part of the key all the same.
		"metadata":         {from("region", "client's"), func(tenant string) map[string][]string { return one("client's", tenant) }},
		"metadata missing": {from(), func(tenant string) map[string][]string { return one("", tenant) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := NewFactory().CreateDefaultConfig().(*Config)
				cfg.MetadataKeys, cfg.ResourceKeys = []string{"Region"}, []string{"Tenant.ID", "region"}
				var mu sync.Mutex
				var got []map[string][]string
				p, consume, err := logs.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(ctx context.Context, _ plog.Logs) error {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, everything(ctx))
					return nil
				})
				require.NoError(t, err)
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				require.NoError(t, consume(test.ctx, payload()))
				require.NoError(t, p.Shutdown(context.Background()))
				var want []map[string][]string
				for _, tenant := range []string{"1", "1", "1.5", "true", "", `["a",1]`, `{"a":2,"b":1}`, "missing"} {
					want = append(want, test.want(tenant))
				}
				require.ElementsMatch(t, want, got, `"1" and 1 are two, the ninth is with the first`)
			})
		})
	}
}

// Part of it would fit. All of it stays the caller's, as it was, until it is admitted as a whole.
func TestPayloadOfSeveralKeysIsRefusedWhole(t *testing.T) {
	t.Run("traces", func(t *testing.T) { refusedWhole(t, traces) })
	t.Run("metrics", func(t *testing.T) { refusedWhole(t, metrics) })
	t.Run("logs", func(t *testing.T) { refusedWhole(t, logs) })
	t.Run("profiles", func(t *testing.T) { refusedWhole(t, profiles) })
}

func refusedWhole[P payload](t *testing.T, k kind[P]) {
	for name, test := range map[string]struct {
		set    func(*Config)
		before []int // services that have something pending
	}{
		"no room for a key": {func(c *Config) { c.QueueSizePerKey = 5 }, []int{100}},
		"no room":           {func(c *Config) { c.QueueSize = 10 }, []int{0, 700}},
		"too many keys":     {func(c *Config) { c.MetadataCardinalityLimit = 3 }, []int{0, 700}},
		"waits":             {func(c *Config) { c.QueueSizePerKey, c.BlockOnOverflow = 5, true }, []int{100}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				p := newPipeline(t, k, func(c *Config) {
					byService(c)
					c.SendBatchSize, c.BlockOnOverflow = 5, false
					test.set(c)
				}, func(context.Context, int) error {
					<-gate
					return nil
				})
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				for _, first := range test.before {
					require.NoError(t, p.push(context.Background(), first, 5))
				}
				pending := p.metric(t, "items_pending", "")
				payload := k.resources(2, 0, 100, 200)
				want := k.items(payload)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				err := send(ctx, p, payload)
				require.Error(t, err)
				require.False(t, consumererror.IsPermanent(err))
				require.Equal(t, want, k.items(payload))
				require.Equal(t, pending, p.metric(t, "items_pending", ""))
				require.EqualValues(t, 6, p.metric(t, "items_refused", ""))
				require.EqualValues(t, len(test.before), p.metric(t, "metadata_cardinality", ""))
				close(gate)
				synctest.Wait()
				require.NoError(t, send(context.Background(), p, payload))
				require.NoError(t, p.Shutdown(context.Background()))
				require.Subset(t, p.items(), want)
				require.Len(t, p.items(), int(pending)+6)
			})
		})
	}
}

// The first of several workers takes the payload apart, all the others wait for it: a race, if they do not.
func TestWorkersTakeOnePayloadApart(t *testing.T) {
	const payloads = 100
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			p := k.make(t, func(c *Config) {
				byService(c)
				c.SendBatchSize, c.NumConsumers = 1, 8
			}, nil)
			require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
			var want []string
			for range payloads {
				require.NoError(t, p.pushAll(context.Background(), 2, 0, 10, 20, 30, 40, 50, 60, 70))
			}
			for i := range 8 {
				for range payloads {
					want = append(want, k.list(10*i, 2)...)
				}
			}
			require.NoError(t, p.Shutdown(context.Background()))
			require.ElementsMatch(t, want, p.items())
		})
	}
}

// Consume returns when all parts are settled, with the error of the one that failed; what is sent again is that one alone.
func TestResultOfAPayloadOfSeveralKeys(t *testing.T) {
	for _, k := range kinds {
		for _, retry := range []bool{false, true} {
			t.Run(fmt.Sprint(k.name, " retry ", retry), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fail := true
					p := k.start(t, func(c *Config) {
						byService(c)
						c.WaitForResult, c.RetryOnFailure.Enabled = true, retry
					}, func(ctx context.Context, _ int) error {
						if client.FromContext(ctx).Metadata.Get("service.name")[0] == "service 10" && fail {
							time.Sleep(time.Second)
							fail = false
							return errNext
						}
						return nil
					})
					err := p.pushAll(context.Background(), 2, 0, 10, 20)
					require.GreaterOrEqual(t, time.Since(p.begin), time.Second)
					want := slices.Concat(k.list(0, 2), k.list(20, 2))
					if retry {
						require.NoError(t, err)
						want = append(want, k.list(10, 2)...)
						require.EqualValues(t, 2, p.metric(t, "items_retried", ""))
					} else {
						require.ErrorIs(t, err, errNext)
						require.EqualValues(t, 2, p.metric(t, "items_returned", ""))
					}
					require.ElementsMatch(t, want, p.items())
					p.requireConserved(t)
				})
			})
		}
	}
}

// A payload that nobody may alter is copied once, whole, and each part is sent on its own.
func TestSharedPayloadOfSeveralKeysIsNotAltered(t *testing.T) {
	t.Run("traces", func(t *testing.T) { sharedOfSeveralKeys(t, traces) })
	t.Run("metrics", func(t *testing.T) { sharedOfSeveralKeys(t, metrics) })
	t.Run("logs", func(t *testing.T) { sharedOfSeveralKeys(t, logs) })
	t.Run("profiles", func(t *testing.T) { sharedOfSeveralKeys(t, profiles) })
}

func sharedOfSeveralKeys[P payload](t *testing.T, k kind[P]) {
	for name, set := range map[string]func(*Config){"by service": byService, "by third": byThird} { // three keys each
		t.Run(name, func(t *testing.T) { sharedIsNotAltered(t, k, set) })
	}
}

func sharedIsNotAltered[P payload](t *testing.T, k kind[P], set func(*Config)) {
	for _, pooling := range []bool{true, false} {
		t.Run(fmt.Sprint("pooling ", pooling), func(t *testing.T) {
			usePooling(t, pooling)
			synctest.Test(t, func(t *testing.T) {
				for _, readOnly := range []bool{true, false} {
					cfg := NewFactory().CreateDefaultConfig().(*Config)
					set(cfg)
					var mu sync.Mutex
					var got []string
					var sent []P
					p, consume, err := k.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, k.inGraph(func(_ context.Context, p P) error {
						mu.Lock()
						defer mu.Unlock()
						require.False(t, p.IsReadOnly())
						got = append(got, k.items(p)...)
						sent = append(sent, p)
						return nil
					}))
					require.NoError(t, err)
					require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
					payload := k.resources(2, 0, 10, 20)
					want := k.items(payload)
					if readOnly {
						payload.MarkReadOnly()
						k.Ref(payload) // the other consumer's
					}
					require.NoError(t, k.inGraph(consume)(context.Background(), payload))
					require.NoError(t, p.Shutdown(context.Background()))
					require.ElementsMatch(t, want, got)
					if readOnly {
						require.Equal(t, want, k.items(payload))
						k.Unref(payload)
					}
					require.Len(t, sent, 3)
					if pooling {
						for _, p := range append(sent, payload) {
							require.True(t, k.freed(p))
						}
					}
				}
			})
		})
	}
}

// With an invalid dictionary nothing can be moved out of a payload, and no tenant may get what is another's.
func TestProfilesThatCannotBeTakenApart(t *testing.T) {
	broken := func() pprofile.Profiles {
		p := profiles.resources(1, 0, 10)
		p.Dictionary().StringTable().SetAt(0, "not empty")
		return p
	}
	for name, test := range map[string]struct {
		set     func(*Config)
		refused bool
	}{
		"resource_keys": {byService, true},
		"partitions":    {func(c *Config) { c.Partitions = 16 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeline(t, profiles, test.set, nil)
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				err := send(context.Background(), p, broken())
				require.NoError(t, p.Shutdown(context.Background()))
				if test.refused {
					require.ErrorContains(t, err, "resource_keys")
					require.ErrorContains(t, err, "string table")
					require.True(t, consumererror.IsPermanent(err))
					require.Empty(t, p.batches())
				} else {
					require.NoError(t, err)
					require.Equal(t, []int{2}, p.sizes(), "as it came")
				}
			})
		})
	}
}

// Each partition sends one batch at a time, and so keeps the order of each resource; together they send several at once.
func TestPartitionsSpreadResources(t *testing.T) {
	const partitions, services, rounds = 4, 120, 10 // so many services leave no partition out
	var all []int
	for i := range services {
		all = append(all, 100*i)
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls, most atomic.Int64
				p := k.start(t, func(c *Config) { c.Partitions, c.SendBatchSize = partitions, 20 }, func(context.Context, int) error {
					most.Store(max(most.Load(), calls.Add(1)))
					time.Sleep(100 * time.Millisecond) // far less, all together, than shutdown_timeout
					calls.Add(-1)
					return nil
				})
				for round := range rounds {
					require.NoError(t, p.pushAll(from("tenant", "ignored"), round+1, all...))
				}
				require.Zero(t, p.metric(t, "metadata_cardinality", ""))
				p.requireConserved(t)
				require.NoError(t, p.Shutdown(context.Background()))
				require.EqualValues(t, partitions, most.Load(), "calls at once")
				for _, b := range p.batches() {
					require.Empty(t, everything(client.NewContext(context.Background(), b.info)))
				}
				for _, first := range all {
					var got, want []string
					for _, item := range p.items() {
						if strings.Contains(item, fmt.Sprintf("service %d]", first)) {
							got = append(got, item)
						}
					}
					for round := range rounds {
						want = append(want, k.list(first, round+1)...)
					}
					require.Equal(t, want, got, "I2")
				}
			})
		})
	}
}

// The share of one partition is full: nothing of the payload is accepted in the others.
func TestPayloadOverSeveralPartitionsIsRefusedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := anyLogs.start(t, func(c *Config) {
			c.Partitions, c.SendBatchSize, c.QueueSize, c.BlockOnOverflow = 4, 5, 20, false
		}, func(context.Context, int) error {
			<-gate
			return nil
		})
		require.NoError(t, p.push(context.Background(), 0, 5))
		require.NoError(t, p.push(context.Background(), 0, 5))
		require.ErrorContains(t, p.pushAll(context.Background(), 1, 0, 10, 20, 30, 40, 50), "queue_size is 20")
		require.EqualValues(t, 10, p.metric(t, "items_pending", ""))
		require.EqualValues(t, 6, p.metric(t, "items_refused", ""))
		close(gate)
		synctest.Wait()
		require.NoError(t, p.pushAll(context.Background(), 1, 0, 10, 20, 30, 40, 50))
	})
}

// TestPayloadWithTooLongAKeyIsRefusedWhole, for good, wherever it would be held, and stays as it was.
func TestPayloadWithTooLongAKeyIsRefusedWhole(t *testing.T) {
	for name, set := range map[string]func(*Config){"queue": func(*Config) {}, "resources": byResource, "records": byRecord} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipelineOf(t, logs, func(c *Config) {
					set(c)
					c.ResourceKeys = []string{"tenant"}
				}, func(context.Context, plog.Logs) error { return nil })
				ld := logs.payload(0, 2)
				logs.Merge(ld, logs.payload(5, 2), logs.payload(9, 1))
				for i, tenant := range []string{"short", "short too", strings.Repeat("x", 16<<10+1)} {
					ld.ResourceLogs().At(i).Resource().Attributes().PutEmptySlice("tenant").AppendEmpty().SetStr(tenant)
				}
				before := logs.items(ld)
				err := p.consume(ld)
				require.ErrorContains(t, err, `"tenant" has more than 16384 bytes`)
				require.True(t, consumererror.IsPermanent(err))
				require.Equal(t, before, logs.items(ld))
				require.Zero(t, p.stats("items_accepted"))
			})
		})
	}
}
