// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// rowsAnInsert has callers send ten rows every 10 ms for 4 s, each of which waits for its result, to inserts that take 50 ms, and returns
// the number of rows of an insert in the middle.
func rowsAnInsert(t *testing.T, set func(*Config)) (rows int) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) {
			waits(c)
			c.Timeout, c.SendBatchSize = time.Second, 1000
			set(c)
		}, func(context.Context, int) error { time.Sleep(50 * time.Millisecond); return nil })
		var callers sync.WaitGroup
		for i := range 400 {
			callers.Go(func() {
				if err := p.push(context.Background(), 10*i, 10); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		callers.Wait()
		sizes := p.sizes()
		rows = sizes[len(sizes)/2]
		p.requireConserved(t)
	})
	return rows
}

// TestCallersGather: ClickHouse got 51 rows an insert where 1000 were wanted, as nobody waits for a timer.
func TestCallersGather(t *testing.T) {
	require.InDelta(t, 55, rowsAnInsert(t, func(*Config) {}), 15)
	require.InDelta(t, 1000, rowsAnInsert(t, func(c *Config) { c.WaitLinger = time.Second }), 10)
	require.InDelta(t, 300, rowsAnInsert(t, func(c *Config) { c.WaitLinger = 300 * time.Millisecond }), 10)
	require.InDelta(t, 1000, rowsAnInsert(t, func(c *Config) { c.MinInterval = time.Second }), 10)
}

// TestBatchesOfAKeyKeepTheirDistance. Another key does not wait, and Shutdown neither.
func TestBatchesOfAKeyKeepTheirDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := anyLogs.start(t, func(c *Config) {
			c.MetadataKeys, c.SendBatchSize, c.MinInterval = []string{"tenant"}, 2, 10*time.Second
		}, nil)
		for i := range 5 {
			require.NoError(t, p.push(from("tenant", "one"), 2*i, 2))
			time.Sleep(time.Second)
		}
		require.NoError(t, p.push(from("tenant", "other"), 100, 2)) // at 5 s
		time.Sleep(10 * time.Second)
		require.NoError(t, p.push(from("tenant", "one"), 10, 2)) // at 15 s
		require.NoError(t, p.Shutdown(context.Background()))
		require.Equal(t, []time.Duration{0, 5 * time.Second, 10 * time.Second, 15 * time.Second}, p.times())
		require.Equal(t, []int{2, 2, 8, 2}, p.sizes())
	})
}
