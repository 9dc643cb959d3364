// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"regexp"
	"time"

	"go.opentelemetry.io/collector/config/configretry"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// Settings is the configuration as the batcher needs it: validated, and with every default and automatic size as a number.
type Settings struct {
	MetadataKeys []string // client metadata that requests are batched by
	ResourceKeys []string // resource attributes that telemetry is batched by
	MaxKeys      int      // combinations of their values with something pending; 0: no limit
	Partitions   int      // without keys, that telemetry is spread over by resource; at least 1
	Map          *Map     // what holds the pending batch; nil: a queue

	Timeout      time.Duration      // longest wait of an item for its flush while a consumer is free
	BatchSize    partitioned.Weight // that triggers a flush
	MaxBatchSize partitioned.Weight // that no batch exceeds; 0 in a unit: no limit
	Bytes        bool               // payloads are measured in encoded bytes

	Consumers   int                  // concurrent calls of the next consumer
	Capacity    int64                // in Unit
	KeyCapacity int64                // in Unit; 0: no limit but Capacity
	Unit        partitioned.Unit     // of the capacities
	Overflow    partitioned.Overflow // what a request without capacity does

	WaitForResult   bool                      // Consume returns when the data was delivered
	ExportTimeout   time.Duration             // of one call of the next consumer; 0: none
	Retry           configretry.BackOffConfig // whether and when what failed is sent again
	SplitOnTooLarge bool                      // a batch that is too large is sent again in halves
	TooLargeErrors  []*regexp.Regexp          // answers that mean it, beside the known ones
	ShutdownTimeout time.Duration             // bound of the drain
}

// Map is how a map holds the pending batch.
type Map struct {
	Records       bool     // it holds the newest of the records with one identity; else equal resources, merged
	LogKeys       []string // attributes that log records are known by
	LogVersion    string   // attribute that is the version of a log record; "": its time
	Remember      time.Duration
	RememberLimit int
}

// keyed reports whether batches are made by key.
func (s *Settings) keyed() bool { return len(s.MetadataKeys)+len(s.ResourceKeys) > 0 }
