// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// Expression finds a value that is part of the key.
type Expression[P any] struct {
	Name  string // in the client metadata of batches, in lower case
	Level Level

	// Value returns the value for what stands at a position: nil (there is none), a string, an int64 or a [pcommon.Value]. It only reads
	// the payload, and may be called by several goroutines at once. Only what Level says of the position is set.
	Value func(ctx context.Context, payload P, at signal.Position) (any, error)
}

// Level is the deepest level of a payload that an expression looks at. Its value is the same for everything below.
type Level int

// The levels, from the deepest.
const (
	OfItem Level = iota
	OfScope
	OfResource
)

// expressions are those of one pipeline, in the order in which keys have their values.
type expressions[P any] []*expression[P]

// expression is an [Expression] with the account of its failures.
type expression[P any] struct {
	Expression[P]
	failures atomic.Int64
	failed   *notice
}

func newExpressions[P any](all []Expression[P], log *zap.Logger) (xs expressions[P]) {
	for _, x := range all {
		xs = append(xs, &expression[P]{Expression: x, failed: newNotice(log, zap.WarnLevel, "An expression of key_expressions failed: keys lack its value; see key_expression_errors")})
	}
	slices.SortFunc(xs, func(a, b *expression[P]) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), strings.Compare(a.Name, b.Name))
	})
	return xs
}

// of returns the expressions of a level.
func (xs expressions[P]) of(level Level) (some expressions[P]) {
	for _, x := range xs {
		if x.Level == level {
			some = append(some, x)
		}
	}
	return some
}

func (xs expressions[P]) names() (names []string) {
	for _, x := range xs {
		names = append(names, x.Name)
	}
	return names
}

// failures returns how often each has failed so far.
func (xs expressions[P]) failures() (counts []int64) {
	for _, x := range xs {
		counts = append(counts, x.failures.Load())
	}
	return counts
}

// appendTo appends the value of each to a key. It fails, permanently, if the text of one is too long.
func (xs expressions[P]) appendTo(ctx context.Context, key []byte, payload P, at signal.Position) (_ []byte, err error) {
	for _, x := range xs {
		short := true
		switch v := x.value(ctx, payload, at).(type) {
		case nil:
			key = append(key, 0)
		case string:
			key, short = appendString(key, v)
		case int64:
			key = appendInt(key, v)
		case pcommon.Value:
			key, short = appendValue(key, v)
		default:
			x.fail(fmt.Errorf("its value is a %T", v), false)
			key = append(key, 0)
		}
		if !short {
			return key, tooLong(settingExpressions, "the value of", x.Name)
		}
	}
	return key, nil
}

// value returns the value, or nil if the expression failed.
func (x *expression[P]) value(ctx context.Context, payload P, at signal.Position) (v any) {
	defer func() {
		if r := recover(); r != nil { // I8
			v = nil
			x.fail(fmt.Errorf("panic: %v", r), true)
		}
	}()
	v, err := x.Value(ctx, payload, at)
	if err != nil {
		x.fail(err, false)
		return nil
	}
	return v
}

// fail counts a failure, and logs it. A panic still unwinds the stack then.
func (x *expression[P]) fail(err error, panicked bool) {
	x.failures.Add(1)
	x.failed.happened(0, func() []zap.Field {
		fields := []zap.Field{zap.String("key", x.Name), zap.Error(err)}
		if panicked {
			fields = append(fields, zap.ByteString("stack", debug.Stack()))
		}
		return fields
	})
}
