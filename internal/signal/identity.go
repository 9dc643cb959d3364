// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
)

// Encoder writes identities: byte strings that are equal if, and only if, what they stand for is the same, attributes in any
// order. Every text stands behind its length, every list behind its number of elements, and every value behind its type, so
// that each identity says where it ends: none is the beginning of another one, and several in a row are one again.
//
// An Encoder is used by one goroutine at a time, and is worth keeping: it allocates nothing but what it returns.
type Encoder struct {
	buf   []byte
	ends  []int32
	pairs []pair // those of all maps that it is in
	known texts  // what was returned
	once  bool   // what is written will hardly come again
	order texts  // the attributes of a map as they stood, and in the order of their keys
}

// texts are those of the last few senders: most are the same again and again, and what was made of them need not be made again.
type texts map[string]string

type pair struct {
	key   string
	value pcommon.Value
}

// maxKept is how large a buffer is kept for the next identity.
const maxKept = 64 << 10

func (e *Encoder) reset() {
	if cap(e.buf) > maxKept {
		e.buf = nil
	}
	e.buf, e.ends = e.buf[:0], e.ends[:0]
}

const (
	maxTexts = 256     // before all are forgotten
	maxText  = 4 << 10 // bytes of one
)

func (t *texts) add(from, to string) {
	if len(from) > maxText {
		return
	}
	if *t == nil || len(*t) == maxTexts {
		*t = make(texts, maxTexts)
	}
	(*t)[from] = to
}

// intern returns what was written.
func (e *Encoder) intern() string {
	if s, ok := e.known[string(e.buf)]; ok {
		return s
	}
	s := string(e.buf)
	e.known.add(s, s)
	return s
}

func (e *Encoder) tag(b byte)       { e.buf = append(e.buf, b) }
func (e *Encoder) number(n uint64)  { e.buf = binary.AppendUvarint(e.buf, n) }
func (e *Encoder) text(s string)    { e.number(uint64(len(s))); e.buf = append(e.buf, s...) }
func (e *Encoder) fixed64(n uint64) { e.buf = binary.LittleEndian.AppendUint64(e.buf, n) }

// value writes a value behind its type: 1, 1.0 and "1" differ. A double is its bits, so that NaN equals itself.
func (e *Encoder) value(v pcommon.Value) {
	e.tag(byte(v.Type()))
	switch v.Type() {
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
	case pcommon.ValueTypeMap:
		e.attributes(v.Map())
	case pcommon.ValueTypeSlice:
		s := v.Slice()
		e.number(uint64(s.Len()))
		for i := range s.Len() {
			e.value(s.At(i))
		}
	case pcommon.ValueTypeBytes:
		b := v.Bytes()
		e.number(uint64(b.Len()))
		for i := range b.Len() {
			e.tag(b.At(i))
		}
	}
}

// attributes writes a map in the order of its keys. Should a key be there twice, its values stay in their order. That of maps
// that come again is remembered.
func (e *Encoder) attributes(m pcommon.Map) {
	e.number(uint64(m.Len()))
	if e.once {
		e.sort(m)
		return
	}
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
	if text, ok := e.order[string(unsorted)]; ok {
		copy(unsorted, text) // as long as it was
		return
	}
	from := string(unsorted)
	e.buf = e.buf[:begin]
	e.sort(m)
	e.order.add(from, string(e.buf[begin:]))
}

func (e *Encoder) sort(m pcommon.Map) {
	base := len(e.pairs)
	for k, v := range m.All() {
		e.pairs = append(e.pairs, pair{k, v})
	}
	pairs := e.pairs[base:]
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	for i := range pairs { // the maps in it may move e.pairs: pairs is what it was, and only read
		e.text(pairs[i].key)
		e.value(pairs[i].value)
	}
	clear(pairs)
	e.pairs = e.pairs[:base]
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
	e.number(uint64(r.DroppedAttributesCount()))
	refs := entity.ResourceEntityRefs(r)
	e.number(uint64(refs.Len()))
	for i := range refs.Len() {
		ref := refs.At(i)
		e.text(ref.SchemaUrl())
		e.text(ref.Type())
		e.texts(ref.IdKeys())
		e.texts(ref.DescriptionKeys())
	}
	e.text(schema)
}

func (e *Encoder) scope(s pcommon.InstrumentationScope, schema string) {
	e.text(s.Name())
	e.text(s.Version())
	e.attributes(s.Attributes())
	e.number(uint64(s.DroppedAttributesCount()))
	e.text(schema)
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
