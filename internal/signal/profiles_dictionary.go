// SPDX-License-Identifier: Apache-2.0

package signal

import (
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

// dictionaryMove builds a dictionary out of those entries of another one that are asked for. Check has seen the other
// one, so each index resolves.
type dictionaryMove struct {
	strings    map[int32]int32 // index in from: index in to
	from, to   pcommon.StringSlice
	attributes *tableMove[pprofile.KeyValueAndUnit, pprofile.KeyValueAndUnitSlice]
	links      *tableMove[pprofile.Link, pprofile.LinkSlice]
	functions  *tableMove[pprofile.Function, pprofile.FunctionSlice]
	mappings   *tableMove[pprofile.Mapping, pprofile.MappingSlice]
	locations  *tableMove[pprofile.Location, pprofile.LocationSlice]
	stacks     *tableMove[pprofile.Stack, pprofile.StackSlice]
}

// moveDictionary fills the dictionary of p, which is empty, with the entries of from that p uses, and changes the indices
// in p accordingly. Entry 0 of each table is the zero entry.
func moveDictionary(p pprofile.Profiles, from pprofile.ProfilesDictionary) {
	to := p.Dictionary()
	fillZeroEntries(to)

	m := &dictionaryMove{strings: map[int32]int32{0: 0}, from: from.StringTable(), to: to.StringTable()}
	m.attributes = newTableMove(from.AttributeTable(), to.AttributeTable(), m.attribute)
	m.links = newTableMove(from.LinkTable(), to.LinkTable(), func(pprofile.Link) {})
	m.functions = newTableMove(from.FunctionTable(), to.FunctionTable(), m.function)
	m.mappings = newTableMove(from.MappingTable(), to.MappingTable(), m.mapping)
	m.locations = newTableMove(from.LocationTable(), to.LocationTable(), m.location)
	m.stacks = newTableMove(from.StackTable(), to.StackTable(), m.stack)

	for _, resource := range p.ResourceProfiles().All() {
		for _, scope := range resource.ScopeProfiles().All() {
			for _, profile := range scope.Profiles().All() {
				m.profile(profile)
			}
		}
	}
}

func (m *dictionaryMove) profile(p pprofile.Profile) {
	m.valueType(p.SampleType())
	m.valueType(p.PeriodType())
	m.attributes.indices(p.AttributeIndices())
	for _, s := range p.Samples().All() {
		s.SetStackIndex(m.stacks.index(s.StackIndex()))
		s.SetLinkIndex(m.links.index(s.LinkIndex()))
		m.attributes.indices(s.AttributeIndices())
	}
}

func (m *dictionaryMove) valueType(v pprofile.ValueType) {
	v.SetTypeStrindex(m.string(v.TypeStrindex()))
	v.SetUnitStrindex(m.string(v.UnitStrindex()))
}

func (m *dictionaryMove) stack(s pprofile.Stack) {
	m.locations.indices(s.LocationIndices())
}

func (m *dictionaryMove) location(l pprofile.Location) {
	l.SetMappingIndex(m.mappings.index(l.MappingIndex()))
	m.attributes.indices(l.AttributeIndices())
	for _, line := range l.Lines().All() {
		line.SetFunctionIndex(m.functions.index(line.FunctionIndex()))
	}
}

func (m *dictionaryMove) mapping(p pprofile.Mapping) {
	p.SetFilenameStrindex(m.string(p.FilenameStrindex()))
	m.attributes.indices(p.AttributeIndices())
}

func (m *dictionaryMove) function(f pprofile.Function) {
	f.SetNameStrindex(m.string(f.NameStrindex()))
	f.SetSystemNameStrindex(m.string(f.SystemNameStrindex()))
	f.SetFilenameStrindex(m.string(f.FilenameStrindex()))
}

func (m *dictionaryMove) attribute(a pprofile.KeyValueAndUnit) {
	a.SetKeyStrindex(m.string(a.KeyStrindex()))
	a.SetUnitStrindex(m.string(a.UnitStrindex()))
}

func (m *dictionaryMove) string(i int32) int32 {
	moved, known := m.strings[i]
	if !known {
		moved = int32(m.to.Len())
		m.strings[i] = moved
		m.to.Append(m.from.At(int(i)))
	}
	return moved
}

// tableMove copies entries of one table to another as they are asked for, each once.
type tableMove[E copyable[E], S slice[E]] struct {
	moved    map[int32]int32 // index in from: index in to
	from, to S
	follow   func(E) // does the same for what a copied entry refers to, and changes the indices in it
}

// copyable is what the entries of all tables have in common.
type copyable[E any] interface {
	CopyTo(dst E)
}

func newTableMove[E copyable[E], S slice[E]](from, to S, follow func(E)) *tableMove[E, S] {
	return &tableMove[E, S]{moved: map[int32]int32{0: 0}, from: from, to: to, follow: follow}
}

// index returns where entry i of the one table stands in the other.
func (t *tableMove[E, S]) index(i int32) int32 {
	moved, known := t.moved[i]
	if !known {
		moved = int32(t.to.Len())
		t.moved[i] = moved
		entry := t.to.AppendEmpty()
		t.from.At(int(i)).CopyTo(entry)
		t.follow(entry)
	}
	return moved
}

// indices changes each index in list to where its entry stands in the other table.
func (t *tableMove[E, S]) indices(list pcommon.Int32Slice) {
	for k := range list.Len() {
		list.SetAt(k, t.index(list.At(k)))
	}
}
