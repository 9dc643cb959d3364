// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// testFactory is the factory with expressions as tests write them: "own a" is attribute a of the item, "inherited a" that of its scope, else of its
// resource, and "resource a" that of the resource. The expression fails, panics or results in what has no place in a key where the attribute
// says so.
func testFactory() xprocessor.Factory {
	return NewFactoryWithOptions(WithKeyExpressions(KeyExpressionCompiler{
		Traces: attributeExpression(signal.Traces{}), Metrics: attributeExpression(signal.Metrics{}),
		Logs: attributeExpression(signal.Logs{}), Profiles: attributeExpression(signal.Profiles{}),
	}))
}

func attributeExpression[P any](s signal.Signal[P]) compileFunc[P] {
	return func(_ component.TelemetrySettings, text string) (KeyExpression[P], error) {
		where, name, _ := strings.Cut(text, " ")
		level, ok := map[string]KeyLevel{"own": KeyOfItem, "inherited": KeyOfScope, "resource": KeyOfResource}[where]
		if !ok {
			return KeyExpression[P]{}, fmt.Errorf("%q is nowhere", where)
		}
		return KeyExpression[P]{Level: level, Value: func(_ context.Context, p P, at KeyPosition) (any, error) {
			v, ok := attributeAt(s, p, level, at, name)
			switch {
			case !ok:
				return nil, nil
			case v.Type() == pcommon.ValueTypeInt:
				return v.Int(), nil
			case v.Type() != pcommon.ValueTypeStr:
				return v, nil
			}
			switch v.Str() {
			case "fails":
				return nil, errors.New("as it was asked to")
			case "panics":
				panic("as it was asked to")
			case "is odd":
				return unkept{}, nil
			default:
				return v.Str(), nil
			}
		}}, nil
	}
}

// unkept is the type of what has no place in a key.
type unkept struct{}

// failing are the values of an attribute with which its expression fails.
var failing = []any{"fails", "panics", "is odd"}

func attributeAt[P any](s signal.Signal[P], p P, level KeyLevel, at KeyPosition, name string) (v pcommon.Value, ok bool) {
	if level == KeyOfResource {
		return s.Resource(p, at.Resource).Attributes().Get(name)
	}
	var it signal.Item
	s.Each(p, &it, func(it *signal.Item) bool {
		switch {
		case level == KeyOfItem && it.Position == signal.Position(at):
			v, ok = it.Own(name)
		case level == KeyOfScope && it.Resource == at.Resource && it.Scope == at.Scope:
			if v, ok = it.OfScope(name); !ok {
				v, ok = it.ResourceAttributes().Get(name)
			}
		default:
			return true
		}
		return false
	})
	return v, ok
}

func byExpression(c *Config) {
	c.KeyExpressions = map[string]string{"Third": "own third", "service": "resource service.name"}
}

// The values have the names of the expressions in the client metadata.
func TestItemsAreBatchedByExpressions(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := k.start(t, byExpression, nil)
				require.NoError(t, p.push(from("tenant", "ignored"), 0, 7))
				require.NoError(t, p.pushAll(context.Background(), 2, 20, 0))
				require.NoError(t, p.Shutdown(context.Background()))
				got := map[string][]string{}
				for _, b := range p.batches() {
					key := fmt.Sprint(b.info.Metadata.Get("third"), b.info.Metadata.Get("service"))
					got[key] = append(got[key], b.items...)
				}
				want := map[string][]string{}
				for _, push := range [][2]int{{0, 7}, {20, 2}, {0, 2}} {
					for name, items := range k.thirds(push[0], push[1]) {
						key := fmt.Sprintf("[%s] [service %d]", name, push[0])
						want[key] = append(want[key], items...)
					}
				}
				require.Equal(t, want, got)
			})
		})
	}
}

// A failure costs the key its value, and nothing else. It is counted and logged, a panic with its stack.
func TestFailingExpressionIsCounted(t *testing.T) {
	for _, how := range failing {
		t.Run(how.(string), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeline(t, logs, func(c *Config) { c.KeyExpressions = map[string]string{"tenant": "own tenant", "other": "own third"} }, nil).begun(t)
				ld := logs.payload(0, 4)
				ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(2).Attributes().PutStr("tenant", how.(string))
				require.Zero(t, p.metric(t, "key_expression_errors", ""))
				require.NoError(t, send(context.Background(), p, ld))
				require.EqualValues(t, 1, p.metric(t, "key_expression_errors", ""), "the others have no tenant, which is no failure")
				require.NoError(t, p.Shutdown(context.Background()))
				require.Len(t, p.items(), 4)
				for _, b := range p.batches() {
					require.Empty(t, b.info.Metadata.Get("tenant"))
					require.Len(t, b.info.Metadata.Get("other"), 1)
				}
				lines := p.log.FilterMessageSnippet("An expression of key_expressions failed").All()
				require.Len(t, lines, 1)
				fields := lines[0].ContextMap()
				require.Equal(t, "tenant", fields["key"])
				require.NotEmpty(t, fields["error"])
				if how == "panics" {
					require.Contains(t, fields["stack"], "attributeExpression", "where it panicked")
				}
			})
		})
	}
}

func TestTooLongValueOfAnExpressionIsRefused(t *testing.T) {
	for name, level := range map[string]string{"record": "own", "scope": "inherited", "resource": "resource"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipelineOf(t, logs, func(c *Config) { c.KeyExpressions = map[string]string{"tenant": level + " long"} }, func(context.Context, plog.Logs) error { return nil })
				ld := logs.payload(0, 3)
				r := ld.ResourceLogs().At(0)
				s := r.ScopeLogs().At(0)
				map[string]pcommon.Map{
					"record": s.LogRecords().At(2).Attributes(), "scope": s.Scope().Attributes(), "resource": r.Resource().Attributes(),
				}[name].PutStr("long", strings.Repeat("x", 16<<10+1))
				err := p.consume(ld)
				require.ErrorContains(t, err, `key_expressions: the value of "tenant" has more than 16384 bytes`)
				require.True(t, consumererror.IsPermanent(err))
				require.Zero(t, p.stats("items_accepted"))
			})
		})
	}
}

// A collector without the module says which one it lacks; an expression that is none, what is wrong, where, and for which signal.
func TestExpressionsThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		factory xprocessor.Factory
		text    string
		says    []string
	}{
		"without the module": {NewFactory(), "own a", []string{`"own a"`, "github.com/partitionedbuffer/partitionedbufferprocessor/keyexpressions"}},
		"no expression":      {testFactory(), "beside a", []string{`"beside a"`, `"beside" is nowhere`}},
	} {
		set, cfg, next := processortest.NewNopSettings(test.factory.Type()), test.factory.CreateDefaultConfig().(*Config), consumertest.NewNop()
		cfg.KeyExpressions = map[string]string{"tenant": test.text}
		require.NoError(t, cfg.Validate())
		_, ofTraces := test.factory.CreateTraces(context.Background(), set, cfg, next)
		_, ofMetrics := test.factory.CreateMetrics(context.Background(), set, cfg, next)
		_, ofLogs := test.factory.CreateLogs(context.Background(), set, cfg, next)
		_, ofProfiles := test.factory.CreateProfiles(context.Background(), set, cfg, next)
		for signalName, err := range map[string]error{"traces": ofTraces, "metrics": ofMetrics, "logs": ofLogs, "profiles": ofProfiles} {
			t.Run(name+"/"+signalName, func(t *testing.T) {
				for _, text := range append(test.says, "key_expressions.tenant is", signalName) {
					require.ErrorContains(t, err, text)
				}
			})
		}
	}
}
