// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// entries is a payload of n samples with so many dictionary entries more, which the first sample uses.
func entries(first, n, more int) pprofile.Profiles {
	p := newProfiles(first, n)
	d := p.Dictionary()
	stack := d.StackTable().At(1)
	for i := range more {
		d.LocationTable().AppendEmpty().SetAddress(uint64(i + 1))
		stack.LocationIndices().Append(int32(d.LocationTable().Len() - 1))
	}
	return p
}

// broken is a payload that can be neither merged nor cut: an index leads nowhere.
func broken(first, n int) pprofile.Profiles {
	p := newProfiles(first, n)
	p.Dictionary().StackTable().AppendEmpty().LocationIndices().Append(999)
	return p
}

// Batches are of the same sizes whatever is in the dictionaries, but for what cannot be merged or cut: that goes on alone, untouched.
func TestProfilesAreBatched(t *testing.T) {
	type requests []pprofile.Profiles
	for name, test := range map[string]struct {
		set      func(*Config)
		requests requests
		want     [][]string
	}{
		"small ones merge": {
			nil,
			requests{newProfiles(0, 2), newProfiles(2, 1), newProfiles(3, 4)},
			[][]string{slices.Concat(profiles.items(newProfiles(0, 2)), profiles.items(newProfiles(2, 1)), profiles.items(newProfiles(3, 4)))},
		},
		"large dictionaries merge": {
			nil,
			requests{newProfiles(0, 1), entries(1, 2, 10_000), entries(3, 1, 10_000), newProfiles(4, 1)},
			[][]string{slices.Concat(profiles.items(newProfiles(0, 1)), profiles.items(newProfiles(1, 2)), profiles.items(newProfiles(3, 1)), profiles.items(newProfiles(4, 1)))},
		},
		"large dictionaries are cut": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 4, 4 },
			requests{newProfiles(0, 1), entries(1, 6, 10_000), newProfiles(7, 1)},
			[][]string{
				slices.Concat(profiles.items(newProfiles(0, 1)), profiles.items(newProfiles(1, 6))[:3]),
				slices.Concat(profiles.items(newProfiles(1, 6))[3:], profiles.items(newProfiles(7, 1))),
			},
		},
		"broken alone": {
			nil,
			requests{newProfiles(0, 1), broken(1, 2), newProfiles(3, 1)},
			[][]string{profiles.items(newProfiles(0, 1)), profiles.items(newProfiles(1, 2)), profiles.items(newProfiles(3, 1))},
		},
		"broken over the cap": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 2, 2 },
			requests{newProfiles(0, 1), broken(1, 5), newProfiles(6, 3)},
			[][]string{
				profiles.items(newProfiles(0, 1)), profiles.items(broken(1, 5)),
				profiles.items(newProfiles(6, 3))[:2], profiles.items(newProfiles(6, 3))[2:],
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got [][]string
				set := metadatatest.NewSettings(componenttest.NewTelemetry())
				cfg := NewFactory().CreateDefaultConfig().(*Config)
				if test.set != nil {
					test.set(cfg)
				}
				p, consume, err := profiles.create(set, cfg, func(_ context.Context, p pprofile.Profiles) error {
					got = append(got, profiles.items(p))
					return nil
				})
				require.NoError(t, err)
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				for _, r := range test.requests {
					require.NoError(t, consume(context.Background(), r))
				}
				require.NoError(t, p.Shutdown(context.Background()))
				require.Equal(t, test.want, got)
			})
		})
	}
}

func TestProfilesThatCannotBeMergedGoAsTheyCame(t *testing.T) {
	for name, generate := range map[string]func() pprofile.Profiles{
		"broken":       func() pprofile.Profiles { return broken(0, 3) },
		"no zero item": func() pprofile.Profiles { p := newProfiles(0, 3); p.Dictionary().StringTable().SetAt(0, "x"); return p },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got pprofile.Profiles
				set := metadatatest.NewSettings(componenttest.NewTelemetry())
				cfg := NewFactory().CreateDefaultConfig().(*Config)
				cfg.SendBatchSize, cfg.SendBatchMaxSize = 1, 1
				p, consume, err := profiles.create(set, cfg, func(_ context.Context, p pprofile.Profiles) error {
					require.Equal(t, pprofile.Profiles{}, got, "once")
					got = pprofile.NewProfiles()
					p.CopyTo(got)
					return nil
				})
				require.NoError(t, err)
				require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
				require.NoError(t, consume(context.Background(), generate()))
				require.NoError(t, p.Shutdown(context.Background()))
				want := pprofile.NewProfiles()
				generate().CopyTo(want)
				require.Equal(t, want, got)
			})
		})
	}
}

func TestLargeDictionariesAreNotOversized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTo(t, profiles, nil, func(*pipeline, context.Context, pprofile.Profiles) error { return nil }).begun(t)
		require.NoError(t, send(context.Background(), p, entries(0, 2, 10_000)))
		require.NoError(t, send(context.Background(), p, broken(2, 3))) // goes alone for another reason
		require.NoError(t, p.Shutdown(context.Background()))
		require.Zero(t, p.metric(t, "items_oversized", ""))
	})
}

// A profile may have nothing but an original payload that nobody parsed.
func TestProfilesWithoutSamplesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		p := newPipelineTo(t, profiles, nil, func(_ *pipeline, _ context.Context, pd pprofile.Profiles) error {
			got += pd.ProfileCount()
			return nil
		}).begun(t)
		pd := pprofile.NewProfiles()
		profile := pd.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty().Profiles().AppendEmpty()
		profile.SetOriginalPayloadFormat("jfr")
		profile.OriginalPayload().FromRaw([]byte("FLR"))
		require.NoError(t, send(context.Background(), p, pd))
		require.NoError(t, p.Shutdown(context.Background()))
		require.Equal(t, 1, got)
		p.requireConserved(t)
	})
}

// richProfiles is a payload of n samples that use all that a dictionary has: each an entry of its own in some tables, and one of three in the
// others. Its scope has two profiles.
func richProfiles(first, n int) pprofile.Profiles {
	p := newProfiles(first, n)
	d := p.Dictionary()
	text := func(s string) int32 {
		d.StringTable().Append(s)
		return int32(d.StringTable().Len() - 1)
	}
	attribute := func(name, value string) int32 {
		a := d.AttributeTable().AppendEmpty()
		a.SetKeyStrindex(text(name))
		a.SetUnitStrindex(text("unit of " + value))
		a.Value().SetStr(value)
		return int32(d.AttributeTable().Len() - 1)
	}
	for i := range 3 {
		m := d.MappingTable().AppendEmpty()
		m.SetFilenameStrindex(text(fmt.Sprint("binary ", first+i)))
		m.SetMemoryStart(uint64(first + i))
		m.AttributeIndices().Append(attribute("build", fmt.Sprint("build ", first+i)))
	}
	scope := p.ResourceProfiles().At(0).ScopeProfiles().At(0)
	one, other := scope.Profiles().At(0), scope.Profiles().AppendEmpty()
	for i, s := range one.Samples().All() {
		l := d.LinkTable().AppendEmpty()
		l.SetTraceID([16]byte{1, byte(first + i)})
		l.SetSpanID([8]byte{1, byte(first + i)})
		s.SetLinkIndex(int32(d.LinkTable().Len() - 1))
		s.TimestampsUnixNano().Append(uint64(first + i))
		f := d.FunctionTable().At(1 + i)
		f.SetFilenameStrindex(text(fmt.Sprint("file ", i%3)))
		f.SetSystemNameStrindex(text(fmt.Sprint("_Z", first+i)))
		at := d.LocationTable().At(1 + i)
		at.SetMappingIndex(int32(1 + i%3))
		at.SetAddress(uint64(100 + first + i))
		at.AttributeIndices().Append(attribute("frame", fmt.Sprint("frame ", i%2)))
		d.StackTable().At(1 + i).LocationIndices().Append(int32(1 + (i+1)%n)) // called by another
	}
	one.CopyTo(other)
	one.Samples().RemoveIf(func(s pprofile.Sample) bool { return s.Values().At(0)%2 == 0 })
	other.Samples().RemoveIf(func(s pprofile.Sample) bool { return s.Values().At(0)%2 != 0 })
	other.AttributeIndices().Append(attribute("of the profile", fmt.Sprint("profile ", first)))
	other.PeriodType().SetTypeStrindex(text("period"))
	other.PeriodType().SetUnitStrindex(text("nanoseconds"))
	other.SetPeriod(int64(first + 1))
	other.SetDurationNano(uint64(first + 1))
	return p
}

// spelledOut lists the samples of p by an attribute of theirs, with all that their indices lead to.
func spelledOut(p pprofile.Profiles, by string) map[string][]string {
	d := p.Dictionary()
	text := func(i int32) string { return d.StringTable().At(int(i)) }
	all := map[string][]string{}
	for _, r := range p.ResourceProfiles().All() {
		for _, s := range r.ScopeProfiles().All() {
			for _, profile := range s.Profiles().All() {
				key := ""
				attributes := func(indices pcommon.Int32Slice) (list []string) {
					for _, i := range indices.AsRaw() {
						a := d.AttributeTable().At(int(i))
						if list = append(list, fmt.Sprint(text(a.KeyStrindex()), "=", a.Value().AsString(), text(a.UnitStrindex()))); text(a.KeyStrindex()) == by {
							key = a.Value().Str()
						}
					}
					return list
				}
				head := fmt.Sprint(above(r.Resource(), r.SchemaUrl(), s.Scope(), s.SchemaUrl()), text(profile.SampleType().TypeStrindex()), text(profile.PeriodType().TypeStrindex()),
					text(profile.PeriodType().UnitStrindex()), profile.Period(), profile.DurationNano(), attributes(profile.AttributeIndices()))
				for _, sample := range profile.Samples().All() {
					link := d.LinkTable().At(int(sample.LinkIndex()))
					item := fmt.Sprint(head, sample.Values().AsRaw(), sample.TimestampsUnixNano().AsRaw(), link.TraceID(), link.SpanID())
					for _, i := range d.StackTable().At(int(sample.StackIndex())).LocationIndices().AsRaw() {
						at := d.LocationTable().At(int(i))
						m := d.MappingTable().At(int(at.MappingIndex()))
						item += fmt.Sprint(" at ", at.Address(), attributes(at.AttributeIndices()), text(m.FilenameStrindex()), m.MemoryStart(), attributes(m.AttributeIndices()))
						for _, line := range at.Lines().All() {
							f := d.FunctionTable().At(int(line.FunctionIndex()))
							item += fmt.Sprint(" in ", text(f.NameStrindex()), text(f.SystemNameStrindex()), text(f.FilenameStrindex()))
						}
					}
					item += fmt.Sprint(attributes(sample.AttributeIndices()))
					all[key] = append(all[key], item)
				}
			}
		}
	}
	return all
}

// TestProfilesByAttributeKeyHaveAWholeDictionary: each key gets its samples, and all that they lead to is what it was, also when batches are
// cut, are halved, or come again, and when callers wait.
func TestProfilesByAttributeKeyHaveAWholeDictionary(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"whole":     func(*Config) {},
		"cut":       func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 5, 5 },
		"halved":    splits,
		"waiting":   waits,
		"retried":   retries,
		"by sample": func(c *Config) { c.AttributeKeys = append(c.AttributeKeys, "item") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want, got, calls := map[string][]string{}, map[string][]string{}, 0
				p := newPipelineTo(t, profiles, func(c *Config) {
					byThird(c)
					set(c)
				}, func(p *pipeline, ctx context.Context, pd pprofile.Profiles) error {
					p.mu.Lock()
					defer p.mu.Unlock()
					if calls++; name == "retried" && calls%2 == 1 {
						return errNext
					}
					if name == "halved" && pd.SampleCount() > 2 {
						return errTooLarge
					}
					require.NoError(t, profiles.Check(pd))
					all := spelledOut(pd, "third")
					require.Len(t, all, 1)
					for key, list := range all {
						require.Equal(t, []string{key}, client.FromContext(ctx).Metadata.Get("third"))
						got[key] = append(got[key], list...)
					}
					return nil
				}).begun(t)
				for i := range 3 {
					pd := richProfiles(20*i, 12)
					for key, list := range spelledOut(pd, "third") {
						want[key] = append(want[key], list...)
					}
					require.NoError(t, send(context.Background(), p, pd))
				}
				later(time.Hour)
				p.mu.Lock()
				defer p.mu.Unlock()
				require.Len(t, got, 3)
				for key := range want {
					if name == "by sample" { // each is of a key of its own
						require.ElementsMatch(t, want[key], got[key])
					} else {
						require.Equal(t, want[key], got[key])
					}
				}
			})
		})
	}
}
