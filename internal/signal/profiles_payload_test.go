// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"pgregory.net/rapid"
)

func drawProfiles(t *rapid.T) pprofile.Profiles {
	return drawProfilesWith(t, func(t *rapid.T, what string, entries int) (int32, bool) {
		if entries == 0 {
			return 0, false
		}
		return anyIndex(t, what, entries), true
	})
}

// anyIndex prefers high indices, where rapid prefers low values: there is little to go wrong with index 0.
func anyIndex(t *rapid.T, what string, entries int) int32 {
	return int32(entries - 1 - rapid.IntRange(0, entries-1).Draw(t, what))
}

// drawProfilesWith makes profiles whose references into a table of so many entries are drawn by index, which also says
// whether there is anything that a list could refer to.
func drawProfilesWith(t *rapid.T, index func(t *rapid.T, what string, entries int) (int32, bool)) pprofile.Profiles {
	one := func(what string, entries int) int32 {
		i, _ := index(t, what, entries)
		return i
	}
	list := func(what string, entries int, s pcommon.Int32Slice) {
		for range some(t, what) {
			if i, ok := index(t, what, entries); ok {
				s.Append(i)
			}
		}
	}
	size := func(what string) int { // 0: not even the zero entry
		return rapid.SampledFrom([]int{1, 5, 4, 3, 2, 0}).Draw(t, what)
	}

	p := pprofile.NewProfiles()
	d := p.Dictionary()
	strings := size("strings")
	for i := range strings {
		if i == 0 {
			d.StringTable().Append("")
		} else {
			d.StringTable().Append(rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "string"))
		}
	}
	attributes := size("attributes")
	for i := range attributes {
		a := d.AttributeTable().AppendEmpty()
		if i > 0 {
			a.SetKeyStrindex(one("key", strings))
			a.SetUnitStrindex(one("unit", strings))
			drawReferring(t, d.StringTable(), a.Value())
		}
	}
	links := size("links")
	for i := range links {
		l := d.LinkTable().AppendEmpty()
		if i > 0 {
			l.SetSpanID([8]byte{byte(some(t, "link"))})
		}
	}
	functions := size("functions")
	for i := range functions {
		f := d.FunctionTable().AppendEmpty()
		if i > 0 {
			f.SetNameStrindex(one("name", strings))
			f.SetSystemNameStrindex(one("system name", strings))
			f.SetFilenameStrindex(one("file name", strings))
			f.SetStartLine(int64(some(t, "line")))
		}
	}
	mappings := size("mappings")
	for i := range mappings {
		m := d.MappingTable().AppendEmpty()
		if i > 0 {
			m.SetFilenameStrindex(one("file name", strings))
			m.SetMemoryStart(uint64(some(t, "start")))
			list("attributes", attributes, m.AttributeIndices())
		}
	}
	locations := size("locations")
	for i := range locations {
		l := d.LocationTable().AppendEmpty()
		if i > 0 {
			l.SetAddress(uint64(some(t, "address")))
			l.SetMappingIndex(one("mapping", mappings))
			list("attributes", attributes, l.AttributeIndices())
			for range some(t, "lines") {
				l.Lines().AppendEmpty().SetFunctionIndex(one("function", functions))
			}
		}
	}
	stacks := size("stacks")
	for i := range stacks {
		s := d.StackTable().AppendEmpty()
		if i > 0 {
			list("locations", locations, s.LocationIndices())
		}
	}

	id := int64(0)
	for range few(t, "resources") {
		r := p.ResourceProfiles().AppendEmpty()
		drawResource(t, r.Resource())
		r.SetSchemaUrl(text(t, "schema"))
		for range some(t, "scopes") {
			s := r.ScopeProfiles().AppendEmpty()
			drawScope(t, s.Scope())
			s.SetSchemaUrl(text(t, "schema"))
			for range some(t, "profiles") {
				profile := s.Profiles().AppendEmpty()
				profile.SampleType().SetTypeStrindex(one("type", strings))
				profile.SampleType().SetUnitStrindex(one("unit", strings))
				profile.PeriodType().SetTypeStrindex(one("type", strings))
				profile.PeriodType().SetUnitStrindex(one("unit", strings))
				profile.SetTime(pcommon.Timestamp(some(t, "time")))
				profile.SetDurationNano(uint64(some(t, "duration")))
				profile.SetPeriod(int64(some(t, "period")))
				profile.SetProfileID([16]byte{byte(some(t, "ID"))})
				profile.SetDroppedAttributesCount(uint32(some(t, "dropped")))
				profile.SetOriginalPayloadFormat(text(t, "format"))
				profile.OriginalPayload().FromRaw([]byte(text(t, "original")))
				list("attributes", attributes, profile.AttributeIndices())
				for range few(t, "samples") {
					id++
					sample := profile.Samples().AppendEmpty()
					sample.Values().Append(id)
					sample.TimestampsUnixNano().Append(uint64(some(t, "time")))
					sample.SetStackIndex(one("stack", stacks))
					sample.SetLinkIndex(one("link", links))
					list("attributes", attributes, sample.AttributeIndices())
				}
			}
		}
	}
	return p
}

// drawReferring draws a number, a text, or a value with references to strings of table, nested or not.
func drawReferring(t *rapid.T, table pcommon.StringSlice, v pcommon.Value) {
	switch rapid.SampledFrom([]string{"number", "text", "reference", "nested", "nothing"}).Draw(t, "kind of value") {
	case "number":
		v.SetInt(int64(some(t, "value")))
	case "text":
		v.SetStr(text(t, "value"))
	case "reference":
		if i := drawReference(t, table); i != "" {
			refer(table, v, func(v pcommon.Value) { v.SetStr(i) })
		}
	case "nested":
		a, b := drawReference(t, table), drawReference(t, table)
		refer(table, v, func(v pcommon.Value) {
			m := v.SetEmptyMap()
			m.PutInt("plain", int64(some(t, "value")))
			m.PutEmptySlice("list").AppendEmpty().SetStr(a)
			if b != "" {
				m.PutStr(b, a)
			}
		})
	}
}

// drawReference draws a string of table, or "".
func drawReference(t *rapid.T, table pcommon.StringSlice) string {
	if table.Len() == 0 {
		return ""
	}
	return table.At(int(anyIndex(t, "reference", table.Len())))
}

// refer makes v what set makes of it, with all keys and texts as references to table, as pdata's encoder does it in a
// resource. Those that table lacks are added to it. Without a table they stay plain.
func refer(table pcommon.StringSlice, v pcommon.Value, set func(pcommon.Value)) {
	if table.Len() == 0 {
		set(v)
		return
	}
	p := pprofile.NewProfiles()
	table.CopyTo(p.Dictionary().StringTable())
	set(p.ResourceProfiles().AppendEmpty().Resource().Attributes().PutEmpty("v"))
	if _, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(p); err != nil {
		panic(err)
	}
	for i := table.Len(); i < p.Dictionary().StringTable().Len(); i++ {
		table.Append(p.Dictionary().StringTable().At(i))
	}
	for _, encoded := range p.ResourceProfiles().At(0).Resource().Attributes().All() {
		encoded.CopyTo(v)
	}
}

// resolved is v with its references resolved, by pdata, which does so when it decodes a resource.
func resolved(table pcommon.StringSlice, v pcommon.Value) any {
	p := pprofile.NewProfiles()
	fillZeroEntries(p.Dictionary())
	if table.Len() > 0 {
		table.CopyTo(p.Dictionary().StringTable())
	}
	v.CopyTo(p.ResourceProfiles().AppendEmpty().Resource().Attributes().PutEmpty("v"))
	b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(p)
	if err != nil {
		panic(err)
	}
	p, err = (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(b)
	if err != nil {
		panic(err)
	}
	return p.ResourceProfiles().At(0).Resource().Attributes().AsRaw()["v"]
}

func flattenProfiles(p pprofile.Profiles) []string {
	return (&usage{}).profiles(p)
}

// usage spells out profiles with all references resolved, and notes what they refer to.
type usage struct {
	d pprofile.ProfilesDictionary

	strings, attributes, links, functions, mappings, locations, stacks map[int32]bool
}

func (u *usage) profiles(p pprofile.Profiles) (list []string) {
	u.d = p.Dictionary()
	for _, set := range []*map[int32]bool{
		&u.strings, &u.attributes, &u.links, &u.functions, &u.mappings, &u.locations, &u.stacks,
	} {
		*set = map[int32]bool{}
	}
	for _, r := range p.ResourceProfiles().All() {
		resource := fmt.Sprint(r.SchemaUrl(), r.Resource().DroppedAttributesCount(), r.Resource().Attributes().AsRaw())
		if r.ScopeProfiles().Len() == 0 {
			list = append(list, resource)
		}
		for _, s := range r.ScopeProfiles().All() {
			scope := fmt.Sprint(resource, "\n", s.SchemaUrl(), s.Scope().Name(), ",", s.Scope().Version(),
				s.Scope().DroppedAttributesCount(), s.Scope().Attributes().AsRaw())
			if s.Profiles().Len() == 0 {
				list = append(list, scope)
			}
			for _, profile := range s.Profiles().All() {
				fields := fmt.Sprint(scope, "\n", u.profile(profile))
				if profile.Samples().Len() == 0 {
					list = append(list, fields+ofTheWhole(profile))
				}
				for i, sample := range profile.Samples().All() {
					item := fmt.Sprint(fields, "\n", u.sample(sample))
					if i == 0 {
						item += ofTheWhole(profile)
					}
					list = append(list, item)
				}
			}
		}
	}
	return list
}

// ofTheWhole spells out what only one part of a profile may have.
func ofTheWhole(p pprofile.Profile) string {
	if p.ProfileID().IsEmpty() && p.OriginalPayload().Len() == 0 && p.OriginalPayloadFormat() == "" {
		return ""
	}
	return fmt.Sprintf("\nID %v, %q: %q", p.ProfileID(), p.OriginalPayloadFormat(), p.OriginalPayload().AsRaw())
}

// profile spells out p without its samples and what is of the whole. The fields that are no references are taken from its encoding, so that none
// is forgotten.
func (u *usage) profile(p pprofile.Profile) string {
	payload := pprofile.NewProfiles()
	plain := payload.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty()
	p.CopyTo(plain)
	plain.Samples().RemoveIf(all)
	plain.AttributeIndices().FromRaw(nil)
	plain.SetProfileID(pprofile.ProfileID{})
	plain.SetOriginalPayloadFormat("")
	plain.OriginalPayload().FromRaw(nil)
	pprofile.NewValueType().CopyTo(plain.SampleType())
	pprofile.NewValueType().CopyTo(plain.PeriodType())
	b, err := (&pprofile.JSONMarshaler{}).MarshalProfiles(payload)
	if err != nil {
		panic(err)
	}
	return fmt.Sprint(string(b), u.valueType(p.SampleType()), u.valueType(p.PeriodType()), u.attributeList(p.AttributeIndices()))
}

func (u *usage) valueType(v pprofile.ValueType) string {
	return fmt.Sprintf("(%q in %q)", u.string(v.TypeStrindex()), u.string(v.UnitStrindex()))
}

func (u *usage) sample(s pprofile.Sample) string {
	return fmt.Sprint("sample", s.Values().AsRaw(), s.TimestampsUnixNano().AsRaw(), u.attributeList(s.AttributeIndices()),
		u.link(s.LinkIndex()), u.stack(s.StackIndex()))
}

func (u *usage) string(i int32) string {
	u.strings[i] = true
	if i == 0 {
		return ""
	}
	return u.d.StringTable().At(int(i))
}

// attributeList and all that follow it say nothing of index 0 itself, but look at the entry: what is "none" in one
// payload has to be so in the other.
func (u *usage) attributeList(list pcommon.Int32Slice) (s string) {
	for _, i := range list.All() {
		u.attributes[i] = true
		a := u.d.AttributeTable().At(int(i))
		s += fmt.Sprintf("<%q=%v %q>", u.string(a.KeyStrindex()), u.value(a.Value()), u.string(a.UnitStrindex()))
	}
	return s
}

// value resolves v, and notes what it refers to.
func (u *usage) value(v pcommon.Value) any {
	(&references{}).check(v, func(i int32) { u.strings[i] = true })
	return resolved(u.d.StringTable(), v)
}

// entry returns an entry, or the zero entry if the table has none.
func entry[E any, S slice[E]](used map[int32]bool, table S, i int32, zero E) E {
	used[i] = true
	if i == 0 && table.Len() == 0 {
		return zero
	}
	return table.At(int(i))
}

func (u *usage) link(i int32) string {
	l := entry(u.links, u.d.LinkTable(), i, pprofile.NewLink())
	return fmt.Sprint("link", l.TraceID(), l.SpanID())
}

func (u *usage) stack(i int32) string {
	text := "stack"
	for _, i := range entry(u.stacks, u.d.StackTable(), i, pprofile.NewStack()).LocationIndices().All() {
		u.locations[i] = true
		l := u.d.LocationTable().At(int(i))
		text += fmt.Sprint("@", l.Address(), u.mapping(l.MappingIndex()), u.attributeList(l.AttributeIndices()))
		for _, line := range l.Lines().All() {
			text += fmt.Sprint(u.function(line.FunctionIndex()), line.Line(), ":", line.Column())
		}
	}
	return text
}

func (u *usage) mapping(i int32) string {
	m := entry(u.mappings, u.d.MappingTable(), i, pprofile.NewMapping())
	return fmt.Sprintf("mapping %d %d %d %q %s", m.MemoryStart(), m.MemoryLimit(), m.FileOffset(),
		u.string(m.FilenameStrindex()), u.attributeList(m.AttributeIndices()))
}

func (u *usage) function(i int32) string {
	f := entry(u.functions, u.d.FunctionTable(), i, pprofile.NewFunction())
	return fmt.Sprintf("function %q %q %q %d", u.string(f.NameStrindex()), u.string(f.SystemNameStrindex()),
		u.string(f.FilenameStrindex()), f.StartLine())
}

// used counts, by table, what was referred to and entry 0.
func (u *usage) used() map[string]int {
	used := map[string]int{}
	for name, set := range map[string]map[int32]bool{
		"strings": u.strings, "attributes": u.attributes, "links": u.links, "functions": u.functions,
		"mappings": u.mappings, "locations": u.locations, "stacks": u.stacks,
	} {
		set[0] = true
		used[name] = len(set)
	}
	return used
}

// entries counts, by table, what is in d.
func (u *usage) entries(d pprofile.ProfilesDictionary) map[string]int {
	return map[string]int{
		"strings": d.StringTable().Len(), "attributes": d.AttributeTable().Len(), "links": d.LinkTable().Len(),
		"functions": d.FunctionTable().Len(), "mappings": d.MappingTable().Len(), "locations": d.LocationTable().Len(),
		"stacks": d.StackTable().Len(),
	}
}
