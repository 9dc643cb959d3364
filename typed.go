// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// Unmarshal decodes what the user typed. It refuses what Validate could not see any more: sections that do nothing, numbers
// that do not fit, keys of other components. Two defaults depend on other keys: with map.key record send_batch_size is 0, and
// with keys and retry a key does not count as stalled while it waits for its next attempt.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	var f faults
	checkNeighbours(conf, &f)
	checkNumbers(conf, &f)
	if conf.IsSet("retry_on_failure") && !conf.IsSet("retry_on_failure::enabled") {
		f.add("retry_on_failure", conf.Get("retry_on_failure"), "it has no effect without enabled: true")
	}
	if conf.IsSet("adaptive_concurrency") && !conf.IsSet("adaptive_concurrency::enabled") {
		f.add("adaptive_concurrency", conf.Get("adaptive_concurrency"), "it has no effect without enabled: true")
	}
	if conf.IsSet("map") && conf.Get("buffer") != bufferMap {
		f.add("map", conf.Get("map"), "it has no effect without buffer: %s", bufferMap)
	}
	if conf.Get("drop_oldest_on_overflow") == true && conf.IsSet("block_on_overflow") {
		f.add("drop_oldest_on_overflow", true, "%s: set one of them, as the first replaces the second", is("block_on_overflow", conf.Get("block_on_overflow")))
	}
	if len(f) > 0 {
		return errors.Join(f...)
	}
	if conf.Get("map::key") == mapRecord {
		c.SendBatchSize = 0
	}
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	if c.keyed() && c.RetryOnFailure.Enabled && !conf.IsSet("stalled_key_timeout") {
		c.StalledKeyTimeout = max(c.StalledKeyTimeout, c.RetryOnFailure.MaxInterval)
	}
	return nil
}

// typedKey is the path of a key in a confmap.Conf.
func typedKey(key string) string { return strings.ReplaceAll(key, ".", confmap.KeyDelimiter) }

// checkNumbers refuses what would be decoded to another value, or not at all: numbers that are not whole or do not fit, and what
// is no number or duration.
func checkNumbers(conf *confmap.Conf, f *faults) {
	for _, n := range numbers {
		if text, wrong := notWhole(conf.Get(typedKey(n.key))); wrong {
			*f = append(*f, fmt.Errorf("%s is %s; it must be a whole number from %d to %d", n.key, text, n.least, n.max))
		}
	}
	for _, d := range durations {
		value := conf.Get(typedKey(d.key))
		text, wrong := notWhole(value)
		if typed, ok := value.(string); ok {
			_, err := time.ParseDuration(typed)
			wrong = err != nil
		}
		if wrong {
			*f = append(*f, fmt.Errorf("%s is %s; it must be a duration, such as 200ms or 1m30s; a number without a unit is nanoseconds, and must be whole", d.key, text))
		}
	}
}

// notWhole returns the text of a value that is no whole number of 64 bits. YAML reads larger ones as floating-point numbers.
func notWhole(value any) (text string, wrong bool) {
	switch v := value.(type) {
	case nil, int, int64, time.Duration: // the last from Go code
		return "", false
	case uint64:
		return fmt.Sprint(v), v > math.MaxInt64
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return "", false
		}
		if v == math.Trunc(v) && math.Abs(v) < 1e21 {
			return big.NewFloat(v).Text('f', 0), true
		}
		return fmt.Sprint(v), true
	case string:
		return strconv.Quote(v), true
	default:
		return fmt.Sprint(v), true
	}
}

// neighbours are keys of components that do similar things, and what stands for them here.
var neighbours = map[string]string{
	// an exporter's sending_queue, and its batch section
	"sending_queue": "queue_size, sizer, num_consumers, block_on_overflow and wait_for_result stand here without a section",
	"queue":         "queue_size, sizer, num_consumers, block_on_overflow and wait_for_result stand here without a section",
	"batch":         "write timeout for flush_timeout, send_batch_size for min_size and send_batch_max_size for max_size, here without a section",
	"flush_timeout": "write timeout",
	"min_size":      "write send_batch_size, or in bytes send_batch_size_bytes",
	"max_size":      "write send_batch_max_size, or in bytes send_batch_max_size_bytes",
	"partition":     "write metadata_keys here, without a section, or resource_keys, attribute_keys or key_expressions",
	"enabled":       "a processor works if a pipeline names it",
	"blocking":      "write block_on_overflow",
	// an exporter's retry_on_failure
	"initial_interval":     "it stands in the section retry_on_failure",
	"randomization_factor": "it stands in the section retry_on_failure",
	"multiplier":           "it stands in the section retry_on_failure",
	"max_interval":         "it stands in the section retry_on_failure",
	"max_elapsed_time":     "it stands in the section retry_on_failure",
	"retry":                "write retry_on_failure",
	// SDKs, and other components that batch or group
	"batch_size":             "write send_batch_size",
	"max_batch_size":         "write send_batch_max_size",
	"max_export_batch_size":  "write send_batch_max_size",
	"batch_timeout":          "write timeout",
	"flush_interval":         "write timeout",
	"interval":               "write timeout, with buffer: map and map.key: record for the newest of each series",
	"schedule_delay":         "write timeout",
	"max_queue_size":         "write queue_size",
	"max_in_flight_size_mib": "write queue_size with sizer: bytes",
	"keys":                   "write metadata_keys, resource_keys, attribute_keys or key_expressions; buffer: map merges equal resources",
	// of our own, in the wrong place
	"log_keys":             "it stands in the section map",
	"log_version":          "it stands in the section map",
	"ignore_attributes":    "it stands in the section map",
	"deltas":               "it stands in the section map",
	"gauges":               "it stands in the section map",
	"summaries":            "it stands in the section map",
	"pass_through":         "write gauges: forward or summaries: forward in the section map",
	"count_attribute":      "it stands in the section map",
	"first_time_attribute": "it stands in the section map",
	"ignore_fields":        "it stands in the section map",
	"remember":             "it stands in the section map",
	"remember_limit":       "it stands in the section map",
}

// checkNeighbours says what stands here for the keys of other components.
func checkNeighbours(conf *confmap.Conf, f *faults) {
	typed := conf.ToStringMap()
	for _, key := range slices.Sorted(maps.Keys(typed)) {
		if hint, ok := neighbours[key]; ok {
			f.add(key, typed[key], "there is no such key here: %s", hint)
		}
	}
}
