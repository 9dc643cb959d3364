// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// Settings is the configuration as the batcher needs it: validated, and with every default and automatic size as a number.
type Settings struct {
	MetadataKeys        []string          // client metadata that requests are batched by
	ResourceKeys        []string          // resource attributes that telemetry is batched by
	AttributeKeys       []string          // attributes of items, else of their scopes, else of their resources, that telemetry is batched by
	KeyExpressions      map[string]string // expressions whose values telemetry is batched by, by their names
	MaxKeys             int               // keys with something pending; 0: no limit
	Partitions          int               // without keys, that telemetry is spread over; at least 1
	PartitionBy         PartitionBy       // what decides between partitions
	PartitionAttributes []string          // for ByAttributes
	Map                 *Map              // what holds the pending batch; nil: a queue

	Timeout      time.Duration      // longest wait of an item for its flush while a consumer is free
	BatchSize    partitioned.Weight // that triggers a flush
	MaxBatchSize partitioned.Weight // that no batch exceeds; 0 in a unit: no limit
	Bytes        bool               // payloads are measured in encoded bytes

	Consumers   int                  // concurrent calls of the next consumer
	Adaptive    Adaptive             // how many of them, up to Consumers
	Capacity    int64                // in Unit
	KeyCapacity int64                // in Unit; 0: no limit but the share of each key
	Unit        partitioned.Unit     // of the capacities
	Overflow    partitioned.Overflow // what a request without capacity does

	WaitForResult   bool                      // Consume returns when the data was delivered
	WaitTimeout     time.Duration             // longest wait of a caller; 0: as long as its context
	MaxAge          time.Duration             // of items when their turn comes; 0: any
	MinInterval     time.Duration             // least time between two batches of a stream; 0: none
	WaitLinger      time.Duration             // how long callers that wait for results gather; 0: not at all
	SortByTime      bool                      // the records of a batch are in the order of their time, below each scope
	ExportTimeout   time.Duration             // of one call of the next consumer; 0: none
	Retry           configretry.BackOffConfig // whether and when what failed is sent again
	SplitOnTooLarge bool                      // a batch that is too large is sent again in halves
	SplitOnRejected bool                      // so is one that is rejected for its data, until the bad items are alone
	TooLargeErrors  []*regexp.Regexp          // answers that mean it, beside the known ones
	ShutdownTimeout time.Duration             // bound of the drain
	Storage         component.ID              // extension that requests are kept in; zero: none
	MemorySize      int64                     // with a storage: bytes of what it has that are in memory too
	StallTimeout    time.Duration             // when a full key no longer holds up requests with other keys; 0: never

	// Set by New.
	observer *partitioned.Observer
	limiter  *adaptive // nil: Consumers calls at once
}

// Map is how a map holds the pending batch.
type Map struct {
	Records    bool     // it holds the newest of the records with one identity; else equal resources, merged
	LogKeys    []string // what log records are known by: see [signal.ParseLogKey]
	LogVersion string   // attribute that is the version of a log record; "": its time
	Ignore     signal.Ignored
	Points     signal.PointKeys
	Remember   time.Duration

	CountAttribute     string // for how many records one stands for; "": none
	FirstTimeAttribute string // for the time of the first of them; "": none

	RememberLimit int
}

// fields are the settings in the words of the configuration, with numbers where it says automatic.
func (s *Settings) fields() []zap.Field {
	trigger := s.BatchSize
	if trigger.Items == partitioned.NoTrigger {
		trigger.Items = 0
	}
	fields := []zap.Field{
		zap.Duration("timeout", s.Timeout),
		zap.Int("send_batch_size", trigger.Items), zap.Int("send_batch_max_size", s.MaxBatchSize.Items),
		zap.Int("send_batch_size_bytes", trigger.Bytes), zap.Int("send_batch_max_size_bytes", s.MaxBatchSize.Bytes),
		zap.Strings("metadata_keys", s.MetadataKeys), zap.Strings("resource_keys", s.ResourceKeys), zap.Strings("attribute_keys", s.AttributeKeys),
		zap.Any("key_expressions", s.KeyExpressions),
		zap.Int("metadata_cardinality_limit", s.MaxKeys),
		zap.Int("partitions", s.Partitions), zap.String("partition_by", s.PartitionBy.String()), zap.Strings("partition_attributes", s.PartitionAttributes),
		zap.Int("num_consumers", s.Consumers),
		zap.String("sizer", s.sizer()), zap.Int64("queue_size", s.Capacity), zap.Int64("queue_size_per_key", s.KeyCapacity),
		zap.Duration("stalled_key_timeout", s.StallTimeout),
		zap.Bool("block_on_overflow", s.Overflow == partitioned.OverflowWait), zap.Bool("drop_oldest_on_overflow", s.Overflow == partitioned.OverflowDropOldest),
		zap.Duration("wait_timeout", s.WaitTimeout), zap.Duration("max_age", s.MaxAge),
		zap.Duration("min_interval", s.MinInterval), zap.Duration("wait_linger", s.WaitLinger),
		zap.Bool("wait_for_result", s.WaitForResult), zap.Duration("export_timeout", s.ExportTimeout),
		zap.Bool("retry_on_failure", s.Retry.Enabled),
		zap.Bool("split_on_too_large", s.SplitOnTooLarge), zap.Stringers("too_large_errors", s.TooLargeErrors),
		zap.Bool("split_on_rejected", s.SplitOnRejected),
		zap.Bool("sort_by_time", s.SortByTime),
		zap.Stringer("storage", s.Storage), zap.Int64("memory_size", s.MemorySize), zap.Duration("shutdown_timeout", s.ShutdownTimeout),
	}
	if s.Retry.Enabled {
		fields = append(fields, zap.Duration("retry_on_failure.initial_interval", s.Retry.InitialInterval),
			zap.Duration("retry_on_failure.max_interval", s.Retry.MaxInterval),
			zap.Duration("retry_on_failure.max_elapsed_time", s.Retry.MaxElapsedTime))
	}
	return append(append(fields, s.Adaptive.fields()...), s.Map.fields()...)
}

// fields are the settings of the buffer, in the words of the configuration.
func (m *Map) fields() []zap.Field {
	switch {
	case m == nil:
		return []zap.Field{zap.String("buffer", "queue")}
	case !m.Records:
		return []zap.Field{zap.String("buffer", "map"), zap.String("map.key", "resource")}
	default:
		return []zap.Field{
			zap.String("buffer", "map"), zap.String("map.key", "record"),
			zap.Strings("map.log_keys", m.LogKeys), zap.String("map.log_version", m.LogVersion),
			zap.Strings("map.ignore_attributes", slices.Sorted(maps.Keys(m.Ignore.Attributes))), zap.Strings("map.ignore_fields", m.Ignore.Fields()),
			zap.String("map.deltas", word(m.Points.SumDeltas, "sum", "forward")),
			zap.String("map.gauges", word(m.Points.ForwardGauges, "forward", "newest")),
			zap.String("map.summaries", word(m.Points.ForwardSummaries, "forward", "newest")),
			zap.String("map.count_attribute", m.CountAttribute), zap.String("map.first_time_attribute", m.FirstTimeAttribute),
			zap.Duration("map.remember", m.Remember), zap.Int("map.remember_limit", m.RememberLimit),
		}
	}
}

func word(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// sizer is the unit of the capacities.
func (s *Settings) sizer() string {
	return [...]string{partitioned.UnitItems: "items", partitioned.UnitBytes: "bytes", partitioned.UnitRequests: "requests"}[s.Unit]
}

// stored reports whether requests are kept in a storage.
func (s *Settings) stored() bool { return s.Storage != component.ID{} }

// keyed reports whether batches are made by key.
func (s *Settings) keyed() bool {
	return len(s.MetadataKeys)+len(s.ResourceKeys)+len(s.AttributeKeys)+len(s.KeyExpressions) > 0
}
