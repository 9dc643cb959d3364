// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// drawnAnswers are what becomes of batches, one after another. Batches that come after them are taken.
type drawnAnswers []string

func drawAnswers(rt *rapid.T) drawnAnswers {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"takes", "fails", "partly", "too large"}), 0, 12).Draw(rt, "answers")
}

// next answers a batch, and returns what is taken of it.
func (d *drawnAnswers) next(ld plog.Logs) (taken plog.Logs, err error) {
	answer := "takes"
	if len(*d) > 0 {
		answer, *d = (*d)[0], (*d)[1:]
	}
	n := ld.LogRecordCount()
	switch {
	case answer == "fails":
		return plog.NewLogs(), errNext
	case answer == "too large" && n > 1:
		return plog.NewLogs(), errTooLarge
	case answer == "partly" && n > 1:
		all := logs.Cut(logs.Copy(ld), signal.Measure{})
		head, _ := all.Take(signal.Items(n / 2))
		failed, _ := all.Take(signal.Items(n - n/2))
		return head, consumererror.NewLogs(errNext, failed)
	default:
		return ld, nil
	}
}

// TestCountsOfBatchesThatFail: a batch comes again as it was, in halves, or as what an error names of it. What is taken in the end stands for all
// that was accepted, and for nothing twice. Nobody waits for a result with map.key: record, so nothing goes back to a caller.
func TestCountsOfBatchesThatFail(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		requests, gaps := drawCounted(rt, 6, 8, 8)
		answers := drawAnswers(rt)
		most := rapid.SampledFrom([]int64{0, 2}).Draw(rt, "send_batch_max_size")
		partitions := rapid.SampledFrom([]int64{1, 3}).Draw(rt, "partitions")
		accepted, stands := map[int64]int64{}, map[int64]int64{}
		synctest.Test(t, func(t *testing.T) {
			p := newPipelineTo(t, logs, func(c *Config) {
				counts(c)
				splits(c)
				retries(c)
				c.RetryOnFailure.MaxElapsedTime = 0
				c.Partitions, c.SendBatchSize, c.SendBatchMaxSize = partitions, most, most
			}, func(p *pipeline, _ context.Context, ld plog.Logs) error {
				p.mu.Lock()
				defer p.mu.Unlock()
				taken, err := answers.next(ld)
				for _, r := range countsOf(taken) {
					stands[r.id] += r.stands
				}
				return err
			}).begun(t)
			for i, records := range requests {
				if err := send(context.Background(), p, countedLogs(records...)); err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					accepted[r.id]++
				}
				if gaps[i] {
					later(time.Second)
				}
			}
			later(time.Hour)
		})
		if got, want := fmt.Sprint(stands), fmt.Sprint(accepted); got != want {
			rt.Fatalf("records stand for %s, accepted were %s", got, want)
		}
	})
}
