// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/storagetest"
)

// deliverySettings are the settings of a run of TestDeliveryChaos, drawn at random, and what they promise.
type deliverySettings struct {
	rng  *rand.Rand // of the settings; the next consumer and the producers have their own
	kind anyKind
	cfg  *Config

	answers []string // of the next consumer
	limit   int      // items, above which a batch is too large; 0: none
	tenants int      // that producers push for; 0: none are asked for
	thirds  bool     // each item belongs to one of three keys or partitions
	repeats bool     // an item may be pushed several times, and supersedes itself

	disk       *storagetest.Disk // nil: there is no storage
	diskFault  storagetest.Fault
	diskFaults int  // each so many-th call has diskFault; 0: none has
	putFaults  bool // only calls that put something count
	crash      bool // the next run finds what a crash would have left when Shutdown began
	down       bool // the next consumer takes nothing any more from then on

	serial  bool  // what is kept in order has one call at a time
	ordered bool  // the delivered items of a producer keep their order
	shares  bool  // no key or partition has more than its share
	request int64 // what a request takes of the capacity at most
	grows   int64 // how many times as much the parts of a request that was cut take, at most
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func drawDelivery(r *rand.Rand, kind anyKind) deliverySettings {
	c := deliverySettings{rng: r, kind: kind, cfg: NewFactory().CreateDefaultConfig().(*Config)}
	c.drawBatches()
	c.drawStore()
	c.drawSpread()
	c.drawCapacity()
	c.drawAnswers()
	partly := slices.Contains(c.answers, "partly")         // and the rest of it comes later
	again := c.cfg.RetryOnFailure.Enabled || c.disk != nil // with a storage, Shutdown keeps what fails, and tries it again
	c.serial = c.tenants > 0 || c.thirds || c.cfg.consumers() < 2
	c.ordered = c.serial && !c.repeats && (!partly || !again)
	halves := c.cfg.SplitOnTooLarge && c.limit > 0 || partly || slices.Contains(c.answers, "partly rejects")
	if c.grows = 1; halves || c.cfg.SendBatchMaxSize > 0 || c.cfg.SendBatchMaxSizeBytes > 0 {
		// A batch is halved depth first, so it is in one more part for each halving, not in one for each item; and so is a batch of each
		// consumer. The most of 4000 seeds are 2.25 times the requests, as each part is one, and 1.74 times the bytes, as each repeats its resource.
		switch c.cfg.Sizer {
		case sizerRequests:
			c.grows = 4
		case sizerBytes:
			c.grows = 3
		}
	}
	return c
}

func (c *deliverySettings) drawBatches() {
	r, cfg := c.rng, c.cfg
	cfg.WaitForResult = pick(r, true, false)
	cfg.SplitOnTooLarge = pick(r, true, false)
	if pick(r, true, false) {
		retries(cfg)
		cfg.RetryOnFailure.MaxElapsedTime = pick(r, 0, 10*time.Second, time.Minute)
	}
	cfg.Timeout = pick(r, 0, ms, 50*ms, time.Hour)
	cfg.SendBatchSize = pick[int64](r, 0, 1, 7, 40)
	if pick(r, true, false) {
		cfg.SendBatchMaxSize = cfg.SendBatchSize + pick[int64](r, 1, 5)
	}
	cfg.MinInterval = pick(r, 0, 0, ms, 50*ms, 300*ms)
	cfg.NumConsumers = pick[int64](r, 0, 1, 3)
	cfg.ExportTimeout = pick(r, 0, 0, 100*ms)
	cfg.ShutdownTimeout = pick(r, 10*ms, time.Second, time.Hour)
}

// drawStore draws what holds the requests.
func (c *deliverySettings) drawStore() {
	r, cfg := c.rng, c.cfg
	stores := []string{"queue", "queue", "storage", "storage"}
	if c.kind.name != "profiles" {
		stores = append(stores, "resources", "records")
	}
	switch pick(r, stores...) {
	case "storage":
		cfg.Storage, cfg.WaitForResult = storageID.String(), false
		cfg.MemorySize = pick[int64](r, 0, 2000, 5000, 1<<20)
		c.disk = storagetest.NewDisk()
		c.diskFaults = pick(r, 0, 0, 2, 3, 7)
		c.putFaults = pick(r, true, false)
		c.crash = pick(r, true, false, false)
		c.diskFault = pick(r, storagetest.Fail, storagetest.Half, storagetest.Late, storagetest.Panic)
	case "resources":
		byResource(cfg)
		cfg.Timeout = max(cfg.Timeout, ms)
	case "records":
		byRecord(cfg)
		if c.kind.name != anyLogs.name {
			cfg.Map.LogKeys = nil
		}
		cfg.Timeout, cfg.WaitForResult = max(cfg.Timeout, ms), false
		c.repeats = c.kind.name == anyLogs.name // the records of other kinds have an identity that the time is a part of, or none
	}
	if cfg.WaitForResult && cfg.SendBatchSize > 0 {
		cfg.WaitLinger = min(cfg.Timeout, pick(r, 0, ms, 50*ms, 300*ms))
	}
	if cfg.Buffer == bufferQueue || cfg.ofRecords() {
		least := max(cfg.MinInterval, cfg.Timeout, cfg.WaitLinger)
		cfg.MaxAge = pick(r, 0, 0, least+ms, least+300*ms)
	}
}

// drawSpread draws what is kept in order: nothing, tenants, or thirds of the items.
func (c *deliverySettings) drawSpread() {
	r, cfg := c.rng, c.cfg
	switch pick(r, "all", "all", "tenants", "partitions", "keys") {
	case "tenants":
		c.tenants = pick(r, 1, 5)
		cfg.MetadataKeys = []string{"tenant"}
	case "partitions":
		cfg.Partitions = pick[int64](r, 2, 3)
		cfg.NumConsumers = min(cfg.NumConsumers, cfg.Partitions)
		if !cfg.ofRecords() {
			cfg.PartitionBy, cfg.PartitionAttributes, c.thirds = partitionByAttributes, []string{"third"}, true
		}
	case "keys":
		cfg.AttributeKeys, c.thirds = []string{"third"}, true
	}
	if cfg.keyed() {
		cfg.MetadataCardinalityLimit = pick[int64](r, 0, 3)
	} else if cfg.consumers() > 1 {
		cfg.AdaptiveConcurrency.Enabled = pick(r, true, false)
	}
}

// drawCapacity draws the unit and the size of the queue, and what happens when it is full.
func (c *deliverySettings) drawCapacity() {
	r, cfg := c.rng, c.cfg
	bytes := int64(0)
	for n := range int64(largest) {
		bytes = max(bytes, int64(c.kind.size(5_000_000, int(n)+1)))
	}
	if cfg.Buffer == bufferQueue {
		cfg.Sizer = pick(r, sizerItems, sizerItems, sizerRequests, sizerBytes)
		if c.kind.name == "profiles" {
			cfg.Sizer = pick(r, sizerItems, sizerRequests)
		} else if cfg.Timeout > 0 && pick(r, true, false, false) {
			cfg.SendBatchMaxSizeBytes = pick[int64](r, 600, 2000)
		}
	}
	switch cfg.Sizer {
	case sizerItems:
		trigger := cfg.SendBatchSize
		if trigger == 0 {
			trigger = cfg.SendBatchMaxSize
		}
		cfg.QueueSize, c.request = 2*trigger+pick[int64](r, 1, 20, 1000), largest
	case sizerRequests:
		cfg.QueueSize, c.request = pick[int64](r, 1, 5, 100), 3
	case sizerBytes:
		cfg.QueueSize, c.request = 2*cfg.SendBatchMaxSizeBytes+pick[int64](r, 500, 5000, 100_000), bytes
	}
	switch pick(r, "wait", "wait", "refuse", "drop") {
	case "refuse":
		cfg.BlockOnOverflow = false
	case "drop":
		cfg.DropOldestOnOverflow = true
	}
	c.shares = cfg.keyed() || cfg.Partitions > 1
}

func (c *deliverySettings) drawAnswers() {
	r := c.rng
	for range 1 + r.IntN(4) {
		c.answers = append(c.answers, pick(r, "takes", "takes", "slow", "fails", "rejects", "partly", "partly rejects", "panics", "hangs"))
	}
	c.limit = pick(r, 0, 0, 1, 5)
	c.down = pick(r, false, false, true)
}
