// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/batcher"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// The processor knows no language of expressions, as that of the Collector, OTTL, brings many dependencies. The module keyexpressions has it,
// and adds it to the factory by what stands here.

const processorModule = "github.com/partitionedbuffer/partitionedbufferprocessor"

// KeyExpressionCompiler compiles what key_expressions has, once for each pipeline. A function that is nil: there are no expressions for
// this signal. Their errors are for users: they say what is wrong with an expression.
type KeyExpressionCompiler struct {
	Traces   func(set component.TelemetrySettings, expression string) (KeyExpression[ptrace.Traces], error)
	Metrics  func(set component.TelemetrySettings, expression string) (KeyExpression[pmetric.Metrics], error)
	Logs     func(set component.TelemetrySettings, expression string) (KeyExpression[plog.Logs], error)
	Profiles func(set component.TelemetrySettings, expression string) (KeyExpression[pprofile.Profiles], error)
}

// KeyExpression is a compiled expression. P is the payload of the signal.
type KeyExpression[P any] struct {
	Level KeyLevel

	// Value returns the value for what stands at a position of payload: nil (there is none), a string, an int64 or a [pcommon.Value]. It only
	// reads payload, which others may read at the same time, and is called by several goroutines at once. ctx is that of the request. An
	// error or a panic is logged and counted, and the value is missing.
	Value func(ctx context.Context, payload P, at KeyPosition) (any, error)
}

// KeyLevel is the deepest level of a payload that an expression looks at. It is evaluated once for all that is below.
type KeyLevel int

// The levels, from the deepest.
const (
	KeyOfItem     = KeyLevel(batcher.OfItem) // a span, log record, data point or profile sample
	KeyOfScope    = KeyLevel(batcher.OfScope)
	KeyOfResource = KeyLevel(batcher.OfResource)
)

// KeyPosition is where something stands in a payload: indices, each in the container above. Those below the level of an expression have no
// meaning.
type KeyPosition struct {
	Resource, Scope int
	Group           int // of the metric or profile; 0 for spans and log records
	Index           int // of the item itself; below 0: it is a profile without samples
}

// compileFunc is what a [KeyExpressionCompiler] has for a signal.
type compileFunc[P any] = func(set component.TelemetrySettings, expression string) (KeyExpression[P], error)

// compileKeys compiles key_expressions for one pipeline. compile is nil if this collector, or this signal, has none.
func compileKeys[P any](
	cfg *Config, set component.TelemetrySettings, signalName string, compile compileFunc[P],
) (all []batcher.Expression[P], err error) {
	for _, name := range slices.Sorted(maps.Keys(cfg.KeyExpressions)) {
		text := cfg.KeyExpressions[name]
		if compile == nil {
			return nil, fmt.Errorf("%s; this collector was built without expressions for %s: name %s/keyexpressions in its builder configuration, in place of %[3]s",
				is("key_expressions."+name, text), signalName, processorModule)
		}
		x, err := compile(set, text)
		if err != nil {
			return nil, fmt.Errorf("%s; it is no expression for %s: %w", is("key_expressions."+name, text), signalName, err)
		}
		all = append(all, batcher.Expression[P]{
			Name: strings.ToLower(name), Level: batcher.Level(x.Level),
			Value: func(ctx context.Context, payload P, at signal.Position) (any, error) {
				return x.Value(ctx, payload, KeyPosition(at))
			},
		})
	}
	return all, nil
}
