// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// PendingLoad is requests that wait while the next consumer does not answer.
type PendingLoad struct {
	Signal     string // traces, metrics or logs
	Attributes int    // of each item, and of each resource, of about 35 bytes each
	Items      int    // of a request
}

// PendingMemory is what the items of a PendingLoad take, in bytes an item.
type PendingMemory struct {
	Encoded float64 // as OTLP protobuf
	Heap    float64 // while they wait, garbage aside
	Peak    float64 // of the process's memory, garbage and all, from the first request until all were delivered; 0: unknown
}

// Measure fills a processor with about encoded bytes of requests, as a receiver has just decoded them, looks at the heap, and
// lets the next consumer, which encodes what it gets, have them. For the peak it has to be the first thing that its process does.
func (l PendingLoad) Measure(encoded int) (PendingMemory, error) {
	switch l.Signal {
	case "traces":
		return pendingMemory(l, encoded, Traces, wideTraces,
			(&ptrace.ProtoMarshaler{}).MarshalTraces, (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces)
	case "metrics":
		return pendingMemory(l, encoded, Metrics, wideMetrics,
			(&pmetric.ProtoMarshaler{}).MarshalMetrics, (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics)
	case "logs":
		return pendingMemory(l, encoded, Logs, wideLogs,
			(&plog.ProtoMarshaler{}).MarshalLogs, (&plog.ProtoUnmarshaler{}).UnmarshalLogs)
	default:
		return PendingMemory{}, fmt.Errorf("signal %q: must be traces, metrics or logs", l.Signal)
	}
}

func pendingMemory[T any](l PendingLoad, encoded int, sig Signal[T], build func(PendingLoad) T,
	encode func(T) ([]byte, error), decode func([]byte) (T, error),
) (PendingMemory, error) {
	raw, err := encode(build(l))
	if err != nil {
		return PendingMemory{}, err
	}
	answer, arrived := make(chan struct{}), 0
	s, err := sig.Open(Ours, Settings{"queue_size": 1 << 31, "shutdown_timeout": "10m"}, NormalTelemetry, func(_ context.Context, payload T) error {
		<-answer
		arrived += sig.Count(payload)
		_, err := encode(payload)
		return err
	})
	if err != nil {
		return PendingMemory{}, err
	}
	if err := s.Start(context.Background(), nil); err != nil {
		return PendingMemory{}, err
	}
	empty, resident := heap(), peakMemory()
	requests := max(1, encoded/len(raw))
	for range requests {
		payload, err := decode(raw)
		if err == nil {
			err = s.Consume(context.Background(), payload)
		}
		if err != nil {
			return PendingMemory{}, err
		}
	}
	full := heap()
	close(answer)
	if err := s.Shutdown(context.Background()); err != nil {
		return PendingMemory{}, err
	}
	items := float64(requests * l.Items)
	if arrived != requests*l.Items {
		return PendingMemory{}, errors.New("not everything arrived")
	}
	return PendingMemory{
		Encoded: float64(len(raw)) / float64(l.Items),
		Heap:    float64(full-empty) / items,
		Peak:    float64(peakMemory()-resident) / items,
	}, nil
}

// peakMemory is the most memory that the process ever had, in bytes; 0 where nobody says, as outside of Linux.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

func putWide(to pcommon.Map, attributes int) {
	to.EnsureCapacity(attributes)
	for i := range attributes {
		to.PutStr(fmt.Sprintf("app.attribute.%02d", i), fmt.Sprintf("value-%08x", i*0x9e3779))
	}
}

func wideTraces(l PendingLoad) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	putWide(rs.Resource().Attributes(), l.Attributes)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("github.com/example/instrumentation")
	for i := range l.Items {
		sp := ss.Spans().AppendEmpty()
		sp.SetTraceID([16]byte{15: byte(i + 1)})
		sp.SetSpanID([8]byte{7: byte(i + 1)})
		sp.SetParentSpanID([8]byte{6: 1, 7: byte(i)})
		sp.SetName("POST /cart")
		sp.SetStartTimestamp(1_700_000_000_000_000_000)
		sp.SetEndTimestamp(1_700_000_000_001_000_000)
		putWide(sp.Attributes(), l.Attributes)
	}
	return td
}

// wideMetrics has two points a metric.
func wideMetrics(l PendingLoad) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	putWide(rm.Resource().Attributes(), l.Attributes)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("github.com/example/instrumentation")
	var points pmetric.NumberDataPointSlice
	for i := range l.Items {
		if i%2 == 0 {
			m := sm.Metrics().AppendEmpty()
			m.SetName("http.server.requests")
			m.SetUnit("{request}")
			sum := m.SetEmptySum()
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			points = sum.DataPoints()
		}
		p := points.AppendEmpty()
		p.SetStartTimestamp(1_700_000_000_000_000_000)
		p.SetTimestamp(1_700_000_001_000_000_000)
		p.SetIntValue(int64(i) + 1_000_000)
		putWide(p.Attributes(), l.Attributes)
	}
	return md
}

func wideLogs(l PendingLoad) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	putWide(rl.Resource().Attributes(), l.Attributes)
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("github.com/example/instrumentation")
	for range l.Items {
		lr := sl.LogRecords().AppendEmpty()
		lr.SetTimestamp(1_700_000_000_000_000_000)
		lr.SetObservedTimestamp(1_700_000_000_000_000_001)
		lr.SetSeverityNumber(plog.SeverityNumberInfo)
		lr.SetSeverityText("INFO")
		lr.Body().SetStr("order accepted: 3 positions, 149.90 EUR, express delivery to the customer's second address")
		putWide(lr.Attributes(), l.Attributes)
	}
	return ld
}
