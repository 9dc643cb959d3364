// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	arrowpb "github.com/open-telemetry/otel-arrow/go/api/experimental/arrow/v1"
	"github.com/open-telemetry/otel-arrow/go/pkg/otel/arrow_record"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"
)

// Downstream is a load whose batches are weighed as whoever receives them sees them. Requests come from the resources in turn, and hold items
// of one of them each.
type Downstream struct {
	Signal    string // traces, metrics or logs
	Items     int    // of a request
	Resources int
}

// DownstreamCost is what an item costs whoever receives it.
type DownstreamCost struct {
	Plain, Gzip, Zstd, Arrow float64       // bytes: as OTLP protobuf, compressed, and as OTAP, which compresses by itself
	Decode, ArrowDecode      time.Duration // CPU time of one core, without decompression of OTLP
	Allocs                   float64       // of the decoding of OTLP
	Resources                float64       // in a batch
}

const (
	downstreamBatch      = 8000 // items
	downstreamItems      = 4 * downstreamBatch
	downstreamAttributes = 10 // of a resource, and of an item
)

// Measure has variants make batches, and decodes them in rounds, all variants in turn. Times are medians.
func (l Downstream) Measure(variants []Variant, rounds int) ([]DownstreamCost, error) {
	switch l.Signal {
	case "traces":
		return measureDownstream(l, variants, rounds, downstreamOf[ptrace.Traces]{
			Signal: Traces, build: wideTraces, encoded: (&ptrace.ProtoMarshaler{}).MarshalTraces, decoded: (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces,
			arrow: (*arrow_record.Producer).BatchArrowRecordsFromTraces, fromArrow: (*arrow_record.Consumer).TracesFrom,
			resources: func(td ptrace.Traces) int { return td.ResourceSpans().Len() },
			distinguish: func(td ptrace.Traces, resource int, rng *rand.Rand) {
				distinguishResource(td.ResourceSpans().At(0).Resource(), resource)
				for _, sp := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
					var trace [16]byte
					binary.BigEndian.PutUint64(trace[:], rng.Uint64())
					sp.SetTraceID(trace)
					sp.SetSpanID([8]byte(trace[:8]))
					distinguishItem(sp.Attributes(), rng)
				}
			},
		})
	case "metrics":
		return measureDownstream(l, variants, rounds, downstreamOf[pmetric.Metrics]{
			Signal: Metrics, build: wideMetrics, encoded: (&pmetric.ProtoMarshaler{}).MarshalMetrics, decoded: (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics,
			arrow: (*arrow_record.Producer).BatchArrowRecordsFromMetrics, fromArrow: (*arrow_record.Consumer).MetricsFrom,
			resources: func(md pmetric.Metrics) int { return md.ResourceMetrics().Len() },
			distinguish: func(md pmetric.Metrics, resource int, rng *rand.Rand) {
				distinguishResource(md.ResourceMetrics().At(0).Resource(), resource)
				for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
					for _, p := range m.Sum().DataPoints().All() {
						p.SetIntValue(rng.Int64N(1_000_000))
						distinguishItem(p.Attributes(), rng)
					}
				}
			},
		})
	case "logs":
		return measureDownstream(l, variants, rounds, downstreamOf[plog.Logs]{
			Signal: Logs, build: wideLogs, encoded: (&plog.ProtoMarshaler{}).MarshalLogs, decoded: (&plog.ProtoUnmarshaler{}).UnmarshalLogs,
			arrow: (*arrow_record.Producer).BatchArrowRecordsFromLogs, fromArrow: (*arrow_record.Consumer).LogsFrom,
			resources: func(ld plog.Logs) int { return ld.ResourceLogs().Len() },
			distinguish: func(ld plog.Logs, resource int, rng *rand.Rand) {
				distinguishResource(ld.ResourceLogs().At(0).Resource(), resource)
				for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
					distinguishItem(lr.Attributes(), rng)
				}
			},
		})
	default:
		return nil, fmt.Errorf("signal %q: must be traces, metrics or logs", l.Signal)
	}
}

func distinguishResource(r pcommon.Resource, resource int) {
	r.Attributes().PutStr("service.name", fmt.Sprintf("service-%d", resource%20))
	r.Attributes().PutStr("service.instance.id", fmt.Sprintf("%08x-7c41-4f0e-9d2a-%012x", resource*0x9e3779b1, resource))
}

func distinguishItem(attributes pcommon.Map, rng *rand.Rand) {
	attributes.PutInt("http.response.status_code", int64(200+rng.IntN(3)*100))
	attributes.PutStr("request.id", fmt.Sprintf("%016x", rng.Uint64()))
}

// downstreamOf is what Downstream needs of a signal.
type downstreamOf[T any] struct {
	Signal[T]
	build       func(PendingLoad) T
	distinguish func(payload T, resource int, rng *rand.Rand) // gives a request its resource, and its items what differs between items
	resources   func(T) int
	encoded     func(T) ([]byte, error)
	decoded     func([]byte) (T, error)
	arrow       func(*arrow_record.Producer, T) (*arrowpb.BatchArrowRecords, error)
	fromArrow   func(*arrow_record.Consumer, *arrowpb.BatchArrowRecords) ([]T, error)
}

func measureDownstream[T any](l Downstream, variants []Variant, rounds int, sig downstreamOf[T]) ([]DownstreamCost, error) {
	costs := make([]DownstreamCost, len(variants))
	batches := make([][]T, len(variants))
	raw := make([][][]byte, len(variants))
	for i, v := range variants {
		var err error
		if batches[i], err = downstreamBatchesOf(l, v, sig); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Label, err)
		}
		if raw[i], err = weighDownstream(&costs[i], batches[i], sig.encoded); err != nil {
			return nil, err
		}
		for _, b := range batches[i] {
			costs[i].Resources += float64(sig.resources(b)) / float64(len(batches[i]))
		}
	}
	decode, arrowDecode := make([][]time.Duration, len(variants)), make([][]time.Duration, len(variants))
	for round := range rounds {
		for n := range variants {
			i := (n + round) % len(variants)
			took, allocs, err := timeDecoding(raw[i], sig.decoded)
			if err != nil {
				return nil, err
			}
			decode[i], costs[i].Allocs = append(decode[i], took), allocs
			took, size, err := timeArrow(batches[i], sig)
			if err != nil {
				return nil, err
			}
			arrowDecode[i], costs[i].Arrow = append(arrowDecode[i], took), size
		}
	}
	for i := range costs {
		costs[i].Decode, costs[i].ArrowDecode = medianOf(decode[i]), medianOf(arrowDecode[i])
	}
	return costs, nil
}

// downstreamBatchesOf has a variant make batches.
func downstreamBatchesOf[T any](l Downstream, v Variant, sig downstreamOf[T]) (batches []T, err error) {
	var mu sync.Mutex
	s, err := sig.Open(v.Rival, v.Settings, NormalTelemetry, func(_ context.Context, payload T) error {
		raw, err := sig.encoded(payload) // a copy, as the payload may be somebody else's when the call has ended
		if err != nil {
			return err
		}
		kept, err := sig.decoded(raw)
		mu.Lock()
		defer mu.Unlock()
		batches = append(batches, kept)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(context.Background(), nil); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range downstreamItems / l.Items {
		payload := sig.build(PendingLoad{Attributes: downstreamAttributes, Items: l.Items})
		sig.distinguish(payload, i%l.Resources, rng)
		if err := s.Consume(context.Background(), payload); err != nil {
			return nil, err
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		return nil, err
	}
	items := 0
	for _, b := range batches {
		items += sig.Count(b)
	}
	if items != downstreamItems {
		return nil, fmt.Errorf("%d items arrived, want %d", items, downstreamItems)
	}
	return batches, nil
}

// weighDownstream returns the batches as OTLP, and sets what an item takes.
func weighDownstream[T any](c *DownstreamCost, batches []T, encoded func(T) ([]byte, error)) (raw [][]byte, err error) {
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, err
	}
	defer packer.Close()
	for _, b := range batches {
		plain, err := encoded(b)
		if err != nil {
			return nil, err
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(plain); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		c.Plain += float64(len(plain)) / downstreamItems
		c.Gzip += float64(packed.Len()) / downstreamItems
		c.Zstd += float64(len(packer.EncodeAll(plain, nil))) / downstreamItems
		raw = append(raw, plain)
	}
	return raw, nil
}

// timeDecoding decodes all batches.
func timeDecoding[T any](raw [][]byte, decoded func([]byte) (T, error)) (item time.Duration, allocs float64, err error) {
	cost, err := measure(func() error {
		for _, b := range raw {
			if _, err := decoded(b); err != nil {
				return err
			}
		}
		return nil
	})
	return cost.CPU / downstreamItems, float64(cost.Allocs) / downstreamItems, err
}

// timeArrow sends all batches through one OTAP stream, and decodes them.
func timeArrow[T any](batches []T, sig downstreamOf[T]) (item time.Duration, size float64, err error) {
	producer, consumer := arrow_record.NewProducer(), arrow_record.NewConsumer()
	defer func() { err = errors.Join(err, producer.Close(), consumer.Close()) }()
	var took time.Duration
	for _, b := range batches {
		records, err := sig.arrow(producer, b)
		if err != nil {
			return 0, 0, err
		}
		size += float64(proto.Size(records)) / downstreamItems
		begin := processCPU()
		if _, err := sig.fromArrow(consumer, records); err != nil {
			return 0, 0, err
		}
		took += processCPU() - begin
	}
	return took / downstreamItems, size, nil
}

func medianOf(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// DownstreamVariants are batch, and a map that merges equal resources.
func DownstreamVariants() []Variant {
	size := Settings{"send_batch_size": downstreamBatch, "send_batch_max_size": downstreamBatch, "timeout": "1h"}
	merging := Settings{"buffer": "map"}
	for k, v := range size {
		merging[k] = v
	}
	return []Variant{{Rival: Batch, Label: "`batch`", Settings: size}, {Rival: Ours, Label: "here, `buffer: map`", Settings: merging}}
}
