// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A map together with metadata_keys, resource_keys and partitions.

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
				var calls, most atomic.Int64
				p, sent := k.begin(t, func(c *Config) {
					set(c)
					c.Partitions = partitions
				}, func(context.Context) error {
					most.Store(max(most.Load(), calls.Add(1)))
					time.Sleep(100 * time.Millisecond)
					calls.Add(-1)
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
					require.EqualValues(t, partitions, most.Swap(0), "calls at once")
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
