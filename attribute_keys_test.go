// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

func byThird(c *Config) { c.AttributeKeys = []string{"third"} }

// thirds are the items of a payload by their attribute.
func (k anyKind) thirds(first, n int) map[string][]string {
	all := map[string][]string{}
	for i, item := range k.list(first, n) {
		all[third(first+i)] = append(all[third(first+i)], item)
	}
	return all
}

func TestItemsOfOneResourceAreBatchedByAttribute(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, byThird, nil)
				require.NoError(t, p.push(from("tenant", "ignored"), 0, 7))
				require.NoError(t, p.push(context.Background(), 10, 1))
				require.NoError(t, p.pushAll(context.Background(), 2, 20, 0, 31))
				require.EqualValues(t, 3, p.metric(t, "metadata_cardinality", ""))
				require.EqualValues(t, 14, p.metric(t, "items_pending", ""))
				p.requireConserved(t)
				require.NoError(t, p.Shutdown(context.Background()))
				require.Len(t, p.batches(), 3)
				for _, b := range p.batches() {
					metadata := everything(client.NewContext(context.Background(), b.info))
					require.Len(t, metadata, 1)
					key := metadata["third"][0]
					require.Equal(t, slices.Concat(k.thirds(0, 7)[key], k.thirds(10, 1)[key], k.thirds(20, 2)[key], k.thirds(0, 2)[key], k.thirds(31, 2)[key]), b.items)
				}
			})
		})
	}
}

// All of it stays the caller's, as it was, until it is admitted as a whole. It may be a map that refuses it.
func TestItemsOfSeveralKeysAreRefusedWhole(t *testing.T) {
	t.Run("traces", func(t *testing.T) { refusedByItems(t, traces) })
	t.Run("metrics", func(t *testing.T) { refusedByItems(t, metrics) })
	t.Run("logs", func(t *testing.T) { refusedByItems(t, logs) })
	t.Run("profiles", func(t *testing.T) { refusedByItems(t, profiles) })
}

func refusedByItems[P payload](t *testing.T, k kind[P]) {
	for name, buffer := range map[string]func(*Config){"queue": func(*Config) {}, "resources": byResource, "records": byRecord} {
		if _, ofProfiles := any(k.Signal).(signal.Profiles); ofProfiles && name != "queue" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				p := newPipeline(t, k, func(c *Config) {
					buffer(c)
					byThird(c)
					c.SendBatchSize, c.QueueSize, c.BlockOnOverflow, c.NumConsumers = 5, 10, false, 1
				}, func(context.Context, int) error {
					<-gate
					return nil
				}).begun(t)
				require.NoError(t, p.push(context.Background(), 100, 10))
				payload := k.resources(4, 0, 200)
				want := k.items(payload)
				err := send(context.Background(), p, payload)
				require.ErrorContains(t, err, "queue_size is 10")
				require.False(t, consumererror.IsPermanent(err))
				require.Equal(t, want, k.items(payload))
				require.EqualValues(t, 10, p.metric(t, "items_pending", ""))
				require.EqualValues(t, 8, p.metric(t, "items_refused", ""))
				close(gate)
				later(time.Second)
				require.NoError(t, send(context.Background(), p, payload))
				require.NoError(t, p.Shutdown(context.Background()))
				require.Subset(t, p.items(), want)
				require.Len(t, p.items(), 18)
			})
		})
	}
}

// The consumers finish the parts of one payload at the same time.
func TestConsumersTakeTheItemsOfOnePayloadApart(t *testing.T) {
	const payloads = 100
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			p := k.make(t, func(c *Config) {
				c.AttributeKeys = []string{"item", "third"}
				c.SendBatchSize, c.NumConsumers = 1, 8
			}, nil).begun(t)
			var want []string
			for range payloads {
				require.NoError(t, p.push(context.Background(), 0, 16))
				want = append(want, k.list(0, 16)...)
			}
			require.NoError(t, p.Shutdown(context.Background()))
			require.ElementsMatch(t, want, p.items())
		})
	}
}

// A key of 16 KiB is the most; the error is permanent, and names the attribute and who asked for it.
func TestTooLongAttributeKeyIsRefused(t *testing.T) {
	for name, set := range map[string]func(*Config){"queue": func(*Config) {}, "resources": byResource, "records": byRecord} {
		for _, where := range []string{"record", "scope", "resource"} {
			t.Run(name+"/"+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPipelineOf(t, logs, func(c *Config) {
						set(c)
						c.AttributeKeys = []string{"third", "tenant"}
					}, func(context.Context, plog.Logs) error { return nil })
					ld := logs.payload(0, 3)
					r := ld.ResourceLogs().At(0)
					s := r.ScopeLogs().At(0)
					map[string]pcommon.Map{
						"record": s.LogRecords().At(2).Attributes(), "scope": s.Scope().Attributes(), "resource": r.Resource().Attributes(),
					}[where].PutStr("tenant", strings.Repeat("x", 16<<10+1))
					before := logs.items(ld)
					err := p.consume(ld)
					require.ErrorContains(t, err, `attribute_keys: attribute "tenant" has more than 16384 bytes`)
					require.True(t, consumererror.IsPermanent(err))
					require.Equal(t, before, logs.items(ld))
					require.Zero(t, p.stats("items_accepted"))
				})
			})
		}
	}
}

// A sample has the attributes of its profile too. What the dictionary does not have is as what is missing.
func TestAttributesOfSamples(t *testing.T) {
	pd := newProfiles(0, 4)
	profile := pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0)
	d := pd.Dictionary()
	d.StringTable().Append("of the profile", "value")
	a := d.AttributeTable().AppendEmpty()
	a.SetKeyStrindex(int32(d.StringTable().Len() - 2))
	a.Value().SetStr("of the profile")
	profile.AttributeIndices().Append(int32(d.AttributeTable().Len() - 1))
	own := d.AttributeTable().AppendEmpty()
	own.SetKeyStrindex(int32(d.StringTable().Len() - 2))
	own.Value().SetStr("of the sample")
	profile.Samples().At(1).AttributeIndices().Append(int32(d.AttributeTable().Len() - 1))
	synctest.Test(t, func(t *testing.T) {
		p := newPipeline(t, profiles, func(c *Config) { c.AttributeKeys = []string{"of the profile"} }, nil).begun(t)
		require.NoError(t, send(context.Background(), p, pd))
		require.NoError(t, p.Shutdown(context.Background()))
		got := map[string]int{}
		for _, b := range p.batches() {
			got[b.info.Metadata.Get("of the profile")[0]] = len(b.items)
		}
		require.Equal(t, map[string]int{"of the profile": 3, "of the sample": 1}, got)

		invalid := newProfiles(0, 2)
		for _, s := range invalid.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().All() {
			s.AttributeIndices().Append(-1, 1000)
		}
		p = newPipelineTo(t, profiles, func(c *Config) { c.AttributeKeys = []string{"of the profile"} }, func(*pipeline, context.Context, pprofile.Profiles) error { return nil }).begun(t)
		require.NoError(t, send(context.Background(), p, invalid), "it has one key, and goes on as it came")
		p = newPipelineTo(t, profiles, byThird, func(*pipeline, context.Context, pprofile.Profiles) error { return nil }).begun(t)
		err := send(context.Background(), p, invalid)
		require.ErrorContains(t, err, "profiles of several combinations of attribute_keys")
		require.True(t, consumererror.IsPermanent(err))
	})
}

// What one payload had of keys says nothing about the next.
func TestOneItemHasOneKeyAfterSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTo(t, profiles, byThird, func(*pipeline, context.Context, pprofile.Profiles) error { return nil }).begun(t)
		require.NoError(t, send(context.Background(), p, newProfiles(0, 4)))
		single := newProfiles(0, 1)
		single.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().At(0).AttributeIndices().Append(-1, 1000)
		require.NoError(t, send(context.Background(), p, single), "it cannot be taken apart, and need not be")
	})
}

// placed is an item with the attributes of all that it stands below.
type placed struct {
	id                    int
	resource, scope, own  map[string]any
	newScope, newResource bool // else it stands beside the item before it
}

// placing makes a payload of them, and reads the IDs of its items.
type placing[P payload] struct {
	kind[P]
	place func([]placed) P
}

func fill(m pcommon.Map, raw map[string]any) {
	if err := m.FromRaw(raw); err != nil {
		panic(err)
	}
}

func (p placed) fillOwn(m pcommon.Map) {
	fill(m, p.own)
	m.PutInt("item", int64(p.id))
}

var placingTraces = placing[ptrace.Traces]{traces, func(all []placed) ptrace.Traces {
	p := ptrace.NewTraces()
	var r ptrace.ResourceSpans
	var s ptrace.ScopeSpans
	for _, one := range all {
		if one.newResource {
			r = p.ResourceSpans().AppendEmpty()
			fill(r.Resource().Attributes(), one.resource)
		}
		if one.newScope {
			s = r.ScopeSpans().AppendEmpty()
			fill(s.Scope().Attributes(), one.scope)
		}
		one.fillOwn(s.Spans().AppendEmpty().Attributes())
	}
	return p
}}

var placingLogs = placing[plog.Logs]{logs, func(all []placed) plog.Logs {
	p := plog.NewLogs()
	var r plog.ResourceLogs
	var s plog.ScopeLogs
	for _, one := range all {
		if one.newResource {
			r = p.ResourceLogs().AppendEmpty()
			fill(r.Resource().Attributes(), one.resource)
		}
		if one.newScope {
			s = r.ScopeLogs().AppendEmpty()
			fill(s.Scope().Attributes(), one.scope)
		}
		one.fillOwn(s.LogRecords().AppendEmpty().Attributes())
	}
	return p
}}

// The type of a metric changes from item to item now and then.
var placingMetrics = placing[pmetric.Metrics]{metrics, func(all []placed) pmetric.Metrics {
	p := pmetric.NewMetrics()
	var r pmetric.ResourceMetrics
	var s pmetric.ScopeMetrics
	var m pmetric.Metric
	for _, one := range all {
		if one.newResource {
			r = p.ResourceMetrics().AppendEmpty()
			fill(r.Resource().Attributes(), one.resource)
		}
		if one.newScope {
			s = r.ScopeMetrics().AppendEmpty()
			fill(s.Scope().Attributes(), one.scope)
		}
		if one.newScope || one.id%3 == 0 {
			m = s.Metrics().AppendEmpty()
			m.SetName(fmt.Sprint("metric ", one.id))
			if one.id%2 == 0 {
				m.SetEmptyGauge()
			} else {
				m.SetEmptyHistogram()
			}
		}
		if m.Type() == pmetric.MetricTypeGauge {
			one.fillOwn(m.Gauge().DataPoints().AppendEmpty().Attributes())
		} else {
			one.fillOwn(m.Histogram().DataPoints().AppendEmpty().Attributes())
		}
	}
	return p
}}

// read lists the items of a payload.
func (k placing[P]) read(p P) (ids []int) {
	var it signal.Item
	k.Each(p, &it, func(i *signal.Item) bool {
		v, _ := i.Own("item")
		ids = append(ids, int(v.Int()))
		return true
	})
	return ids
}

// keyScript is a draw for TestKeysAgainstAModel.
type keyScript struct {
	buffer                        string
	metadata, resource, attribute []string
	expressions                   map[string]string
	waits, bytes                  bool
	most                          int // cap; 0: none
	requests                      [][]placed
}

func drawKeyScript(rt *rapid.T) (s keyScript) {
	s.buffer = rapid.SampledFrom([]string{"queue", "resources", "records"}).Draw(rt, "buffer")
	s.metadata = rapid.SampledFrom([][]string{nil, {"m"}, {"b"}}).Draw(rt, "metadata_keys")
	s.resource = rapid.SampledFrom([][]string{nil, {"c"}}).Draw(rt, "resource_keys")
	s.attribute = rapid.SampledFrom([][]string{{"a"}, {"a", "b"}}).Draw(rt, "attribute_keys")
	s.expressions = rapid.SampledFrom([]map[string]string{
		nil, {"e": "own a"}, {"e": "inherited b"}, {"e": "resource c"}, {"e": "own c", "f": "inherited b", "g": "resource a", "h": "own b"},
	}).Draw(rt, "key_expressions")
	if s.expressions != nil && rapid.Bool().Draw(rt, "expressions alone") {
		s.attribute = nil
	}
	s.waits = s.buffer != "records" && rapid.Bool().Draw(rt, "wait_for_result")
	s.most = rapid.SampledFrom([]int{0, 2, 5}).Draw(rt, "cap")
	s.bytes = s.buffer == "queue" && rapid.Bool().Draw(rt, "bytes")
	attributes := func(of string) map[string]any {
		all := map[string]any{}
		for _, name := range []string{"a", "b", "c"} {
			if v := rapid.SampledFrom([]any{nil, nil, "x", "", "1", int64(2), "fails", "panics"}).Draw(rt, of+" "+name); v != nil {
				all[name] = v
			}
		}
		return all
	}
	id := 0
	for range rapid.IntRange(1, 4).Draw(rt, "requests") {
		var request []placed
		for i := range rapid.IntRange(1, 8).Draw(rt, "items") {
			id++
			one := placed{id: id, own: attributes("own")}
			one.newResource = i == 0 || rapid.IntRange(0, 3).Draw(rt, "resource") == 3
			one.newScope = one.newResource || rapid.IntRange(0, 2).Draw(rt, "scope") == 2
			if i > 0 {
				one.resource, one.scope = request[i-1].resource, request[i-1].scope
			}
			if one.newResource {
				one.resource = attributes("resource")
			}
			if one.newScope {
				one.scope = attributes("scope")
			}
			request = append(request, one)
		}
		s.requests = append(s.requests, request)
	}
	return s
}

func (s *keyScript) set(c *Config) {
	switch s.buffer {
	case "resources":
		byResource(c)
	case "records":
		byRecord(c)
	}
	c.MetadataKeys, c.ResourceKeys, c.AttributeKeys = s.metadata, s.resource, s.attribute
	c.KeyExpressions = s.expressions
	c.WaitForResult, c.SendBatchSize, c.SendBatchMaxSize = s.waits, 1000, 0
	if s.most > 0 {
		c.SendBatchSize, c.SendBatchMaxSize = int64(s.most), int64(s.most)
	}
	if s.bytes {
		c.Sizer, c.SendBatchMaxSizeBytes = sizerBytes, 300
	}
}

// key is the client metadata of the batch that an item is in.
func (s *keyScript) key(metadata string, one placed) string {
	var pairs []string
	add := func(name string, from ...map[string]any) {
		for _, attributes := range from {
			if v, ok := attributes[name]; ok {
				if !slices.Contains(s.metadata, name) {
					pairs = append(pairs, name, fmt.Sprint(v))
				}
				return
			}
		}
	}
	for _, name := range s.metadata {
		pairs = append(pairs, name, metadata)
	}
	for _, name := range s.resource {
		add(name, one.resource)
	}
	for _, name := range s.attribute {
		add(name, one.own, one.scope, one.resource)
	}
	for name, text := range s.expressions {
		if v, failed := one.evaluate(text); v != nil && !failed {
			pairs = append(pairs, name, fmt.Sprint(v))
		}
	}
	return combination(pairs...)
}

// evaluate returns what an expression of [testFactory] finds; nil: nothing.
func (p placed) evaluate(text string) (v any, failed bool) {
	where, name, _ := strings.Cut(text, " ")
	v = p.resource[name]
	switch own, ofScope := p.own[name], p.scope[name]; {
	case where == "own":
		v = own
	case where == "inherited" && ofScope != nil:
		v = ofScope
	}
	return v, slices.Contains(failing, v)
}

// failures is how often expressions fail: once for an item, a scope or a resource.
func (s *keyScript) failures() (n int64) {
	for _, request := range s.requests {
		for _, one := range request {
			for _, text := range s.expressions {
				_, failed := one.evaluate(text)
				begins := strings.HasPrefix(text, "own ") || strings.HasPrefix(text, "inherited ") && one.newScope || one.newResource
				if failed && begins {
					n++
				}
			}
		}
	}
	return n
}

// TestKeysAgainstAModel: each item is in a batch of its own key, once, in order, whatever holds it until then.
func TestKeysAgainstAModel(t *testing.T) {
	t.Run("traces", func(t *testing.T) { rapid.Check(t, keysLikeAModel(t, placingTraces)) })
	t.Run("metrics", func(t *testing.T) { rapid.Check(t, keysLikeAModel(t, placingMetrics)) })
	t.Run("logs", func(t *testing.T) { rapid.Check(t, keysLikeAModel(t, placingLogs)) })
}

func keysLikeAModel[P payload](t *testing.T, k placing[P]) func(*rapid.T) {
	return func(rt *rapid.T) {
		s := drawKeyScript(rt)
		problem := ""
		synctest.Test(t, func(t *testing.T) { problem = replayKeys(t, k, &s) })
		if problem != "" {
			rt.Fatal(problem)
		}
	}
}

func replayKeys[P payload](t *testing.T, k placing[P], s *keyScript) (problem string) {
	want, got := map[string][]int{}, map[string][]int{}
	var tooLarge string
	p := newPipelineTo(t, k.kind, s.set, func(p *pipeline, ctx context.Context, payload P) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		key, ids := fmt.Sprint(everything(ctx)), k.read(payload)
		got[key] = append(got[key], ids...)
		if s.most > 0 && len(ids) > s.most {
			tooLarge = fmt.Sprintf("I6: %d items", len(ids))
		}
		if size := k.Size(payload); s.bytes && len(ids) > 1 && size > 300 {
			tooLarge = fmt.Sprintf("I6: %d bytes", size)
		}
		return nil
	}).begun(t)
	for i, request := range s.requests {
		metadata := strconv.Itoa(i % 2)
		if err := send(from("m", metadata, "b", metadata), p, k.place(request)); err != nil {
			return err.Error()
		}
		for _, one := range request {
			key := s.key(metadata, one)
			want[key] = append(want[key], one.id)
		}
	}
	if failures := p.metric(t, "key_expression_errors", ""); failures != s.failures() {
		return fmt.Sprintf("%d expressions failed, and not %d", failures, s.failures())
	}
	if err := p.Shutdown(context.Background()); err != nil {
		return err.Error()
	}
	if s.buffer != "queue" || slices.Contains(s.metadata, "b") { // by resource; or several keys have the same metadata
		for _, all := range []map[string][]int{want, got} {
			for _, ids := range all {
				slices.Sort(ids)
			}
		}
	}
	if !maps.EqualFunc(want, got, slices.Equal) {
		return fmt.Sprintf("sent\n%v\nwant\n%v", got, want)
	}
	return tooLarge
}
