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
			a.Value().SetInt(int64(some(t, "value")))
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
					list = append(list, fields)
				}
				for _, sample := range profile.Samples().All() {
					list = append(list, fmt.Sprint(fields, "\n", u.sample(sample)))
				}
			}
		}
	}
	return list
}

// profile spells out p without its samples. The fields that are no references are taken from its encoding, so that none
// is forgotten.
func (u *usage) profile(p pprofile.Profile) string {
	payload := pprofile.NewProfiles()
	plain := payload.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty()
	p.CopyTo(plain)
	plain.Samples().RemoveIf(all)
	plain.AttributeIndices().FromRaw(nil)
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
		s += fmt.Sprintf("<%q=%v %q>", u.string(a.KeyStrindex()), a.Value().AsRaw(), u.string(a.UnitStrindex()))
	}
	return s
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
