// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

func buildProfiles(ids []int64) pprofile.Profiles {
	pd := pprofile.NewProfiles()
	d := pd.Dictionary()
	// Index 0 of each table means that there is none.
	d.StringTable().Append("")
	d.MappingTable().AppendEmpty()
	d.LocationTable().AppendEmpty()
	d.FunctionTable().AppendEmpty()
	d.LinkTable().AppendEmpty()
	d.AttributeTable().AppendEmpty()
	d.StackTable().AppendEmpty()

	for _, p := range places {
		here := p.at(ids)
		if len(here) == 0 {
			continue
		}
		rp := pd.ResourceProfiles().AppendEmpty()
		sp := rp.ScopeProfiles().AppendEmpty()
		p.set(rp, rp.Resource(), sp, sp.Scope())
		prof := sp.Profiles().AppendEmpty()
		prof.SampleType().SetTypeStrindex(addString(d, "samples"))
		prof.SampleType().SetUnitStrindex(addString(d, "count"))
		for _, id := range here {
			s := prof.Samples().AppendEmpty()
			s.Values().Append(id)
			s.SetStackIndex(addStack(d, itemName(id)))
			attrs := pcommon.NewMap()
			putAttrs(attrs, id)
			for k, v := range attrs.All() {
				kv := d.AttributeTable().AppendEmpty()
				kv.SetKeyStrindex(addString(d, k))
				v.CopyTo(kv.Value())
				s.AttributeIndices().Append(int32(d.AttributeTable().Len() - 1))
			}
		}
	}
	return pd
}

func addString(d pprofile.ProfilesDictionary, s string) int32 {
	i, err := pprofile.SetString(d.StringTable(), s)
	if err != nil {
		panic(err) // more than 2^31 strings
	}
	return i
}

// addStack adds a stack of one frame, in the function of that name.
func addStack(d pprofile.ProfilesDictionary, function string) int32 {
	d.FunctionTable().AppendEmpty().SetNameStrindex(addString(d, function))
	loc := d.LocationTable().AppendEmpty()
	loc.Lines().AppendEmpty().SetFunctionIndex(int32(d.FunctionTable().Len() - 1))
	d.StackTable().AppendEmpty().LocationIndices().Append(int32(d.LocationTable().Len() - 1))
	return int32(d.StackTable().Len() - 1)
}

func visitProfiles(pd pprofile.Profiles, f func(int64, error)) {
	d := pd.Dictionary()
	for _, rp := range pd.ResourceProfiles().All() {
		for _, sp := range rp.ScopeProfiles().All() {
			at := found(rp, rp.Resource(), sp, sp.Scope())
			for _, p := range sp.Profiles().All() {
				for _, s := range p.Samples().All() {
					f(checkSample(d, s, at))
				}
			}
		}
	}
}

func checkSample(d pprofile.ProfilesDictionary, s pprofile.Sample, at where) (int64, error) {
	attrs, err := pprofile.FromAttributeIndices(d.AttributeTable(), s, d)
	if err != nil {
		return -1, err
	}
	name, err := topFunction(d, s)
	if err != nil {
		return -1, err
	}
	id, err := check(attrs, at, name, itemName)
	if err == nil && (s.Values().Len() != 1 || s.Values().At(0) != id) {
		err = fmt.Errorf("item %d: its values are %v", id, s.Values().AsRaw())
	}
	return id, err
}

// topFunction follows a sample to the name of the function that it was taken in.
func topFunction(d pprofile.ProfilesDictionary, s pprofile.Sample) (name string, err error) {
	defer func() {
		if r := recover(); r != nil { // an index that points nowhere
			err = fmt.Errorf("a sample's stack %d: %v", s.StackIndex(), r)
		}
	}()
	loc := d.LocationTable().At(int(d.StackTable().At(int(s.StackIndex())).LocationIndices().At(0)))
	fn := d.FunctionTable().At(int(loc.Lines().At(0).FunctionIndex()))
	return d.StringTable().At(int(fn.NameStrindex())), nil
}
