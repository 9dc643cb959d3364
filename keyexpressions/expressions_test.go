// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/partitionedbuffer/partitionedbufferprocessor"
)

// sums are the values of a counter, by its attribute key.
func sums(m metricdata.Metrics) map[string]int64 {
	all := map[string]int64{}
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		key, _ := point.Attributes.Value("key")
		all[key.AsString()] += point.Value
	}
	return all
}

// with are the attributes that the payloads of these tests have.
func with(resource, scope, own pcommon.Map) {
	resource.PutStr("service.name", "acme-shop")
	scope.PutStr("of", "scope")
	own.PutStr("text", "a-b")
	own.PutInt("number", 7)
	own.PutDouble("double", 1)
	own.PutBool("flag", true)
	own.PutEmptyBytes("bytes").FromRaw([]byte{1})
	own.PutEmptySlice("list").AppendEmpty().SetInt(1)
	own.PutEmptyMap("map").PutStr("b", "c")
	own.PutStr("empty", "")
	own.PutEmpty("null")
}

// Each value is in the client metadata as attribute_keys would have it; an expression without a value, not at all.
func TestValuesOfExpressions(t *testing.T) {
	ctx := client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(map[string][]string{"x-tenant": {"acme"}})})
	all := func(value string) map[string][]string {
		if value == "" {
			return map[string][]string{"": {"i", "j"}}
		}
		return map[string][]string{`key=["` + value + `"]`: {"i", "j"}}
	}
	for text, value := range map[string]string{
		`attributes["text"]`:                                  "a-b",
		`attributes["number"] + 1`:                            "8",
		`attributes["double"]`:                                "1",
		`attributes["flag"]`:                                  "true",
		`attributes["bytes"]`:                                 "AQ==",
		`attributes["list"]`:                                  "[1]",
		`attributes["map"]`:                                   `{\"b\":\"c\"}`,
		`attributes["map"]["b"]`:                              "c",
		`attributes["null"]`:                                  "",
		`attributes["no"]`:                                    "",
		`Split(attributes["text"], "-")`:                      `[\"a\",\"b\"]`,
		`String(attributes["map"])`:                           `{\"b\":\"c\"}`,
		`Sort(Keys(attributes["map"]))`:                       `[\"b\"]`,
		`ToKeyValueString(attributes["map"], "=", " ", true)`: "b=c",
		`Split(attributes["text"], "-")[1]`:                   "b",
		`Coalesce([attributes["no"], "other"])`:               "other",
		`ToLowerCase("ABC")`:                                  "abc",
		`resource.attributes["service.name"]`:                 "acme-shop",
		`scope.name`:                                          "scope r",
		`instrumentation_scope.attributes["of"]`:              "scope",
		`otelcol.client.metadata["x-tenant"][0]`:              "acme",
		`Concat([scope.name, attributes["text"]], "")`:        "scope ra-b",
		`["a", 1]`:                       `[\"a\",1]`,
		`{"a": 1}`:                       `{\"a\":1}`,
		`1.5`:                            "1.5",
		`true`:                           "true",
		`Time("2026-01-02", "%Y-%m-%d")`: "2026-01-02T00:00:00Z",
	} {
		t.Run(text, func(t *testing.T) {
			resources, items := []string{"r"}, []string{"i", "j"}
			require.Equal(t, all(value), values(ctx, t, spans, text, spans.payload(resources, items, with)), "spans")
			require.Equal(t, all(value), values(ctx, t, points, text, points.payload(resources, items, with)), "points")
			require.Equal(t, all(value), values(ctx, t, records, text, records.payload(resources, items, with)), "records")
		})
	}
	require.Equal(t, map[string][]string{`key=[""]`: {"i", "j"}}, values(ctx, t, spans, `attributes["empty"]`, spans.payload([]string{"r"}, []string{"i", "j"}, with)), "empty is a value")
}

// What only one signal has.
func TestValuesOfEachSignal(t *testing.T) {
	ctx := context.Background()
	for text, want := range map[string]map[string][]string{
		"name":                             {`key=["i"]`: {"i", "i"}, `key=["j"]`: {"j", "j"}},
		"span.kind.string":                 {`key=["Server"]`: {"i", "j", "i", "j"}},
		"Substring(trace_id.string, 0, 1)": {`key=["0"]`: {"i", "j"}, `key=["1"]`: {"i", "j"}},
		"trace_id":                         {`key=["00010000000000000000000000000000"]`: {"i"}, `key=["01010000000000000000000000000000"]`: {"j"}, `key=["10010000000000000000000000000000"]`: {"i"}, `key=["11010000000000000000000000000000"]`: {"j"}},
		"span_id":                          {`key=["0001000000000000"]`: {"i", "i"}, `key=["0101000000000000"]`: {"j", "j"}},
		"parent_span_id":                   {`key=[""]`: {"i", "j", "i", "j"}},
		"end_time - start_time":            {`key=["2.5s"]`: {"i", "j", "i", "j"}},
		"start_time":                       {`key=["1970-01-01T00:00:01Z"]`: {"i", "j", "i", "j"}},
		"resource.schema_url":              {`key=["v1"]`: {"i", "j", "i", "j"}},
	} {
		require.Equal(t, want, values(ctx, t, spans, text, spans.payload([]string{"r", "s"}, []string{"i", "j"}, nothing)), text)
	}
	for text, want := range map[string]map[string][]string{
		"metric.name": {`key=["i"]`: {"i", "i"}, `key=["j"]`: {"j", "j"}},
		"count":       {"": {"i", "i"}, `key=["0"]`: {"j", "j"}},
	} {
		require.Equal(t, want, values(ctx, t, points, text, points.payload([]string{"r", "s"}, []string{"i", "j"}, nothing)), text)
	}
	for text, want := range map[string]map[string][]string{
		"body":              {`key=["i"]`: {"i", "i"}, `key=["j"]`: {"j", "j"}},
		"log.severity_text": {`key=["INFO"]`: {"i", "j", "i", "j"}},
	} {
		require.Equal(t, want, values(ctx, t, records, text, records.payload([]string{"r", "s"}, []string{"i", "j"}, nothing)), text)
	}
	for text, want := range map[string]map[string][]string{
		`attributes["x"]`:                 {`key=["of the sample"]`: {"0"}, "": {"1", "none"}},
		"profile.profile_id.string":       {`key=["ab000000000000000000000000000000"]`: {"0", "1"}, `key=["cd000000000000000000000000000000"]`: {"none"}},
		"profile.profile_id":              {`key=["ab000000000000000000000000000000"]`: {"0", "1"}, `key=["cd000000000000000000000000000000"]`: {"none"}},
		`resource.attributes["resource"]`: {`key=["r"]`: {"0", "1", "none"}},
	} {
		require.Equal(t, want, values(ctx, t, samples, text, profiles(2)), text)
	}
}

// An expression is evaluated once for all that has the same value by its text.
func TestLevelsOfExpressions(t *testing.T) {
	const ofResource, ofScope, ofItem = partitionedbufferprocessor.KeyOfResource, partitionedbufferprocessor.KeyOfScope, partitionedbufferprocessor.KeyOfItem
	for text, want := range map[string]partitionedbufferprocessor.KeyLevel{
		`resource.attributes["a"]`: ofResource,
		`Concat([resource.attributes["a"], otelcol.client.metadata["b"][0]], "")`: ofResource,
		`"constant"`:                    ofResource,
		`scope.name`:                    ofScope,
		`instrumentation_scope.version`: ofItem,
		`Concat([scope.name, resource.attributes["a"]], "")`: ofScope,
		`attributes["a"]`: ofItem,
		`Concat([attributes["a"], resource.attributes["a"]], "")`: ofItem,
	} {
		set := componenttest.NewNopTelemetrySettings()
		spans, err := Compiler().Traces(set, text)
		require.NoError(t, err)
		points, err := Compiler().Metrics(set, text)
		require.NoError(t, err)
		records, err := Compiler().Logs(set, text)
		require.NoError(t, err)
		samples, err := Compiler().Profiles(set, text)
		require.NoError(t, err)
		require.Equal(t, []partitionedbufferprocessor.KeyLevel{want, want, want, want}, []partitionedbufferprocessor.KeyLevel{spans.Level, points.Level, records.Level, samples.Level}, text)
	}
}

// The errors say which key, which expression, for which signal, and what is wrong.
func TestWrongExpressions(t *testing.T) {
	for text, test := range map[string]struct {
		rightFor string // signal
		says     string
	}{
		`Substring(attributes["a"], 0`: {"", "expression"},
		`NoSuchFunction("a")`:          {"", "NoSuchFunction"},
		`delete_key(attributes, "a")`:  {"", "delete_key"},
		`span.name`:                    {"traces", "span"},
		`log.body`:                     {"logs", "log"},
		`metric.name`:                  {"metrics", "metric"},
		`profile.profile_id.string`:    {"profiles", "profile"},
		`resource.no_such_field`:       {"", "no_such_field"},
	} {
		set, cfg, next := processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig().(*partitionedbufferprocessor.Config), consumertest.NewNop()
		cfg.KeyExpressions = map[string]string{"tenant": text}
		require.NoError(t, cfg.Validate())
		_, ofTraces := factory.CreateTraces(context.Background(), set, cfg, next)
		_, ofMetrics := factory.CreateMetrics(context.Background(), set, cfg, next)
		_, ofLogs := factory.CreateLogs(context.Background(), set, cfg, next)
		_, ofProfiles := factory.CreateProfiles(context.Background(), set, cfg, next)
		for signalName, err := range map[string]error{"traces": ofTraces, "metrics": ofMetrics, "logs": ofLogs, "profiles": ofProfiles} {
			if signalName == test.rightFor {
				require.NoError(t, err, text)
				continue
			}
			for _, part := range []string{"key_expressions.tenant is ", test.says, signalName} {
				require.ErrorContains(t, err, part, text)
			}
		}
	}
}

// An expression that fails, or panics in OTTL, costs the key its value. One without a value does not fail.
func TestFailingExpressions(t *testing.T) {
	s, push, end := begin(t, records, map[string]any{"key_expressions": map[string]any{
		"short": `Substring(attributes["a"], 0, 2)`, "number": `Int(attributes["a"])`, "missing": `attributes["b"]`,
	}})
	ld := records.payload([]string{"r"}, []string{"i", "j", "k"}, nothing)
	for i, record := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		record.Attributes().PutStr("a", []string{"12", "3", "4567"}[i])
	}
	push(context.Background(), ld)
	end()
	require.Equal(t, map[string]int64{"short": 1, "number": 0, "missing": 0}, s.failures(t))
	require.Equal(t, map[string][]string{
		`number=["12"] short=["12"]`: {"i"}, `number=["3"]`: {"j"}, `number=["4567"] short=["45"]`: {"k"},
	}, s.items)

	ofSamples, pushSamples, endSamples := begin(t, samples, map[string]any{"key_expressions": map[string]any{"x": `attributes["x"]`}})
	pd := profiles(1)
	pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().At(0).AttributeIndices().Append(-1)
	pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().RemoveIf(func(p pprofile.Profile) bool { return p.Samples().Len() == 0 })
	pushSamples(context.Background(), pd)
	endSamples()
	require.Equal(t, map[string]int64{"x": 1}, ofSamples.failures(t), "the dictionary has no such attribute, which OTTL does not expect")
	require.Equal(t, map[string][]string{"": {"0"}}, ofSamples.items)
}

// Others may read a payload at the same time, and what is refused has to be as it was.
func TestExpressionsOnlyRead(t *testing.T) {
	set := componenttest.NewNopTelemetrySettings()
	for _, text := range []string{
		`attributes`, `attributes["list"]`, `Sort(attributes["list"], "desc")`, `Split(attributes["text"], "-")`, `String(attributes)`,
		`ParseJSON("{}")`, `Keys(attributes)`, `Values(attributes)`, `ToKeyValueString(attributes)`, `ConvertCase(attributes["text"], "upper")`, `Format("%s", [attributes["text"]])`,
		`resource.attributes`, `scope.attributes`, `Len(attributes)`, `SHA256(attributes["text"])`, `FNV(attributes["text"])`, `IsMatch(attributes["text"], "a.*")`, `Coalesce([attributes["map"]])`,
	} {
		t.Run(text, func(t *testing.T) {
			td, md, ld := spans.payload([]string{"r"}, []string{"i"}, with), points.payload([]string{"r"}, []string{"i"}, with), records.payload([]string{"r"}, []string{"i"}, with)
			var ofTraces ptrace.ProtoMarshaler
			var ofMetrics pmetric.ProtoMarshaler
			var ofLogs plog.ProtoMarshaler
			for _, readOnly := range []bool{false, true} {
				if readOnly {
					td.MarkReadOnly()
					md.MarkReadOnly()
					ld.MarkReadOnly()
				}
				before, err := ofTraces.MarshalTraces(td)
				require.NoError(t, err)
				x, err := Compiler().Traces(set, text)
				require.NoError(t, err)
				_, err = x.Value(context.Background(), td, position{})
				require.NoError(t, err)
				after, err := ofTraces.MarshalTraces(td)
				require.NoError(t, err)
				require.Equal(t, before, after)

				before, err = ofMetrics.MarshalMetrics(md)
				require.NoError(t, err)
				y, err := Compiler().Metrics(set, text)
				require.NoError(t, err)
				_, err = y.Value(context.Background(), md, position{})
				require.NoError(t, err)
				after, err = ofMetrics.MarshalMetrics(md)
				require.NoError(t, err)
				require.Equal(t, before, after)

				before, err = ofLogs.MarshalLogs(ld)
				require.NoError(t, err)
				z, err := Compiler().Logs(set, text)
				require.NoError(t, err)
				_, err = z.Value(context.Background(), ld, position{})
				require.NoError(t, err)
				after, err = ofLogs.MarshalLogs(ld)
				require.NoError(t, err)
				require.Equal(t, before, after)
			}
		})
	}
}
