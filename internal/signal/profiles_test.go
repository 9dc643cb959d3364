// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/testdata"
	"pgregory.net/rapid"
)

func TestProfilesCutLeavesNothingUnusedInDictionaries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProfiles(t)
		rest := Profiles{}.Items(p)
		before := (&usage{}).entries(p.Dictionary())
		if rest < 2 {
			return // nothing to cut
		}
		n := rapid.IntRange(1, rest-1).Draw(t, "n")
		for cutter := (Profiles{}).Cut(p, Measure{}); rest > 0; rest -= n {
			head := takeItems(cutter, n)
			u := &usage{}
			u.profiles(head)
			require.Equal(t, u.used(), u.entries(head.Dictionary()))
			for table, n := range before {
				require.LessOrEqual(t, u.entries(head.Dictionary())[table], max(n, 1), "copied twice")
			}
		}
	})
}

// Two samples that use everything a dictionary can hold: one the first half of each table, the other the second.
func TestProfilesCutMovesEveryKindOfEntry(t *testing.T) {
	p := pprofile.NewProfiles()
	d := p.Dictionary()
	fillZeroEntries(d)
	profile := p.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty()
	for i := range int32(2) {
		text := func() int32 {
			n := d.StringTable().Len()
			d.StringTable().Append(fmt.Sprint("string ", n))
			return int32(n)
		}
		attribute := func() int32 {
			a := d.AttributeTable().AppendEmpty()
			a.SetKeyStrindex(text())
			a.SetUnitStrindex(text())
			a.Value().SetInt(int64(i))
			return int32(d.AttributeTable().Len() - 1)
		}
		d.LinkTable().AppendEmpty().SetSpanID([8]byte{byte(1 + i)})
		f := d.FunctionTable().AppendEmpty()
		f.SetNameStrindex(text())
		f.SetSystemNameStrindex(text())
		f.SetFilenameStrindex(text())
		m := d.MappingTable().AppendEmpty()
		m.SetFilenameStrindex(text())
		m.AttributeIndices().Append(attribute())
		l := d.LocationTable().AppendEmpty()
		l.SetMappingIndex(1 + i)
		l.Lines().AppendEmpty().SetFunctionIndex(1 + i)
		l.AttributeIndices().Append(attribute())
		d.StackTable().AppendEmpty().LocationIndices().Append(1 + i)
		sample := profile.Samples().AppendEmpty()
		sample.SetStackIndex(1 + i)
		sample.SetLinkIndex(1 + i)
		sample.AttributeIndices().Append(attribute())
	}
	require.NoError(t, Profiles{}.Check(p))
	want := flattenProfiles(p)
	cutter := Profiles{}.Cut(p, Measure{})
	for i := range 2 {
		head := takeItems(cutter, 1)
		require.Equal(t, want[i:i+1], flattenProfiles(head))
		require.Equal(t, map[string]int{
			"strings": 11, "attributes": 4, "links": 2, "functions": 2, "mappings": 2, "locations": 2, "stacks": 2,
		}, (&usage{}).entries(head.Dictionary()))
	}
}

// Whatever passes Check, however odd, must merge and cut without loss, and what does not must be told by an error.
func TestProfilesCheckIsEnough(t *testing.T) {
	passed, failed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		wild := rapid.IntRange(0, 30).Draw(t, "wild") // how seldom an index is out of range
		p := drawProfilesWith(t, func(t *rapid.T, what string, entries int) (int32, bool) {
			if rapid.IntRange(0, wild).Draw(t, "out of range") == 1 {
				return rapid.SampledFrom([]int32{-1, int32(entries), 0}).Draw(t, what), true
			}
			return anyIndex(t, what, max(entries, 1)), entries > 0
		})
		if err := (Profiles{}).Check(p); err != nil {
			failed++
			return
		}
		passed++
		want := flattenProfiles(p)
		again := pprofile.NewProfiles()
		p.CopyTo(again)

		merged := testdata.GenerateProfiles(1)
		before := flattenProfiles(merged)
		Profiles{}.Merge(merged, again)
		require.Equal(t, append(before, want...), flattenProfiles(merged))

		var got []string
		cutter := Profiles{}.Cut(p, Measure{})
		for rest := max(1, Profiles{}.Items(p)); rest > 0; rest-- {
			got = append(got, flattenProfiles(takeItems(cutter, 1))...)
		}
		require.Equal(t, want, got)
	})
	require.Positive(t, passed)
	require.Positive(t, failed)
}

func TestProfilesCheck(t *testing.T) {
	sample := func(p pprofile.Profiles) pprofile.Sample {
		return p.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(3).Samples().At(0)
	}
	profile := func(p pprofile.Profiles) pprofile.Profile {
		return p.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(3)
	}
	for name, test := range map[string]struct {
		damage func(p pprofile.Profiles)
		err    string
	}{
		"stack": {
			func(p pprofile.Profiles) { sample(p).SetStackIndex(12) },
			"profile 3, sample 0: stack index 12 out of range [0, 3)",
		},
		"negative stack": {
			func(p pprofile.Profiles) { sample(p).SetStackIndex(-1) },
			"profile 3, sample 0: stack index -1 out of range [0, 3)",
		},
		"link": {
			func(p pprofile.Profiles) { sample(p).SetLinkIndex(1) },
			"profile 3, sample 0: link index 1 out of range [0, 1)",
		},
		"sample attribute": {
			func(p pprofile.Profiles) { sample(p).AttributeIndices().Append(3) },
			"profile 3, sample 0: attribute index 3 out of range [0, 3)",
		},
		"negative profile attribute": {
			func(p pprofile.Profiles) { profile(p).AttributeIndices().Append(-2) },
			"profile 3: attribute index -2 out of range [0, 3)",
		},
		"sample type": {
			func(p pprofile.Profiles) { profile(p).SampleType().SetTypeStrindex(2) },
			"profile 3: sample type string index 2 out of range [0, 2)",
		},
		"sample unit": {
			func(p pprofile.Profiles) { profile(p).SampleType().SetUnitStrindex(2) },
			"profile 3: sample unit string index 2 out of range [0, 2)",
		},
		"period type": {
			func(p pprofile.Profiles) { profile(p).PeriodType().SetTypeStrindex(-1) },
			"profile 3: period type string index -1 out of range [0, 2)",
		},
		"period unit": {
			func(p pprofile.Profiles) { profile(p).PeriodType().SetUnitStrindex(2) },
			"profile 3: period unit string index 2 out of range [0, 2)",
		},
		"location in stack": {
			func(p pprofile.Profiles) { p.Dictionary().StackTable().At(1).LocationIndices().Append(3) },
			"stack 1: location index 3 out of range [0, 3)",
		},
		"function in line, unused": {
			func(p pprofile.Profiles) {
				p.Dictionary().LocationTable().AppendEmpty().Lines().AppendEmpty().SetFunctionIndex(1)
			},
			"location 3: line 0: function index 1 out of range [0, 1)",
		},
		"mapping": {
			func(p pprofile.Profiles) { p.Dictionary().LocationTable().At(1).SetMappingIndex(1) },
			"location 1: mapping index 1 out of range [0, 1)",
		},
		"location attribute": {
			func(p pprofile.Profiles) { p.Dictionary().LocationTable().At(1).AttributeIndices().Append(9) },
			"location 1: attribute index 9 out of range [0, 3)",
		},
		"mapping file": {
			func(p pprofile.Profiles) { p.Dictionary().MappingTable().AppendEmpty().SetFilenameStrindex(2) },
			"mapping 1: file name string index 2 out of range [0, 2)",
		},
		"mapping attribute": {
			func(p pprofile.Profiles) { p.Dictionary().MappingTable().AppendEmpty().AttributeIndices().Append(3) },
			"mapping 1: attribute index 3 out of range [0, 3)",
		},
		"function name": {
			func(p pprofile.Profiles) { p.Dictionary().FunctionTable().AppendEmpty().SetNameStrindex(2) },
			"function 1: name string index 2 out of range [0, 2)",
		},
		"function system name": {
			func(p pprofile.Profiles) { p.Dictionary().FunctionTable().AppendEmpty().SetSystemNameStrindex(2) },
			"function 1: system name string index 2 out of range [0, 2)",
		},
		"function file": {
			func(p pprofile.Profiles) { p.Dictionary().FunctionTable().AppendEmpty().SetFilenameStrindex(2) },
			"function 1: file name string index 2 out of range [0, 2)",
		},
		"attribute key": {
			func(p pprofile.Profiles) { p.Dictionary().AttributeTable().At(2).SetKeyStrindex(2) },
			"attribute 2: key string index 2 out of range [0, 2)",
		},
		"attribute unit": {
			func(p pprofile.Profiles) { p.Dictionary().AttributeTable().At(2).SetUnitStrindex(2) },
			"attribute 2: unit string index 2 out of range [0, 2)",
		},
		"first string": {
			func(p pprofile.Profiles) { p.Dictionary().StringTable().SetAt(0, "cpu") },
			`string table: entry 0 is "cpu" and not empty`,
		},
		"first stack": {
			func(p pprofile.Profiles) { p.Dictionary().StackTable().At(0).LocationIndices().Append(1) },
			"stack table: entry 0 is not empty",
		},
		"first link": {
			func(p pprofile.Profiles) { p.Dictionary().LinkTable().At(0).SetSpanID([8]byte{1}) },
			"link table: entry 0 is not empty",
		},
		"attribute list in an empty table": {
			func(p pprofile.Profiles) {
				p.Dictionary().AttributeTable().RemoveIf(all)
				profile(p).AttributeIndices().Append(0)
			},
			"profile 0, sample 0: attribute index 1 out of range [0, 0)",
		},
		"encoded before": {
			func(p pprofile.Profiles) {
				if _, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(p); err != nil {
					panic(err)
				}
			},
			"resource 0: attribute without a key, or encoded before",
		},
		"scope encoded before": {
			func(p pprofile.Profiles) {
				p.ResourceProfiles().At(0).ScopeProfiles().At(0).Scope().Attributes().PutStr("", "")
			},
			"resource 0, scope 0: attribute without a key, or encoded before",
		},
		"reference in a value": {
			func(p pprofile.Profiles) {
				table := pcommon.NewStringSlice()
				table.Append("", "a", "b", "c")
				refer(table, p.Dictionary().AttributeTable().At(1).Value(), func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetStr("c") })
			},
			"attribute 1: string index 3 out of range [0, 2)",
		},
		"reference in a resource": {
			func(p pprofile.Profiles) {
				table := pcommon.NewStringSlice()
				table.Append("", "a")
				refer(table, p.ResourceProfiles().At(0).Resource().Attributes().PutEmpty("k"), func(v pcommon.Value) { v.SetStr("a") })
			},
			`resource 0: attribute "k": string index 1 out of range [0, 1)`,
		},
		"deep value": {
			func(p pprofile.Profiles) {
				v := p.Dictionary().AttributeTable().At(1).Value()
				for range maxDepth {
					v = v.SetEmptySlice().AppendEmpty()
				}
			},
			"attribute 1: value nested deeper than 100",
		},
		"value not too deep": {
			func(p pprofile.Profiles) {
				v := p.Dictionary().AttributeTable().At(1).Value()
				for range maxDepth - 1 {
					v = v.SetEmptySlice().AppendEmpty()
				}
			}, "",
		},
		"nothing":          {func(pprofile.Profiles) {}, ""},
		"attribute 0":      {func(p pprofile.Profiles) { profile(p).AttributeIndices().Append(0) }, ""},
		"empty dictionary": {func(p pprofile.Profiles) { pprofile.NewProfiles().CopyTo(p) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := testdata.GenerateProfiles(5)
			test.damage(p)
			p.MarkReadOnly()
			if err := (Profiles{}).Check(p); test.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.err)
			}
		})
	}
}

// The first entry that is merged into an empty table must not become the one that stands for "none".
func TestProfilesMergeIntoEmptyDictionary(t *testing.T) {
	dst := pprofile.NewProfiles()
	dst.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty().Samples().AppendEmpty()
	src := testdata.GenerateProfiles(2)
	want := append(flattenProfiles(dst), flattenProfiles(src)...)
	Profiles{}.Merge(dst, src)
	require.Equal(t, want, flattenProfiles(dst))
}

// TestProfilesMergeLikePdata: what MergeTo makes has the same meaning, and the same containers. It does not know references in
// values.
func TestProfilesMergeLikePdata(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() pprofile.Profiles {
			p := drawProfiles(t)
			for i, a := range p.Dictionary().AttributeTable().All() {
				if i > 0 {
					a.Value().SetInt(int64(i % 3))
				}
			}
			return p
		}
		dst := draw()
		want := pprofile.NewProfiles()
		dst.CopyTo(want)
		fillZeroEntries(want.Dictionary())
		var sources []pprofile.Profiles
		for range rapid.IntRange(1, 4).Draw(t, "sources") {
			src := draw()
			again := pprofile.NewProfiles()
			src.CopyTo(again)
			require.NoError(t, again.MergeTo(want))
			sources = append(sources, src)
		}
		Profiles{}.Merge(dst, sources...)
		require.Equal(t, exactProfiles(want), exactProfiles(dst))
	})
}

// TestProfilesMergeAddsNothingTwice: what is equal in several payloads is in the dictionary of the batch once.
func TestProfilesMergeAddsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProfiles(t)
		var copies []pprofile.Profiles
		for range 3 {
			copies = append(copies, Profiles{}.Copy(p))
		}
		dst := newProfiles()
		Profiles{}.Merge(dst, copies[0])
		u := &usage{}
		once := u.profiles(dst)
		require.Equal(t, u.used(), u.entries(dst.Dictionary()), "nothing unused")
		entries := u.entries(dst.Dictionary())
		Profiles{}.Merge(dst, copies[1:]...)
		require.Equal(t, slices.Concat(once, once, once), flattenProfiles(dst))
		require.Equal(t, entries, u.entries(dst.Dictionary()))
	})
}

// TestProfilesMergeIsLinear: twice the entries, in the sources and in the destination, take twice the allocations.
func TestProfilesMergeIsLinear(t *testing.T) {
	merge := func(entries int) float64 {
		var dst, src []pprofile.Profiles
		for range 2 { // AllocsPerRun runs once more than it measures
			dst, src = append(dst, withStacks("dst", entries)), append(src, withStacks("src", entries))
		}
		run := 0
		return testing.AllocsPerRun(1, func() {
			Profiles{}.Merge(dst[run], src[run])
			run++
		})
	}
	require.LessOrEqual(t, merge(20_000), 2.2*merge(10_000))
}

// withStacks makes a profile with as many samples, each of a stack, location, function and string of its own.
func withStacks(prefix string, n int) pprofile.Profiles {
	p := pprofile.NewProfiles()
	d := p.Dictionary()
	fillZeroEntries(d)
	samples := p.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty().Samples()
	for i := range int32(n) {
		d.StringTable().Append(fmt.Sprint(prefix, i))
		d.FunctionTable().AppendEmpty().SetNameStrindex(1 + i)
		d.LocationTable().AppendEmpty().Lines().AppendEmpty().SetFunctionIndex(1 + i)
		d.StackTable().AppendEmpty().LocationIndices().Append(1 + i)
		samples.AppendEmpty().SetStackIndex(1 + i)
	}
	return p
}

// TestProfilesCutSendsOnceWhatIsOfTheWhole: an ID means one profile, and an original payload is as large as it is.
func TestProfilesCutSendsOnceWhatIsOfTheWhole(t *testing.T) {
	p := withStacks("s", 5)
	profile := p.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0)
	profile.SetProfileID([16]byte{1})
	profile.SetOriginalPayloadFormat("jfr")
	profile.OriginalPayload().FromRaw([]byte("FLR"))
	profile.SetTime(7)
	cutter := Profiles{}.Cut(p, Measure{})
	for i := range 3 {
		part := takeItems(cutter, 2).ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0)
		require.Equal(t, i > 0, part.ProfileID().IsEmpty())
		require.Equal(t, i > 0, part.OriginalPayloadFormat() == "")
		require.Equal(t, i > 0, part.OriginalPayload().Len() == 0)
		require.EqualValues(t, 7, part.Time())
	}
}

// TestProfilesWithoutSamplesAreItems: they go on, and they are cut apart.
func TestProfilesWithoutSamplesAreItems(t *testing.T) {
	p := pprofile.NewProfiles()
	profiles := p.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles()
	for range 3 {
		profiles.AppendEmpty().SetOriginalPayloadFormat("jfr")
	}
	profiles.AppendEmpty().Samples().AppendEmpty()
	require.Equal(t, 4, Profiles{}.Items(p))
	require.Equal(t, 4, Profiles{}.ItemsOf(p, 0))
	cutter := Profiles{}.Cut(p, Measure{})
	require.Equal(t, 2, takeItems(cutter, 2).ProfileCount())
	require.Equal(t, 2, takeItems(cutter, 2).ProfileCount())
}
