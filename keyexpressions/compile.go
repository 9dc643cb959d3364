// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"github.com/partitionedbuffer/partitionedbufferprocessor"
)

type (
	position          = partitionedbufferprocessor.KeyPosition
	expression[P any] = partitionedbufferprocessor.KeyExpression[P]
)

// transformContext is what OTTL calls that which an expression is evaluated on. Close gives it back to a pool.
type transformContext interface{ Close() }

// newParser is NewParser of one of OTTL's contexts.
type newParser[T transformContext] func(map[string]ottl.Factory[T], component.TelemetrySettings, ...ottl.Option[T]) (ottl.Parser[T], error)

// resource and scope are what pdata has of those for each signal.
type (
	resource interface {
		ottl.SchemaURLItem
		Resource() pcommon.Resource
	}
	scope interface {
		ottl.SchemaURLItem
		Scope() pcommon.InstrumentationScope
	}
)

// contexts find what stands at a position of a payload. T is OTTL's context for an item.
type contexts[P any, T transformContext] struct {
	resource func(P, position) resource
	scope    func(P, position) scope
	item     func(P, position) T
	parser   newParser[T] // of items
}

func (c contexts[P, T]) resourceContext(payload P, at position) *ottlresource.TransformContext {
	r := c.resource(payload, at)
	return ottlresource.NewTransformContext(r.Resource(), r)
}

func (c contexts[P, T]) scopeContext(payload P, at position) *ottlscope.TransformContext {
	r, s := c.resource(payload, at), c.scope(payload, at)
	return ottlscope.NewTransformContext(s.Scope(), r.Resource(), s, r)
}

// compile compiles an expression for the highest level that has all of its paths. A path without the name of a context is one of the item.
func (c contexts[P, T]) compile(set component.TelemetrySettings, text string) (expression[P], error) {
	const ofResource, ofScope, ofItem = partitionedbufferprocessor.KeyOfResource, partitionedbufferprocessor.KeyOfScope, partitionedbufferprocessor.KeyOfItem
	if value, err := evaluate(set, text, c.resourceContext, ottlresource.NewParser, ottlresource.EnablePathContextNames()); err == nil {
		return expression[P]{Level: ofResource, Value: value}, nil
	}
	if value, err := evaluate(set, text, c.scopeContext, ottlscope.NewParser, ottlscope.EnablePathContextNames()); err == nil {
		return expression[P]{Level: ofScope, Value: value}, nil
	}
	value, err := evaluate(set, text, c.item, c.parser)
	return expression[P]{Level: ofItem, Value: value}, err
}

// evaluate returns what evaluates an expression on one of OTTL's contexts.
func evaluate[P any, T transformContext](
	set component.TelemetrySettings, text string, at func(P, position) T, parser newParser[T], options ...ottl.Option[T],
) (func(context.Context, P, position) (any, error), error) {
	p, err := parser(ottlfuncs.StandardConverters[T](), set, options...)
	if err != nil {
		return nil, err
	}
	parsed, err := p.ParseValueExpression(text)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, payload P, where position) (any, error) {
		t := at(payload, where)
		defer t.Close()
		v, err := parsed.Eval(ctx, t)
		if err != nil {
			return nil, err
		}
		return keyValue(v)
	}, nil
}
