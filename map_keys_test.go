// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

// A map together with metadata_keys, resource_keys and partitions.

// byTenantAndService is a key of both kinds.
func byTenantAndService(c *Config) {
	c.MetadataKeys, c.ResourceKeys = []string{"tenant"}, []string{"service.name"}
}

// TestMapPartsAPayloadByKey: each batch has the resources of its key, each of them once, and the key's values. Equal
// resources of two tenants stay two.
func TestMapPartsAPayloadByKey(t *testing.T) {
	t.Run("traces", func(t *testing.T) { mapPartsAPayloadByKey(t, versionedTraces) })
	t.Run("metrics", func(t *testing.T) { mapPartsAPayloadByKey(t, versionedMetrics) })
	t.Run("logs", func(t *testing.T) { mapPartsAPayloadByKey(t, versionedLogs) })
}

func mapPartsAPayloadByKey[P payload](t *testing.T, k versioned[P]) {
	for name, set := range mapsByKey {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, sent := k.begin(t, func(c *Config) {
					set(c)
					byTenantAndService(c)
				}, nil)
				require.NoError(t, send(from("tenant", "one", "other", "ignored"), p, k.make(
					version{"a", "x", 1, 10, 1}, version{"b", "x", 1, 10, 2}, version{"a", "y", 1, 10, 3}, version{"", "x", 1, 10, 4}, version{"a", "x", 2, 10, 5},
				)))
				require.NoError(t, send(from("tenant", "two"), p, k.make(version{"a", "x", 1, 10, 6}, version{"b", "x", 1, 10, 7})))
				require.NoError(t, send(from("tenant", "one"), p, k.make(version{"b", "x", 2, 10, 8}, version{"a", "y", 2, 10, 9})))
				require.NoError(t, send(from(), p, k.make(version{"a", "x", 3, 10, 10})))
				require.EqualValues(t, 6, p.metric(t, "metadata_cardinality", ""))
				require.EqualValues(t, 10, p.metric(t, "items_pending", ""))
				p.requireConserved(t)
				later(time.Second)
				require.ElementsMatch(t, []versions{
					{combination("tenant", "one", "service.name", "a"), [][]version{{{"a", "x", 1, 10, 1}, {"a", "x", 2, 10, 5}}, {{"a", "y", 1, 10, 3}, {"a", "y", 2, 10, 9}}}},
					{combination("tenant", "one", "service.name", "b"), [][]version{{{"b", "x", 1, 10, 2}, {"b", "x", 2, 10, 8}}}},
					{combination("tenant", "one"), [][]version{{{"", "x", 1, 10, 4}}}},
					{combination("tenant", "two", "service.name", "a"), [][]version{{{"a", "x", 1, 10, 6}}}},
					{combination("tenant", "two", "service.name", "b"), [][]version{{{"b", "x", 1, 10, 7}}}},
					{combination("service.name", "a"), [][]version{{{"a", "x", 3, 10, 10}}}},
				}, sent())
				require.Zero(t, p.metric(t, "metadata_cardinality", ""))
				require.Zero(t, p.metric(t, "items_superseded", ""))
				p.accounts(t, 10, 0, 0, 0)
			})
		})
	}
}

// TestNewestRecordOfAKeyStays: no key's record supersedes another one's (I3), nor does one that is remembered.
func TestNewestRecordOfAKeyStays(t *testing.T) {
	t.Run("traces", func(t *testing.T) { newestRecordOfAKeyStays(t, versionedTraces) })
	t.Run("metrics", func(t *testing.T) { newestRecordOfAKeyStays(t, versionedMetrics) })
	t.Run("logs", func(t *testing.T) { newestRecordOfAKeyStays(t, versionedLogs) })
}

func newestRecordOfAKeyStays[P payload](t *testing.T, k versioned[P]) {
	synctest.Test(t, func(t *testing.T) {
		p, sent := k.begin(t, func(c *Config) {
			mapsByKey[mapRecord](c)
			byTenantAndService(c)
			c.Map.Remember = time.Minute
		}, nil)
		one, two := from("tenant", "one"), from("tenant", "two")
		require.NoError(t, send(one, p, k.make(version{"a", "x", 1, 20, 1}, version{"b", "x", 1, 30, 2})))
		require.NoError(t, send(two, p, k.make(version{"a", "x", 1, 10, 3})))
		require.NoError(t, send(one, p, k.make(version{"a", "x", 1, 10, 4}, version{"b", "x", 1, 40, 5})))
		require.NoError(t, send(two, p, k.make(version{"a", "x", 1, 15, 6})))
		require.EqualValues(t, 3, p.metric(t, "items_superseded", ""))
		p.requireConserved(t)
		later(time.Second)
		require.ElementsMatch(t, []versions{
			{combination("tenant", "one", "service.name", "a"), [][]version{{{"a", "x", 1, 20, 1}}}},
			{combination("tenant", "one", "service.name", "b"), [][]version{{{"b", "x", 1, 40, 5}}}},
			{combination("tenant", "two", "service.name", "a"), [][]version{{{"a", "x", 1, 15, 6}}}},
		}, sent())
		require.NoError(t, send(one, p, k.make(version{"a", "x", 1, 18, 7})))
		require.NoError(t, send(two, p, k.make(version{"a", "x", 1, 18, 8})))
		later(time.Second)
		require.Equal(t, []versions{{combination("tenant", "two", "service.name", "a"), [][]version{{{"a", "x", 1, 18, 8}}}}}, sent())
		require.EqualValues(t, 4, p.metric(t, "items_superseded", ""))
		p.accounts(t, 4, 0, 0, 0)
	})
}

// TestPartitionsOfAMapSpreadResources: equal ones meet, whatever the order of their attributes, and all lanes send at once.
func TestPartitionsOfAMapSpreadResources(t *testing.T) {
	t.Run("traces", func(t *testing.T) { partitionsOfAMap(t, versionedTraces) })
	t.Run("metrics", func(t *testing.T) { partitionsOfAMap(t, versionedMetrics) })
	t.Run("logs", func(t *testing.T) { partitionsOfAMap(t, versionedLogs) })
}

func partitionsOfAMap[P payload](t *testing.T, k versioned[P]) {
	const partitions, services, requests, rounds = 4, 100, 5, 3
	for name, set := range mapsByKey {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				calls, most := 0, 0
				count := func(n int) {
					mu.Lock()
					defer mu.Unlock()
					calls += n
					most = max(most, calls)
				}
				p, sent := k.begin(t, func(c *Config) {
					set(c)
					c.Partitions = partitions
				}, func(context.Context) error {
					count(1)
					time.Sleep(100 * time.Millisecond) // of fake time, in which the calls of the other lanes begin
					count(-1)
					return nil
				})
				at, superseded := 0, 0
				for range rounds {
					want := map[string][]version{}
					for range requests {
						var all []version
						for service := range services {
							at++
							v := version{fmt.Sprint("service ", service), fmt.Sprint("host ", service), 1, at, at}
							all = append(all, v)
							if name == mapRecord && want[v.resource()] != nil {
								want[v.resource()] = nil
								superseded++
							}
							want[v.resource()] = append(want[v.resource()], v)
						}
						require.NoError(t, send(from("tenant", "ignored"), p, k.make(all...)))
						at++ // the other order
					}
					p.requireConserved(t)
					later(time.Second)
					mu.Lock()
					atOnce := most
					most = 0
					mu.Unlock()
					require.Equal(t, partitions, atOnce, "calls at once")
					batches, got := sent(), map[string][]version{}
					require.Len(t, batches, partitions)
					for _, b := range batches {
						require.Equal(t, combination(), b.key)
						for _, row := range b.resources {
							require.NotContains(t, got, row[0].resource(), "one resource, one place")
							got[row[0].resource()] = row
						}
					}
					require.Equal(t, want, got)
				}
				require.Zero(t, p.metric(t, "metadata_cardinality", ""))
				require.EqualValues(t, superseded, p.metric(t, "items_superseded", ""))
				p.accounts(t, int64(services*requests*rounds-superseded), 0, 0, 0)
			})
		})
	}
}

// TestLogRecordsMeetAcrossPartitions: what tells them apart need not be in the resource.
func TestLogRecordsMeetAcrossPartitions(t *testing.T) {
	const services, records = 20, 100
	synctest.Test(t, func(t *testing.T) {
		p, sent := versionedLogs.begin(t, func(c *Config) {
			mapsByKey[mapRecord](c)
			c.Partitions = 4
		}, nil)
		for i := range services {
			var all []version
			for id := range records {
				all = append(all, version{fmt.Sprint("service ", i), "x", id, 1 + (i+id)%services, i})
			}
			require.NoError(t, send(context.Background(), p, versionedLogs.make(all...)))
		}
		later(time.Second)
		batches, ids := sent(), map[int]bool{}
		require.Len(t, batches, 4)
		for _, b := range batches {
			for _, v := range slices.Concat(b.resources...) {
				require.Equal(t, services, v.at, "I3")
				ids[v.id] = true
			}
		}
		require.Len(t, ids, records)
		p.accounts(t, records, 0, 0, 0)
	})
}

// TestMapRefusesAPayloadOfSeveralKeysWhole: part of it would fit, in its own streams or over others. It stays the caller's, as
// it was, and can be sent again.
func TestMapRefusesAPayloadOfSeveralKeysWhole(t *testing.T) {
	t.Run("traces", func(t *testing.T) { mapRefusesWhole(t, versionedTraces) })
	t.Run("metrics", func(t *testing.T) { mapRefusesWhole(t, versionedMetrics) })
	t.Run("logs", func(t *testing.T) { mapRefusesWhole(t, versionedLogs) })
}

func mapRefusesWhole[P payload](t *testing.T, k versioned[P]) {
	five := func(service string, value int) (all []version) {
		for i := range 5 {
			all = append(all, version{service, "x", i, 10, value + i})
		}
		return all
	}
	for name, test := range map[string]struct {
		set    func(*Config)
		before []string // services that have something pending
		keys   int64
	}{
		"no room for a key": {func(c *Config) { byTenantAndService(c); c.QueueSizePerKey = 5 }, []string{"b"}, 1},
		"no room":           {func(c *Config) { byTenantAndService(c); c.QueueSize = 10 }, []string{"a", "d"}, 2},
		"too many keys":     {func(c *Config) { byTenantAndService(c); c.MetadataCardinalityLimit = 3 }, []string{"a", "d"}, 2},
		"waits":             {func(c *Config) { byTenantAndService(c); c.QueueSizePerKey, c.BlockOnOverflow = 5, true }, []string{"b"}, 1},
		"partitions":        {func(c *Config) { c.Partitions, c.SendBatchSize, c.QueueSize = 4, 2, 5 }, []string{"b"}, 0},
	} {
		for by, set := range mapsByKey {
			for _, readOnly := range []bool{false, true} {
				t.Run(fmt.Sprint(name, ", ", by, ", read-only ", readOnly), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						gate := make(chan struct{})
						open := sync.OnceFunc(func() { close(gate) })
						defer open()
						p, sent := k.begin(t, func(c *Config) {
							set(c)
							c.SendBatchSize, c.BlockOnOverflow = 5, false
							test.set(c)
						}, func(context.Context) error {
							<-gate
							return nil
						})
						one := from("tenant", "one")
						for i, service := range test.before {
							require.NoError(t, send(one, p, k.make(five(service, 100*i)...)))
						}
						synctest.Wait()
						pending := p.metric(t, "items_pending", "")
						require.EqualValues(t, 5*len(test.before), pending)
						payload := k.make(version{"a", "x", 1, 20, 1001}, version{"b", "x", 2, 20, 1002}, version{"c", "x", 3, 20, 1003},
							version{"a", "y", 4, 20, 1004}, version{"a", "x", 5, 20, 1005})
						if readOnly {
							payload.MarkReadOnly()
						}
						want := k.read(payload)
						ctx, cancel := context.WithTimeout(one, time.Second)
						defer cancel()
						err := send(ctx, p, payload)
						require.Error(t, err)
						require.False(t, consumererror.IsPermanent(err))
						require.Equal(t, want, k.read(payload))
						require.Equal(t, pending, p.metric(t, "items_pending", ""))
						require.EqualValues(t, 5, p.metric(t, "items_refused", ""))
						require.Equal(t, test.keys, p.metric(t, "metadata_cardinality", ""))
						p.requireConserved(t)
						open()
						later(time.Second)
						sent()
						require.NoError(t, send(one, p, payload))
						later(time.Second)
						var values []int
						for _, b := range sent() {
							for _, v := range slices.Concat(b.resources...) {
								values = append(values, v.value)
							}
						}
						require.ElementsMatch(t, []int{1001, 1002, 1003, 1004, 1005}, values)
						p.accounts(t, pending+5, 0, 0, 0)
					})
				})
			}
		}
	}
}

// TestKeysOfAMapAreSettledApart: what fails of a payload is that of one key, which the caller is told, or which comes again.
func TestKeysOfAMapAreSettledApart(t *testing.T) {
	t.Run("traces", func(t *testing.T) { keysOfAMapAreSettledApart(t, versionedTraces) })
	t.Run("metrics", func(t *testing.T) { keysOfAMapAreSettledApart(t, versionedMetrics) })
	t.Run("logs", func(t *testing.T) { keysOfAMapAreSettledApart(t, versionedLogs) })
}

func keysOfAMapAreSettledApart[P payload](t *testing.T, k versioned[P]) {
	const returned, dropped, retried = "returned", "dropped", "retried"
	for by, set := range mapsByKey {
		for _, how := range []string{returned, dropped, retried} {
			if by == mapRecord && how == returned {
				continue // a config error
			}
			t.Run(fmt.Sprint(by, ", ", how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					failing := combination("tenant", "one", "service.name", "b")
					var failed atomic.Bool
					p, sent := k.begin(t, func(c *Config) {
						set(c)
						byTenantAndService(c)
						c.WaitForResult, c.RetryOnFailure.Enabled = how == returned, how == retried
					}, func(ctx context.Context) error {
						if fmt.Sprint(everything(ctx)) == failing && failed.CompareAndSwap(false, true) {
							return errNext
						}
						return nil
					})
					err := send(from("tenant", "one"), p, k.make(version{"a", "x", 1, 10, 1}, version{"b", "x", 1, 10, 2}, version{"b", "x", 2, 10, 3}))
					if how == returned {
						require.ErrorIs(t, err, errNext)
					} else {
						require.NoError(t, err)
					}
					require.NoError(t, send(from("tenant", "two"), p, k.make(version{"b", "x", 1, 10, 4})))
					later(time.Minute)
					want := []versions{
						{combination("tenant", "one", "service.name", "a"), [][]version{{{"a", "x", 1, 10, 1}}}},
						{combination("tenant", "two", "service.name", "b"), [][]version{{{"b", "x", 1, 10, 4}}}},
					}
					switch how {
					case returned:
						p.accounts(t, 2, 2, 0, 0)
					case dropped:
						p.accounts(t, 2, 0, 2, 0)
					case retried:
						want = append(want, versions{failing, [][]version{{{"b", "x", 1, 10, 2}, {"b", "x", 2, 10, 3}}}})
						p.accounts(t, 4, 0, 0, 2)
					}
					require.ElementsMatch(t, want, sent())
				})
			})
		}
	}
}
