// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// The fields and defaults of Config stand in metadata.yaml, from which generated_config.go and the JSON schema are made.

var _ component.Config = (*Config)(nil)

const (
	sizerItems    = "items"
	sizerRequests = "requests"
	sizerBytes    = "bytes"

	bufferQueue = "queue"
	bufferMap   = "map"
	mapResource = "resource"
	mapRecord   = "record"

	maxConsumers = 10_000         // each is a goroutine
	maxSize      = math.MaxUint32 // as in batch; what larger values mean would depend on the machine

	defaultConsumersWithKeys = 10
	defaultQueueItems        = 65_536
	defaultQueueRequests     = 10_000
	defaultQueueBytes        = 256 << 20
	queueFactorWithKeys      = 16
)

// validateConfig is what Validate calls. It reports all that is wrong at once, each with its key and value.
func validateConfig(c *Config) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if c.Timeout < 0 {
		fail("timeout is %v; it must be 0 or more", c.Timeout)
	}
	if c.ExportTimeout < 0 {
		fail("export_timeout is %v; it must be 0 (none) or more", c.ExportTimeout)
	}
	if c.ShutdownTimeout <= 0 {
		fail("shutdown_timeout is %v; it must be above 0", c.ShutdownTimeout)
	}
	for _, unit := range []struct {
		key           string
		most, trigger int64
	}{
		{"size", c.SendBatchMaxSize, c.SendBatchSize},
		{"size_bytes", c.SendBatchMaxSizeBytes, c.SendBatchSizeBytes},
	} {
		if unit.most > 0 && unit.most < unit.trigger {
			fail("send_batch_max_%[1]s is %[2]d; it must be 0 (no limit) or at least send_batch_%[1]s, which is %[3]d", unit.key, unit.most, unit.trigger)
		}
	}
	for _, size := range []struct {
		key   string
		value int64
		most  int64
	}{
		{"send_batch_size", c.SendBatchSize, maxSize},
		{"send_batch_max_size", c.SendBatchMaxSize, maxSize},
		{"send_batch_size_bytes", c.SendBatchSizeBytes, maxSize},
		{"send_batch_max_size_bytes", c.SendBatchMaxSizeBytes, maxSize},
		{"metadata_cardinality_limit", c.MetadataCardinalityLimit, maxSize},
		{"num_consumers", c.NumConsumers, maxConsumers},
		{"queue_size", c.QueueSize, maxSize},
		{"queue_size_per_key", c.QueueSizePerKey, maxSize},
	} {
		if size.value < 0 || size.value > size.most {
			fail("%s is %d; it must be from 0 to %d", size.key, size.value, size.most)
		}
	}
	for _, list := range []struct {
		key   string
		names []string
		same  string
	}{
		{"metadata_keys", c.MetadataKeys, "case-insensitive"},
		{"resource_keys", c.ResourceKeys, "its name in the client metadata of batches, in lower case"},
	} {
		seen := map[string]bool{}
		for _, name := range list.names {
			lower := strings.ToLower(name)
			switch {
			case lower == "":
				fail("%s has an empty entry: %q", list.key, list.names)
			case seen[lower]:
				fail("duplicate entry in %s: %q (%s)", list.key, lower, list.same)
			}
			seen[lower] = true
		}
	}
	switch {
	case c.Partitions < 1 || c.Partitions > maxConsumers:
		fail("partitions is %d; it must be from 1 to %d", c.Partitions, maxConsumers)
	case c.Partitions > 1 && c.keyed():
		fail("partitions is %d; it must be 1 with metadata_keys or resource_keys, each combination of which has its own order", c.Partitions)
	case c.Partitions > 1 && c.NumConsumers > c.Partitions:
		fail("num_consumers is %d; it must be at most partitions, which is %d: each sends one batch at a time", c.NumConsumers, c.Partitions)
	}
	if c.Sizer != sizerItems && c.Sizer != sizerRequests && c.Sizer != sizerBytes {
		fail("sizer is %q; it must be %q, %q or %q", c.Sizer, sizerItems, sizerRequests, sizerBytes)
	}
	if c.QueueSizePerKey > 0 && !c.keyed() {
		fail("queue_size_per_key is %d; it needs metadata_keys or resource_keys", c.QueueSizePerKey)
	}
	trigger, ofTrigger := c.SendBatchSize, "send_batch_size"
	switch c.Sizer {
	case sizerBytes:
		trigger, ofTrigger = c.SendBatchSizeBytes, "send_batch_size_bytes"
	case sizerRequests:
		trigger = 0
	}
	for _, q := range []struct {
		key  string
		size int64
	}{{"queue_size", c.QueueSize}, {"queue_size_per_key", c.QueueSizePerKey}} {
		if q.size > 0 && q.size < trigger {
			fail("%s is %d; it must be 0 (automatic) or at least %s, which is %d", q.key, q.size, ofTrigger, trigger)
		}
	}
	validateMap(c, fail)
	return errors.Join(errs...)
}

// bytesKey is a key, with its value, for which payloads have to be measured in bytes; "": there is none.
func (c *Config) bytesKey() string {
	switch {
	case c.SendBatchSizeBytes > 0:
		return fmt.Sprintf("send_batch_size_bytes is %d", c.SendBatchSizeBytes)
	case c.SendBatchMaxSizeBytes > 0:
		return fmt.Sprintf("send_batch_max_size_bytes is %d", c.SendBatchMaxSizeBytes)
	case c.Sizer == sizerBytes:
		return fmt.Sprintf("sizer is %q", c.Sizer)
	default:
		return ""
	}
}

// batchSize is at which weight a batch is sent, and which one none exceeds. A cap in bytes is a trigger too if there is no
// other one in bytes, whatever send_batch_size says; one in items is, if bytes trigger and items do not: the queue sees to it.
func (c *Config) batchSize() (trigger, most partitioned.Weight) {
	most = partitioned.Weight{Items: int(c.SendBatchMaxSize), Bytes: int(c.SendBatchMaxSizeBytes)}
	trigger = partitioned.Weight{Items: int(c.SendBatchSize), Bytes: int(c.SendBatchSizeBytes)}
	if trigger.Bytes == 0 {
		trigger.Bytes = most.Bytes
	}
	return trigger, most
}

// validateMap checks the keys of the map, and which others go with it.
func validateMap(c *Config, fail func(format string, args ...any)) {
	m := &c.Map
	switch {
	case c.Buffer != bufferQueue && c.Buffer != bufferMap:
		fail("buffer is %q; it must be %q or %q", c.Buffer, bufferQueue, bufferMap)
	case m.Key != mapResource && m.Key != mapRecord:
		fail("map.key is %q; it must be %q or %q", m.Key, mapResource, mapRecord)
	}
	if c.Buffer == bufferMap && c.Sizer == sizerRequests {
		fail("sizer is %q; a map holds resources or records and no requests, so with buffer %q it must be %q", c.Sizer, c.Buffer, sizerItems)
	}
	if key := c.bytesKey(); c.Buffer == bufferMap && key != "" {
		fail("%s; with buffer %q sizes are in items only: how many bytes a record takes hangs on what it will share its resource with", key, c.Buffer)
	}
	if c.Buffer == bufferMap && m.Key == mapRecord && c.WaitForResult {
		fail("wait_for_result is true; with map.key %q nobody can tell a caller what became of a record that is superseded", m.Key)
	}
	if c.Buffer != bufferMap || m.Key != mapRecord {
		for _, set := range []struct {
			key   string
			value any
			is    bool
		}{
			{"map.log_keys", m.LogKeys, len(m.LogKeys) > 0},
			{"map.log_version", m.LogVersion, m.LogVersion != ""},
			{"map.remember", m.Remember, m.Remember != 0},
		} {
			if set.is {
				fail("%s is %v; it needs buffer %q and map.key %q", set.key, set.value, bufferMap, mapRecord)
			}
		}
	}
	seen := map[string]bool{}
	for _, key := range m.LogKeys {
		if key == "" || seen[key] {
			fail("map.log_keys is %q; its entries must be distinct and not empty", m.LogKeys)
		}
		seen[key] = true
	}
	if m.LogVersion != "" && len(m.LogKeys) == 0 {
		fail("map.log_version is %q; it needs map.log_keys", m.LogVersion)
	}
	if m.Remember < 0 {
		fail("map.remember is %v; it must be 0 (not at all) or more", m.Remember)
	}
	if m.RememberLimit < 1 || m.RememberLimit > maxSize {
		fail("map.remember_limit is %d; it must be from 1 to %d", m.RememberLimit, maxSize)
	}
}

// validateMaxElapsedTime is what the generated Validate calls for retry_on_failure.
func validateMaxElapsedTime(c configretry.BackOffConfig) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("retry_on_failure: %w; initial_interval is %v, max_interval %v, max_elapsed_time %v, multiplier %v, randomization_factor %v",
			err, c.InitialInterval, c.MaxInterval, c.MaxElapsedTime, c.Multiplier, c.RandomizationFactor)
	}
	if c.Enabled && c.InitialInterval == 0 {
		return fmt.Errorf("retry_on_failure: initial_interval is %v; it must be above 0", c.InitialInterval)
	}
	return nil
}

// keyed tells whether batches are made by key.
func (c *Config) keyed() bool { return len(c.MetadataKeys)+len(c.ResourceKeys) > 0 }

func (c *Config) consumers() int {
	switch {
	case c.NumConsumers > 0:
		return int(c.NumConsumers)
	case c.keyed():
		return defaultConsumersWithKeys
	default:
		return int(c.Partitions)
	}
}

// capacity is queue_size and queue_size_per_key with their automatic values filled in, in units of sizer.
func (c *Config) capacity() (queue, perKey int64) {
	largest := int64(1) // batch
	switch c.Sizer {
	case sizerItems:
		largest = max(c.SendBatchSize, c.SendBatchMaxSize)
	case sizerBytes:
		largest = max(c.SendBatchSizeBytes, c.SendBatchMaxSizeBytes)
	}
	switch {
	case c.QueueSize > 0:
		queue = c.QueueSize
	case c.Sizer == sizerRequests:
		queue = defaultQueueRequests
	case c.Sizer == sizerBytes:
		queue = max(defaultQueueBytes, 2*largest)
	default:
		queue = max(defaultQueueItems, int64(c.consumers()+3)*largest)
		if c.keyed() {
			queue *= queueFactorWithKeys
		}
	}
	switch {
	case !c.keyed():
	case c.QueueSizePerKey > 0:
		perKey = c.QueueSizePerKey
	default:
		perKey = max(queue/8, 2*largest, 1)
	}
	return queue, perKey
}

func (c *Config) unit() partitioned.Unit {
	switch c.Sizer {
	case sizerRequests:
		return partitioned.Requests
	case sizerBytes:
		return partitioned.Bytes
	default:
		return partitioned.Items
	}
}
