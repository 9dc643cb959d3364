// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"pgregory.net/rapid"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

// step is one thing that a model run does.
type step struct {
	what  string
	n     int
	fault storagetest.Fault
}

// all is more entries than a step deletes.
const all = 1 << 30

// model is what a journal should hold. Values are numbers, in the order in which they were put.
type model struct {
	mu      sync.Mutex // guards written and failed
	entries map[int]*Entry
	written map[int]bool // its put succeeded
	failed  map[int]bool // its put failed
	deleted map[int]bool // Delete was called
	orphans map[string]bool
	faulty  bool // the storage fails at times
	run     int  // grows with each open
	waiting int  // callers that were answered, and have not run since
	clean   bool // the journal was closed while the storage worked, so all that was to be deleted is
	next    int
}

// TestModel puts, deletes, fails and crashes at random, with blocks and transactions so small that each step crosses some.
// What was written and not deleted is found, once and in order; what is deleted, or failed, is gone once the storage works.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{BlockSize: rapid.IntRange(1, 5).Draw(rt, "block"), MaxBytes: rapid.IntRange(1, 60).Draw(rt, "bytes")}
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				what:  rapid.SampledFrom([]string{"put", "put", "put", "delete", "delete", "answered", "fault", "full", "works", "wait", "close", "crash"}).Draw(rt, "what"),
				n:     rapid.IntRange(1, 7).Draw(rt, "n"),
				fault: rapid.SampledFrom([]storagetest.Fault{storagetest.Fail, storagetest.Half, storagetest.Late, storagetest.Panic}).Draw(rt, "fault"),
			}
		}), 1, 60).Draw(rt, "steps")
		var wrong string
		synctest.Test(t, func(*testing.T) { wrong = runModel(cfg, steps) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

func runModel(cfg Config, steps []step) string {
	m := &model{entries: map[int]*Entry{}, written: map[int]bool{}, failed: map[int]bool{}, deleted: map[int]bool{}, orphans: map[string]bool{}}
	d := storagetest.NewDisk()
	j, wrong := m.open(d, cfg)
	for i, s := range append(steps, step{what: "works"}, step{what: "wait"}, step{what: "close"}, step{what: "drain"}) {
		if wrong != "" {
			break
		}
		switch s.what {
		case "put":
			m.put(j, s.n)
		case "delete":
			m.delete(j, s.n)
		case "answered":
			m.answered(j, s.n)
		case "fault":
			every, n := s.n, 0
			m.faulty = true
			d.SetFault(func([]*storage.Operation) storagetest.Fault {
				if n++; n%every == 0 {
					return s.fault
				}
				return storagetest.None
			})
		case "full": // there is room for so many deletes at once, so none is left for good
			m.faulty = false
			d.SetFault(func(ops []*storage.Operation) storagetest.Fault {
				if len(ops) > s.n {
					return s.fault
				}
				return storagetest.None
			})
		case "works":
			m.faulty = false
			d.SetFault(nil)
		case "wait":
			time.Sleep(time.Duration(s.n) * 50 * time.Millisecond)
		case "close", "crash":
			synctest.Wait()
			if m.clean = s.what == "close" && !m.faulty; s.what == "crash" {
				m.mu.Lock()
				for n := range m.failed {
					m.orphans["/"+key(m.entries[n].number)] = true // it may be there, and in no header
				}
				after := d.Crash()
				m.run++ // what is written from here on is of no concern
				m.mu.Unlock()
				d.SetFault(nil)
				_ = j.Close(context.Background())
				d = after
			} else {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				_ = j.Close(ctx)
				cancel()
				synctest.Wait()
			}
			time.Sleep(time.Millisecond)
			m.faulty = false
			d.SetFault(nil)
			j, wrong = m.open(d, cfg)
		case "drain":
			m.delete(j, all)
			if err := j.Close(context.Background()); err != nil {
				wrong = err.Error()
			}
			for _, k := range d.Keys() {
				if !strings.HasSuffix(k, headerKey) && !m.orphans[k] {
					wrong = fmt.Sprintf("%s is left after the drain", k)
				}
			}
			j = nil
		}
		if wrong != "" {
			wrong = fmt.Sprintf("step %d, %s: %s", i, s.what, wrong)
		}
	}
	if j != nil {
		d.SetFault(nil)
		_ = j.Close(context.Background())
	}
	return wrong
}

func (m *model) put(j *Journal, n int) {
	var group []int
	var entries []*Entry
	for range n {
		e := entryOf(fmt.Sprint(m.next))
		m.entries[m.next] = e
		group, entries = append(group, m.next), append(entries, e)
		m.next++
	}
	run := m.run
	j.Append(func(err error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.run != run {
			return
		}
		m.waiting++
		for _, i := range group {
			m.written[i], m.failed[i] = err == nil, err != nil
			if err == nil {
				delete(m.failed, i)
			}
		}
	}, entries...)
}

// answered lets some callers run that were answered.
func (m *model) answered(j *Journal, n int) {
	m.mu.Lock()
	n = min(n, m.waiting)
	m.waiting -= n
	m.mu.Unlock()
	for range n {
		j.Answered()
	}
}

// delete deletes some entries: the step decides which, from the oldest on.
func (m *model) delete(j *Journal, n int) {
	for i := range m.next {
		if e := m.entries[i]; e != nil && !m.deleted[i] && (n > 7 || i%3 != n%3) {
			m.deleted[i] = true
			j.Delete(e)
			if n--; n == 0 {
				return
			}
		}
	}
}

// open makes a journal of what is on d, and says what is wrong about it.
func (m *model) open(d *storagetest.Disk, cfg Config) (j *Journal, wrong string) {
	j = New(cfg)
	err := j.Connect(func() (storage.Client, error) { return d.Client("") })
	if err != nil {
		return nil, err.Error()
	}
	seen, last := map[int]bool{}, -1
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run++
	m.waiting = 0
	err = j.Recover(context.Background(), func(f Found) {
		var n int
		if _, err := fmt.Sscan(string(f.Value), &n); err != nil || f.Err != nil {
			wrong = fmt.Sprint(f.Key, " ", f.Err, err)
			return
		}
		if n <= last {
			wrong = fmt.Sprintf("%d comes after %d", n, last)
		}
		seen[n], last = true, n
		m.entries[n] = f.Entry
	})
	if err != nil {
		wrong = err.Error()
	}
	for n := range m.next {
		switch {
		case m.written[n] && !m.deleted[n] && !seen[n]:
			wrong = fmt.Sprintf("%d was written, and is lost", n)
		case m.clean && seen[n] && (m.deleted[n] || m.failed[n]):
			wrong = fmt.Sprintf("%d was deleted, and is there", n)
		case !seen[n]:
			m.deleted[n] = true // of no concern any more
		default:
			m.deleted[n], m.written[n] = false, true // it may be one that failed
			delete(m.failed, n)
		}
	}
	if n := j.Stats().Entries; n != int64(len(seen)) {
		wrong = fmt.Sprintf("%d entries are counted, and %d there", n, len(seen))
	}
	if !slices.Contains(d.Keys(), "/"+headerKey) && len(seen) > 0 {
		wrong = "entries without a header"
	}
	return j, wrong
}
