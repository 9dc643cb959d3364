// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

const (
	maxConsumers = 10_000         // each is a goroutine
	maxSize      = math.MaxUint32 // as in batch
	maxQueue     = 1 << 50        // with a storage more may be pending than memory holds

	anyKeys = "metadata_keys, resource_keys, attribute_keys or key_expressions"

	// leastDuration is what a duration that is not 0 has at least. Shorter ones are numbers whose unit was forgotten.
	leastDuration = time.Millisecond
)

// numberKey is a key that holds a whole number, and the values it may have.
type numberKey struct {
	key        string
	of         func(*Config) int64
	least, max int64
}

var numbers = []numberKey{
	{"send_batch_size", func(c *Config) int64 { return c.SendBatchSize }, 0, maxSize},
	{"send_batch_max_size", func(c *Config) int64 { return c.SendBatchMaxSize }, 0, maxSize},
	{"send_batch_size_bytes", func(c *Config) int64 { return c.SendBatchSizeBytes }, 0, maxSize},
	{"send_batch_max_size_bytes", func(c *Config) int64 { return c.SendBatchMaxSizeBytes }, 0, maxSize},
	{"metadata_cardinality_limit", func(c *Config) int64 { return c.MetadataCardinalityLimit }, 0, maxSize},
	{"partitions", func(c *Config) int64 { return c.Partitions }, 1, maxConsumers},
	{"num_consumers", func(c *Config) int64 { return c.NumConsumers }, 0, maxConsumers},
	{"adaptive_concurrency.initial", func(c *Config) int64 { return c.AdaptiveConcurrency.Initial }, 1, maxConsumers},
	{"adaptive_concurrency.min", func(c *Config) int64 { return c.AdaptiveConcurrency.Min }, 1, maxConsumers},
	{"queue_size", func(c *Config) int64 { return c.QueueSize }, 0, maxQueue},
	{"queue_size_per_key", func(c *Config) int64 { return c.QueueSizePerKey }, 0, maxQueue},
	{"memory_size", func(c *Config) int64 { return c.MemorySize }, 0, maxQueue},
	{"map.remember_limit", func(c *Config) int64 { return c.Map.RememberLimit }, 1, maxSize},
}

// durationKey is a key that holds a duration of leastDuration or more, or 0 with the meaning of zero; "": it must not be 0.
type durationKey struct {
	key  string
	of   func(*Config) time.Duration
	zero string
}

var durations = []durationKey{
	{"timeout", func(c *Config) time.Duration { return c.Timeout }, "each request at once"},
	{"export_timeout", func(c *Config) time.Duration { return c.ExportTimeout }, "none"},
	{"wait_timeout", func(c *Config) time.Duration { return c.WaitTimeout }, "as long as the caller's context"},
	{"max_age", func(c *Config) time.Duration { return c.MaxAge }, "never"},
	{"stalled_key_timeout", func(c *Config) time.Duration { return c.StalledKeyTimeout }, "never"},
	{"min_interval", func(c *Config) time.Duration { return c.MinInterval }, "none"},
	{"wait_linger", func(c *Config) time.Duration { return c.WaitLinger }, "not at all"},
	{"shutdown_timeout", func(c *Config) time.Duration { return c.ShutdownTimeout }, ""},
	{"map.remember", func(c *Config) time.Duration { return c.Map.Remember }, "not at all"},
	{"retry_on_failure.initial_interval", func(c *Config) time.Duration { return c.RetryOnFailure.InitialInterval }, ""},
	{"retry_on_failure.max_interval", func(c *Config) time.Duration { return c.RetryOnFailure.MaxInterval }, ""},
	{"retry_on_failure.max_elapsed_time", func(c *Config) time.Duration { return c.RetryOnFailure.MaxElapsedTime }, "no end"},
}

// choiceKey is a key that holds one of a few words.
type choiceKey struct {
	key    string
	of     func(*Config) string
	values []string
}

var choices = []choiceKey{
	{"sizer", func(c *Config) string { return c.Sizer }, []string{sizerItems, sizerRequests, sizerBytes}},
	{"partition_by", func(c *Config) string { return c.PartitionBy }, []string{partitionByResource, partitionByTrace, partitionByAttributes}},
	{"buffer", func(c *Config) string { return c.Buffer }, []string{bufferQueue, bufferMap}},
	{"map.key", func(c *Config) string { return c.Map.Key }, []string{mapResource, mapRecord}},
	{"map.deltas", func(c *Config) string { return c.Map.Deltas }, []string{pointsForward, pointsSum}},
	{"map.gauges", func(c *Config) string { return c.Map.Gauges }, []string{pointsNewest, pointsForward}},
	{"map.summaries", func(c *Config) string { return c.Map.Summaries }, []string{pointsNewest, pointsForward}},
}

// ignorableFields are the values of map.ignore_fields.
var ignorableFields = []string{signal.IgnoreSchema, signal.IgnoreDropped}

// is says what value a key has, as all errors do.
func is(key string, value any) string {
	switch value.(type) {
	case string, []string:
		return fmt.Sprintf("%s is %q", key, value)
	default:
		return fmt.Sprintf("%s is %v", key, value)
	}
}

// faults gathers what is wrong with a configuration.
type faults []error

func (f *faults) add(key string, value any, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s; %s", is(key, value), fmt.Sprintf(format, args...)))
}

// validateConfig is what the generated Validate calls. It reports all that is wrong at once, each with its key and value.
func validateConfig(c *Config) error {
	var f faults
	c.checkValues(&f)
	c.checkNames(&f)
	c.checkExpressions(&f)
	c.checkSizes(&f)
	c.checkPace(&f)
	c.checkAdaptive(&f)
	c.checkQueue(&f)
	c.checkMap(&f)
	c.checkStorage(&f)
	for _, u := range c.useless() {
		if !ofBatch(u.key) {
			f.add(u.key, u.value, "it has no effect: it needs %s", u.needs)
		}
	}
	return errors.Join(f...)
}

// checkValues checks each key by itself.
func (c *Config) checkValues(f *faults) {
	for _, n := range numbers {
		if value := n.of(c); value < n.least || value > n.max {
			f.add(n.key, value, "it must be from %d to %d", n.least, n.max)
		}
	}
	for _, d := range durations {
		switch value := d.of(c); {
		case value >= leastDuration, value == 0 && d.zero != "", strings.HasPrefix(d.key, "retry_on_failure.") && value <= 0: // see validateMaxElapsedTime
		case value <= 0 && d.zero == "":
			f.add(d.key, value, "it must be at least %v", leastDuration)
		case value < 0:
			f.add(d.key, value, "it must be 0 (%s) or at least %v", d.zero, leastDuration)
		case !ofBatch(d.key):
			f.add(d.key, value, "%s", tooShort(value))
		}
	}
	for _, w := range choices {
		if value := w.of(c); !slices.Contains(w.values, value) {
			f.add(w.key, value, "it must be one of %q", w.values)
		}
	}
	for i, text := range c.TooLargeErrors {
		if _, err := regexp.Compile(text); err != nil {
			f.add(fmt.Sprintf("too_large_errors[%d]", i), text, "it must be a regular expression: %v", err)
		} else if text == "" {
			f.add(fmt.Sprintf("too_large_errors[%d]", i), text, "it must not be empty, as that matches every error")
		}
	}
}

// tooShort says what is wrong with a duration above 0 and below leastDuration.
func tooShort(d time.Duration) string {
	return fmt.Sprintf("it is shorter than %v: a number without a unit is nanoseconds, so write %[2]dms or %[2]ds if that was meant", leastDuration, d.Nanoseconds())
}

// checkNames checks the lists of names.
func (c *Config) checkNames(f *faults) {
	for _, list := range []struct {
		key   string
		names []string
		same  func(string) string
		note  string
	}{
		{"metadata_keys", c.MetadataKeys, strings.ToLower, "case-insensitive"},
		{"resource_keys", c.ResourceKeys, strings.ToLower, "its name in the client metadata of batches, in lower case"},
		{"attribute_keys", c.AttributeKeys, strings.ToLower, "its name in the client metadata of batches, in lower case"},
		{"partition_attributes", c.PartitionAttributes, strings.Clone, "case-sensitive"},
		{"map.log_keys", c.Map.LogKeys, strings.Clone, "case-sensitive"},
		{"map.ignore_attributes", c.Map.IgnoreAttributes, strings.Clone, "case-sensitive"},
		{"map.ignore_fields", c.Map.IgnoreFields, strings.Clone, "case-sensitive"},
	} {
		seen := map[string]bool{}
		for _, name := range list.names {
			name = list.same(name)
			switch {
			case name == "":
				*f = append(*f, fmt.Errorf("%s has an empty entry: %q", list.key, list.names))
			case seen[name]:
				*f = append(*f, fmt.Errorf("duplicate entry in %s: %q (%s)", list.key, name, list.note))
			}
			seen[name] = true
		}
	}
	for i, text := range c.Map.LogKeys {
		if _, ok := signal.ParseLogKey(text); !ok && text != "" {
			f.add(fmt.Sprintf("map.log_keys[%d]", i), text, "it must name an attribute behind the last dot")
		}
	}
	for i, field := range c.Map.IgnoreFields {
		if field != "" && !slices.Contains(ignorableFields, field) {
			f.add(fmt.Sprintf("map.ignore_fields[%d]", i), field, "it must be one of %q", ignorableFields)
		}
	}
	for _, name := range c.AttributeKeys {
		if slices.ContainsFunc(c.ResourceKeys, func(other string) bool { return strings.EqualFold(name, other) }) {
			*f = append(*f, fmt.Errorf("attribute_keys and resource_keys both have %q; keep it in attribute_keys, which look at the resource too", strings.ToLower(name)))
		}
	}
}

// checkExpressions checks the names of expressions. What is wrong with an expression shows when a pipeline is built, as each signal has its own.
func (c *Config) checkExpressions(f *faults) {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.KeyExpressions)) {
		key, lower := "key_expressions."+name, strings.ToLower(name)
		if name == "" {
			f.add("key_expressions", c.KeyExpressions, "it has an empty name")
		}
		if strings.TrimSpace(c.KeyExpressions[name]) == "" {
			f.add(key, c.KeyExpressions[name], "it must be an expression")
		}
		if other, twice := seen[lower]; twice {
			f.add(key, c.KeyExpressions[name], "key_expressions.%s has the same name in the client metadata of batches, in lower case", other)
		}
		seen[lower] = name
		for _, list := range []struct {
			key   string
			names []string
		}{{"metadata_keys", c.MetadataKeys}, {"resource_keys", c.ResourceKeys}, {"attribute_keys", c.AttributeKeys}} {
			if slices.ContainsFunc(list.names, func(other string) bool { return strings.EqualFold(other, name) }) {
				f.add(key, c.KeyExpressions[name], "%s has %q too, which is one name in the client metadata of batches", list.key, lower)
			}
		}
	}
}

// checkSizes checks caps against triggers, and what goes on at once.
func (c *Config) checkSizes(f *faults) {
	for _, unit := range []struct {
		name          string
		most, trigger int64
	}{
		{"size", c.SendBatchMaxSize, c.SendBatchSize},
		{"size_bytes", c.SendBatchMaxSizeBytes, c.SendBatchSizeBytes},
	} {
		if unit.most > 0 && unit.most < unit.trigger {
			f.add("send_batch_max_"+unit.name, unit.most, "it must be 0 (no limit) or at least send_batch_%s, which is %d", unit.name, unit.trigger)
		}
	}
	switch {
	case c.Partitions > 1 && c.keyed():
		f.add("partitions", c.Partitions, "it must be 1 with "+anyKeys+": each combination of their values has its own order")
	case c.Partitions > 1 && c.PartitionBy == partitionByAttributes && len(c.PartitionAttributes) == 0:
		f.add("partition_attributes", c.PartitionAttributes, "it must name the attributes that decide, with partition_by %q", c.PartitionBy)
	}
	if c.Partitions > 1 && !c.keyed() && c.NumConsumers > c.Partitions {
		f.add("num_consumers", c.NumConsumers, "it must be at most partitions, which is %d: each sends one batch at a time", c.Partitions)
	}
}

// checkPace checks what puts batches off against what does not wait for so long.
func (c *Config) checkPace(f *faults) {
	if c.WaitLinger > c.Timeout && c.Timeout > 0 {
		f.add("wait_linger", c.WaitLinger, "it must be at most timeout, which is %v: a batch is due then anyway", c.Timeout)
	}
	if c.keyed() && c.StalledKeyTimeout > 0 && c.MinInterval >= c.StalledKeyTimeout {
		f.add("min_interval", c.MinInterval, "it must be below stalled_key_timeout, which is %v: a key that waits for its next batch would count as stalled", c.StalledKeyTimeout)
	}
	if c.WaitForResult && c.WaitTimeout > 0 {
		if c.WaitLinger >= c.WaitTimeout {
			f.add("wait_linger", c.WaitLinger, "it must be below wait_timeout, which is %v: callers would give up before their batch is due", c.WaitTimeout)
		}
		if c.MinInterval >= c.WaitTimeout {
			f.add("min_interval", c.MinInterval, "it must be below wait_timeout, which is %v, with wait_for_result: callers would give up before the next batch", c.WaitTimeout)
		}
	}
	switch {
	case c.MaxAge <= 0:
	case c.MinInterval >= c.MaxAge:
		f.add("max_age", c.MaxAge, "it must be above min_interval, which is %v: items would expire before the next batch", c.MinInterval)
	case !c.WaitForResult && c.triggered() && c.Timeout >= c.MaxAge:
		f.add("max_age", c.MaxAge, "it must be above timeout, which is %v: items would expire before their batch is due", c.Timeout)
	case c.WaitForResult && c.WaitLinger >= c.MaxAge:
		f.add("max_age", c.MaxAge, "it must be above wait_linger, which is %v: items would expire before their batch is due", c.WaitLinger)
	}
}

// checkAdaptive checks the bounds of adaptive_concurrency, and that it has something to choose from.
func (c *Config) checkAdaptive(f *faults) {
	a, most := &c.AdaptiveConcurrency, int64(c.consumers())
	switch {
	case !a.Enabled:
	case c.keyed():
		f.add("adaptive_concurrency.enabled", a.Enabled, "it must be false with "+anyKeys+": their backends may differ, and each has one call at a time")
	case most <= 1:
		f.add("adaptive_concurrency.enabled", a.Enabled, "it has no effect: num_consumers, the most calls at once, amounts to %d. With several and one partition, order is lost", most)
	case a.Initial > most:
		f.add("adaptive_concurrency.initial", a.Initial, "it must be at most num_consumers, which amounts to %d", most)
	case a.Min > a.Initial:
		f.add("adaptive_concurrency.min", a.Min, "it must be at most adaptive_concurrency.initial, which is %d", a.Initial)
	}
}

// checkQueue checks the capacity against what has to fit into it.
func (c *Config) checkQueue(f *faults) {
	if c.DropOldestOnOverflow && !c.BlockOnOverflow { // true is its default, so only Unmarshal knows of that
		f.add("drop_oldest_on_overflow", c.DropOldestOnOverflow, "block_on_overflow is false: set one of them, as the first replaces the second")
	}
	key, trigger := c.trigger()
	least, text := trigger, fmt.Sprintf("%s, which is %d", key, trigger)
	if c.keyed() || c.Partitions > 1 {
		least, text = 2*trigger, fmt.Sprintf("twice %s: one key or partition holds at most half of the queue", text)
	}
	if c.Sizer == sizerBytes && c.SendBatchMaxSizeBytes > least {
		least, text = c.SendBatchMaxSizeBytes, is("send_batch_max_size_bytes, which", c.SendBatchMaxSizeBytes)
	}
	if c.QueueSize > 0 && c.QueueSize < least {
		f.add("queue_size", c.QueueSize, "it must be 0 (automatic) or at least %s", text)
	}
	if c.QueueSizePerKey == 0 || !c.keyed() {
		return
	}
	if c.QueueSizePerKey < trigger {
		f.add("queue_size_per_key", c.QueueSizePerKey, "it must be 0 (no limit of its own) or at least %s, which is %d", key, trigger)
	}
	if queue := c.capacity(); c.QueueSizePerKey > queue {
		automatic := ""
		if c.QueueSize == 0 {
			automatic = " (automatic)"
		}
		f.add("queue_size_per_key", c.QueueSizePerKey, "it must be at most queue_size, which is %d%s", queue, automatic)
	}
}

// checkMap checks what does not go together with a map.
func (c *Config) checkMap(f *faults) {
	if c.Buffer != bufferMap {
		return
	}
	if c.Timeout == 0 {
		f.add("timeout", c.Timeout, "it must be above 0 with buffer %q: a map holds what arrives until then", c.Buffer)
	}
	if c.Sizer == sizerRequests {
		f.add("sizer", c.Sizer, "it must be %q with buffer %q: a map holds resources or records and no requests", sizerItems, c.Buffer)
	}
	if key := c.bytesKey(); key != "" {
		*f = append(*f, fmt.Errorf("%s; with buffer %q sizes are in items only: the bytes of a record depend on the resource that it shares", key, c.Buffer))
	}
	if c.Map.Key == mapRecord && c.PartitionBy == partitionByAttributes {
		f.add("partition_by", c.PartitionBy, "it must be %q or %q with map.key %q: copies of a record may differ in their attributes", partitionByResource, partitionByTrace, c.Map.Key)
	}
	if name := c.Map.CountAttribute; name != "" && name == c.Map.FirstTimeAttribute {
		f.add("map.first_time_attribute", name, "it must differ from map.count_attribute")
	}
	if c.Map.Key == mapRecord && c.WaitForResult {
		f.add("wait_for_result", c.WaitForResult, "it must be false with map.key %q: a record that is superseded has no result", c.Map.Key)
	}
}

// checkStorage checks the storage, and what does not go together with it.
func (c *Config) checkStorage(f *faults) {
	if c.Storage == "" {
		return
	}
	var id component.ID
	if err := id.UnmarshalText([]byte(c.Storage)); err != nil {
		f.add("storage", c.Storage, "it must be the ID of an extension: %v", err)
	}
	if c.Buffer == bufferMap {
		f.add("storage", c.Storage, "it must be empty with buffer %q: what is superseded would stay in the storage, uncounted by queue_size", c.Buffer)
	}
	if c.WaitForResult {
		f.add("storage", c.Storage, "it must be empty with wait_for_result true: senders that wait until their data is delivered still have it after a crash")
	}
}

// setting is a key that has another value than its default, and no effect.
type setting struct {
	key   string
	value any
	needs string
}

// useless are the keys that have another value than their default, and no effect.
func (c *Config) useless() (all []setting) {
	const (
		records = `buffer "map" and map.key "record"`
		timeout = "timeout above 0: with 0 each request is a batch"
	)
	initial := createDefaultConfig().(*Config)
	ofRecords := c.ofRecords()
	for _, s := range []struct {
		key        string
		value, was any
		works      bool
		needs      string
	}{
		{"timeout", c.Timeout, initial.Timeout, c.triggered(), "a size that triggers: without one each request is a batch"},
		{"send_batch_size", c.SendBatchSize, initial.SendBatchSize, c.Timeout != 0, timeout},
		{"metadata_cardinality_limit", c.MetadataCardinalityLimit, initial.MetadataCardinalityLimit, c.keyed(), anyKeys},
		{"send_batch_size_bytes", c.SendBatchSizeBytes, initial.SendBatchSizeBytes, c.Timeout != 0, timeout},
		{"partition_by", c.PartitionBy, initial.PartitionBy, c.Partitions > 1, "partitions above 1"},
		{"partition_attributes", c.PartitionAttributes, initial.PartitionAttributes, c.Partitions > 1 && c.PartitionBy == partitionByAttributes, "partitions above 1 and partition_by \"attributes\""},
		{"queue_size_per_key", c.QueueSizePerKey, initial.QueueSizePerKey, c.keyed(), anyKeys},
		{"stalled_key_timeout", c.StalledKeyTimeout, initial.StalledKeyTimeout, c.keyed(), anyKeys},
		{"wait_timeout", c.WaitTimeout, initial.WaitTimeout, c.BlockOnOverflow && !c.DropOldestOnOverflow || c.WaitForResult, "block_on_overflow or wait_for_result: otherwise nobody waits"},
		{"max_age", c.MaxAge, initial.MaxAge, c.Buffer != bufferMap || ofRecords, `buffer "queue" or map.key "record": a resource holds what came at different times as one`},
		{"wait_linger", c.WaitLinger, initial.WaitLinger, c.WaitForResult && c.Timeout != 0 && c.triggered(), "wait_for_result, and a timeout above 0 with a size that triggers: otherwise nobody gathers"},
		{"adaptive_concurrency.initial", c.AdaptiveConcurrency.Initial, initial.AdaptiveConcurrency.Initial, c.AdaptiveConcurrency.Enabled, "adaptive_concurrency.enabled true"},
		{"adaptive_concurrency.min", c.AdaptiveConcurrency.Min, initial.AdaptiveConcurrency.Min, c.AdaptiveConcurrency.Enabled, "adaptive_concurrency.enabled true"},
		{"too_large_errors", c.TooLargeErrors, initial.TooLargeErrors, c.SplitOnTooLarge, "split_on_too_large"},
		{"memory_size", c.MemorySize, initial.MemorySize, c.Storage != "", "storage"},
		{"map.key", c.Map.Key, initial.Map.Key, c.Buffer == bufferMap, `buffer "map"`},
		{"map.log_keys", c.Map.LogKeys, initial.Map.LogKeys, ofRecords, records},
		{"map.log_version", c.Map.LogVersion, initial.Map.LogVersion, ofRecords && len(c.Map.LogKeys) > 0, records + " and map.log_keys"},
		{"map.ignore_attributes", c.Map.IgnoreAttributes, initial.Map.IgnoreAttributes, ofRecords, records},
		{"map.ignore_fields", c.Map.IgnoreFields, initial.Map.IgnoreFields, ofRecords, records},
		{"map.count_attribute", c.Map.CountAttribute, initial.Map.CountAttribute, ofRecords, records},
		{"map.first_time_attribute", c.Map.FirstTimeAttribute, initial.Map.FirstTimeAttribute, ofRecords, records},
		{"map.deltas", c.Map.Deltas, initial.Map.Deltas, ofRecords, records},
		{"map.gauges", c.Map.Gauges, initial.Map.Gauges, ofRecords, records},
		{"map.summaries", c.Map.Summaries, initial.Map.Summaries, ofRecords, records},
		{"map.remember", c.Map.Remember, initial.Map.Remember, ofRecords, records},
		{"map.remember_limit", c.Map.RememberLimit, initial.Map.RememberLimit, ofRecords && c.Map.Remember != 0, records + " and map.remember"},
	} {
		list, isList := s.value.([]string)
		if !s.works && (isList && len(list) > 0 || !isList && !reflect.DeepEqual(s.value, s.was)) {
			all = append(all, setting{s.key, s.value, s.needs})
		}
	}
	return all
}

// ofBatch reports whether a key is one of batch's, with which every configuration of batch has to start.
func ofBatch(key string) bool {
	switch key {
	case "timeout", "send_batch_size", "send_batch_max_size", "metadata_keys", "metadata_cardinality_limit":
		return true
	default:
		return false
	}
}

// warnings say what is odd about batch's keys, of which others would be errors, and which calls at once there cannot be.
func (c *Config) warnings() (all []string) {
	for _, u := range c.useless() {
		if ofBatch(u.key) {
			all = append(all, fmt.Sprintf("%s; it has no effect: it needs %s", is(u.key, u.value), u.needs))
		}
	}
	if c.Timeout > 0 && c.Timeout < leastDuration {
		all = append(all, fmt.Sprintf("%s; %s", is("timeout", c.Timeout), tooShort(c.Timeout)))
	}
	if most := c.consumers(); c.NumConsumers > int64(most) {
		all = append(all, fmt.Sprintf("%s; a map without keys makes at most as many calls at once as partitions, which is %d", is("num_consumers", c.NumConsumers), most))
	}
	return all
}

// validateMaxElapsedTime is what the generated Validate calls for retry_on_failure.
func validateMaxElapsedTime(c configretry.BackOffConfig) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("retry_on_failure: %w; initial_interval is %v, max_interval %v, max_elapsed_time %v, multiplier %v, randomization_factor %v",
			err, c.InitialInterval, c.MaxInterval, c.MaxElapsedTime, c.Multiplier, c.RandomizationFactor)
	}
	if c.InitialInterval == 0 || c.MaxInterval == 0 {
		return fmt.Errorf("retry_on_failure: initial_interval is %v, max_interval is %v; both must be above 0, or nothing is between two attempts", c.InitialInterval, c.MaxInterval)
	}
	return nil
}
