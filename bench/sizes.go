// SPDX-License-Identifier: Apache-2.0

package bench

import "fmt"

const (
	splitGroup = "Split"
	splitItems = 200_000
	measured   = "measured, not cut"
)

// splitCases cut one large request, by items and by bytes.
func splitCases() []Case {
	return []Case{
		splitCase(Load{Producers: 1, Calls: 1, Items: splitItems}, 100, 0.1),
		splitCase(Load{Producers: 1, Calls: 1, Items: splitItems}, 1000, 0.5),
		splitCase(Load{Producers: 1, Calls: 1, Items: splitItems, Resources: 1000}, 1000, 1),
	}
}

// bytesEach is about what an encoded span of the load has, so that caps in bytes make about as many batches as those in items.
const bytesEach = 125

func splitCase(l Load, most int, ofBatch float64) Case {
	const inBytes = "ours(bytes)"
	batchOf := map[string]any{"min_size": most * bytesEach, "max_size": most * bytesEach, "sizer": "bytes"}
	c := Case{
		Group: splitGroup, Name: fmt.Sprintf("resources=%d", max(l.Resources, 1)), Param: fmt.Sprintf("cap=%d", most),
		About: fmt.Sprintf("One request of %d spans, cut into batches of at most so many, or of about the same size in bytes (%d a span); "+
			"from Consume until Shutdown returned, no-op next consumer. \"%s\": pdata's marshaller measures the request once, and it goes on whole.",
			l.Items, bytesEach, measured),
		Columns: []Column{{Unit: "ms", Ratio: true}, {Unit: "batches"}},
		Variants: []Variant{
			{Rival: Ours, Settings: Settings{"send_batch_size": most, "send_batch_max_size": most}},
			{Rival: Ours, Label: inBytes, Settings: Settings{"send_batch_size": 0, "send_batch_max_size_bytes": most * bytesEach}},
			{Rival: Batch, Settings: Settings{"send_batch_size": most, "send_batch_max_size": most}},
			{Rival: Floor, Label: measured, Settings: Settings{"send_batch_size": 1, "measure": true}},
			{Rival: Queuebatch, Label: "queuebatch(bytes)", Settings: Settings{"batch": batchOf}},
		},
		Targets: []Target{
			{Column: "ms", Of: ours, Over: batch, AtMost: ofBatch},
			{Column: "ms", Of: inBytes, Over: ours, AtMost: 2},
			{Column: "ms", Of: inBytes, Over: "queuebatch(bytes)", AtMost: 1.0 / 3},
		},
		Run: func(v Variant) ([]float64, error) {
			o, err := Closed(Traces, v, l)
			return []float64{float64(o.Wall.Microseconds()) / 1000, float64(o.Batches)}, err
		},
	}
	if most < 1000 { // exporterhelper takes half a minute over it
		c.Variants, c.Targets = c.Variants[:4], c.Targets[:2]
	}
	if l.Resources > 1 { // what moves by resources takes less time than to measure them once
		c.Targets[1].Over = measured
	}
	return c
}
