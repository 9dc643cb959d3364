// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// inGraph wraps a consumer as a collector's graph does each of its components: the first that sees a payload gives the
// reference of its maker back when its call is over.
func (k kind[P]) inGraph(consume func(context.Context, P) error) func(context.Context, P) error {
	return func(ctx context.Context, p P) error {
		if k.own(p) {
			defer k.Unref(p)
		}
		return consume(ctx, p)
	}
}

// freed tells whether all references to p have been given back. It is a test's last word on p: it takes one away.
func (k kind[P]) freed(p P) (freed bool) {
	defer func() { freed = recover() != nil }()
	k.Unref(p)
	return false
}

// usePooling says for this test whether pdata recycles what is freed.
func usePooling(t *testing.T, on bool) {
	gates, gate := featuregate.GlobalRegistry(), pref.UseProtoPooling
	before := gate.IsEnabled()
	require.NoError(t, gates.Set(gate.ID(), on))
	t.Cleanup(func() { require.NoError(t, gates.Set(gate.ID(), before)) })
}

// pooledCase is what goes in, and how it is batched.
type pooledCase struct {
	set      func(*Config)
	requests []int // items
	readOnly bool  // shared with another consumer, that holds a reference
	err      error // of the next consumer
}

func (c pooledCase) config() *Config {
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if c.set != nil {
		c.set(cfg)
	}
	return cfg
}

// run pushes, keeps what is sent as an exporter with a queue does, under a reference of its own, and looks at all of it
// again when the processor has ended: its content, and, where pdata recycles what is freed, that nobody holds a reference
// any more.
func (c pooledCase) run(t *testing.T) {
	for _, pooling := range []bool{true, false} {
		name := "pooling"
		if !pooling {
			name = "no pooling"
		}
		t.Run(name+"/traces", func(t *testing.T) { runPooled(t, traces, c, pooling) })
		t.Run(name+"/metrics", func(t *testing.T) { runPooled(t, metrics, c, pooling) })
		t.Run(name+"/logs", func(t *testing.T) { runPooled(t, logs, c, pooling) })
		if c.config().Buffer != bufferMap {
			t.Run(name+"/profiles", func(t *testing.T) { runPooled(t, profiles, c, pooling) })
		}
	}
}

func runPooled[P payload](t *testing.T, k kind[P], c pooledCase, pooling bool) {
	usePooling(t, pooling)
	synctest.Test(t, func(t *testing.T) {
		var held []P
		core, log := observer.New(zap.ErrorLevel)
		set := metadatatest.NewSettings(componenttest.NewTelemetry())
		set.Logger = zap.New(core)
		cfg := c.config()
		p, consume, err := k.create(set, cfg, k.inGraph(func(_ context.Context, p P) error {
			k.Ref(p)
			held = append(held, p)
			return c.err
		}))
		require.NoError(t, err)
		require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
		var pushed []P
		var want []string
		for _, n := range c.requests {
			first := len(want)
			if cfg.Buffer == bufferMap && cfg.Map.Key == mapResource {
				first = 0 // the same resource each time
			}
			p := k.payload(first, n)
			items := k.items(p)
			if c.readOnly {
				p.MarkReadOnly()
				k.Ref(p)
			}
			require.NoError(t, k.inGraph(consume)(context.Background(), p))
			want = append(want, items...)
			pushed = append(pushed, p)
		}
		require.NoError(t, p.Shutdown(context.Background()))
		require.Empty(t, log.FilterMessageSnippet("panicked").All())
		var other []string
		for range 100 { // whatever was freed too early is used again, and overwritten
			k.Unref(k.payload(1_000_000, 3))
		}
		if c.readOnly {
			for _, p := range pushed {
				other = append(other, k.items(p)...)
				k.Unref(p)
			}
			require.Equal(t, want, other, "what the other consumer sees")
		}
		var got []string
		for _, p := range held {
			got = append(got, k.items(p)...)
			k.Unref(p)
		}
		require.Equal(t, want, got)
		if !pooling {
			return // references have no meaning then
		}
		for i, p := range slices.Concat(pushed, held) {
			require.Truef(t, k.freed(p), "%d, of %d that came in and %d that went out", i, len(pushed), len(held))
		}
	})
}

var errNext = errors.New("the next consumer failed")

func TestPooledPayloadsArriveIntactAndAreFreed(t *testing.T) {
	for name, c := range map[string]pooledCase{
		"alone":                     {nil, []int{3}, false, nil},
		"merged":                    {nil, []int{3, 1, 4}, false, nil},
		"each at once":              {func(c *Config) { c.Timeout = 0 }, []int{3, 1}, false, nil},
		"failed":                    {nil, []int{3}, false, errNext},
		"failed when merged":        {nil, []int{3, 1, 4}, false, errNext},
		"failed, each at once":      {func(c *Config) { c.Timeout = 0 }, []int{3, 3}, false, errNext},
		"failed for ever, one each": {func(c *Config) { c.SendBatchSize = 1 }, []int{3, 3}, false, consumererror.NewPermanent(errNext)},
	} {
		t.Run(name, c.run)
	}
}
