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

// maxDictionary is the most dictionary entries in a batch whose profiles were merged.
const maxDictionary = 4096

// entries is a payload of n samples whose dictionary has at least size entries.
func entries(first, n, size int) pprofile.Profiles {
	p := newProfiles(first, n)
	for profiles.Size(p) < size {
		p.Dictionary().LinkTable().AppendEmpty().SetSpanID([8]byte{byte(profiles.Size(p)), byte(profiles.Size(p) >> 8), 1})
	}
	return p
}

// broken is a payload that can be neither merged nor cut: an index leads nowhere.
func broken(first, n int) pprofile.Profiles {
	p := newProfiles(first, n)
	p.Dictionary().StackTable().AppendEmpty().LocationIndices().Append(999)
	return p
}

// Merging dictionaries is quadratic: a batch ends at a bound, and what cannot be merged or cut goes on alone, untouched.
func TestProfilesDictionaryBoundsBatches(t *testing.T) {
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
		"cut before the bound": {
			nil,
			requests{entries(0, 1, maxDictionary/2-10), entries(1, 1, maxDictionary/2-10), entries(2, 1, maxDictionary/2-10)},
			[][]string{
				slices.Concat(profiles.items(newProfiles(0, 1)), profiles.items(newProfiles(1, 1))),
				profiles.items(newProfiles(2, 1)),
			},
		},
		"above the bound alone": {
			nil,
			requests{newProfiles(0, 1), entries(1, 2, maxDictionary+1), newProfiles(3, 1)},
			[][]string{profiles.items(newProfiles(0, 1)), profiles.items(newProfiles(1, 2)), profiles.items(newProfiles(3, 1))},
		},
		"above the bound and over the cap": {
			func(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 4, 4 },
			requests{newProfiles(0, 1), entries(1, 6, maxDictionary+1), newProfiles(7, 1)},
			[][]string{
				profiles.items(newProfiles(0, 1)),
				profiles.items(newProfiles(1, 6))[:4], profiles.items(newProfiles(1, 6))[4:],
				profiles.items(newProfiles(7, 1)),
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
