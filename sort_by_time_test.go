// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"
)

// timedLogs is a payload of one scope with records of these times, in this order.
func timedLogs(service string, times ...pcommon.Timestamp) plog.Logs {
	p := plog.NewLogs()
	r := p.ResourceLogs().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", service)
	records := r.ScopeLogs().AppendEmpty().LogRecords()
	for _, at := range times {
		records.AppendEmpty().SetTimestamp(at)
	}
	return p
}

// timesOf lists the times of all records, by scope.
func timesOf(p plog.Logs) (times [][]pcommon.Timestamp) {
	for _, r := range p.ResourceLogs().All() {
		for _, s := range r.ScopeLogs().All() {
			var list []pcommon.Timestamp
			for _, record := range s.LogRecords().All() {
				list = append(list, record.Timestamp())
			}
			times = append(times, list)
		}
	}
	return times
}

// timedPipeline lists what each call of the next consumer got.
func timedPipeline(t *testing.T, set func(*Config), answer func(call int) error) (p *pipeline, calls func() [][][]pcommon.Timestamp) {
	var got [][][]pcommon.Timestamp
	p = newPipelineTo(t, logs, set, func(p *pipeline, _ context.Context, payload plog.Logs) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		got = append(got, timesOf(payload))
		return answer(len(got))
	}).begun(t)
	return p, func() [][][]pcommon.Timestamp {
		p.mu.Lock()
		defer p.mu.Unlock()
		return got
	}
}

func taken(int) error { return nil }

// With a queue each request keeps its resources; with a map equal ones are one, and so is their order.
func TestSortByTimeWithinEachScopeOfABatch(t *testing.T) {
	for _, c := range []struct {
		buffer string
		want   [][]pcommon.Timestamp
	}{
		{bufferQueue, [][]pcommon.Timestamp{{1, 5, 9}, {2, 3, 7}}},
		{bufferMap, [][]pcommon.Timestamp{{1, 2, 3, 5, 7, 9}}},
	} {
		t.Run(c.buffer, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, calls := timedPipeline(t, func(cfg *Config) { cfg.SortByTime, cfg.Buffer = true, c.buffer }, taken)
				require.NoError(t, send(context.Background(), p, timedLogs("a", 9, 1, 5)))
				require.NoError(t, send(context.Background(), p, timedLogs("a", 3, 2, 7)))
				time.Sleep(time.Second)
				require.Equal(t, [][][]pcommon.Timestamp{c.want}, calls())
			})
		})
	}
}

func TestSortByTimeComesAfterTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, calls := timedPipeline(t, func(cfg *Config) { cfg.SortByTime, cfg.SendBatchSize, cfg.SendBatchMaxSize = true, 3, 3 }, taken)
		require.NoError(t, send(context.Background(), p, timedLogs("a", 9, 1, 5, 3, 2)))
		time.Sleep(time.Second)
		require.Equal(t, [][][]pcommon.Timestamp{{{1, 5, 9}}, {{2, 3}}}, calls())
	})
}

func TestWithoutSortByTimeTheOrderStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, calls := timedPipeline(t, nil, taken)
		require.NoError(t, send(context.Background(), p, timedLogs("a", 9, 1, 5)))
		time.Sleep(time.Second)
		require.Equal(t, [][][]pcommon.Timestamp{{{9, 1, 5}}}, calls())
	})
}

// What is shared is not altered, and what a caller gets back is as it was, whatever became of its batch.
func TestSortByTimeLeavesTheCallersDataAlone(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"waiting": func(cfg *Config) { cfg.WaitForResult = true },
		"waiting, retry": func(cfg *Config) {
			cfg.WaitForResult, cfg.RetryOnFailure.Enabled, cfg.RetryOnFailure.MaxElapsedTime = true, true, time.Minute
		},
		"waiting, too big": func(cfg *Config) { cfg.WaitForResult, cfg.SendBatchSizeBytes, cfg.SendBatchMaxSizeBytes = true, 1, 1 },
		"waiting, a map":   func(cfg *Config) { cfg.WaitForResult, cfg.Buffer = true, bufferMap },
		"not waiting":      nil,
	} {
		for _, shared := range []bool{false, true} {
			if set == nil && !shared {
				continue // the processor owns it
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, calls := timedPipeline(t, func(cfg *Config) {
						cfg.SortByTime = true
						if set != nil {
							set(cfg)
						}
					}, func(int) error { return errors.New("down") })
					payload := timedLogs("a", 9, 1, 5)
					if shared {
						payload.MarkReadOnly()
					}
					err := send(context.Background(), p, payload)
					require.Equal(t, set != nil, err != nil)
					time.Sleep(time.Second)
					require.Equal(t, [][]pcommon.Timestamp{{9, 1, 5}}, timesOf(payload))
					require.NotEmpty(t, calls())
					for _, got := range calls() {
						if len(got[0]) > 1 {
							require.Equal(t, [][]pcommon.Timestamp{{1, 5, 9}}, got)
						}
					}
				})
			})
		}
	}
}

// What comes again is in order too.
func TestSortByTimeOfARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, calls := timedPipeline(t, func(cfg *Config) { cfg.SortByTime, cfg.RetryOnFailure.Enabled = true, true }, func(call int) error {
			if call == 1 {
				return errors.New("once")
			}
			return nil
		})
		require.NoError(t, send(context.Background(), p, timedLogs("a", 9, 1, 5)))
		time.Sleep(time.Minute)
		require.Equal(t, [][][]pcommon.Timestamp{{{1, 5, 9}}, {{1, 5, 9}}}, calls())
	})
}

// Records of one time keep the order in which they were accepted, within a batch and from one to the next, however often a batch comes again,
// in halves or in part.
func TestSortByTimeIsStableOverBatchesThatComeAgain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		requests := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(1, 3), 1, 8), 1, 8).Draw(rt, "times")
		answers := drawAnswers(rt)
		buffer := rapid.SampledFrom([]string{bufferQueue, bufferMap}).Draw(rt, "buffer")
		waits := rapid.Bool().Draw(rt, "wait_for_result")
		size := rapid.SampledFrom([]int64{0, 3}).Draw(rt, "send_batch_max_size")
		var problem string
		accepted, arrived, last := 0, 0, map[pcommon.Timestamp]pcommon.Timestamp{}
		synctest.Test(t, func(t *testing.T) {
			p := newPipelineTo(t, logs, func(c *Config) {
				splits(c)
				retries(c)
				c.RetryOnFailure.MaxElapsedTime = 0
				c.SortByTime, c.Buffer, c.WaitForResult, c.SendBatchSize, c.SendBatchMaxSize, c.NumConsumers = true, buffer, waits, max(size, 1), size, 1
			}, func(p *pipeline, _ context.Context, ld plog.Logs) error {
				time.Sleep(ms) // others come meanwhile
				p.mu.Lock()
				defer p.mu.Unlock()
				taken, err := answers.next(ld)
				for _, r := range taken.ResourceLogs().All() {
					before := pcommon.Timestamp(0)
					for _, record := range r.ScopeLogs().At(0).LogRecords().All() {
						arrived++
						at, id := record.Timestamp(), record.ObservedTimestamp()
						if at < before || id <= last[at] {
							problem = fmt.Sprintf("%d of time %d came after one of time %d, and %d", id, at, before, last[at])
						}
						before, last[at] = at, id
					}
				}
				return err
			}).begun(t)
			for _, times := range requests {
				ld := timedLogs("a")
				for _, at := range times {
					accepted++
					record := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
					record.SetTimestamp(pcommon.Timestamp(at))
					record.SetObservedTimestamp(pcommon.Timestamp(accepted))
				}
				go func() {
					if err := send(context.Background(), p, ld); err != nil {
						t.Error(err)
					}
				}()
				synctest.Wait()
			}
			later(time.Hour)
		})
		if problem != "" || arrived != accepted {
			rt.Fatalf("%s; %d of %d arrived", problem, arrived, accepted)
		}
	})
}

// Points are ordered in their metric, and metrics stay where they are.
func TestSortByTimeOfMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		p := newPipelineTo(t, metrics, func(cfg *Config) { cfg.SortByTime = true }, func(p *pipeline, _ context.Context, payload pmetric.Metrics) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, m := range payload.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
				for _, point := range m.Gauge().DataPoints().All() {
					got = append(got, m.Name()+point.Timestamp().AsTime().Format(" 5"))
				}
			}
			return nil
		}).begun(t)
		payload := pmetric.NewMetrics()
		list := payload.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
		for _, name := range []string{"b", "a"} {
			m := list.AppendEmpty()
			m.SetName(name)
			points := m.SetEmptyGauge().DataPoints()
			for _, second := range []int64{9, 1, 5} {
				points.AppendEmpty().SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(second, 0)))
			}
		}
		require.NoError(t, send(context.Background(), p, payload))
		time.Sleep(time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Equal(t, []string{"b 1", "b 5", "b 9", "a 1", "a 5", "a 9"}, got)
	})
}
