// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/client"
)

// Case is one comparison: what to run, for whom, and what has to come out.
type Case struct {
	Group    string // name of the benchmark and heading of the table
	Name     string // within its group
	Param    string // key=value, after the rival in a benchmark's name; may be empty
	About    string // one line above the group's tables
	Columns  []Column
	Variants []Variant
	Targets  []Target

	// Run measures one variant once; one figure a column.
	Run func(Variant) ([]float64, error)
}

// Column is a figure that a case yields.
type Column struct {
	Unit  string
	Ratio bool // tables relate ours to the others by it
}

// Target is a ratio to reach: Column of the variant labelled Of, divided by that of Over. Without Over it is a figure.
type Target struct {
	Column, Of, Over string
	AtMost, AtLeast  float64 // one of the two
}

const ours, batch = "ours", "batch"

// Cases returns every comparison, in the order of their tables.
func Cases() []Case {
	cases := []Case{}
	cases = append(cases, consumeCases(Traces, 0.35)...)
	cases = append(cases, consumeCases(Logs, 0.35)...)
	cases = append(cases, consumeCases(Metrics, 0.5)...)
	cases = append(cases, slowCase(5*time.Millisecond, 100), slowCase(50*time.Millisecond, 20), latencyCase(), stallsCase(), waitCase(), tenantsCase(),
		isolationCase(), liveCase(), successionCase(), resourceCase(), decodedCase(), recordCase(), bytesCase())
	cases = append(cases, splitCases()...)
	cases = append(cases, storedCases()...)
	return append(cases, libraryCases()...)
}

// consumeCases have a next consumer that does nothing, so that only the batching itself is left; and one that reads each item, as the
// least that an exporter does.
func consumeCases[T any](sig Signal[T], atMost float64) []Case {
	var cases []Case
	for _, l := range []Load{
		{Producers: 8},
		{Producers: 64},
		{Producers: 256},
		{Producers: 64, Reads: true},
	} {
		l.Calls, l.Items = 30_000, 10
		name, targets := sig.Name, []Target{
			{Column: "ns/op", Of: ours, Over: batch, AtMost: atMost},
			{Column: "cpu-ns/op", Of: ours, Over: batch, AtMost: 0.5},
			{Column: "allocs/op", Of: ours, Over: batch, AtMost: 1},
		}
		if l.Reads {
			name, targets = name+"_read", nil // most of the time is the next consumer's
		}
		cases = append(cases, Case{
			Group: "Consume", Name: name, Param: fmt.Sprintf("producers=%d", l.Producers),
			About: fmt.Sprintf("No-op next consumer, or for those named read, one that reads an attribute of each item; %d-item requests, %d calls a round, closed "+
				"loop, default settings, drain included. CPU is that of the whole process. (queuebatch's default queue of 10 requests would measure its timer, see Stalls.)", l.Items, l.Calls),
			Columns: []Column{
				{Unit: "ns/op", Ratio: true},
				{Unit: "cpu-ns/op", Ratio: true},
				{Unit: "B/op"},
				{Unit: "allocs/op"},
			},
			Variants: []Variant{
				{Rival: Ours},
				{Rival: Batch},
				{Rival: Queuebatch, Label: "queuebatch(queue_size=1000000)", Settings: Settings{"queue_size": 1_000_000}},
				{Rival: Floor},
			},
			Targets: targets,
			Run: func(v Variant) ([]float64, error) {
				o, err := Closed(sig, v, l)
				n := float64(o.Calls)
				return []float64{float64(o.Wall) / n, float64(o.CPU) / n, float64(o.Bytes) / n, float64(o.Allocs) / n}, err
			},
		})
	}
	return cases
}

// perBatch is how many requests of 100 records reach the default trigger of 8192. A load that is a multiple of it leaves
// no remainder, whose batch would count as much as a full one where a call's duration does not depend on its size.
const perBatch = 82

// slowCase is bound by the next consumer's time for a call.
func slowCase(delay time.Duration, batches int) Case {
	l := Load{Producers: 8, Calls: batches * perBatch, Items: 100, Delay: delay}
	const parallel = "ours(num_consumers=10)"
	return Case{
		Group: "Slow", Name: "delay=" + delay.String(),
		About:   "The next consumer takes 5 ms or 50 ms a call; 8 producers, 100-record requests, closed loop, default settings, drain included.",
		Columns: []Column{{Unit: "items/s", Ratio: true}},
		Variants: []Variant{
			{Rival: Ours},
			{Rival: Ours, Label: parallel, Settings: Settings{"num_consumers": 10}},
			{Rival: Batch},
			{Rival: Queuebatch, Calls: 40},
			{Rival: Queuebatch, Label: "queuebatch(queue_size=1000)", Settings: Settings{"queue_size": 1000}},
			{Rival: Queuebatch, Label: "queuebatch(queue_size=1000,num_consumers=10)", Settings: Settings{"queue_size": 1000, "num_consumers": 10}},
		},
		Targets: []Target{
			// Both wait for the same sleeps: they are equal, but for two percent of noise.
			{Column: "items/s", Of: ours, Over: batch, AtLeast: 0.98},
			{Column: "items/s", Of: parallel, Over: batch, AtLeast: 8},
		},
		Run: func(v Variant) ([]float64, error) {
			o, err := Closed(Logs, v, l)
			return []float64{float64(o.Items) / o.Wall.Seconds()}, err
		},
	}
}

// latencyCase loads a serial consumer of 50 ms a call, which takes a batch of 8192 items each time, by three quarters.
func latencyCase() Case {
	const delay = 50 * time.Millisecond
	l := OpenLoad{Items: 100, Delay: delay, Lasts: 1500 * time.Millisecond}
	l.PerSecond = 0.75 * 8192 / delay.Seconds() / float64(l.Items)
	return Case{
		Group: "Latency", Name: "load=75%",
		About: fmt.Sprintf("Duration of Consume in an open loop of %.0f requests of %d records a second, three quarters of what a next consumer of 50 ms "+
			"a call takes in batches of 8192; default settings.", l.PerSecond, l.Items),
		Columns: []Column{{Unit: "p50-µs", Ratio: true}, {Unit: "p99-µs", Ratio: true}, {Unit: "max-µs"}},
		Variants: []Variant{
			{Rival: Ours},
			{Rival: Batch},
			{Rival: Queuebatch, Label: "queuebatch(queue_size=1000)", Settings: Settings{"queue_size": 1000}},
		},
		Targets: []Target{{Column: "p99-µs", Of: ours, Over: batch, AtMost: 0.05}},
		Run: func(v Variant) ([]float64, error) {
			lat, err := Open(Logs, v, l)
			return []float64{microseconds(lat.P50), microseconds(lat.P99), microseconds(lat.Max)}, err
		},
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// stallsCase gives callers less room than a batch needs: whoever waits for a timer then, while the next consumer is
// free, waits for nothing.
func stallsCase() Case {
	l := Load{Producers: 8, Calls: 30_000, Items: 10}
	const own, theirs = "ours(sizer=requests,queue_size=10)", "queuebatch(queue_size=10,its_default)"
	return Case{
		Group: "Stalls", Name: "queue=10",
		About: "Room for 10 requests of 10 items, far from the trigger of 8192; no-op next consumer, 8 producers, closed loop. " +
			"batch has no such setting and stands for scale.",
		Columns: []Column{{Unit: "ns/op", Ratio: true}},
		Variants: []Variant{
			{Rival: Ours, Label: own, Settings: Settings{"sizer": "requests", "queue_size": 10}},
			{Rival: Batch},
			{Rival: Queuebatch, Label: theirs, Calls: 60},
		},
		Targets: []Target{{Column: "ns/op", Of: own, Over: theirs, AtMost: 0.01}},
		Run: func(v Variant) ([]float64, error) {
			o, err := Closed(Traces, v, l)
			return []float64{float64(o.Accepting) / float64(o.Calls)}, err
		},
	}
}

// waitCase has callers that wait for the result. All of them together fill a batch of 320 items, and never one of 8192.
func waitCase() Case {
	l := Load{Producers: 64, Calls: 30_000, Items: 10, Shared: true}
	const own, ownDefault = "ours(send_batch_size=320)", "ours(default_trigger)"
	const theirs, theirsDefault = "queuebatch(min_size=320,num_consumers=10)", "queuebatch(default_trigger,num_consumers=10)"
	mutated := Ours
	mutated.NextMutates = true
	return Case{
		Group: "Wait", Name: "wait_for_result", Param: "producers=64",
		About: fmt.Sprintf("wait_for_result, %d-item requests, %d calls a round, closed loop, no-op next consumer. "+
			"The time is that until the calls run out, since then the last producers no longer fill a batch; CPU is that of the whole process until the end. With the default trigger "+
			"of 8192 items, which the 640 that can wait never reach, queuebatch's callers wait for its timer. For a next consumer that says that it changes its data, "+
			"ours copies each batch, as a caller that gets an error gets its data back.", l.Items, l.Calls),
		Columns: []Column{{Unit: "ns/op", Ratio: true}, {Unit: "cpu-ns/op", Ratio: true}, {Unit: "B/op"}, {Unit: "allocs/op"}, {Unit: "items/batch"}},
		Variants: []Variant{
			{Rival: Ours, Label: own, Settings: Settings{"wait_for_result": true, "send_batch_size": 320}},
			{Rival: Ours, Label: ownDefault, Settings: Settings{"wait_for_result": true}},
			{Rival: mutated, Label: "ours(send_batch_size=320), the next consumer mutates", Settings: Settings{"wait_for_result": true, "send_batch_size": 320}},
			{Rival: Queuebatch, Label: theirs, Settings: Settings{
				"wait_for_result": true, "num_consumers": 10, "queue_size": 1000, "batch": map[string]any{"min_size": 320},
			}},
			{Rival: Queuebatch, Label: theirsDefault, Calls: 640, Settings: Settings{"wait_for_result": true, "num_consumers": 10, "queue_size": 1000}},
		},
		Targets: []Target{
			{Column: "ns/op", Of: own, Over: theirs, AtMost: 0.9},
			{Column: "cpu-ns/op", Of: own, Over: theirs, AtMost: 0.8},
			{Column: "ns/op", Of: ownDefault, Over: theirs, AtMost: 1.5},
		},
		Run: func(v Variant) ([]float64, error) {
			o, err := Closed(Traces, v, l)
			n := float64(o.Calls)
			return []float64{
				float64(o.Steady) / n, float64(o.CPU) / n, float64(o.Bytes) / n, float64(o.Allocs) / n, float64(o.Items) / float64(max(o.Batches, 1)),
			}, err
		},
	}
}

// tenantsCase spreads the calls over a thousand values of a metadata key.
func tenantsCase() Case {
	const tenants = 1000
	l := Load{Producers: 8, Calls: 20_000, Items: 10} // the automatic queue_size holds it all: nobody waits for capacity
	for i := range tenants {
		l.Contexts = append(l.Contexts, client.NewContext(context.Background(), client.Info{
			Metadata: client.NewMetadata(map[string][]string{"x-tenant": {fmt.Sprintf("tenant-%d", i)}}),
		}))
	}
	// batch refuses a key that two producers open at once when it is the last one that fits, hence the larger limit.
	keys := Settings{"metadata_keys": []string{"x-tenant"}, "metadata_cardinality_limit": 2 * tenants}
	return Case{
		Group: "Tenants", Name: "tenants=1000",
		About: fmt.Sprintf("metadata_keys with %d values in turn; no-op next consumer, 8 producers, %d-item requests, %d calls a round, closed loop, "+
			"drain included. Goroutines are the processor's own while it runs.", tenants, l.Items, l.Calls),
		Columns: []Column{
			{Unit: "ns/op", Ratio: true},
			{Unit: "cpu-ns/op", Ratio: true},
			{Unit: "B/op"},
			{Unit: "allocs/op", Ratio: true},
			{Unit: "goroutines"},
		},
		Variants: []Variant{
			{Rival: Ours, Settings: keys},
			{Rival: Batch, Settings: keys},
			{Rival: Queuebatch, Label: "queuebatch(queue_size=1000000)", Settings: Settings{
				"queue_size": 1_000_000,
				"batch":      map[string]any{"partition": map[string]any{"metadata_keys": []string{"x-tenant"}}},
			}},
		},
		Targets: []Target{{Column: "cpu-ns/op", Of: ours, Over: batch, AtMost: 0.4}},
		Run: func(v Variant) ([]float64, error) {
			o, err := Closed(Traces, v, l)
			n := float64(o.Calls)
			return []float64{
				float64(o.Wall) / n, float64(o.CPU) / n, float64(o.Bytes) / n, float64(o.Allocs) / n, float64(o.Goroutines),
			}, err
		},
	}
}
