// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// mapScript is a draw for TestMapOfKeysAgainstAModel.
type mapScript struct {
	By                 string // map.key
	Metadata, Resource bool   // the keys; neither: partitions
	Trigger            int    // and cap; 0: neither
	Steps              []mapStep
}

// mapStep is a call of Consume, by a tenant or by none; without versions, the time for a flush.
type mapStep struct {
	Tenant   string
	Versions []version
}

func (s *mapScript) keyed() bool { return s.Metadata || s.Resource }

func drawMapScript(rt *rapid.T) (s mapScript) {
	s.By = rapid.SampledFrom([]string{mapResource, mapRecord}).Draw(rt, "map.key")
	s.Metadata = rapid.Bool().Draw(rt, "metadata_keys")
	s.Resource = rapid.Bool().Draw(rt, "resource_keys")
	if s.keyed() {
		s.Trigger = rapid.SampledFrom([]int{0, 0, 1, 3, 6}).Draw(rt, "trigger")
	}
	text := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, name) }
	value := 0
	for range rapid.IntRange(1, 12).Draw(rt, "steps") {
		var step mapStep
		step.Tenant = text("tenant", "", "one", "two")
		for range rapid.IntRange(0, 4).Draw(rt, "resources") {
			service, host := text("service", "", "a", "b"), text("host", "x", "y")
			for range rapid.IntRange(1, 3).Draw(rt, "records") {
				value++
				step.Versions = append(step.Versions, version{service, host, rapid.IntRange(1, 3).Draw(rt, "id"), rapid.IntRange(0, 4).Draw(rt, "at"), value})
			}
		}
		s.Steps = append(s.Steps, step)
	}
	return s
}

// mapModel is what a map is to do: a list for each stream. Of partitions nobody can tell what is in which one, so they are
// one stream here.
type mapModel struct {
	*mapScript
	anywhere                        bool // a record is one below any resource
	streams                         map[string][]version
	newest                          map[string]map[string]int // by stream and record: the greatest time
	accepted, superseded, forwarded int
}

func (m *mapModel) stream(tenant string, v version) string {
	var pairs []string
	if m.Metadata && tenant != "" {
		pairs = append(pairs, "tenant", tenant)
	}
	if m.Resource && v.service != "" {
		pairs = append(pairs, "service.name", v.service)
	}
	return combination(pairs...)
}

func (m *mapModel) consume(step mapStep) {
	for _, v := range step.Versions {
		m.accepted++
		name := m.stream(step.Tenant, v)
		held := m.streams[name]
		same := func(h version) bool { return h.resource() == v.resource() }
		if m.By == mapRecord {
			same = func(h version) bool { return m.record(h) == m.record(v) }
		}
		switch at := slices.IndexFunc(held, same); {
		case at < 0:
			held = append(held, v)
		case m.By == mapRecord:
			m.superseded++
			if v.at == 0 || v.at > m.newest[name][m.record(v)] { // 0: no time
				held[at] = v
			}
		default: // behind all others of its resource
			for at < len(held) && same(held[at]) {
				at++
			}
			held = slices.Insert(held, at, v)
		}
		m.streams[name] = held
		if m.newest[name] == nil {
			m.newest[name] = map[string]int{}
		}
		m.newest[name][m.record(v)] = max(v.at, m.newest[name][m.record(v)])
	}
}

// record is the identity of v with map.key: record.
func (m *mapModel) record(v version) string {
	if m.anywhere {
		v.service = ""
	}
	return fmt.Sprint(v.resource(), v.id)
}

// flush returns what streams send that hold so much.
func (m *mapModel) flush(least int) map[string][]version {
	sent := map[string][]version{}
	for name, held := range m.streams {
		if len(held) >= least {
			sent[name] = held
			m.forwarded += len(held)
			delete(m.streams, name)
			delete(m.newest, name)
		}
	}
	return sent
}

func (m *mapModel) pending() (n int) {
	for _, held := range m.streams {
		n += len(held)
	}
	return n
}

// sorted puts what one stream sent in the order in which it is compared: its own, but for that of records, which stand by
// resource in each batch, and for resources in several partitions.
func (m *mapModel) sorted(sent map[string][]version) map[string][]version {
	for _, all := range sent {
		if m.By == mapRecord {
			slices.SortFunc(all, func(a, b version) int { return cmp.Compare(a.value, b.value) })
		} else if !m.keyed() {
			slices.SortStableFunc(all, func(a, b version) int { return cmp.Compare(a.resource(), b.resource()) })
		}
	}
	return sent
}

// TestMapOfKeysAgainstAModel: after each call, and each timeout, what was sent by key and what is counted is what a list does.
func TestMapOfKeysAgainstAModel(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, likeAModel(t, versionedTraces)) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, likeAModel(t, versionedMetrics)) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, likeAModel(t, versionedLogs)) })
}

func likeAModel[P payload](t *testing.T, k versioned[P]) func(rt *rapid.T) {
	_, anywhere := any(k.Signal).(signal.Logs)
	return func(rt *rapid.T) {
		s := drawMapScript(rt)
		m := &mapModel{mapScript: &s, anywhere: anywhere, streams: map[string][]version{}, newest: map[string]map[string]int{}}
		problem := ""
		synctest.Test(t, func(t *testing.T) { problem = replayMap(t, k, m) })
		if problem != "" {
			rt.Fatal(problem) // rapid prints what it drew
		}
	}
}

// replayMap runs a script, and describes the first difference from the model.
func replayMap[P payload](t *testing.T, k versioned[P], m *mapModel) string {
	p, sent := k.begin(t, func(c *Config) {
		mapsByKey[m.By](c)
		if m.Metadata {
			c.MetadataKeys = []string{"tenant"}
		}
		if m.Resource {
			c.ResourceKeys = []string{"service.name"}
		}
		if !m.keyed() {
			c.Partitions = 4
		}
		if m.Trigger > 0 {
			c.SendBatchSize, c.SendBatchMaxSize = int64(m.Trigger), int64(m.Trigger)
		}
	}, nil)
	for i, step := range m.Steps {
		least := 1
		if len(step.Versions) > 0 {
			ctx := from()
			if step.Tenant != "" {
				ctx = from("tenant", step.Tenant)
			}
			if err := send(ctx, p, k.make(step.Versions...)); err != nil {
				return err.Error()
			}
			m.consume(step)
			synctest.Wait()
			if least = m.Trigger; least == 0 {
				least = math.MaxInt
			}
		} else {
			later(time.Second)
		}
		got := map[string][]version{}
		places := map[string]int{} // by resource: the batches that it is in
		for _, b := range sent() {
			here := map[string]bool{}
			items := 0
			for _, row := range b.resources {
				name := row[0].resource()
				if here[name] {
					return fmt.Sprintf("step %d: a batch has %s twice: %v", i, name, b)
				}
				here[name] = true
				places[name]++
				items += len(row)
				got[b.key] = append(got[b.key], row...)
			}
			if m.Trigger > 0 && items > m.Trigger {
				return fmt.Sprintf("step %d: I6: %d items in a batch", i, items)
			}
		}
		if want := m.sorted(m.flush(least)); !reflect.DeepEqual(m.sorted(got), want) {
			return fmt.Sprintf("step %d: sent\n%v\nwant\n%v", i, got, want)
		}
		for name, n := range places {
			if n > 1 && !m.keyed() && (!m.anywhere || m.By != mapRecord) {
				return fmt.Sprintf("step %d: %s is in %d partitions", i, name, n)
			}
		}
		st := p.stats()
		if got, want := []int64{st.Accepted, st.Superseded, st.Forwarded, st.Queued, st.Used}, []int64{
			int64(m.accepted), int64(m.superseded), int64(m.forwarded), int64(m.pending()), int64(m.pending()),
		}; !slices.Equal(got, want) {
			return fmt.Sprintf("step %d: I1: accepted, superseded, forwarded, queued and used are %v, want %v", i, got, want)
		}
	}
	return ""
}
