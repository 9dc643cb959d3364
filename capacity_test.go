// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// full makes room for five items and takes it: five are with the next consumer, which lets go when gate is closed.
func full(t *testing.T, set func(*Config)) (p *pipeline, gate chan struct{}) {
	gate = make(chan struct{})
	p = anyLogs.start(t, func(c *Config) {
		c.SendBatchSize, c.QueueSize = 5, 5
		if set != nil {
			set(c)
		}
	}, func(context.Context, int) error {
		<-gate
		return nil
	})
	require.NoError(t, p.push(context.Background(), 0, 5))
	synctest.Wait()
	return p, gate
}

func TestCallerGivesUpWaitingForRoom(t *testing.T) {
	reason := errors.New("no longer wanted")
	for name, test := range map[string]struct {
		ctx  func() (context.Context, context.CancelFunc)
		want error
		wait time.Duration
	}{
		"cancelled before": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, cancel
		}, context.Canceled, 0},
		"expired before": {func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
		}, context.DeadlineExceeded, 0},
		"expires": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Second)
		}, context.DeadlineExceeded, time.Second},
		"cancelled with a cause": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			stop := time.AfterFunc(time.Minute, func() { cancel(reason) })
			return ctx, func() { stop.Stop() }
		}, reason, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, gate := full(t, nil)
				ctx, cancel := test.ctx()
				defer cancel()
				begin := time.Now()
				err := p.push(ctx, 5, 3)
				require.ErrorIs(t, err, test.want)
				require.ErrorContains(t, err, "nothing accepted")
				require.False(t, consumererror.IsPermanent(err))
				require.Equal(t, test.wait, time.Since(begin))
				require.EqualValues(t, 3, p.metric(t, "items_refused", ""))
				require.EqualValues(t, 5, p.metric(t, "items_accepted", ""))
				close(gate)
				require.NoError(t, p.Shutdown(context.Background()))
				require.Equal(t, anyLogs.list(0, 5), p.items())
			})
		})
	}
}

// The same payload is refused in each way there is, and sent on in the end, as it was.
func TestRefusedPayloadStaysTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		sent := 0
		cfg := NewFactory().CreateDefaultConfig().(*Config)
		cfg.SendBatchSize, cfg.SendBatchMaxSize, cfg.QueueSize, cfg.MetadataKeys, cfg.MetadataCardinalityLimit = 5, 5, 5, []string{"tenant"}, 1
		p, consume, err := logs.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, func(_ context.Context, ld plog.Logs) error {
			<-gate
			sent += ld.LogRecordCount()
			return nil
		})
		require.NoError(t, err)
		ld := logs.payload(0, 7)
		want := plog.NewLogs()
		ld.CopyTo(want)
		expired, cancel := context.WithTimeout(from("tenant", "a"), time.Second)
		defer cancel()
		refused := func(ctx context.Context) {
			err := consume(ctx, ld)
			require.Error(t, err)
			require.False(t, consumererror.IsPermanent(err))
			require.Equal(t, want, ld)
			require.False(t, ld.IsReadOnly())
		}
		refused(from("tenant", "a")) // not started
		require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
		require.NoError(t, consume(from("tenant", "a"), logs.payload(0, 5)))
		refused(expired)             // no room
		refused(from("tenant", "b")) // no key
		close(gate)
		synctest.Wait()
		require.NoError(t, consume(from("tenant", "a"), ld))
		require.NoError(t, p.Shutdown(context.Background()))
		require.Equal(t, 12, sent)
	})
}

func TestFullQueueRefusesIfToldTo(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*Config)
		text []string
	}{
		"items":    {func(*Config) {}, []string{"queue_size is 5 items"}},
		"requests": {func(c *Config) { c.Sizer, c.QueueSize = "requests", 1 }, []string{"queue_size is 1 requests"}},
		"of a key": {func(c *Config) {
			c.MetadataKeys, c.QueueSize, c.QueueSizePerKey = []string{"tenant"}, 100, 5
		}, []string{"queue_size is 100", "queue_size_per_key is 5"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, gate := full(t, func(c *Config) {
					c.BlockOnOverflow = false
					test.set(c)
				})
				err := p.push(context.Background(), 5, 1)
				for _, text := range test.text {
					require.ErrorContains(t, err, text)
				}
				require.False(t, consumererror.IsPermanent(err))
				require.EqualValues(t, 1, p.metric(t, "items_refused", ""))
				close(gate)
				synctest.Wait()
				require.NoError(t, p.push(context.Background(), 5, 1), "room again")
			})
		})
	}
}

// Whoever waits is let in when there is room, without a timer: I6.
func TestWaitingCallerGetsRoomAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, gate := full(t, func(c *Config) { c.Timeout = time.Hour })
		time.AfterFunc(time.Second, func() { gate <- struct{}{} }) // ends one call; the next one is held again
		require.NoError(t, p.push(context.Background(), 5, 4))
		require.Equal(t, time.Second, time.Since(p.begin))
		require.NoError(t, p.push(context.Background(), 9, 4), "below the capacity")
		require.EqualValues(t, 8, p.metric(t, "queue_size", ""))
		close(gate)
		synctest.Wait()
		require.Equal(t, []int{5, 8}, p.sizes(), "the next batch goes at its size")
	})
}

func TestRequestLargerThanTheQueueIsAccepted(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize, c.QueueSize = 5, 5, 5 }, nil)
				require.NoError(t, p.push(context.Background(), 0, 23))
				require.NoError(t, p.Shutdown(context.Background()))
				require.Equal(t, k.list(0, 23), p.items())
				require.Equal(t, []int{5, 5, 5, 5, 3}, p.sizes())
			})
		})
	}
}
