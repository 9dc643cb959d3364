// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

func TestWhatWasPutIsFoundInItsOrder(t *testing.T) {
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	for i := range 50 {
		require.NoError(t, put(j, entryOf(fmt.Sprint("a", i)), entryOf(fmt.Sprint("b", i))))
	}
	after := d.Crash()
	require.NoError(t, j.Close(context.Background()))

	j, found := recovered(t, after, small)
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprint("a", i), fmt.Sprint("b", i))
	}
	require.Equal(t, want, values(found))
	require.Equal(t, int64(100), j.Stats().Entries)
	require.NoError(t, j.Close(context.Background()))
}

func TestCommitsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, Config{})
		require.NoError(t, put(j, entryOf("first"))) // its block has begun
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		before := d.Calls()
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() { require.NoError(t, put(j, entryOf("x"))) })
		}
		synctest.Wait()
		d.Release()
		all.Wait()
		require.LessOrEqual(t, d.Calls()-before, 2, "one that began with the first, and one for all others")
		require.NoError(t, j.Close(context.Background()))
	})
}

// TestCallersWhoWereAnsweredAreWaitedFor until half of those that are here wait, but not for long, and not at all for who is gone.
func TestCallersWhoWereAnsweredAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, Config{})
		begin, pushed := time.Now(), 0
		push := func() (waits int) {
			pushed++
			j.Append(func(err error) { require.NoError(t, err) }, entryOf("x"))
			synctest.Wait()
			return pushed - int(j.Stats().Written)
		}
		answered := func() (waits int) {
			j.Answered()
			synctest.Wait()
			return pushed - int(j.Stats().Written)
		}
		for range 3 { // one caller waits for nobody
			require.Zero(t, push())
			require.Zero(t, answered())
		}
		for range 3 { // nor do a few for one
			require.Zero(t, push())
		}
		require.Equal(t, 1, push(), "three may come again")
		require.Zero(t, push(), "two wait, and three may come again")
		require.Equal(t, 1, push(), "five may come again")
		require.Equal(t, 1, answered())
		require.Equal(t, 1, answered())
		require.Zero(t, answered(), "one waits, and two may come again")
		require.Zero(t, time.Since(begin))

		require.Equal(t, 1, push())
		time.Sleep(maxGather)
		synctest.Wait()
		require.EqualValues(t, pushed, j.Stats().Written, "nobody came")
		time.Sleep(maxGather)
		require.Zero(t, push(), "nobody has come for so long")
		require.Equal(t, 1, push())
		require.NoError(t, j.Close(context.Background()))
		require.EqualValues(t, pushed, j.Stats().Written)
	})
}

func TestWhatIsDeletedBeforeItIsWrittenNeverIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		never := entryOf("never")
		j.Delete(never) // before Append, as it was settled already
		require.NoError(t, put(j, never))
		require.Empty(t, d.Keys())

		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		first := make(chan error, 1)
		j.Append(func(err error) { first <- err }, entryOf("first"))
		synctest.Wait()
		queued := entryOf("queued")
		j.Append(func(err error) { require.NoError(t, err) }, queued)
		j.Delete(queued)
		d.SetFault(nil)
		d.Release()
		require.NoError(t, <-first)
		synctest.Wait()
		require.Equal(t, map[uint64]int{j.mu.next / 4: 1}, j.mu.blocks, "what is not written holds no block")
		require.Equal(t, int64(1), j.Stats().Written)
		require.NoError(t, j.Close(context.Background()))
		require.Len(t, d.Keys(), 2, "the header, and the first")
	})
}

func TestWhatIsDeletedWhileItIsWrittenIsDeletedAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		e := entryOf("x")
		done := make(chan error, 1)
		j.Append(func(err error) { done <- err }, e)
		synctest.Wait()
		j.Delete(e)
		d.SetFault(nil)
		d.Release()
		require.NoError(t, <-done)
		time.Sleep(time.Second)
		require.Equal(t, []string{"/" + headerKey}, d.Keys())
		require.Zero(t, j.Stats().Entries)
		require.NoError(t, j.Close(context.Background()))
	})
}

func TestDeletesWaitForOthersButNotLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, Config{})
		var all []*Entry
		for range 10 {
			e := entryOf("x")
			require.NoError(t, put(j, e))
			all = append(all, e)
		}
		calls := d.Calls()
		for _, e := range all {
			j.Delete(e)
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, calls, d.Calls())
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, calls+1, d.Calls())
		require.Len(t, d.Keys(), 1)
		require.NoError(t, j.Close(context.Background()))
	})
}

// TestTheOldestEntryIsKnown whatever is deleted, and by the next run.
func TestTheOldestEntryIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		require.Zero(t, j.Stats().Oldest)
		var all []*Entry
		for range 6 {
			e := entryOf("x")
			require.NoError(t, put(j, e))
			all = append(all, e)
			time.Sleep(time.Minute)
		}
		for _, step := range []struct{ deleted, oldest int }{{3, 0}, {0, 1}, {1, 2}, {5, 2}, {2, 4}} {
			j.Delete(all[step.deleted])
			time.Sleep(time.Second)
			require.Equal(t, time.Duration(step.oldest)*time.Minute, j.Stats().Oldest.Sub(begin))
		}
		require.NoError(t, j.Close(context.Background()))
		j, found := recovered(t, d, small)
		require.Len(t, found, 1)
		require.Equal(t, 4*time.Minute, found[0].Since.Sub(begin))
		require.Equal(t, found[0].Since, j.Stats().Oldest)
		j.Delete(found[0].Entry)
		time.Sleep(time.Second)
		require.Zero(t, j.Stats().Oldest)
		require.NoError(t, j.Close(context.Background()))
	})
}

func TestADeleteThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		e := entryOf("x")
		require.NoError(t, put(j, e))
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Fail })
		j.Delete(e)
		time.Sleep(time.Minute)
		require.Len(t, d.Keys(), 2)
		require.InDelta(t, 15, j.Stats().Errors, 10, "it is not tried all the time")
		d.SetFault(nil)
		time.Sleep(maxBackoff)
		require.Equal(t, []string{"/" + headerKey}, d.Keys())
		require.NoError(t, j.Close(context.Background()))
	})
}

func TestDeletesAreWrittenBeforeClose(t *testing.T) { // core#6692
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	e := entryOf("x")
	require.NoError(t, put(j, e))
	j.Delete(e)
	require.NoError(t, j.Close(context.Background()))
	require.Equal(t, []string{"/" + headerKey}, d.Keys())
	require.Zero(t, d.Open())
}

func TestAPutThatFailsLeavesNothing(t *testing.T) {
	for name, fault := range map[string]storagetest.Fault{"fail": storagetest.Fail, "half": storagetest.Half, "late": storagetest.Late, "panic": storagetest.Panic} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				var told []error
				cfg := small
				cfg.Failed = func(err error) { told = append(told, err) }
				j := opened(t, d, cfg)
				d.SetFault(func([]*storage.Operation) storagetest.Fault { return fault })
				require.Error(t, put(j, entryOf("a"), entryOf("b"), entryOf("c")))
				require.Error(t, j.Failing())
				require.NotEmpty(t, told)
				d.SetFault(nil)
				time.Sleep(time.Minute)
				require.NoError(t, j.Failing(), "it is worth a try")
				require.NoError(t, put(j, entryOf("d")))
				require.Equal(t, int64(1), j.Stats().Entries)
				require.NoError(t, j.Close(context.Background()))
				j, found := recovered(t, d, small)
				require.Equal(t, []string{"d"}, values(found))
				require.NoError(t, j.Close(context.Background()))
			})
		})
	}
}

func TestAFullStorageStillDeletes(t *testing.T) { // core#7198, 8115; contrib#26256
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		old := entryOf("old")
		require.NoError(t, put(j, old))
		d.SetFull(true)
		j.Delete(old)
		require.ErrorIs(t, put(j, entryOf("new")), storage.ErrStorageFull)
		time.Sleep(time.Second)
		require.Equal(t, []string{"/" + headerKey}, d.Keys())
		d.SetFull(false)
		require.NoError(t, put(j, entryOf("newer")), "there is room again")
		require.NoError(t, j.Close(context.Background()))
	})
}

// TestAFullStorageDeletesAFewAtATime if it has no room for more: however few those are, all that is to be deleted is in the end. Later
// transactions are large again.
func TestAFullStorageDeletesAFewAtATime(t *testing.T) {
	for _, most := range []int{1, 2, 100, 3000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := storagetest.NewDisk()
				j := opened(t, d, Config{})
				entries := make([]*Entry, 5000)
				for i := range entries {
					entries[i] = entryOf("x")
				}
				require.NoError(t, put(j, entries...))
				var sizes []int // of the transactions that succeed
				fits := func(ops []*storage.Operation) storagetest.Fault {
					if len(ops) > most {
						return storagetest.Fail
					}
					sizes = append(sizes, len(ops))
					return storagetest.None
				}
				d.SetFault(fits)
				j.Delete(entries[:500]...)
				time.Sleep(time.Hour)
				require.Equal(t, int64(4500), j.Stats().Entries)
				require.LessOrEqual(t, j.Stats().Errors, int64(len(sizes)+12), "no more of them fail than succeed, once the size is found")
				most = maxDeletes
				j.Delete(entries[500:]...)
				time.Sleep(time.Hour)
				require.Equal(t, []string{"/" + headerKey}, d.Keys())
				require.Greater(t, slices.Max(sizes), 1000)
				require.NoError(t, j.Close(context.Background()))
			})
		})
	}
}

func TestCloseEndsWhileTheStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Hang })
		writing, waiting := make(chan error, 1), make(chan error, 1)
		j.Append(func(err error) { writing <- err }, entryOf("a"))
		synctest.Wait()
		j.Append(func(err error) { waiting <- err }, entryOf("b"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.ErrorIs(t, j.Close(ctx), context.DeadlineExceeded)
		d.Release()
		require.NoError(t, <-writing)
		require.ErrorIs(t, <-waiting, ErrClosed)
		synctest.Wait()
		require.Zero(t, d.Open(), "the client is closed all the same")
	})
}

func TestCloseBeforeTheRecoveryWritesDeletesAndNothingElse(t *testing.T) {
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	require.NoError(t, put(j, entryOf("a")))
	for range 5 {
		require.NoError(t, put(j, entryOf("b"))) // in other blocks too, which are read later
	}
	require.NoError(t, j.Close(context.Background()))

	j = connected(t, d, small)
	refused := make(chan error, 1)
	j.Append(func(err error) { refused <- err }, entryOf("c"))
	ctx, cancel := context.WithCancel(context.Background())
	d.SetFault(func(ops []*storage.Operation) storagetest.Fault {
		if len(ops) > 1 && ctx.Err() != nil {
			return storagetest.Fail
		}
		return storagetest.None
	})
	require.ErrorIs(t, j.Recover(ctx, func(f Found) {
		if string(f.Value) == "a" {
			j.Delete(f.Entry)
			cancel()
		}
	}), context.Canceled)
	d.SetFault(nil)
	require.NoError(t, j.Close(context.Background()))
	require.ErrorIs(t, <-refused, ErrClosed)
	d.SetFault(nil)
	j, found := recovered(t, d, small)
	require.Contains(t, values(found), "b")
	require.NotContains(t, values(found), "a")
	require.NoError(t, j.Close(context.Background()))
}

// TestAppendBeforeTheRecovery: what is put before the numbers of earlier runs are known is behind them all the same. What Close refuses
// then was never in a block.
func TestAppendBeforeTheRecovery(t *testing.T) {
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	require.NoError(t, put(j, entryOf("a")))
	require.NoError(t, j.Close(context.Background()))
	for _, name := range []string{"b", "c"} {
		j = connected(t, d, small)
		written := make(chan error, 1)
		j.Append(func(err error) { written <- err }, entryOf(name))
		if name == "b" {
			require.NoError(t, j.Recover(context.Background(), func(Found) {}))
			require.NoError(t, <-written)
		}
		require.NoError(t, j.Close(context.Background()))
		if name == "c" {
			require.ErrorIs(t, <-written, ErrClosed)
			require.Empty(t, j.mu.blocks)
		}
	}
	j, found := recovered(t, d, small)
	require.Equal(t, []string{"a", "b"}, values(found))
	require.NoError(t, j.Close(context.Background()))
}

func TestAppendAfterCloseIsRefused(t *testing.T) {
	j := opened(t, storagetest.NewDisk(), small)
	require.NoError(t, j.Close(context.Background()))
	require.ErrorIs(t, put(j, entryOf("x")), ErrClosed)
	require.NoError(t, j.Close(context.Background()), "twice")
}

func TestRecoverTriesAgain(t *testing.T) { // enqueueNotDispatchedReqs: the start's read fails once, and 10 in flight are deleted unread
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		for i := range 20 {
			require.NoError(t, put(j, entryOf(fmt.Sprint(i))))
		}
		require.NoError(t, j.Close(context.Background()))
		n := 0
		d.SetFault(func([]*storage.Operation) storagetest.Fault {
			if n++; n%2 == 1 {
				return storagetest.Fail
			}
			return storagetest.None
		})
		j, found := recovered(t, d, small)
		require.Len(t, found, 20)
		d.SetFault(nil)
		require.NoError(t, j.Close(context.Background()))
	})
}

func TestADamagedEntryIsToldAndTheOthersAreThere(t *testing.T) { // core PR4475, #5894
	for name, damage := range map[string]func([]byte) []byte{
		"bit":   func(v []byte) []byte { v[len(v)-1] ^= 1; return v },
		"short": func(v []byte) []byte { return v[:2] },
		"empty": func([]byte) []byte { return []byte{} },
		"foreign": func([]byte) []byte {
			e := entryOf("of another key")
			e.number = 7
			return seal(e)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := storagetest.NewDisk()
			j := opened(t, d, small)
			for i := range 10 {
				require.NoError(t, put(j, entryOf(fmt.Sprint(i))))
			}
			require.NoError(t, j.Close(context.Background()))
			d.Alter(d.Keys()[4], damage)
			j, found := recovered(t, d, small)
			var bad []Found
			for _, f := range found {
				if f.Err != nil {
					bad = append(bad, f)
				}
			}
			require.Len(t, found, 10)
			require.Len(t, bad, 1)
			require.ErrorIs(t, bad[0].Err, ErrDamaged)
			require.ErrorContains(t, bad[0].Err, bad[0].Key)
			j.Delete(bad[0].Entry)
			require.NoError(t, j.Close(context.Background()))
			require.Len(t, d.Keys(), 10)
		})
	}
}

func TestANewerEntryIsLeft(t *testing.T) {
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	for i := range 10 {
		require.NoError(t, put(j, entryOf(fmt.Sprint(i))))
	}
	require.NoError(t, j.Close(context.Background()))
	newer := d.Keys()[4]
	d.Alter(newer, func(v []byte) []byte { v[0]++; return v })
	for range 2 {
		j, found := recovered(t, d, small)
		for _, f := range found {
			if f.Err != nil {
				require.ErrorIs(t, f.Err, ErrNewer)
				require.Nil(t, f.Entry)
				continue
			}
			j.Delete(f.Entry)
		}
		require.NoError(t, put(j, entryOf("more"))) // a new header
		require.NoError(t, j.Close(context.Background()))
		require.Contains(t, d.Keys(), newer)
	}
	j, found := recovered(t, d, small)
	require.ErrorIs(t, found[0].Err, ErrNewer, "its block is still in the header")
	require.NoError(t, j.Close(context.Background()))
}

func TestANewerHeaderTouchesNothing(t *testing.T) {
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	require.NoError(t, put(j, entryOf("x")))
	require.NoError(t, j.Close(context.Background()))
	d.Alter("/"+headerKey, func(v []byte) []byte { v[len(headerMagic)]++; return v })
	before := d.Crash()
	j = connected(t, d, small)
	require.ErrorIs(t, j.Open(context.Background(), nil), ErrNewer)
	require.ErrorIs(t, j.Recover(context.Background(), nil), ErrNewer)
	require.NoError(t, j.Close(context.Background()))
	require.Equal(t, before.Keys(), d.Keys())
}

func TestADamagedHeader(t *testing.T) { // initClient: truncated qmv0, and the next writes overwrite
	for name, damage := range map[string]func([]byte) []byte{
		"bit":     func(v []byte) []byte { v[len(v)-1] ^= 1; return v },
		"short":   func(v []byte) []byte { return v[:3] },
		"foreign": func([]byte) []byte { return []byte("something else entirely") },
		"lost":    func([]byte) []byte { return nil },
	} {
		for _, walks := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " walks ", walks), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := storagetest.NewDisk()
					j := opened(t, d, small)
					for i := range 100 {
						require.NoError(t, put(j, entryOf(fmt.Sprint(i))))
					}
					require.NoError(t, j.Close(context.Background()))
					time.Sleep(time.Millisecond)
					d.Alter("/"+headerKey, damage)
					old := d.Crash()
					if walks {
						d.SetWalks()
					}
					j, found := recovered(t, d, small)
					if name != "lost" {
						require.ErrorIs(t, found[0].Err, ErrDamaged)
						require.Equal(t, headerKey, found[0].Key)
						require.Equal(t, walks, !errors.Is(found[0].Err, errNoWalker))
						found = found[1:]
					}
					if walks {
						require.Len(t, found, 100)
						require.Equal(t, "0", string(found[0].Value))
					} else {
						require.Empty(t, found)
					}
					for i := range 100 {
						require.NoError(t, put(j, entryOf(fmt.Sprint("new", i))))
					}
					require.NoError(t, j.Close(context.Background()))
					require.Subset(t, append(d.Keys(), "/"+headerKey), old.Keys(), "no old entry was written over")
					require.GreaterOrEqual(t, len(d.Keys()), 201)
				})
			})
		}
	}
}

func TestLoad(t *testing.T) {
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	var all []*Entry
	for i := range 4 {
		e := entryOf(fmt.Sprint(i))
		require.NoError(t, put(j, e))
		all = append(all, e)
	}
	keys := d.Keys()[1:]
	d.Alter(keys[1], func([]byte) []byte { return nil })
	d.Alter(keys[2], func(v []byte) []byte { v[Overhead] ^= 1; return v })
	calls := d.Calls()
	got, errs, err := j.Load(context.Background(), all)
	require.NoError(t, err)
	require.Equal(t, calls+1, d.Calls())
	require.Equal(t, []string{"0", "", "", "3"}, []string{string(got[0]), string(got[1]), string(got[2]), string(got[3])})
	require.ErrorIs(t, errs[1], ErrMissing)
	require.ErrorIs(t, errs[2], ErrDamaged)
	d.SetFault(func([]*storage.Operation) storagetest.Fault { return storagetest.Fail })
	_, _, err = j.Load(context.Background(), all)
	require.ErrorIs(t, err, storagetest.ErrFault)
	d.SetFault(nil)
	require.NoError(t, j.Close(context.Background()))
}

func TestProbe(t *testing.T) { // contrib#39112: postgres' column is text
	d := storagetest.NewDisk()
	j := opened(t, d, small)
	require.NoError(t, j.Probe(context.Background()))
	require.Empty(t, d.Keys())
	d.SetFault(func(ops []*storage.Operation) storagetest.Fault {
		ops[0].Value = []byte(strings.ToValidUTF8(string(ops[0].Value), "?"))
		return storagetest.None
	})
	require.ErrorContains(t, j.Probe(context.Background()), "binary")
	require.NoError(t, j.Close(context.Background()))
}

func TestBlocksThatHoldNothingLeaveTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := storagetest.NewDisk()
		j := opened(t, d, small)
		stuck := entryOf("stuck")
		require.NoError(t, put(j, stuck))
		for i := range 1000 {
			e := entryOf(fmt.Sprint(i))
			require.NoError(t, put(j, e))
			j.Delete(e)
		}
		time.Sleep(time.Second)
		for range small.BlockSize {
			e := entryOf("x")
			require.NoError(t, put(j, e))
			j.Delete(e)
		}
		require.NoError(t, j.Close(context.Background()))
		var first []uint64
		d.Alter("/"+headerKey, func(v []byte) []byte {
			var err error
			_, first, err = readHeader(v)
			require.NoError(t, err)
			return v
		})
		require.LessOrEqual(t, len(first), 3, "the one of the stuck entry, and the last ones")
		j, found := recovered(t, d, small)
		require.Equal(t, []string{"stuck"}, values(found))
		require.NoError(t, j.Close(context.Background()))
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(nil, 4, []uint64{1, 5, 1 << 50}))
	f.Add([]byte("pbj\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		size, first, err := readHeader(b)
		if err != nil {
			require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer))
			return
		}
		require.NotZero(t, size)
		require.LessOrEqual(t, len(first), len(b), "memory is in proportion to the input (I10)")
	})
}

// TestKeysAreWhatEarlierVersionsWrote: an entry under another key would not be found.
func TestKeysAreWhatEarlierVersionsWrote(t *testing.T) {
	for _, n := range []uint64{0, 1, 15, 16, 0xabcdef, 1785000000000 << 20, math.MaxUint64} {
		require.Equal(t, fmt.Sprintf("r%016x", n), key(n))
	}
}
