// SPDX-License-Identifier: Apache-2.0

// Package keyexpressions is the partitionedbuffer processor with the key key_expressions: batches by the values of expressions in OTTL, the
// Collector's transformation language. It is a module of its own, since a collector without such expressions need not have what OTTL brings.
package keyexpressions

import (
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/partitionedbuffer/partitionedbufferprocessor"
)

// NewFactory returns the factory of the partitionedbuffer processor, with key_expressions.
func NewFactory() xprocessor.Factory {
	return partitionedbufferprocessor.NewFactoryWithOptions(partitionedbufferprocessor.WithKeyExpressions(Compiler()))
}

// Compiler returns what compiles expressions in OTTL, with its standard converters.
func Compiler() partitionedbufferprocessor.KeyExpressionCompiler {
	return partitionedbufferprocessor.KeyExpressionCompiler{Traces: ofTraces, Metrics: ofMetrics, Logs: ofLogs, Profiles: ofProfiles}
}
