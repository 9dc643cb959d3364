// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/errgroup"
)

// decodedCase is resourceCase with requests as they come in a Collector: decoded a moment ago, by the goroutine that calls
// Consume.
func decodedCase() Case {
	const turns = 4
	l := Load{Producers: 8, Calls: 40_000, Items: 10}
	return Case{
		Group: "Maps", Name: "resource", Param: "load=decoded",
		Columns:  []Column{{Unit: "ns/op"}, {Unit: "cpu-ns/op"}, {Unit: "own-ns/op", Ratio: true}, {Unit: "own-cpu-ns/op", Ratio: true}},
		Variants: []Variant{{Rival: Ours}, {Rival: Ours, Label: groupedMap, Settings: Settings{"buffer": "map"}}, {Rival: Batch}},
		Targets: []Target{
			{Column: "own-ns/op", Of: groupedMap, Over: ours, AtMost: 3},
			{Column: "own-cpu-ns/op", Of: groupedMap, Over: ours, AtMost: 3},
		},
		Run: func(v Variant) ([]float64, error) {
			encoded, err := encodeFifty(l.Items)
			if err != nil {
				return nil, err
			}
			grow(512 << 20)
			rest := make([]byte, 128<<20) // of a Collector's heap: collections are as rare as there
			defer runtime.KeepAlive(rest)
			figures := make([]float64, 4)
			for range turns { // what decoding takes differs from moment to moment
				alone, err := measure(func() error {
					return decode(encoded, l, func(context.Context, ptrace.Traces) error { return nil })
				})
				if err != nil {
					return nil, err
				}
				all, err := measure(func() error { return decodeThrough(encoded, l, v) })
				if err != nil {
					return nil, err
				}
				for i, d := range []time.Duration{all.Wall, all.CPU, all.Wall - alone.Wall, all.CPU - alone.CPU} {
					figures[i] += float64(d) / float64(turns*l.Calls)
				}
			}
			return figures, nil
		},
	}
}

// encodeFifty makes a request of each of fifty resources.
func encodeFifty(items int) (encoded [][]byte, err error) {
	for i := range 50 {
		raw, e := (&ptrace.ProtoMarshaler{}).MarshalTraces(fifty(i, items, i*items))
		encoded, err = append(encoded, raw), errors.Join(err, e)
	}
	return encoded, err
}

// decode has each producer decode requests and hand them on.
func decode(encoded [][]byte, l Load, consume func(context.Context, ptrace.Traces) error) error {
	var all errgroup.Group
	for part := range split(l.Calls, l.Producers) {
		all.Go(func() error {
			for i := part.from; i < part.to; i++ {
				td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(encoded[i%len(encoded)])
				if err == nil {
					err = consume(context.Background(), td)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// decodeThrough is decode with a variant's way through it, drain included.
func decodeThrough(encoded [][]byte, l Load, v Variant) error {
	var arrived atomic.Int64
	s, err := Traces.Open(v.Rival, v.Settings, NormalTelemetry, func(_ context.Context, td ptrace.Traces) error {
		arrived.Add(int64(td.SpanCount()))
		return nil
	})
	if err != nil {
		return err
	}
	err = errors.Join(s.Start(context.Background(), nil), decode(encoded, l, s.Consume), s.Shutdown(context.Background()))
	if n := arrived.Load(); err == nil && n != int64(l.Calls*l.Items) {
		err = fmt.Errorf("%s: %d of %d items arrived", v.label(), n, l.Calls*l.Items)
	}
	return err
}
