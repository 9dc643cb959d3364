// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/plog"
)

// outage is a load of many tenants, the backends of some of which do not work for a while. In fake time.
type outage struct {
	tenants, failing int
	answer           string // of a backend that does not work: "fails", "times out" after 5 s, "hangs"
	keys             string // that tell tenants apart: "metadata", "resource", "attribute"
	mixed            bool   // each request has items of all tenants
	inTurn           bool   // the backends stop one after another, a second apart
	gives            bool   // without retry_on_failure: what fails is dropped
	mapped, refuses  bool   // buffer: map; block_on_overflow: false
	share            int    // queue_size_per_key, in the largest part of a request; 0: none
	sizes            []int  // items of a request of a tenant, in turn; nil: 2
	set              func(*Config)

	p  *pipeline
	mu sync.Mutex

	// Guarded by mu.

	down    int           // tenants whose backends do not work
	arrived []int         // items, by tenant
	back    chan struct{} // closed when the backends work again
}

const outageRound = 500 * ms // between two requests of a sender

func (o *outage) size(tenant int) int {
	if o.sizes == nil {
		return 2
	}
	return o.sizes[tenant%len(o.sizes)]
}

// run has the load from the start to its end, with the outage in it, and calls look in between.
func (o *outage) run(t *testing.T, look func()) {
	largest, request := 0, 0
	for tenant := range o.tenants {
		largest = max(largest, o.size(tenant))
		request += o.size(tenant)
	}
	if !o.mixed {
		request = largest
	}
	o.arrived, o.back = make([]int, o.tenants), make(chan struct{})
	o.p = newPipelineTo(t, logs, func(c *Config) {
		c.SendBatchSize = int64(2 * largest)
		c.QueueSize = int64(max((o.failing+1)*(o.failing+1)*request, 4*o.tenants*largest)) // I8, and so much that nobody waits before
		c.QueueSizePerKey = int64(o.share * largest)
		switch o.keys {
		case "metadata":
			c.MetadataKeys = []string{"tenant"}
		case "attribute":
			c.AttributeKeys = []string{"tenant"}
		default:
			c.ResourceKeys = []string{"tenant"}
		}
		if !o.gives {
			retries(c)
			c.RetryOnFailure.MaxInterval, c.RetryOnFailure.MaxElapsedTime = 5*time.Second, 0
		}
		if o.mapped {
			byResource(c)
		}
		if o.refuses {
			c.BlockOnOverflow = false
		}
		if o.set != nil {
			o.set(c)
		}
	}, func(_ *pipeline, ctx context.Context, ld plog.Logs) error { return o.call(ctx, ld) }).begun(t)
	ctx, cancel := context.WithCancel(context.Background())
	var senders sync.WaitGroup
	for tenant := range o.tenants {
		if o.mixed && tenant == 3 {
			break // a few send for all
		}
		senders.Go(func() {
			for ctx.Err() == nil {
				_ = o.send(ctx, tenant) // one that is refused does not arrive
				time.Sleep(outageRound)
			}
		})
	}
	defer func() {
		o.end()
		cancel()
		senders.Wait()
	}()
	look()
}

// send is one request of a sender.
func (o *outage) send(ctx context.Context, tenant int) error {
	ld := plog.NewLogs()
	add := func(tenant int) {
		r := ld.ResourceLogs().AppendEmpty()
		records := r.ScopeLogs().AppendEmpty().LogRecords()
		for range o.size(tenant) {
			records.AppendEmpty()
		}
		if o.keys == "attribute" {
			for _, record := range records.All() {
				record.Attributes().PutStr("tenant", fmt.Sprint(tenant))
			}
			return
		}
		r.Resource().Attributes().PutStr("tenant", fmt.Sprint(tenant))
	}
	if !o.mixed {
		add(tenant)
		ctx = client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {fmt.Sprint(tenant)}})})
		return send(ctx, o.p, ld)
	}
	for i := range o.tenants {
		add((tenant + i) % o.tenants)
	}
	return send(ctx, o.p, ld)
}

// call is a call of the next consumer.
func (o *outage) call(ctx context.Context, ld plog.Logs) error {
	r := ld.ResourceLogs().At(0)
	name, ok := r.Resource().Attributes().Get("tenant")
	if !ok {
		name, _ = r.ScopeLogs().At(0).LogRecords().At(0).Attributes().Get("tenant")
	}
	var tenant int
	if _, err := fmt.Sscan(name.Str(), &tenant); err != nil {
		return err
	}
	o.mu.Lock()
	down, back := tenant < o.down, o.back
	o.mu.Unlock()
	if down {
		switch o.answer {
		case "times out":
			time.Sleep(5 * time.Second)
			return context.DeadlineExceeded
		case "fails":
			return errNext
		}
		select {
		case <-back:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.arrived[tenant] += ld.LogRecordCount()
	return nil
}

// stalls reports whether failing tenants hold up others until they count as stalled. What is dropped as soon as it fails makes nobody full.
func (o *outage) stalls() bool { return o.mixed && (!o.gives || o.answer != "fails") }

// begin stops so many backends.
func (o *outage) begin(failing int) {
	stop := func(n int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.down = n
	}
	for n := 1; o.inTurn && n < failing; n++ {
		stop(n)
		time.Sleep(time.Second)
	}
	stop(failing)
}

// end has all of them work.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = 0
	close(o.back)
	o.back = make(chan struct{})
}

// delivered returns how much arrives of each tenant in d.
func (o *outage) delivered(d time.Duration) (items []int) {
	count := func() []int {
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		return append([]int(nil), o.arrived...)
	}
	before := count()
	time.Sleep(d)
	items = count()
	for i := range items {
		items[i] -= before[i]
	}
	return items
}

// requireAsBefore checks that each tenant from first on gets nine tenths of what it got before, at least.
func (o *outage) requireAsBefore(t *testing.T, before, now []int, first int, why string) {
	t.Helper()
	for tenant := first; tenant < o.tenants; tenant++ {
		require.Greaterf(t, now[tenant], before[tenant]*9/10, "%s: tenant %d: %s", why, tenant, o.state())
	}
}

func (o *outage) state() string {
	st := o.p.stats()
	return fmt.Sprintf("%d of %d pending, %d callers wait, %d of %d consumers are busy, %d dropped as stalled, refused %+v",
		st.Used, st.Capacity, st.Callers, st.Busy, st.Consumers, st.Stalled, st.RefusedBy)
}

// outages are those of TestFailingTenantsHoldUpNobodyElse.
func outages() map[string]*outage {
	all := map[string]*outage{}
	for name, o := range map[string]*outage{
		"metadata 1 hangs":       {keys: "metadata", failing: 1, answer: "hangs"},
		"metadata 40 fail":       {keys: "metadata", failing: 40, answer: "fails"},
		"metadata 100 time out":  {keys: "metadata", failing: 100, answer: "times out"},
		"resource 9 hang":        {keys: "resource", failing: 9, answer: "hangs"},
		"resource 40 time out":   {keys: "resource", failing: 40, answer: "times out"},
		"resource 100 fail":      {keys: "resource", failing: 100, answer: "fails"},
		"resource 100 fail, map": {keys: "resource", failing: 100, answer: "fails", mapped: true},
		"resource 100, refusing": {keys: "resource", failing: 100, answer: "fails", refuses: true},
	} {
		o.tenants = 120
		all[name] = o
	}
	for name, o := range map[string]*outage{
		"1 hangs":            {failing: 1, answer: "hangs"},
		"9 hang":             {failing: 9, answer: "hangs"},
		"8 fail":             {failing: 8, answer: "fails"},
		"8 fail, refusing":   {failing: 8, answer: "fails", refuses: true},
		"8 fail, map":        {failing: 8, answer: "fails", mapped: true},
		"40 fail":            {failing: 40, answer: "fails", share: 4},
		"40 time out":        {failing: 40, answer: "times out", share: 4},
		"100 fail":           {failing: 100, answer: "fails", share: 4},
		"100 fail, refusing": {failing: 100, answer: "fails", share: 4, refuses: true},
		"100 time out":       {failing: 100, answer: "times out", share: 4},
		"100 fail, map":      {failing: 100, answer: "fails", share: 4, mapped: true},
		"7 time out, gives":  {failing: 7, answer: "times out", share: 4, gives: true},
		"8 time out, gives":  {failing: 8, answer: "times out", share: 4, gives: true},
		"8 fail, gives":      {failing: 8, answer: "fails", share: 4, gives: true},
		"9 hang, gives":      {failing: 9, answer: "hangs", share: 4, gives: true},
	} {
		o.tenants, o.keys, o.mixed = 120, "resource", true
		all["mixed "+name] = o
	}
	return all
}

// TestFailingTenantsHoldUpNobodyElse: whatever becomes of up to a hundred of 120 tenants, the others get at least nine tenths of what they
// got before (I8); in requests with all tenants, once the failing ones count as stalled. What the failing ones lose is counted by
// reason. A second after their next attempt at a backend that is back, all is as before.
func TestFailingTenantsHoldUpNobodyElse(t *testing.T) {
	all := outages()
	rng := rand.New(rand.NewPCG(14, 0))
	for range 6 {
		o := outageAtRandom(rng)
		all[o.name()] = o
	}
	for name, o := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, o.holdsUpNobodyElse)
		})
	}
}

// outageAtRandom draws of each property one value. Only what hangs is few: at least one of the ten consumers must be left.
func outageAtRandom(rng *rand.Rand) *outage {
	o := &outage{
		tenants: 120, failing: []int{1, 7, 8, 9, 40, 100}[rng.IntN(6)], answer: []string{"fails", "times out", "hangs"}[rng.IntN(3)],
		keys: []string{"metadata", "resource", "attribute"}[rng.IntN(3)], inTurn: rng.IntN(2) == 0, gives: rng.IntN(4) == 0,
		mapped: rng.IntN(3) == 0, refuses: rng.IntN(2) == 0,
	}
	if o.answer == "hangs" {
		o.failing = min(o.failing, 9)
	}
	if o.keys != "metadata" && rng.IntN(2) == 0 {
		o.mixed, o.share = true, 4
	}
	if rng.IntN(3) == 0 { // most tenants are a hundred times as small as a few
		o.sizes = []int{1, 100, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	}
	return o
}

// name is what was drawn.
func (o *outage) name() string {
	name := fmt.Sprintf("%d %s %s", o.failing, o.keys, o.answer)
	for _, property := range []struct {
		text string
		has  bool
	}{
		{"mixed", o.mixed},
		{"one after another", o.inTurn},
		{"without retry", o.gives},
		{"map", o.mapped},
		{"refusing", o.refuses},
		{"sizes", o.sizes != nil},
	} {
		if property.has {
			name += ", " + property.text
		}
	}
	return name
}

func (o *outage) holdsUpNobodyElse(t *testing.T) {
	o.run(t, func() {
		time.Sleep(5 * time.Second)
		before := o.delivered(20 * time.Second)
		o.begin(o.failing)
		if o.stalls() {
			o.waitUntilStalled(t)
		} else {
			time.Sleep(time.Minute) // each has failed once
		}
		now := o.delivered(20 * time.Second)
		o.requireAsBefore(t, before, now, o.failing, "down")
		o.requireLossesAreNamed(t)
		o.end()
		time.Sleep(5*time.Second + 5*time.Second + time.Second) // a call, the pause behind it, and a second
		stalled := o.p.stats().Stalled
		now = o.delivered(20 * time.Second)
		o.requireAsBefore(t, before, now, 0, "back")
		require.Equal(t, stalled, o.p.stats().Stalled)
		require.Zero(t, o.p.stats().Callers)
	})
}

// waitUntilStalled lets time pass until the failing tenants count as stalled, which must not take much longer than they need to
// be full, and stalled_key_timeout. While callers wait for one that is full, those that fail later do not get full.
func (o *outage) waitUntilStalled(t *testing.T) {
	for o.p.stats().Callers == 0 && o.p.stats().Refused == 0 { // until they are full
		time.Sleep(time.Second)
	}
	time.Sleep(65 * time.Second)
	if o.inTurn {
		time.Sleep(65 * time.Second)
	}
	if o.answer == "times out" { // half of the ten consumers call the failing ones, each for 5 s: until each was called once
		time.Sleep(time.Duration(o.failing) * time.Second)
	}
	require.Positive(t, o.p.stats().Stalled, o.state())
}

// requireLossesAreNamed checks that what was lost is counted, by reason, and logged with its key.
func (o *outage) requireLossesAreNamed(t *testing.T) {
	t.Helper()
	st := o.p.stats()
	require.Zero(t, st.Lost+st.Evicted)
	if o.gives && o.answer != "hangs" {
		require.Positive(t, st.Failed)
	} else {
		require.Zero(t, st.Failed)
	}
	if !o.stalls() {
		require.Zero(t, st.Stalled, "a sender of one tenant keeps its data, and one that nobody holds up sends it")
		return
	}
	named := map[string]bool{}
	for _, line := range o.p.log.FilterMessageSnippet("A key has stalled").All() {
		named[strings.Join(line.ContextMap()["key"].(map[string][]string)["tenant"], "")] = true
	}
	if o.sizes != nil { // small ones are not full yet
		require.NotEmpty(t, named, o.state())
		return
	}
	require.Lenf(t, named, o.failing, "%s", o.state())
}

// TestNothingIsDroppedWhileAllBackendsAreDown: then it is no tenant's fault. Callers are held up, also when some tenants send a
// hundred times as much as others, so that they are full at very different times.
func TestNothingIsDroppedWhileAllBackendsAreDown(t *testing.T) {
	for name, o := range map[string]*outage{
		"metadata":              {keys: "metadata", answer: "fails"},
		"resource, time out":    {keys: "resource", answer: "times out"},
		"sizes":                 {keys: "resource", answer: "fails", sizes: []int{100, 1}},
		"mixed":                 {keys: "resource", answer: "fails", mixed: true, share: 4},
		"mixed, sizes":          {keys: "resource", answer: "fails", mixed: true, share: 4, sizes: []int{100, 1}},
		"mixed, sizes, refused": {keys: "resource", answer: "fails", mixed: true, sizes: []int{1, 100}, refuses: true},
		"mixed, time out":       {keys: "resource", answer: "times out", mixed: true, share: 4, sizes: []int{100, 10, 1}},
		"mixed, hang":           {keys: "resource", answer: "hangs", mixed: true, share: 4, set: func(c *Config) { c.NumConsumers = 20 }},
		"mixed, map":            {keys: "resource", answer: "fails", mixed: true, share: 4, sizes: []int{100, 1}, mapped: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o.tenants, o.failing = 20, 20
				o.run(t, func() {
					before := o.delivered(10 * time.Second)
					o.begin(20)
					for o.p.stats().Callers == 0 && o.p.stats().Refused == 0 {
						time.Sleep(time.Second)
					}
					time.Sleep(5 * time.Minute)
					require.Zero(t, o.p.stats().Stalled, o.state())
					o.end()
					time.Sleep(11 * time.Second)
					o.requireAsBefore(t, before, o.delivered(20*time.Second), 0, "back")
					require.Zero(t, o.p.stats().Stalled, o.state())
					require.Zero(t, o.p.stats().Callers)
				})
				require.NoError(t, o.p.Shutdown(context.Background()))
				require.Empty(t, o.p.losses())
			})
		})
	}
}
