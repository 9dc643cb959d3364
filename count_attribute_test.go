// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// counted is a log record as it was sent.
type counted struct {
	id, at  int64
	stands  int64 // for so many; 0: it does not say
	firstly string
}

func counts(c *Config) {
	byRecord(c)
	c.Map.LogKeys = []string{"id"}
	c.Map.CountAttribute, c.Map.FirstTimeAttribute = "n", "first"
}

// countedLogs is a payload of records, each with an identity and a time in seconds.
func countedLogs(records ...counted) plog.Logs {
	ld := plog.NewLogs()
	list := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, r := range records {
		record := list.AppendEmpty()
		if r.id != 0 {
			record.Attributes().PutInt("id", r.id)
		}
		if r.at != 0 {
			record.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(r.at, 0)))
		}
	}
	return ld
}

func countsOf(ld plog.Logs) (records []counted) {
	for _, r := range ld.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			for _, record := range s.LogRecords().All() {
				var one counted
				if v, ok := record.Attributes().Get("id"); ok {
					one.id = v.Int()
				}
				if record.Timestamp() != 0 {
					one.at = record.Timestamp().AsTime().Unix()
				}
				if v, ok := record.Attributes().Get("n"); ok {
					one.stands = v.Int()
				}
				if v, ok := record.Attributes().Get("first"); ok {
					one.firstly = v.Str()
				}
				records = append(records, one)
			}
		}
	}
	return records
}

// countedPipeline lists what the next consumer took.
func countedPipeline(t *testing.T, set func(*Config), answer func(call int) error) (p *pipeline, taken func() []counted) {
	var got []counted
	calls := 0
	p = newPipelineTo(t, logs, set, func(p *pipeline, _ context.Context, ld plog.Logs) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		calls++
		if err := answer(calls); err != nil {
			return err
		}
		got = append(got, countsOf(ld)...)
		return nil
	}).begun(t)
	return p, func() []counted {
		p.mu.Lock()
		defer p.mu.Unlock()
		return got
	}
}

// A record says for how many it stands, whichever of them came first, and the earliest of their times. What has no identity says nothing.
func TestCountOfSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, got := countedPipeline(t, counts, func(int) error { return nil })
		require.NoError(t, send(context.Background(), p, countedLogs(
			counted{id: 1, at: 5}, counted{id: 1, at: 9}, counted{id: 2, at: 7}, counted{at: 8}, counted{id: 1, at: 3}, counted{id: 3}, counted{id: 3})))
		require.NoError(t, send(context.Background(), p, countedLogs(counted{id: 1, at: 9}, counted{id: 1, at: 4})))
		later(time.Second)
		require.ElementsMatch(t, []counted{
			{id: 1, at: 9, stands: 5, firstly: "1970-01-01T00:00:03Z"},
			{id: 2, at: 7, stands: 1, firstly: "1970-01-01T00:00:07Z"},
			{at: 8},
			{id: 3, stands: 2},
		}, got())
		require.NoError(t, send(context.Background(), p, countedLogs(counted{id: 1, at: 20})))
		later(time.Second)
		require.Equal(t, counted{id: 1, at: 20, stands: 1, firstly: "1970-01-01T00:00:20Z"}, got()[4], "each flush begins anew")
	})
}

// What comes again says what it said, and what came meanwhile counts by itself.
func TestCountOfWhatComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, got := countedPipeline(t, func(c *Config) {
			counts(c)
			c.RetryOnFailure.Enabled, c.RetryOnFailure.RandomizationFactor = true, 0
		}, func(call int) error {
			if call == 1 {
				return errors.New("down")
			}
			return nil
		})
		require.NoError(t, send(context.Background(), p, countedLogs(counted{id: 1, at: 1}, counted{id: 1, at: 2})))
		later(time.Second)
		require.Empty(t, got())
		require.NoError(t, send(context.Background(), p, countedLogs(counted{id: 1, at: 3})))
		later(time.Minute)
		require.Equal(t, []counted{
			{id: 1, at: 2, stands: 2, firstly: "1970-01-01T00:00:01Z"},
			{id: 1, at: 3, stands: 1, firstly: "1970-01-01T00:00:03Z"},
		}, got())
	})
}

// drawCounted draws at most so many requests, each of at most so many records of the identities from 1 to ids, and after which of them there is
// a flush.
func drawCounted(rt *rapid.T, ids int64, records, most int) (requests [][]counted, flushes []bool) {
	requests = rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) counted {
		return counted{id: rapid.Int64Range(1, ids).Draw(rt, "id"), at: rapid.Int64Range(0, 5).Draw(rt, "at")}
	}), 1, records), 1, most).Draw(rt, "requests")
	return requests, rapid.SliceOfN(rapid.Bool(), len(requests), len(requests)).Draw(rt, "flushes")
}

// TestCountsAddUp: whatever comes, what is sent stands for all that was accepted and not dropped.
func TestCountsAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		requests, gaps := drawCounted(rt, 4, 6, 12)
		remember := rapid.Bool().Draw(rt, "remember")
		sampled := rapid.Bool().Draw(rt, "max_age") // every record has others of its request then
		partitions := rapid.SampledFrom([]int64{1, 3}).Draw(rt, "partitions")
		small := rapid.Bool().Draw(rt, "drop_oldest")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			p, got := countedPipeline(t, func(c *Config) {
				counts(c)
				c.Partitions = partitions
				if remember {
					c.Map.Remember = time.Hour
				}
				if sampled {
					c.MaxAge = time.Hour
				}
				if small {
					c.QueueSize, c.DropOldestOnOverflow, c.SendBatchSize = 2, true, 0
				}
			}, func(int) error { return nil })
			accepted := map[int64]int64{}
			for i, records := range requests {
				if err := send(context.Background(), p, countedLogs(records...)); err != nil {
					if small { // a call has all that could make room
						continue
					}
					problem = err.Error()
					return
				}
				for _, r := range records {
					accepted[r.id]++
				}
				if gaps[i] {
					later(time.Second)
				}
			}
			later(time.Second)
			stands := map[int64]int64{}
			for _, r := range got() {
				stands[r.id] += r.stands
				if r.stands < 1 {
					problem = fmt.Sprint(r, " stands for none")
				}
			}
			for id, n := range accepted {
				if exact := !remember && !small; stands[id] > n || exact && stands[id] != n {
					problem = fmt.Sprintf("%d: %d of %d", id, stands[id], n)
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func TestCountOfSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []map[string]any
		p := newPipelineTo(t, traces, func(c *Config) {
			byRecord(c)
			c.Map.LogKeys, c.Map.CountAttribute, c.Map.FirstTimeAttribute = nil, "n", "first"
		}, func(p *pipeline, _ context.Context, td ptrace.Traces) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			got = append(got, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw())
			return nil
		}).begun(t)
		for i := range 3 {
			td := ptrace.NewTraces()
			span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetTraceID([16]byte{1})
			span.SetSpanID([8]byte{1})
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Unix(0, int64(10-i))))
			require.NoError(t, send(context.Background(), p, td))
		}
		later(time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Equal(t, []map[string]any{{"n": int64(3), "first": "1970-01-01T00:00:00.000000008Z"}}, got)
	})
}

func TestCountIsNotForMetrics(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	counts(cfg)
	require.NoError(t, cfg.Validate())
	_, _, err := metrics.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(context.Context, pmetric.Metrics) error { return nil })
	require.ErrorContains(t, err, `map.count_attribute is "n"`)
}

// TestLogDeduplicationExample: examples/log-deduplication.yaml says of records what the log deduplication processor says. The
// cases are those of its documentation: equal are those with the same resource, scope, attributes, body and severity.
func TestLogDeduplicationExample(t *testing.T) {
	_, err := os.Stat("examples/log-deduplication.yaml")
	require.NoError(t, err)
	file, err := confmaptest.LoadConf("examples/log-deduplication.yaml")
	require.NoError(t, err)
	section, err := file.Sub("processors::partitionedbuffer/deduplicate")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		got := map[string]int64{}
		p := newPipelineTo(t, logs, func(c *Config) {
			require.NoError(t, section.Unmarshal(c, confmap.WithIgnoreUnused()))
		}, func(p *pipeline, _ context.Context, ld plog.Logs) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, r := range ld.ResourceLogs().All() {
				for _, s := range r.ScopeLogs().All() {
					for _, record := range s.LogRecords().All() {
						n, _ := record.Attributes().Get("log_count")
						first, _ := record.Attributes().Get("first_observed_timestamp")
						require.NotEmpty(t, first.Str())
						name, _ := record.Attributes().Get("name")
						got[name.Str()] += n.Int()
					}
				}
			}
			return nil
		}).begun(t)
		differences := map[string]func(r plog.ResourceLogs, s plog.ScopeLogs, record plog.LogRecord){
			"same": func(plog.ResourceLogs, plog.ScopeLogs, plog.LogRecord) {},
			"resource": func(r plog.ResourceLogs, _ plog.ScopeLogs, _ plog.LogRecord) {
				r.Resource().Attributes().PutInt("one", 2)
			},
			"scope": func(_ plog.ResourceLogs, s plog.ScopeLogs, _ plog.LogRecord) { s.Scope().SetName("other") },
			"body":  func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) { record.Body().SetStr("other") },
			"severity": func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) {
				record.SetSeverityNumber(plog.SeverityNumberError)
			},
			"severity text": func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) { record.SetSeverityText("error") },
			"attribute": func(_ plog.ResourceLogs, _ plog.ScopeLogs, record plog.LogRecord) {
				record.Attributes().PutBool("bool", false)
			},
		}
		for round := range 3 {
			for name, change := range differences {
				ld := plog.NewLogs()
				r := ld.ResourceLogs().AppendEmpty()
				r.Resource().Attributes().PutInt("one", 1)
				s := r.ScopeLogs().AppendEmpty()
				record := s.LogRecords().AppendEmpty()
				record.Attributes().PutBool("bool", true)
				record.Attributes().PutStr("str", "attr str")
				record.Body().SetStr("Body of the log")
				record.SetSeverityText("info")
				record.SetTimestamp(1728069266547395000 + pcommon.Timestamp(round))
				change(r, s, record)
				record.Attributes().PutStr("name", name)
				require.NoError(t, send(context.Background(), p, ld))
			}
		}
		later(time.Minute)
		p.mu.Lock()
		defer p.mu.Unlock()
		want := map[string]int64{}
		for name := range differences {
			want[name] = 3
		}
		require.Equal(t, want, got)
	})
}
