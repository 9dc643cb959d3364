// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
)

// Encoder writes identities: byte strings that are equal if, and only if, what they stand for is the same, attributes in any
// order. Every text stands behind its length, every list behind its number of elements, and every value behind its type, so
// that each identity says where it ends: none is the beginning of another one, and several in a row are one again.
//
// It costs time and memory in proportion to what is written (I10): no value is visited more than twice, however deep it is
// nested. An Encoder is used by one goroutine at a time, and is worth keeping.
type Encoder struct {
	buf  []byte
	walk walk

	without Ignored // what is not written at the moment of a resource or scope

	order    keyOrder               // of the attributes that were sorted last
	orders   recent[string, string] // attributes as they stood, and in the order of their keys
	names    recent[identity, Name]
	metrics  recent[metricNames, *abovePoints]
	outlines recent[string, *outline]

	runs runs

	counts []int // of the outline that is being written: the metrics of each scope
	ends   []int // and where in buf its parts end
}

// maxKept is how large a buffer is kept for the next identity.
const maxKept = 64 << 10

func (e *Encoder) reset() {
	if cap(e.buf) > maxKept {
		e.buf = nil
	}
	e.buf = e.buf[:0]
	e.walk.reset()
}

// string returns what was written since the last reset.
func (e *Encoder) string() string { return string(e.buf) }

func (e *Encoder) tag(b byte) { e.buf = append(e.buf, b) }
func (e *Encoder) number(n uint64) {
	if n < 0x80 { // most are, and this is inlined
		e.buf = append(e.buf, byte(n))
		return
	}
	e.buf = binary.AppendUvarint(e.buf, n)
}

func (e *Encoder) fixed64(n uint64) { e.buf = binary.LittleEndian.AppendUint64(e.buf, n) }

func (e *Encoder) text(s string) { e.number(uint64(len(s))); e.buf = append(e.buf, s...) }

// value writes a value behind its type: 1, 1.0 and "1" differ.
func (e *Encoder) value(v pcommon.Value) {
	switch t := v.Type(); t {
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		e.walk.value(v, e)
	default:
		e.walk.steps++
		e.ofType(t, v)
	}
}

// scalar is ofType for the walk.
func (e *Encoder) scalar(v pcommon.Value) { e.ofType(v.Type(), v) }

// ofType writes a value that has no others in it. A double is its bits, so that NaN equals itself.
func (e *Encoder) ofType(t pcommon.ValueType, v pcommon.Value) {
	e.tag(byte(t))
	switch t {
	case pcommon.ValueTypeStr:
		e.text(v.Str())
	case pcommon.ValueTypeInt:
		e.fixed64(uint64(v.Int()))
	case pcommon.ValueTypeDouble:
		e.fixed64(math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		if v.Bool() {
			e.tag(1)
		} else {
			e.tag(0)
		}
	case pcommon.ValueTypeBytes:
		b := v.Bytes()
		e.number(uint64(b.Len()))
		for i := range b.Len() {
			e.tag(b.At(i))
		}
	}
}

// open, element, close and enough make an Encoder a visitor.
func (e *Encoder) open(isMap bool, n int) {
	if isMap {
		e.tag(byte(pcommon.ValueTypeMap))
	} else {
		e.tag(byte(pcommon.ValueTypeSlice))
	}
	e.number(uint64(n))
}

func (e *Encoder) element(_ int, isMap bool, key string) {
	if isMap {
		e.text(key)
	}
}

func (e *Encoder) close(bool)   {}
func (e *Encoder) enough() bool { return false }

// attributes writes a map in the order of its keys. Should a key be there twice, its values stay in their order. The order of
// maps that come again is remembered.
func (e *Encoder) attributes(m pcommon.Map) {
	if len(e.without.Attributes) > 0 {
		e.attributesWithout(m, e.without.Attributes)
		return
	}
	e.number(uint64(m.Len()))
	begin := len(e.buf)
	sorted, last := true, ""
	for k, v := range m.All() {
		sorted, last = sorted && last <= k, k
		e.text(k)
		e.value(v)
	}
	if sorted {
		return
	}
	unsorted := e.buf[begin:]
	if text, ok := e.orders.of[string(unsorted)]; ok {
		copy(unsorted, text) // as long as it was
		return
	}
	from := ""
	if len(unsorted) <= maxText {
		from = string(unsorted)
	}
	e.buf = e.buf[:begin]
	e.sorted(m)
	if from != "" {
		e.orders.add(from, string(e.buf[begin:]), 2*len(from))
	}
}

// attributesWithout is attributes without those that are ignored.
func (e *Encoder) attributesWithout(m pcommon.Map, ignored map[string]struct{}) {
	kept := 0
	for k := range m.All() {
		if _, ok := ignored[k]; !ok {
			kept++
		}
	}
	e.number(uint64(kept))
	e.walk.sort(m) // no walk is under way, so these are all pairs
	for i := range m.Len() {
		p := e.walk.pairs[i]
		if _, ok := ignored[p.key]; !ok {
			e.text(p.key)
			e.value(p.value)
		}
	}
	e.walk.drop(0)
}

func (e *Encoder) texts(s pcommon.StringSlice) {
	e.number(uint64(s.Len()))
	for i := range s.Len() {
		e.text(s.At(i))
	}
}

// resource writes a resource: its attributes, dropped count and entity references, these as they stand, and schema URL.
func (e *Encoder) resource(r pcommon.Resource, schema string) {
	e.attributes(r.Attributes())
	e.dropped(r.DroppedAttributesCount())
	refs := entity.ResourceEntityRefs(r)
	e.number(uint64(refs.Len()))
	for i := range refs.Len() {
		ref := refs.At(i)
		e.text(ref.SchemaUrl())
		e.text(ref.Type())
		e.texts(ref.IdKeys())
		e.texts(ref.DescriptionKeys())
	}
	e.schema(schema)
}

func (e *Encoder) scope(s pcommon.InstrumentationScope, schema string) {
	e.text(s.Name())
	e.text(s.Version())
	e.attributes(s.Attributes())
	e.dropped(s.DroppedAttributesCount())
	e.schema(schema)
}

func (e *Encoder) dropped(n uint32) {
	if !e.without.Dropped {
		e.number(uint64(n))
	}
}

func (e *Encoder) schema(url string) {
	if !e.without.Schema {
		e.text(url)
	}
}

// series writes what tells the series of a metric from those of others, by the data model; describe the rest of its fields.
func (e *Encoder) series(m pmetric.Metric) {
	e.text(m.Name())
	e.text(m.Unit())
	e.tag(byte(m.Type()))
	switch m.Type() {
	case pmetric.MetricTypeSum:
		e.tag(byte(m.Sum().AggregationTemporality()))
		if m.Sum().IsMonotonic() {
			e.tag(1)
		} else {
			e.tag(0)
		}
	case pmetric.MetricTypeHistogram:
		e.tag(byte(m.Histogram().AggregationTemporality()))
	case pmetric.MetricTypeExponentialHistogram:
		e.tag(byte(m.ExponentialHistogram().AggregationTemporality()))
	}
}

func (e *Encoder) describe(m pmetric.Metric) {
	e.text(m.Description())
	e.attributes(m.Metadata())
}
