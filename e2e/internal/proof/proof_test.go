// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Each item of a request says when it was sent and which one it is, for the sink of every signal.
func TestSinkReadsWhatRequestsSay(t *testing.T) {
	for _, signal := range []Signal{Traces, Metrics, Logs} {
		for _, items := range []int{1, 10, 100} {
			tpl, err := newTemplate(signal, 3, items)
			if err != nil {
				t.Fatal(err)
			}
			s := &sink{}
			sent := time.Now().Add(-time.Second)
			export(t, signal, s, tpl.request(40, sent))
			if distinct, copies := s.arrived(); distinct != items || copies != 0 {
				t.Errorf("%s: %d of %d items arrived, and %d copies", signal, distinct, items, copies)
			}
			export(t, signal, s, tpl.request(40, sent))
			if distinct, copies := s.arrived(); distinct != items || copies != items {
				t.Errorf("%s: %d of %d items arrived, and %d copies", signal, distinct, items, copies)
			}
			if n := s.missing([]idRange{{40, items}, {40 + uint64(items), 1}, {39, 1}}); n != 2 {
				t.Errorf("%s: %d are missing, not the two that were not sent", signal, n)
			}
			if q := s.takeDelays().quantile(0.5); q < time.Second || q > time.Minute {
				t.Errorf("%s: the delay is %v, not a second", signal, q)
			}
		}
	}
}

func export(t *testing.T, signal Signal, s *sink, encoded []byte) {
	t.Helper()
	var err error
	switch signal {
	case Traces:
		r := ptraceotlp.NewExportRequest()
		if err = r.UnmarshalProto(encoded); err == nil {
			_, err = (&tracesSink{s: s}).Export(context.Background(), r)
		}
	case Metrics:
		r := pmetricotlp.NewExportRequest()
		if err = r.UnmarshalProto(encoded); err == nil {
			_, err = (&metricsSink{s: s}).Export(context.Background(), r)
		}
	case Logs:
		r := plogotlp.NewExportRequest()
		if err = r.UnmarshalProto(encoded); err == nil {
			_, err = (&logsSink{s: s}).Export(context.Background(), r)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestQuantilesAreWithinATenth(t *testing.T) {
	var d delays
	for i := range 1000 {
		d.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.001: 1e6, 0.5: 500e6, 0.99: 990e6, 1: 1e9} {
		if got := d.quantile(q); got < want || float64(got) > 1.13*float64(want) {
			t.Errorf("quantile %v is %v, want %v and at most an eighth more", q, got, want)
		}
	}
	if got := delays(nil).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	d = nil
	d.add(-time.Second) // clocks
	if got := d.quantile(0.5); got <= 0 || got > time.Microsecond {
		t.Errorf("of a time in the future: %v", got)
	}
}

func TestMedian(t *testing.T) {
	r := Rounds{Rounds: []Result{{CPU: 9}, {CPU: 1}, {CPU: 4}}}
	if got := r.cell(func(r Result) float64 { return r.CPU }); got != "4.00 (1.00..9.00)" {
		t.Error(got)
	}
	r.Rounds = append(r.Rounds, Result{CPU: 6})
	if got := r.Median(func(r Result) float64 { return r.CPU }); got != 5 {
		t.Error(got)
	}
}

// Who takes more memory than is aimed at is named, and nobody else.
func TestWriteHeld(t *testing.T) {
	of := func(name string, held, peak float64) Rounds {
		return Rounds{Case: Case{Variant: Variant{Name: name}}, Rounds: []Result{{Held: held, HeldPeak: peak}}}
	}
	var b strings.Builder
	WriteHeld(&b, []Rounds{of("ours", 200, 109), of("reference", 100, 100), of("others", 50, 120)}, "reference")
	for _, want := range []string{"| ours | 200 (200..200) | 2.00 | 109 (109..109) | 1.09 |", "aim:\n\n- others\n\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func TestSoakSeesLossesAndGrowth(t *testing.T) {
	steady := []Sample{{Heap: 20, Goroutines: 100, Files: 20}, {Heap: 30, Goroutines: 120, Files: 22}, {Heap: 28, Goroutines: 110, Files: 21}, {Heap: 31, Goroutines: 115, Files: 22}}
	if err := checkSamples(steady); err != nil {
		t.Errorf("nothing grows: %v", err)
	}
	if err := checkSamples(steady[:3]); err == nil {
		t.Error("three cycles are too few")
	}
	for name, change := range map[string]func(cycle int, s *Sample){
		"lost":             func(cycle int, s *Sample) { s.Missing = cycle / 3 },
		"heap":             func(cycle int, s *Sample) { s.Heap += float64(30 * cycle) },
		"goroutines":       func(cycle int, s *Sample) { s.Goroutines += 200 * cycle },
		"file descriptors": func(cycle int, s *Sample) { s.Files += 20 * cycle },
	} {
		samples := slices.Clone(steady)
		for i := range samples {
			change(i, &samples[i])
		}
		if err := checkSamples(samples); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a stack is counted as.
func TestPartOf(t *testing.T) {
	const pdata, ours = "go.opentelemetry.io/collector/pdata/internal.", "github.com/partitionedbuffer/partitionedbufferprocessor/"
	for want, stack := range map[string][]string{
		"garbage collection": {"runtime.scanobject", "runtime.gcDrain", "runtime.gcBgMarkWorker"},
		"compression":        {"github.com/klauspost/compress/flate.(*fastEncL1).Encode", "google.golang.org/grpc.compress"},
		"encoding":           {"runtime.memmove", pdata + "(*Span).MarshalProto", "google.golang.org/grpc.encode"},
		"decoding":           {"runtime.mallocgc", pdata + "(*Span).UnmarshalProto", "google.golang.org/grpc.(*Server).processUnaryRPC"},
		"processor":          {"runtime.memmove", ours + "partitioned.(*Queue[...]).admit", ours + "internal/batcher.(*batcher[...]).Consume"},
		"network and gRPC":   {"syscall.Syscall", "internal/poll.(*FD).Write", "net.(*conn).Write"},
		"the rest":           {"runtime.findRunnable", "runtime.mcall"},
	} {
		if got := partOf(stack); got != want {
			t.Errorf("%q is %q, want %q", stack, got, want)
		}
		if !slices.Contains(Parts(), want) {
			t.Errorf("%q is not among %q", want, Parts())
		}
	}
}
