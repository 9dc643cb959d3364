// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// logsOf makes a payload with one record of each length, under one resource.
func logsOf(lengths ...int) plog.Logs {
	p := plog.NewLogs()
	r := p.ResourceLogs().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "test")
	records := r.ScopeLogs().AppendEmpty().LogRecords()
	for _, n := range lengths {
		records.AppendEmpty().Body().SetStr(strings.Repeat("x", n))
	}
	return p
}

// encodedSize is what the marshaller makes of p.
func encodedSize(t *testing.T, p plog.Logs) int {
	encoded, err := (&plog.ProtoMarshaler{}).MarshalLogs(p)
	require.NoError(t, err)
	return len(encoded)
}

// sentLogs is what a next consumer got: bytes by the marshaller, and items, batch by batch.
type sentLogs struct{ bytes, items []int }

func (s *sentLogs) pipeline(t *testing.T, set func(*Config)) *pipeline {
	return newPipelineTo(t, logs, set, func(p *pipeline, _ context.Context, ld plog.Logs) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.bytes, s.items = append(s.bytes, encodedSize(t, ld)), append(s.items, ld.LogRecordCount())
		return nil
	}).begun(t)
}

func TestBatchesInBytes(t *testing.T) {
	hundred := encodedSize(t, logsOf(100)) // one record of 100 bytes, with its resource
	for name, test := range map[string]struct {
		set   func(*Config)
		push  [][]int // lengths of the records of each request
		items []int   // of the batches, without waiting for timeout
		late  []int   // of those after it
	}{
		"trigger": {
			func(c *Config) { c.SendBatchSizeBytes = int64(3 * hundred) },
			[][]int{{100}, {100}, {100}, {100}},
			[]int{3},
			[]int{1},
		},
		"one byte below the trigger": {
			func(c *Config) { c.SendBatchSizeBytes = int64(3*hundred + 1) },
			[][]int{{100}, {100}, {100}},
			nil,
			[]int{3},
		},
		"items are first": {
			func(c *Config) { c.SendBatchSize, c.SendBatchSizeBytes = 2, int64(3*hundred) },
			[][]int{{100}, {100}, {100}},
			[]int{2},
			[]int{1},
		},
		"bytes alone": {
			func(c *Config) { c.SendBatchSize, c.SendBatchSizeBytes = 0, int64(2*hundred) },
			[][]int{{0, 0, 0}, {0, 0, 0}, {200}},
			[]int{7},
			nil,
		},
		"cap is the trigger": {
			func(c *Config) { c.SendBatchMaxSizeBytes = int64(2 * hundred) },
			[][]int{{100}, {100}, {100}},
			[]int{2},
			[]int{1},
		},
		"cap without the other trigger": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSizeBytes = 0, int64(2*hundred) },
			[][]int{{100}, {100}, {100}},
			[]int{2},
			[]int{1},
		},
		"cap cuts a request": { // two records of 100 under one resource are smaller than two payloads of one
			func(c *Config) { c.SendBatchMaxSizeBytes = int64(encodedSize(t, logsOf(100, 100))) },
			[][]int{{100, 100, 100, 100, 100}},
			[]int{2, 2},
			[]int{1},
		},
		"both caps": {
			func(c *Config) {
				c.SendBatchSize, c.SendBatchMaxSize, c.SendBatchMaxSizeBytes = 3, 3, int64(encodedSize(t, logsOf(100, 100)))
			},
			[][]int{{0, 0, 0, 0, 100, 100, 100}},
			[]int{3, 2, 2},
			nil,
		},
		"an item that is too large goes alone": {
			func(c *Config) { c.SendBatchMaxSizeBytes = int64(3 * hundred) },
			[][]int{{100}, {100, 1000, 100, 100, 100}},
			[]int{2, 1},
			[]int{3},
		},
		"a cap below an empty envelope": {
			func(c *Config) { c.SendBatchMaxSizeBytes = 1 },
			[][]int{{0, 0}, {100}},
			[]int{2, 1},
			nil,
		},
		"items of what is too large without them stay together": {
			func(c *Config) { c.SendBatchMaxSizeBytes = int64(encodedSize(t, logsOf()) - 1) },
			[][]int{{0, 0, 0, 0, 0}},
			[]int{5},
			nil,
		},
		"but within the cap in items": {
			func(c *Config) {
				c.SendBatchSize, c.SendBatchMaxSize, c.SendBatchMaxSizeBytes = 2, 2, int64(encodedSize(t, logsOf())-1)
			},
			[][]int{{0, 0, 0, 0, 0}},
			[]int{2, 2, 1},
			nil,
		},
		"no delay": {
			func(c *Config) { c.Timeout, c.SendBatchMaxSizeBytes = 0, int64(encodedSize(t, logsOf(100, 100))) },
			[][]int{{100, 100, 100}, {0}},
			[]int{2, 1, 1},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent sentLogs
				p := sent.pipeline(t, test.set)
				for _, lengths := range test.push {
					require.NoError(t, send(context.Background(), p, logsOf(lengths...)))
				}
				synctest.Wait()
				require.Equal(t, test.items, sent.items)
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, append(test.items, test.late...), sent.items)
			})
		})
	}
}

// TestNoBatchExceedsItsBytes, whatever is merged and cut, but an item that is larger by itself.
func TestNoBatchExceedsItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1000
		var sent sentLogs
		p := sent.pipeline(t, func(c *Config) { c.SendBatchMaxSizeBytes = most })
		total, alone := 0, 0
		for i := range 300 {
			var lengths []int
			for j := range i%17 + 1 {
				n := (i*7 + j*31) % 250
				if i%50 == 0 && j == 3 {
					n = 1500
					alone++
				}
				lengths = append(lengths, n)
			}
			total += len(lengths)
			require.NoError(t, send(context.Background(), p, logsOf(lengths...)))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		items, above := 0, 0
		for i, n := range sent.bytes {
			items += sent.items[i]
			if n > most {
				above++
				require.Equal(t, 1, sent.items[i], "a batch of %d bytes", n)
			}
		}
		require.Equal(t, total, items)
		require.Equal(t, alone, above)
		require.Equal(t, int64(alone), p.metric(t, "items_oversized", ""))
		require.Equal(t, 1, p.log.FilterMessageSnippet("larger than send_batch_max_size_bytes").Len(), "logged once a minute")
		require.Zero(t, p.metric(t, "queue_size", ""))
	})
}

// TestWhatFitsOnceItIsStrippedIsNotOversized: resources without items are left out of a batch that is too large with them.
func TestWhatFitsOnceItIsStrippedIsNotOversized(t *testing.T) {
	for name, set := range map[string]func(*Config){"": func(*Config) {}, "wait": waits, "again": func(c *Config) { retries(c); splits(c) }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent sentLogs
				p := sent.pipeline(t, func(c *Config) { c.SendBatchMaxSizeBytes = 500; set(c) })
				ld := logsOf(10)
				for range 100 {
					ld.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("a resource", "without records")
				}
				require.NoError(t, send(context.Background(), p, ld))
				require.NoError(t, send(context.Background(), p, logsOf(1000)))
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, []int{1, 1}, sent.items)
				require.Less(t, sent.bytes[0], 500)
				require.EqualValues(t, 1, p.metric(t, "items_oversized", ""))
			})
		})
	}
}

// TestNoBatchOfAnyTreeExceedsItsBytes sends random trees, with containers without items and with resources and scopes that are
// too large by themselves: a batch above the cap has one item, or is of one resource, or of one scope, that is above it (I6).
func TestNoBatchOfAnyTreeExceedsItsBytes(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			most := 100 + r.IntN(2000)
			var want, got []string
			p := newPipelineTo(t, logs, func(c *Config) { c.SendBatchMaxSizeBytes = int64(most) }, func(_ *pipeline, _ context.Context, ld plog.Logs) error {
				got = append(got, logs.items(ld)...)
				requireI6(t, ld, most)
				return nil
			}).begun(t)
			for range 1 + r.IntN(10) {
				ld := anyTree(r, most)
				want = append(want, logs.items(ld)...)
				require.NoError(t, send(context.Background(), p, ld))
			}
			time.Sleep(time.Second)
			synctest.Wait()
			require.Equal(t, want, got)
			p.requireConserved(t)
		})
	}
}

// TestNoBatchOfAnySignalExceedsItsBytes: by the marshaller, where no item is too large by itself, whatever requests are parted into.
func TestNoBatchOfAnySignalExceedsItsBytes(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"one stream":      func(*Config) {},
		"keys":            func(c *Config) { c.ResourceKeys = []string{"a"} },
		"keys of items":   func(c *Config) { c.AttributeKeys = []string{"b"} },
		"several streams": func(c *Config) { c.Partitions = 3 },
	} {
		t.Run("logs/"+name, func(t *testing.T) {
			noBatchExceedsItsBytes(t, logs, set, func(ld plog.Logs) plog.Logs { return ld })
		})
		t.Run("traces/"+name, func(t *testing.T) { noBatchExceedsItsBytes(t, traces, set, asTraces) })
		t.Run("metrics/"+name, func(t *testing.T) { noBatchExceedsItsBytes(t, metrics, set, asMetrics) })
	}
}

func noBatchExceedsItsBytes[P payload](t *testing.T, k kind[P], set func(*Config), of func(plog.Logs) P) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			most := 600 + r.IntN(2000)
			var mu sync.Mutex
			var want, got []string
			p := newPipelineTo(t, k, func(c *Config) { c.SendBatchMaxSizeBytes = int64(most); set(c) }, func(_ *pipeline, _ context.Context, batch P) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, k.items(batch)...)
				if size := k.Size(batch); size > most {
					t.Errorf("a batch of %d items has %d of %d bytes", k.Items(batch), size, most)
				}
				return nil
			}).begun(t)
			for range 1 + r.IntN(5) {
				payload := of(anyTree(r, 0))
				want = append(want, k.items(payload)...)
				require.NoError(t, send(context.Background(), p, payload))
			}
			time.Sleep(time.Second)
			synctest.Wait()
			require.ElementsMatch(t, want, got)
			p.requireConserved(t)
			require.Zero(t, p.metric(t, "items_oversized", ""))
		})
	}
}

// asTraces makes spans of log records.
func asTraces(ld plog.Logs) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, rl := range ld.ResourceLogs().All() {
		rs := td.ResourceSpans().AppendEmpty()
		rl.Resource().CopyTo(rs.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			ss := rs.ScopeSpans().AppendEmpty()
			sl.Scope().CopyTo(ss.Scope())
			for _, lr := range sl.LogRecords().All() {
				s := ss.Spans().AppendEmpty()
				s.Events().AppendEmpty().SetName(lr.Body().Str())
				lr.Attributes().CopyTo(s.Attributes())
			}
		}
	}
	return td
}

// asMetrics makes points of log records, three in a metric, with an empty metric before each.
func asMetrics(ld plog.Logs) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, rl := range ld.ResourceLogs().All() {
		rm := md.ResourceMetrics().AppendEmpty()
		rl.Resource().CopyTo(rm.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			sm := rm.ScopeMetrics().AppendEmpty()
			sl.Scope().CopyTo(sm.Scope())
			for i, lr := range sl.LogRecords().All() {
				if i%3 == 0 {
					sm.Metrics().AppendEmpty().SetEmptySum()
					sm.Metrics().AppendEmpty().SetEmptySum()
				}
				dp := sm.Metrics().At(sm.Metrics().Len() - 1).Sum().DataPoints().AppendEmpty()
				dp.Attributes().PutStr("text", lr.Body().Str())
				if b, ok := lr.Attributes().Get("b"); ok {
					b.CopyTo(dp.Attributes().PutEmpty("b"))
				}
			}
		}
	}
	return md
}

// anyTree makes a payload in which often a container has nothing in it, and seldom something is larger than most bytes.
func anyTree(r *rand.Rand, most int) plog.Logs {
	text := func() string {
		if r.IntN(20) == 0 {
			return strings.Repeat("x", most)
		}
		return strings.Repeat("x", r.IntN(100))
	}
	ld := plog.NewLogs()
	for range r.IntN(60) {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("a", text())
		for range r.IntN(3) {
			sl := rl.ScopeLogs().AppendEmpty()
			sl.Scope().SetName(text())
			for range max(0, r.IntN(8)-3) {
				lr := sl.LogRecords().AppendEmpty()
				lr.Body().SetStr(text())
				lr.Attributes().PutInt("b", int64(r.IntN(3)))
			}
		}
	}
	return ld
}

func requireI6(t *testing.T, ld plog.Logs, most int) {
	size := encodedSize(t, ld)
	if size <= most || ld.LogRecordCount() == 1 {
		if size > most { // nothing goes with the item that is too large
			require.Equal(t, 1, ld.ResourceLogs().Len())
			require.Equal(t, 1, ld.ResourceLogs().At(0).ScopeLogs().Len())
		}
		return
	}
	require.Equal(t, 1, ld.ResourceLogs().Len(), "%d bytes", size)
	bare := plog.NewLogs()
	ld.CopyTo(bare)
	for _, sl := range bare.ResourceLogs().At(0).ScopeLogs().All() {
		sl.LogRecords().RemoveIf(func(plog.LogRecord) bool { return true })
	}
	if bare.ResourceLogs().At(0).ScopeLogs().Len() > 1 {
		bare.ResourceLogs().At(0).ScopeLogs().RemoveIf(func(plog.ScopeLogs) bool { return true })
	}
	require.Greater(t, encodedSize(t, bare), most, "%d items, which could have been sent one by one", ld.LogRecordCount())
}

// TestQueueInBytes: queue_size counts what is pending as it would be encoded.
func TestQueueInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := encodedSize(t, logsOf(100))
		var sent sentLogs
		p := sent.pipeline(t, func(c *Config) {
			c.Sizer, c.QueueSize, c.BlockOnOverflow = sizerBytes, int64(2*one), false
			c.Timeout = time.Hour
		})
		require.NoError(t, send(context.Background(), p, logsOf(100)))
		require.Equal(t, int64(one), p.metric(t, "queue_size", ""))
		require.NoError(t, send(context.Background(), p, logsOf(100)))
		err := send(context.Background(), p, logsOf(0))
		require.ErrorContains(t, err, "queue_size is")
		require.ErrorContains(t, err, "bytes")
	})
}

// TestBytesAreNotForProfiles: the error names the key.
func TestBytesAreNotForProfiles(t *testing.T) {
	for want, set := range map[string]func(*Config){
		"send_batch_size_bytes is 7":     func(c *Config) { c.SendBatchSizeBytes = 7 },
		"send_batch_max_size_bytes is 8": func(c *Config) { c.SendBatchMaxSizeBytes = 8 },
		`sizer is "bytes"`:               func(c *Config) { c.Sizer = sizerBytes },
	} {
		cfg := NewFactory().CreateDefaultConfig().(*Config)
		set(cfg)
		_, _, err := profiles.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(context.Context, pprofile.Profiles) error { return nil })
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "profiles")
	}
}
