// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

func spreadByThird(c *Config) {
	c.Partitions, c.PartitionBy, c.PartitionAttributes = 3, partitionByAttributes, []string{"third"}
}

// traced gives the items of a payload, which are numbered from first, one of a number of traces in turn.
type traced[P payload] struct {
	kind[P]
	mark func(p P, trace func(item int) pcommon.TraceID)
}

var (
	tracedSpans = traced[ptrace.Traces]{traces, func(p ptrace.Traces, trace func(int) pcommon.TraceID) {
		for i, span := range p.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			span.SetTraceID(trace(i))
		}
	}}
	tracedLogs = traced[plog.Logs]{logs, func(p plog.Logs, trace func(int) pcommon.TraceID) {
		for i, record := range p.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			record.SetTraceID(trace(i))
		}
	}}
	tracedProfiles = traced[pprofile.Profiles]{profiles, func(p pprofile.Profiles, trace func(int) pcommon.TraceID) {
		for i, sample := range p.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().All() {
			p.Dictionary().LinkTable().AppendEmpty().SetTraceID(trace(i))
			sample.SetLinkIndex(int32(p.Dictionary().LinkTable().Len() - 1))
		}
	}}
)

// Everything of a trace goes through one partition, in order, whatever resources it has; and the traces are spread.
func TestPartitionsByTrace(t *testing.T) {
	t.Run("traces", func(t *testing.T) { partitionsByTrace(t, tracedSpans) })
	t.Run("logs", func(t *testing.T) { partitionsByTrace(t, tracedLogs) })
	t.Run("profiles", func(t *testing.T) { partitionsByTrace(t, tracedProfiles) })
}

func partitionsByTrace[P payload](t *testing.T, k traced[P]) {
	const partitions, traces, rounds, items = 4, 40, 5, 80
	of := func(item int) pcommon.TraceID {
		var id pcommon.TraceID
		binary.BigEndian.PutUint64(id[8:], uint64(item%traces+1))
		return id
	}
	synctest.Test(t, func(t *testing.T) {
		type arrival struct {
			batch int
			trace pcommon.TraceID
			item  string
		}
		var got []arrival
		batches := 0
		p := newPipelineTo(t, k.kind, func(c *Config) { c.Partitions, c.PartitionBy = partitions, partitionByTrace }, func(p *pipeline, ctx context.Context, payload P) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			require.Empty(t, everything(ctx))
			batches++
			list := k.items(payload)
			k.each(payload, func(i int, trace pcommon.TraceID) { got = append(got, arrival{batches, trace, list[i]}) })
			return nil
		}).begun(t)
		var want []string
		for round := range rounds {
			payload := k.payload(1000*round, items)
			k.mark(payload, of)
			want = append(want, k.items(payload)...)
			require.NoError(t, send(context.Background(), p, payload))
		}
		require.NoError(t, p.Shutdown(context.Background()))
		require.Greater(t, batches, 1)
		require.LessOrEqual(t, batches, partitions)
		all := make([]string, 0, len(got))
		for trace := range traces {
			var list []string
			in := map[int]bool{}
			for _, a := range got {
				if a.trace == of(trace) {
					in[a.batch] = true
					list = append(list, a.item)
				}
			}
			require.Len(t, in, 1, "batches of a trace")
			var mine []string
			for i, item := range want {
				if i%items%traces == trace {
					mine = append(mine, item)
				}
			}
			require.Equal(t, mine, list, "I2")
			all = append(all, list...)
		}
		require.ElementsMatch(t, want, all)
	})
}

// each calls f with the trace of each item.
func (k traced[P]) each(p P, f func(i int, trace pcommon.TraceID)) {
	var it signal.Item
	i := 0
	k.Each(p, &it, func(one *signal.Item) bool {
		f(i, one.Trace)
		i++
		return true
	})
}

// What has no trace goes with its resource.
func TestPartitionsByTraceWithoutOne(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, func(c *Config) { c.Partitions, c.PartitionBy = 4, partitionByTrace }, nil)
				var all []int
				for i := range 20 {
					all = append(all, 100*i)
				}
				for range 3 {
					require.NoError(t, p.pushAll(context.Background(), 5, all...))
				}
				require.NoError(t, p.Shutdown(context.Background()))
				require.Greater(t, len(p.batches()), 1)
				for _, first := range all {
					part := k.list(first, 5)
					with := 0
					for _, b := range p.batches() {
						if slices.Contains(b.items, part[0]) {
							with++
							require.Subset(t, b.items, part)
						}
					}
					require.Equal(t, 1, with, "partitions of a resource")
				}
			})
		})
	}
}

// The attributes of a record decide, also with a map; a record without any goes with its resource.
func TestPartitionsByAttributes(t *testing.T) {
	for name, buffer := range map[string]func(*Config){"queue": func(*Config) {}, "map": byResource} {
		for _, k := range kinds {
			if name == "map" && k.name == "profiles" {
				continue
			}
			t.Run(name+"/"+k.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := k.start(t, func(c *Config) { buffer(c); spreadByThird(c); c.Partitions = 16 }, nil)
					other := k.start(t, func(c *Config) {
						buffer(c)
						spreadByThird(c)
						c.PartitionAttributes = []string{"one that none has"}
					}, nil)
					for i := range 4 {
						require.NoError(t, p.pushAll(context.Background(), 7, 100*i, 100*i+50))
						require.NoError(t, other.push(context.Background(), 0, 3))
					}
					later(time.Second)
					require.Len(t, other.batches(), 1)
					require.LessOrEqual(t, len(p.batches()), 3)
					require.Len(t, p.items(), 56)
					for n := range 3 {
						var all []string
						for i := range 4 {
							all = slices.Concat(all, k.thirds(100*i, 7)[fmt.Sprint("third ", n)], k.thirds(100*i+50, 7)[fmt.Sprint("third ", n)])
						}
						with := 0
						for _, b := range p.batches() {
							if slices.Contains(b.items, all[0]) {
								with++
								require.Subset(t, b.items, all)
							}
						}
						require.Equal(t, 1, with, "partitions of a value")
					}
				})
			})
		}
	}
}

// The two sides of a call that share an ID are one trace's; log records are told apart by other things than their trace.
func TestPartitionsByTraceOfRecords(t *testing.T) {
	set := func(c *Config) {
		byRecord(c)
		c.Partitions, c.PartitionBy = 4, partitionByTrace
	}
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	set(cfg)
	require.NoError(t, cfg.Validate())
	_, _, err := logs.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(context.Context, plog.Logs) error { return nil })
	require.ErrorContains(t, err, `partition_by is "trace"; with map.key record, log records are spread by map.log_keys`)
	synctest.Test(t, func(t *testing.T) {
		var ids []pcommon.TraceID
		p := newPipelineTo(t, traces, set, func(p *pipeline, _ context.Context, payload ptrace.Traces) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			seen := map[pcommon.TraceID]bool{}
			tracedSpans.each(payload, func(_ int, trace pcommon.TraceID) { seen[trace] = true })
			for id := range seen {
				ids = append(ids, id)
			}
			return nil
		}).begun(t)
		for range 2 { // a client that sends twice
			td := traces.payload(0, 60)
			for i, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				span.SetTraceID(pcommon.TraceID{1, byte(i / 3)})
				span.SetSpanID(pcommon.SpanID{1, byte(i)})
			}
			require.NoError(t, send(context.Background(), p, td))
		}
		require.NoError(t, p.Shutdown(context.Background()))
		require.Len(t, ids, 20, "each trace is in one batch")
		require.EqualValues(t, 60, p.stats().Superseded)
	})
}
