// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// fillZeroEntries gives each empty table of d the entry 0 that stands for "none".
func fillZeroEntries(d pprofile.ProfilesDictionary) {
	if d.StringTable().Len() == 0 {
		d.StringTable().Append("")
	}
	fillZeroEntry(d.AttributeTable())
	fillZeroEntry(d.LinkTable())
	fillZeroEntry(d.FunctionTable())
	fillZeroEntry(d.MappingTable())
	fillZeroEntry(d.LocationTable())
	fillZeroEntry(d.StackTable())
}

func fillZeroEntry[E any, S slice[E]](table S) {
	if table.Len() == 0 {
		table.AppendEmpty()
	}
}

// transfer brings profiles from their dictionary into another one: it copies the entries that they use, each once, and
// changes their indices. Entries that nothing uses stay behind, as the format allows. Check has seen all of it, so each
// index resolves. It is linear in what is copied, and in the other dictionary if that has entries already.
//
// pdata's MergeTo looks each entry up from the front of its table: the product of both sizes.
type transfer struct {
	strings    stringTransfer
	attributes *tableTransfer[pprofile.KeyValueAndUnit, pprofile.KeyValueAndUnitSlice]
	links      *tableTransfer[pprofile.Link, pprofile.LinkSlice]
	functions  *tableTransfer[pprofile.Function, pprofile.FunctionSlice]
	mappings   *tableTransfer[pprofile.Mapping, pprofile.MappingSlice]
	locations  *tableTransfer[pprofile.Location, pprofile.LocationSlice]
	stacks     *tableTransfer[pprofile.Stack, pprofile.StackSlice]
	references references
}

// newTransfer goes to the dictionary to. If that has entries, or is to have those of several others, intern finds those that
// are equal.
func newTransfer(to pprofile.ProfilesDictionary, intern bool) *transfer {
	fillZeroEntries(to)
	t := &transfer{strings: stringTransfer{to: to.StringTable()}}
	t.attributes = &tableTransfer[pprofile.KeyValueAndUnit, pprofile.KeyValueAndUnitSlice]{
		to: to.AttributeTable(), entry: pprofile.NewKeyValueAndUnit(), follow: t.attribute, encode: t.encodeAttribute,
	}
	t.links = &tableTransfer[pprofile.Link, pprofile.LinkSlice]{
		to: to.LinkTable(), entry: pprofile.NewLink(), follow: func(pprofile.Link) {}, encode: encodeLink,
	}
	t.functions = &tableTransfer[pprofile.Function, pprofile.FunctionSlice]{
		to: to.FunctionTable(), entry: pprofile.NewFunction(), follow: t.function, encode: encodeFunction,
	}
	t.mappings = &tableTransfer[pprofile.Mapping, pprofile.MappingSlice]{
		to: to.MappingTable(), entry: pprofile.NewMapping(), follow: t.mapping, encode: encodeMapping,
	}
	t.locations = &tableTransfer[pprofile.Location, pprofile.LocationSlice]{
		to: to.LocationTable(), entry: pprofile.NewLocation(), follow: t.location, encode: encodeLocation,
	}
	t.stacks = &tableTransfer[pprofile.Stack, pprofile.StackSlice]{
		to: to.StackTable(), entry: pprofile.NewStack(), follow: t.stack, encode: encodeStack,
	}
	if intern {
		t.strings.intern()
		t.attributes.intern()
		t.links.intern()
		t.functions.intern()
		t.mappings.intern()
		t.locations.intern()
		t.stacks.intern()
	}
	return t
}

// bring changes the indices in p, which refer to the dictionary from, to where their entries are in the other one.
func (t *transfer) bring(p pprofile.Profiles, from pprofile.ProfilesDictionary) {
	t.strings.begin(from.StringTable())
	t.attributes.begin(from.AttributeTable())
	t.links.begin(from.LinkTable())
	t.functions.begin(from.FunctionTable())
	t.mappings.begin(from.MappingTable())
	t.locations.begin(from.LocationTable())
	t.stacks.begin(from.StackTable())
	for _, resource := range p.ResourceProfiles().All() {
		for _, scope := range resource.ScopeProfiles().All() {
			for _, profile := range scope.Profiles().All() {
				t.profile(profile)
			}
		}
	}
}

func (t *transfer) profile(p pprofile.Profile) {
	t.valueType(p.SampleType())
	t.valueType(p.PeriodType())
	t.attributes.indices(p.AttributeIndices())
	for _, s := range p.Samples().All() {
		s.SetStackIndex(t.stacks.index(s.StackIndex()))
		s.SetLinkIndex(t.links.index(s.LinkIndex()))
		t.attributes.indices(s.AttributeIndices())
	}
}

func (t *transfer) valueType(v pprofile.ValueType) {
	v.SetTypeStrindex(t.strings.index(v.TypeStrindex()))
	v.SetUnitStrindex(t.strings.index(v.UnitStrindex()))
}

func (t *transfer) stack(s pprofile.Stack) {
	t.locations.indices(s.LocationIndices())
}

func (t *transfer) location(l pprofile.Location) {
	l.SetMappingIndex(t.mappings.index(l.MappingIndex()))
	t.attributes.indices(l.AttributeIndices())
	for _, line := range l.Lines().All() {
		line.SetFunctionIndex(t.functions.index(line.FunctionIndex()))
	}
}

func (t *transfer) mapping(m pprofile.Mapping) {
	m.SetFilenameStrindex(t.strings.index(m.FilenameStrindex()))
	t.attributes.indices(m.AttributeIndices())
}

func (t *transfer) function(f pprofile.Function) {
	f.SetNameStrindex(t.strings.index(f.NameStrindex()))
	f.SetSystemNameStrindex(t.strings.index(f.SystemNameStrindex()))
	f.SetFilenameStrindex(t.strings.index(f.FilenameStrindex()))
}

func (t *transfer) attribute(a pprofile.KeyValueAndUnit) {
	a.SetKeyStrindex(t.strings.index(a.KeyStrindex()))
	a.SetUnitStrindex(t.strings.index(a.UnitStrindex()))
	t.references.translate(a.Value(), t.strings.index)
}

// stringTransfer is a tableTransfer of strings.
type stringTransfer struct {
	to, from pcommon.StringSlice
	moved    map[int32]int32
	known    map[string]int32
}

func (t *stringTransfer) intern() {
	t.known = make(map[string]int32, t.to.Len())
	for i := range t.to.Len() {
		if _, known := t.known[t.to.At(i)]; !known {
			t.known[t.to.At(i)] = int32(i)
		}
	}
}

func (t *stringTransfer) begin(from pcommon.StringSlice) {
	t.from, t.moved = from, map[int32]int32{0: 0}
}

func (t *stringTransfer) index(i int32) int32 {
	if at, moved := t.moved[i]; moved {
		return at
	}
	s := t.from.At(int(i))
	at, known := t.known[s]
	if !known {
		at = int32(t.to.Len())
		t.to.Append(s)
		if t.known != nil {
			t.known[s] = at
		}
	}
	t.moved[i] = at
	return at
}

// tableTransfer copies entries of one table to another as they are asked for.
type tableTransfer[E movable[E], S slice[E]] struct {
	to, from S
	moved    map[int32]int32  // index in from: index in to
	known    map[string]int32 // entry of to, encoded: its index. Nil: an entry of from is in to only if it was moved
	entry    E                // one that is being copied. An entry refers to none of its own table
	buf      []byte
	follow   func(E) // does the same for what a copied entry refers to, and changes the indices in it
	encode   func([]byte, E) []byte
}

func (t *tableTransfer[E, S]) intern() {
	t.known = make(map[string]int32, t.to.Len())
	for i := range t.to.Len() {
		t.buf = t.encode(t.buf[:0], t.to.At(i))
		if _, known := t.known[string(t.buf)]; !known {
			t.known[string(t.buf)] = int32(i)
		}
	}
}

func (t *tableTransfer[E, S]) begin(from S) {
	t.from, t.moved = from, map[int32]int32{0: 0}
}

// index returns where entry i of the one table is in the other.
func (t *tableTransfer[E, S]) index(i int32) int32 {
	if at, moved := t.moved[i]; moved {
		return at
	}
	t.from.At(int(i)).CopyTo(t.entry)
	t.follow(t.entry)
	at := t.place()
	t.moved[i] = at
	return at
}

func (t *tableTransfer[E, S]) place() int32 {
	at := int32(t.to.Len())
	if t.known != nil {
		t.buf = t.encode(t.buf[:0], t.entry)
		if at, known := t.known[string(t.buf)]; known {
			return at
		}
		t.known[string(t.buf)] = at
	}
	t.entry.MoveTo(t.to.AppendEmpty())
	return at
}

// indices changes each index in list to where its entry is in the other table.
func (t *tableTransfer[E, S]) indices(list pcommon.Int32Slice) {
	for k := range list.Len() {
		list.SetAt(k, t.index(list.At(k)))
	}
}

// The encodings are injective: equal ones mean equal entries of one dictionary.

func encodeLink(b []byte, l pprofile.Link) []byte {
	trace, span := l.TraceID(), l.SpanID()
	return append(append(b, trace[:]...), span[:]...)
}

func encodeFunction(b []byte, f pprofile.Function) []byte {
	return appendInts(b, int64(f.NameStrindex()), int64(f.SystemNameStrindex()), int64(f.FilenameStrindex()), f.StartLine())
}

func encodeMapping(b []byte, m pprofile.Mapping) []byte {
	b = appendInts(b, int64(m.MemoryStart()), int64(m.MemoryLimit()), int64(m.FileOffset()), int64(m.FilenameStrindex()))
	return appendIndices(b, m.AttributeIndices())
}

func encodeLocation(b []byte, l pprofile.Location) []byte {
	b = appendInts(b, int64(l.MappingIndex()), int64(l.Address()), int64(l.Lines().Len()))
	for _, line := range l.Lines().All() {
		b = appendInts(b, int64(line.FunctionIndex()), line.Line(), line.Column())
	}
	return appendIndices(b, l.AttributeIndices())
}

func encodeStack(b []byte, s pprofile.Stack) []byte { return appendIndices(b, s.LocationIndices()) }

func (t *transfer) encodeAttribute(b []byte, a pprofile.KeyValueAndUnit) []byte {
	b = appendInts(b, int64(a.KeyStrindex()), int64(a.UnitStrindex()))
	return t.references.appendValue(b, a.Value())
}

func appendInts(b []byte, list ...int64) []byte {
	for _, n := range list {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func appendIndices(b []byte, list pcommon.Int32Slice) []byte {
	b = binary.AppendVarint(b, int64(list.Len()))
	for k := range list.Len() {
		b = binary.AppendVarint(b, int64(list.At(k)))
	}
	return b
}
