// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
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
