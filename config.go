// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"math"
	"regexp"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/batcher"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// The fields and defaults of Config stand in metadata.yaml, from which generated_config.go and the JSON schema are made. What
// is wrong with a configuration stands in validate.go, and in typed.go as far as it depends on what the user typed.

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
)

const (
	sizerItems    = "items"
	sizerRequests = "requests"
	sizerBytes    = "bytes"

	bufferQueue = "queue"
	bufferMap   = "map"
	mapResource = "resource"
	mapRecord   = "record"

	partitionByResource   = "resource"
	partitionByTrace      = "trace"
	partitionByAttributes = "attributes"

	pointsForward = "forward"
	pointsNewest  = "newest"
	pointsSum     = "sum"

	defaultConsumersWithKeys = 10
	defaultQueueItems        = 65_536
	defaultQueueRequests     = 10_000
	defaultQueueBytes        = 256 << 20
)

// keyed reports whether batches are made by key.
func (c *Config) keyed() bool {
	return len(c.MetadataKeys)+len(c.ResourceKeys)+len(c.AttributeKeys)+len(c.KeyExpressions) > 0
}

// triggered reports whether a size makes a batch due. Without one each request is a batch, and timeout has no effect.
func (c *Config) triggered() bool {
	return c.SendBatchSize > 0 || c.SendBatchSizeBytes+c.SendBatchMaxSizeBytes > 0 || c.Buffer == bufferMap
}

// ofRecords reports whether the pending batch holds the newest of the records with one identity.
func (c *Config) ofRecords() bool { return c.Buffer == bufferMap && c.Map.Key == mapRecord }

// ignores reports whether an identity leaves something out.
func (c *Config) ignores() bool { return len(c.Map.IgnoreAttributes)+len(c.Map.IgnoreFields) > 0 }

// bytesKey is a key, with its value, for which payloads have to be measured in bytes; "": there is none.
func (c *Config) bytesKey() string {
	switch {
	case c.SendBatchSizeBytes > 0:
		return is("send_batch_size_bytes", c.SendBatchSizeBytes)
	case c.SendBatchMaxSizeBytes > 0:
		return is("send_batch_max_size_bytes", c.SendBatchMaxSizeBytes)
	case c.Sizer == sizerBytes:
		return is("sizer", c.Sizer)
	default:
		return ""
	}
}

// batchSize returns the size that makes a batch due, and the one that no batch exceeds. A cap in bytes is a trigger too if
// there is no other one in bytes, whatever send_batch_size says. A cap in items is one if bytes trigger and items do not: the
// queue sees to it. In a map, send_batch_size 0 means no trigger; in a queue it means each request at once.
func (c *Config) batchSize() (trigger, most partitioned.Weight) {
	most = partitioned.Weight{Items: toInt(c.SendBatchMaxSize), Bytes: toInt(c.SendBatchMaxSizeBytes)}
	trigger = partitioned.Weight{Items: toInt(c.SendBatchSize), Bytes: toInt(c.SendBatchSizeBytes)}
	if trigger.Bytes == 0 {
		trigger.Bytes = most.Bytes
	}
	if c.Buffer == bufferMap && trigger.Items == 0 {
		trigger.Items = partitioned.NoTrigger
	}
	return trigger, most
}

// trigger returns the key and the value of the size, in the unit of the sizer, that makes a batch due; 0: there is none.
func (c *Config) trigger() (key string, size int64) {
	switch {
	case c.Timeout == 0 || c.Sizer == sizerRequests:
		return "", 0
	case c.Sizer == sizerBytes && c.SendBatchSizeBytes > 0:
		return "send_batch_size_bytes", c.SendBatchSizeBytes
	case c.Sizer == sizerBytes:
		return "send_batch_max_size_bytes", c.SendBatchMaxSizeBytes
	case c.SendBatchSize == 0 && c.SendBatchSizeBytes+c.SendBatchMaxSizeBytes > 0:
		return "send_batch_max_size", c.SendBatchMaxSize
	default:
		return "send_batch_size", c.SendBatchSize
	}
}

// toInt converts a size that is not negative. What an int cannot hold, on a platform of 32 bits, nothing in memory reaches.
func toInt(size int64) int { return int(min(size, math.MaxInt)) }

// consumers is num_consumers with its automatic value filled in. A map without keys has one call at a time in each partition.
func (c *Config) consumers() int {
	switch {
	case c.NumConsumers > 0 && c.Buffer == bufferMap && !c.keyed():
		return int(min(c.NumConsumers, c.Partitions))
	case c.NumConsumers > 0:
		return int(c.NumConsumers)
	case c.keyed():
		return defaultConsumersWithKeys
	default:
		return int(c.Partitions)
	}
}

// capacity is queue_size with its automatic value filled in, in units of sizer.
func (c *Config) capacity() int64 {
	largest := int64(1) // batch
	switch c.Sizer {
	case sizerItems:
		largest = max(c.SendBatchSize, c.SendBatchMaxSize)
	case sizerBytes:
		largest = max(c.SendBatchSizeBytes, c.SendBatchMaxSizeBytes)
	}
	switch {
	case c.QueueSize > 0:
		return c.QueueSize
	case c.Sizer == sizerRequests:
		return defaultQueueRequests
	case c.Sizer == sizerBytes:
		return max(defaultQueueBytes, 2*largest)
	}
	queue := max(defaultQueueItems, int64(c.consumers()+3)*largest)
	if c.keyed() {
		queue *= 2
	}
	return queue
}

func (c *Config) unit() partitioned.Unit {
	switch c.Sizer {
	case sizerRequests:
		return partitioned.UnitRequests
	case sizerBytes:
		return partitioned.UnitBytes
	default:
		return partitioned.UnitItems
	}
}

// ignored is what is no part of the identity of a record.
func (m *Map) ignored() signal.Ignored {
	i := signal.Ignored{Schema: slices.Contains(m.IgnoreFields, signal.IgnoreSchema), Dropped: slices.Contains(m.IgnoreFields, signal.IgnoreDropped)}
	for _, name := range m.IgnoreAttributes {
		if i.Attributes == nil {
			i.Attributes = map[string]struct{}{}
		}
		i.Attributes[name] = struct{}{}
	}
	return i
}

// settings returns the configuration with every default and automatic size as a number.
func (c *Config) settings() batcher.Settings {
	s := batcher.Settings{
		MetadataKeys: c.MetadataKeys, ResourceKeys: c.ResourceKeys, AttributeKeys: c.AttributeKeys, KeyExpressions: c.KeyExpressions, MaxKeys: toInt(c.MetadataCardinalityLimit),
		Partitions: int(c.Partitions), Timeout: c.Timeout, Bytes: c.bytesKey() != "", Consumers: c.consumers(), Unit: c.unit(),
		WaitForResult: c.WaitForResult, WaitTimeout: c.WaitTimeout, MaxAge: c.MaxAge, ExportTimeout: c.ExportTimeout, Retry: c.RetryOnFailure, SplitOnTooLarge: c.SplitOnTooLarge, SplitOnRejected: c.SplitOnRejected,
		SortByTime: c.SortByTime, ShutdownTimeout: c.ShutdownTimeout,
		MinInterval: c.MinInterval, WaitLinger: c.WaitLinger,
	}
	if c.Storage != "" {
		_ = s.Storage.UnmarshalText([]byte(c.Storage)) // Validate has done it once
		s.MemorySize = c.MemorySize
	}
	s.BatchSize, s.MaxBatchSize = c.batchSize()
	s.Capacity = c.capacity()
	if c.keyed() {
		s.KeyCapacity, s.StallTimeout = c.QueueSizePerKey, c.StalledKeyTimeout
	}
	if a := c.AdaptiveConcurrency; a.Enabled {
		s.Adaptive = batcher.Adaptive{Initial: int(a.Initial), Min: int(a.Min)}
	}
	switch c.PartitionBy {
	case partitionByTrace:
		s.PartitionBy = batcher.ByTrace
	case partitionByAttributes:
		s.PartitionBy, s.PartitionAttributes = batcher.ByAttributes, c.PartitionAttributes
	}
	switch {
	case c.DropOldestOnOverflow:
		s.Overflow = partitioned.OverflowDropOldest
	case !c.BlockOnOverflow:
		s.Overflow = partitioned.OverflowRefuse
	}
	for _, text := range c.TooLargeErrors {
		s.TooLargeErrors = append(s.TooLargeErrors, regexp.MustCompile(text)) // Validate has compiled it once
	}
	if c.Buffer == bufferMap {
		s.Map = &batcher.Map{
			Records: c.Map.Key == mapRecord, LogKeys: c.Map.LogKeys, LogVersion: c.Map.LogVersion,
			Points: signal.PointKeys{
				SumDeltas: c.Map.Deltas == pointsSum, ForwardGauges: c.Map.Gauges == pointsForward, ForwardSummaries: c.Map.Summaries == pointsForward,
			},
			Ignore: c.Map.ignored(), CountAttribute: c.Map.CountAttribute, FirstTimeAttribute: c.Map.FirstTimeAttribute,
			Remember: c.Map.Remember, RememberLimit: toInt(c.Map.RememberLimit),
		}
	}
	return s
}
