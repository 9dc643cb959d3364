// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"

	"github.com/partitionedbuffer/partitionedbufferprocessor"
	"github.com/partitionedbuffer/partitionedbufferprocessor/bench/queuebatch"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/batchprocessor"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// Rival is one implementation under comparison.
type Rival struct {
	Name    string
	Factory processor.Factory
	// NextMutates: the next consumer says that it changes its data. Exporters do not.
	NextMutates bool
}

// Settings are configuration keys as they would stand in a collector's YAML; keys that are absent keep the rival's
// defaults.
type Settings map[string]any

// The rivals. Names are what tables and benchmark names show.
var (
	Batch      = Rival{Name: "batch", Factory: batchprocessor.NewFactory()}
	Queuebatch = Rival{Name: "queuebatch", Factory: queuebatch.NewFactory()}
	Ours       = Rival{Name: "ours", Factory: partitionedbufferprocessor.NewFactory()}
	Floor      = Rival{Name: "floor", Factory: newFloorFactory()}
)

// config unmarshals the settings onto the rival's defaults and validates the result, as a collector does.
func (r Rival) config(s Settings) (component.Config, error) {
	cfg := r.Factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(s).Unmarshal(cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	if v, ok := cfg.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return cfg, nil
}

// Telemetry says what a rival reports its own metrics to.
type Telemetry int

const (
	// NoTelemetry is for tests of behaviour.
	NoTelemetry Telemetry = iota
	// NormalTelemetry is what a collector at its default level gives a component: the SDK's meter provider, which costs
	// what it costs in production, without the histogram of batch sizes in bytes, which a collector drops below the
	// detailed level. A no-op provider would be unfair the other way round: batchprocessor cannot tell that it is not
	// listened to and computes every batch's encoded size for it.
	NormalTelemetry
)

func (r Rival) createSettings(t Telemetry) processor.Settings {
	ts := component.TelemetrySettings{
		Logger:         zap.NewNop(),
		TracerProvider: nooptrace.NewTracerProvider(),
		MeterProvider:  noopmetric.NewMeterProvider(),
	}
	if t == NormalTelemetry {
		ts.MeterProvider = sdkmetric.NewMeterProvider(
			sdkmetric.WithReader(sdkmetric.NewManualReader()),
			sdkmetric.WithView(sdkmetric.NewView(
				sdkmetric.Instrument{Name: "otelcol_processor_*_batch_send_size_bytes"},
				sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}},
			)),
		)
	}
	return processor.Settings{
		ID:                component.NewID(r.Factory.Type()),
		TelemetrySettings: ts,
		BuildInfo:         component.NewDefaultBuildInfo(),
	}
}
