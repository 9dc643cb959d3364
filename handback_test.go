// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// After an error that is not permanent callers in the same process send the same data again, or what the error says was not
// delivered. These tests have such callers in front of each way that a payload can take through the processor.

// handBack is one of these ways.
type handBack struct {
	set     func(*Config)
	answers []string      // of the next consumer, at random
	limit   time.Duration // of each call; 0: none
	inexact bool          // an item may arrive twice: nobody can tell whose a subset is, or what became of a call in flight
}

var handBacks = map[string]handBack{
	"as it came":         {set: func(*Config) {}, answers: []string{"takes", "fails"}},
	"cut":                {set: caps, answers: []string{"takes", "fails"}},
	"by key":             {set: byService, answers: []string{"takes", "fails"}},
	"cut by key":         {set: func(c *Config) { byService(c); caps(c) }, answers: []string{"takes", "takes", "fails"}},
	"by attribute":       {set: byThird, answers: []string{"takes", "fails"}},
	"cut by attribute":   {set: func(c *Config) { byThird(c); caps(c) }, answers: []string{"takes", "takes", "fails"}},
	"by both":            {set: func(c *Config) { byService(c); byThird(c); caps(c); splits(c); impatient(c) }, answers: []string{"takes", "fails", "too large"}},
	"attribute, leave":   {set: func(c *Config) { caps(c); byThird(c); impatient(c) }, answers: []string{"takes", "fails", "slow"}, limit: 300 * ms, inexact: true},
	"map by attribute":   {set: func(c *Config) { byResource(c); byThird(c); impatient(c) }, answers: []string{"takes", "fails"}},
	"partitions":         {set: func(c *Config) { c.Partitions = 3; caps(c) }, answers: []string{"takes", "takes", "fails"}},
	"by third":           {set: func(c *Config) { spreadByThird(c); caps(c) }, answers: []string{"takes", "takes", "fails"}},
	"retried":            {set: func(c *Config) { impatient(c) }, answers: []string{"takes", "fails"}},
	"cut and retried":    {set: func(c *Config) { caps(c); impatient(c) }, answers: []string{"takes", "fails"}},
	"halved":             {set: splits, answers: []string{"takes", "fails", "too large"}},
	"all of it":          {set: func(c *Config) { byService(c); caps(c); splits(c); impatient(c) }, answers: []string{"takes", "fails", "too large"}},
	"consumers":          {set: func(c *Config) { c.NumConsumers = 3; caps(c); impatient(c) }, answers: []string{"takes", "fails"}},
	"subsets":            {set: func(*Config) {}, answers: []string{"takes", "partly"}, inexact: true},
	"subsets, retried":   {set: func(c *Config) { caps(c); impatient(c); splits(c) }, answers: []string{"takes", "fails", "partly", "too large"}, inexact: true},
	"callers give up":    {set: func(c *Config) { caps(c); byService(c); impatient(c) }, answers: []string{"takes", "fails", "slow"}, limit: 300 * ms, inexact: true},
	"wait_timeout":       {set: func(c *Config) { caps(c); c.WaitTimeout = 300 * ms }, answers: []string{"takes", "fails", "slow"}, inexact: true},
	"capacity":           {set: func(c *Config) { caps(c); c.QueueSize, c.WaitTimeout = 10, 300*ms }, answers: []string{"takes", "fails", "slow"}, inexact: true},
	"refused":            {set: func(c *Config) { caps(c); c.QueueSize, c.BlockOnOverflow = 10, false }, answers: []string{"takes", "fails"}},
	"calls time out":     {set: func(c *Config) { c.ExportTimeout = 100 * ms }, answers: []string{"takes", "slow"}, inexact: true},
	"map":                {set: byResource, answers: []string{"takes", "fails"}},
	"map by key":         {set: func(c *Config) { byResource(c); byService(c); impatient(c) }, answers: []string{"takes", "fails"}},
	"map, all of it":     {set: func(c *Config) { byResource(c); caps(c); splits(c); impatient(c) }, answers: []string{"takes", "fails", "partly", "too large"}, inexact: true},
	"map, callers leave": {set: byResource, answers: []string{"takes", "slow"}, limit: 300 * ms, inexact: true},
}

func caps(c *Config) { c.SendBatchSize, c.SendBatchMaxSize = 5, 5 }

// impatient retries for as long as it takes to give up now and then.
func impatient(c *Config) {
	retries(c)
	c.RetryOnFailure.InitialInterval, c.RetryOnFailure.MaxInterval, c.RetryOnFailure.MaxElapsedTime = 10*ms, 20*ms, 50*ms
}

func TestSameDataAgain(t *testing.T) {
	for name, way := range handBacks {
		t.Run(name, func(t *testing.T) {
			t.Run("traces", func(t *testing.T) { sameDataAgain(t, traces, way) })
			t.Run("metrics", func(t *testing.T) { sameDataAgain(t, metrics, way) })
			t.Run("logs", func(t *testing.T) { sameDataAgain(t, logs, way) })
			cfg := &Config{}
			if way.set(cfg); cfg.Buffer != bufferMap {
				t.Run("profiles", func(t *testing.T) { sameDataAgain(t, profiles, way) })
			}
		})
	}
}

func sameDataAgain[P payload](t *testing.T, k kind[P], way handBack) {
	for seed := range uint64(2) {
		for _, mutating := range []bool{false, true} {
			for _, pooling := range []bool{false, true} {
				t.Run(fmt.Sprint("seed ", seed, " mutating ", mutating, " pooling ", pooling), func(t *testing.T) {
					usePooling(t, pooling)
					synctest.Test(t, func(t *testing.T) {
						(&againLedger[P]{t: t, k: k, way: way, seed: seed, mutating: mutating, delivered: map[string]int{}}).run()
					})
				})
			}
		}
	}
}

// againLedger is what was delivered, between callers that send the same data again and a next consumer that fails.
type againLedger[P payload] struct {
	t        *testing.T
	k        kind[P]
	way      handBack
	seed     uint64
	mutating bool

	mu        sync.Mutex
	calls     int
	delivered map[string]int
	later     sync.WaitGroup
}

func (l *againLedger[P]) run() {
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	cfg.WaitForResult = true
	l.way.set(cfg)
	require.NoError(l.t, cfg.Validate())
	p, consume, err := l.k.create(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, l.k.inGraph(l.next),
		consumer.WithCapabilities(consumer.Capabilities{MutatesData: l.mutating}))
	require.NoError(l.t, err)
	require.NoError(l.t, p.Start(context.Background(), componenttest.NewNopHost()))
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(l.seed, uint64(caller)))
			for round := range 3 {
				l.send(rng, consume, l.shape(rng, caller*1_000_000+round*1000))
			}
		})
	}
	callers.Wait()
	require.NoError(l.t, p.Shutdown(context.Background()))
	l.later.Wait()
}

// shape makes a payload of several resources, some of them without items, that callers share.
func (l *againLedger[P]) shape(rng *rand.Rand, first int) P {
	p := l.k.payload(rng.IntN(3)*100, 0)
	for range rng.IntN(4) {
		n := rng.IntN(5)
		l.k.Merge(p, l.k.payload(first, n))
		if first += n; rng.IntN(2) == 0 {
			l.k.Merge(p, l.k.payload(first, 0))
		}
	}
	l.k.Merge(p, l.k.payload(first, 1+rng.IntN(8)))
	return p
}

// send is what contrib's consumerretry does: it sends a payload again until it is taken, and if an error has what was not delivered,
// that instead. That one is an internal package of contrib, which no other module can import; so this is an equivalent, which at
// random sends all of the payload again, as the consumererror package allows.
func (l *againLedger[P]) send(rng *rand.Rand, consume func(context.Context, P) error, payload P) {
	items := l.k.items(payload)
	for {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if l.way.limit > 0 {
			ctx, cancel = context.WithTimeout(ctx, l.way.limit)
		}
		before, sent, already := marshal(l.k.Copy(payload)), l.k.items(payload), l.arrived()
		err := consume(ctx, payload)
		cancel()
		if err == nil {
			break
		}
		require.Falsef(l.t, consumererror.IsPermanent(err), "%v", err)
		require.Equal(l.t, before, marshal(l.k.Copy(payload)), "the payload is as it was")
		if failed, ok := l.k.Subset(err); ok {
			l.check(sent, l.k.items(failed), already)
			if rng.IntN(2) == 0 {
				payload = failed
			}
		}
		time.Sleep(time.Duration(1+rng.IntN(100)) * ms)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range items {
		require.Positivef(l.t, l.delivered[item], "acknowledged and never delivered: %s", item)
	}
}

func (l *againLedger[P]) arrived() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.delivered)
}

// check looks at what an error says was not delivered of a payload.
func (l *againLedger[P]) check(sent, failed []string, already map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	require.NotEmpty(l.t, failed)
	for _, item := range failed {
		require.Contains(l.t, sent, item, "another's")
	}
	for _, item := range sent {
		back := slices.Contains(failed, item)
		if !back {
			require.Positivef(l.t, l.delivered[item], "neither delivered nor handed back: %s", item)
		} else if !l.way.inexact {
			require.Equalf(l.t, already[item], l.delivered[item], "delivered, and handed back all the same: %s", item)
		}
	}
}

// next answers at random. If it says that it changes what it gets it does so; if not it goes on to read it.
func (l *againLedger[P]) next(ctx context.Context, p P) error {
	l.mu.Lock()
	l.calls++
	rng := rand.New(rand.NewPCG(l.seed, uint64(l.calls)))
	l.mu.Unlock()
	items := l.k.items(p)
	if l.mutating {
		defer func() {
			own := l.k.payload(5_000_000, 1)
			l.k.Merge(own, p)
			l.k.Unref(own)
		}()
	} else {
		p.MarkReadOnly() // as a fan-out does
		l.k.Ref(p)
		l.later.Go(func() {
			defer l.k.Unref(p)
			for range 3 {
				time.Sleep(20 * ms)
				require.Equal(l.t, items, l.k.items(p), "an exporter still reads it")
			}
		})
	}
	switch pick(rng, l.way.answers...) {
	case "slow":
		select {
		case <-time.After(time.Duration(rng.IntN(800)) * ms):
		case <-ctx.Done():
			return ctx.Err()
		}
	case "fails":
		time.Sleep(time.Duration(rng.IntN(20)) * ms)
		return errNext
	case "too large":
		if len(items) > 1 {
			return errTooLarge
		}
	case "partly":
		failed := l.k.Cut(l.k.Copy(p), signal.Measure{})
		n := 1 + rng.IntN(len(items))
		subset, _ := failed.Take(signal.Items(n))
		l.deliver(items[n:])
		return l.k.partial(errNext, subset)
	}
	l.deliver(items)
	return nil
}

func (l *againLedger[P]) deliver(items []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range items {
		l.delivered[item]++
	}
}

// marshal returns all that there is in a payload. To encode profiles changes them.
func marshal(p any) []byte {
	var all []byte
	var err error
	switch p := p.(type) {
	case ptrace.Traces:
		all, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(p)
	case pmetric.Metrics:
		all, err = (&pmetric.ProtoMarshaler{}).MarshalMetrics(p)
	case plog.Logs:
		all, err = (&plog.ProtoMarshaler{}).MarshalLogs(p)
	case pprofile.Profiles:
		all, err = (&pprofile.ProtoMarshaler{}).MarshalProfiles(p)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		panic(err)
	}
	return all
}
