// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/metadatatest"
)

// load is what a collector does with a component's section.
func load(section *confmap.Conf) (*Config, error) {
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if err := section.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfigLoadsEveryKey(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id, want := range map[string]*Config{
		"partitionedbuffer": {
			Timeout:                  200 * time.Millisecond,
			SendBatchSize:            8192,
			MetadataCardinalityLimit: 1000,
			Partitions:               1,
			Sizer:                    "items",
			BlockOnOverflow:          true,
			StalledKeyTimeout:        30 * time.Second,
			ShutdownTimeout:          5 * time.Second,
			Buffer:                   "queue",
			Map:                      NewDefaultMap(),
			RetryOnFailure: configretry.BackOffConfig{
				InitialInterval: 5 * time.Second, RandomizationFactor: 0.5, Multiplier: 1.5, MaxInterval: 30 * time.Second, MaxElapsedTime: 5 * time.Minute,
			},
		},
		"partitionedbuffer/all": {
			Timeout:            5 * time.Second,
			SendBatchSize:      100,
			SendBatchMaxSize:   200,
			SendBatchSizeBytes: 1_000_000, SendBatchMaxSizeBytes: 4_000_000,
			MetadataKeys:             []string{"Tenant", "region"},
			ResourceKeys:             []string{"tenant.id"},
			MetadataCardinalityLimit: 7,
			Partitions:               1,
			NumConsumers:             3,
			Sizer:                    "requests",
			QueueSize:                50,
			QueueSizePerKey:          20,
			BlockOnOverflow:          false,
			StalledKeyTimeout:        40 * time.Second,
			WaitTimeout:              7 * time.Second,
			ExportTimeout:            2 * time.Second,
			ShutdownTimeout:          time.Minute,
			WaitForResult:            true,
			RetryOnFailure: configretry.BackOffConfig{
				Enabled: true, InitialInterval: time.Second, RandomizationFactor: 0.1, Multiplier: 2, MaxInterval: 10 * time.Second, MaxElapsedTime: time.Minute,
			},
			SplitOnTooLarge: true,
			TooLargeErrors:  []string{"entity too large", "over [0-9]+ bytes"},
			SplitOnRejected: true,
			Buffer:          "queue",
			Map:             NewDefaultMap(),
		},
		"partitionedbuffer/map": func() *Config {
			c := NewFactory().CreateDefaultConfig().(*Config)
			c.Buffer, c.SendBatchSize = "map", 0
			c.Map = Map{Key: "record", LogKeys: []string{"uid", "kind"}, LogVersion: "version", Remember: time.Minute, RememberLimit: 1000}
			return c
		}(),
	} {
		t.Run(id, func(t *testing.T) {
			section, err := file.Sub(id)
			require.NoError(t, err)
			cfg, err := load(section)
			require.NoError(t, err)
			require.Equal(t, want, cfg)
		})
	}
	section, err := file.Sub("partitionedbuffer/all")
	require.NoError(t, err)
	var every map[string]any
	whole := confmap.New()
	require.NoError(t, whole.Marshal(createDefaultConfig()))
	every = whole.ToStringMap()
	every["metadata_keys"], every["resource_keys"], every["too_large_errors"] = nil, nil, nil // left out when empty
	delete(every, "map")                                                                      // in a section of its own
	for key := range every {
		require.Truef(t, section.IsSet(key), "testdata/config.yaml lacks %s", key)
	}
	ofMap, err := file.Sub("partitionedbuffer/map::map")
	require.NoError(t, err)
	whole = confmap.New()
	require.NoError(t, whole.Marshal(NewDefaultMap()))
	for _, key := range append(whole.AllKeys(), "log_keys") {
		require.Truef(t, ofMap.IsSet(key), "testdata/config.yaml lacks map.%s", key)
	}
}

func TestConfigErrorNamesKeyAndValue(t *testing.T) {
	type section = map[string]any
	for name, test := range map[string]struct {
		section section
		errors  []string // each has to be in the text
	}{
		"negative timeout":          {section{"timeout": "-1s"}, []string{"timeout is -1s"}},
		"negative export_timeout":   {section{"export_timeout": "-2ms"}, []string{"export_timeout is -2ms"}},
		"no shutdown_timeout":       {section{"shutdown_timeout": "0s"}, []string{"shutdown_timeout is 0s"}},
		"negative shutdown_timeout": {section{"shutdown_timeout": "-3s"}, []string{"shutdown_timeout is -3s"}},
		"cap below trigger": {
			section{"send_batch_size": 100, "send_batch_max_size": 99},
			[]string{"send_batch_max_size is 99", "send_batch_size, which is 100"},
		},
		"cap below the default trigger": {
			section{"send_batch_max_size": 8191},
			[]string{"send_batch_max_size is 8191", "send_batch_size, which is 8192"},
		},
		"same key twice":           {section{"metadata_keys": []string{"a", "b", "a"}}, []string{"metadata_keys", `"a"`}},
		"same key in another case": {section{"metadata_keys": []string{"X-Tenant", "x-tenant"}}, []string{"metadata_keys", `"x-tenant"`}},
		"empty metadata key":       {section{"metadata_keys": []string{"a", ""}}, []string{"metadata_keys", `["a" ""]`}},
		"one name twice":           {section{"resource_keys": []string{"Tenant.ID", "tenant.id"}}, []string{"resource_keys", `"tenant.id"`, "lower case"}},
		"empty resource key":       {section{"resource_keys": []string{""}}, []string{"resource_keys", `[""]`}},
		"no partition":             {section{"partitions": 0}, []string{"partitions is 0"}},
		"negative partitions":      {section{"partitions": -1}, []string{"partitions is -1"}},
		"too many partitions":      {section{"partitions": 10001}, []string{"partitions is 10001", "10000"}},
		"partitions with keys":     {section{"partitions": 2, "metadata_keys": []string{"a"}}, []string{"partitions is 2", "metadata_keys"}},
		"partitions by resource":   {section{"partitions": 2, "resource_keys": []string{"a"}}, []string{"partitions is 2", "resource_keys"}},
		"idle consumers":           {section{"partitions": 2, "num_consumers": 3}, []string{"num_consumers is 3", "partitions, which is 2"}},
		"unknown sizer":            {section{"sizer": "spans"}, []string{`sizer is "spans"`}},
		"cap in bytes below trigger": {
			section{"send_batch_size_bytes": 1000, "send_batch_max_size_bytes": 999},
			[]string{"send_batch_max_size_bytes is 999", "send_batch_size_bytes, which is 1000"},
		},
		"negative bytes":          {section{"send_batch_size_bytes": -1}, []string{"send_batch_size_bytes is -1"}},
		"negative cap in bytes":   {section{"send_batch_max_size_bytes": -2}, []string{"send_batch_max_size_bytes is -2"}},
		"cap in bytes of a giant": {section{"send_batch_max_size_bytes": 1 << 40}, []string{"send_batch_max_size_bytes is 1099511627776"}},
		"queue below trigger in bytes": {
			section{"sizer": "bytes", "queue_size": 999, "send_batch_size_bytes": 1000},
			[]string{"queue_size is 999", "send_batch_size_bytes, which is 1000"},
		},
		"empty sizer":               {section{"sizer": ""}, []string{`sizer is ""`}},
		"sizer in capitals":         {section{"sizer": "Items"}, []string{`sizer is "Items"`}},
		"queue_size below trigger":  {section{"queue_size": 8191}, []string{"queue_size is 8191", "send_batch_size, which is 8192"}},
		"a key's queue without key": {section{"queue_size_per_key": 10000}, []string{"queue_size_per_key is 10000", "metadata_keys"}},
		"a key's queue below trigger": {
			section{"metadata_keys": []string{"a"}, "queue_size_per_key": 8191},
			[]string{"queue_size_per_key is 8191", "send_batch_size, which is 8192"},
		},
		"no time between retries": {
			section{"retry_on_failure": map[string]any{"enabled": true, "initial_interval": 0}},
			[]string{"retry_on_failure", "initial_interval is 0s"},
		},
		"negative time between retries": {
			section{"retry_on_failure": map[string]any{"initial_interval": "-3s"}}, []string{"retry_on_failure", "initial_interval", "-3s"},
		},
		"less time for all retries than for one": {
			section{"retry_on_failure": map[string]any{"max_elapsed_time": "7s"}}, []string{"retry_on_failure", "max_elapsed_time", "7s"},
		},
		"too many consumers": {section{"num_consumers": 10001}, []string{"num_consumers is 10001", "10000"}},

		"unknown buffer":  {section{"buffer": "heap"}, []string{`buffer is "heap"`}},
		"unknown map.key": {section{"buffer": "map", "map": section{"key": "span"}}, []string{`map.key is "span"`}},
		"waiting for records": {
			section{"buffer": "map", "wait_for_result": true, "map": section{"key": "record"}},
			[]string{"wait_for_result is true", `map.key "record"`},
		},
		"requests in a map":      {section{"buffer": "map", "sizer": "requests"}, []string{`sizer is "requests"`, `buffer "map"`}},
		"bytes of a map":         {section{"buffer": "map", "send_batch_max_size_bytes": 1000}, []string{"send_batch_max_size_bytes is 1000", `buffer "map"`}},
		"a map's queue in bytes": {section{"buffer": "map", "sizer": "bytes"}, []string{`sizer is "bytes"`, `buffer "map"`}},
		"log keys without map":   {section{"map": section{"log_keys": []string{"a"}}}, []string{"map is map[log_keys:[a]]", "buffer: map"}},
		"log keys of resources":  {section{"buffer": "map", "map": section{"log_keys": []string{"a"}}}, []string{`map.log_keys is ["a"]`, `map.key "record"`}},
		"memory of resources":    {section{"buffer": "map", "map": section{"remember": "1s"}}, []string{"map.remember is 1s"}},
		"log version of no keys": {section{"buffer": "map", "map": section{"key": "record", "log_version": "v"}}, []string{"map.log_version is", "map.log_keys"}},
		"log keys twice":         {section{"buffer": "map", "map": section{"key": "record", "log_keys": []string{"a", "a"}}}, []string{`duplicate entry in map.log_keys: "a"`}},
		"negative memory":        {section{"buffer": "map", "map": section{"key": "record", "remember": "-1s"}}, []string{"map.remember is -1s"}},
		"memory without a bound": {section{"buffer": "map", "map": section{"key": "record", "remember_limit": 0}}, []string{"map.remember_limit is 0"}},
		"unknown key of the map": {section{"buffer": "map", "map": section{"keys": "x"}}, []string{"keys"}},

		// Durations that lack their unit.
		"export_timeout without a unit":   {section{"export_timeout": 30}, []string{"export_timeout is 30ns", "nanoseconds", "30s"}},
		"shutdown_timeout without a unit": {section{"shutdown_timeout": 30}, []string{"shutdown_timeout is 30ns", "nanoseconds"}},
		"wait_timeout of nothing":         {section{"wait_timeout": "999us"}, []string{"wait_timeout is 999µs", "shorter than 1ms"}},
		"retry without a unit": {
			section{"retry_on_failure": map[string]any{"enabled": true, "initial_interval": 5}}, []string{"retry_on_failure.initial_interval is 5ns", "nanoseconds"},
		},
		"half a nanosecond": {section{"export_timeout": 1.5}, []string{"export_timeout is 1.5", "whole"}},

		// Numbers that no field holds.
		"above 64 bits":       {section{"queue_size": float64(1 << 64)}, []string{"queue_size is 18446744073709551616", "4294967295"}},
		"above 63 bits":       {section{"send_batch_size": uint64(math.MaxUint64)}, []string{"send_batch_size is 18446744073709551615"}},
		"far below 64 bits":   {section{"num_consumers": -1e30}, []string{"num_consumers is -1e+30"}},
		"half an item":        {section{"send_batch_max_size": 8192.5}, []string{"send_batch_max_size is 8192.5", "whole number"}},
		"a map's huge memory": {section{"buffer": "map", "map": section{"key": "record", "remember": "1s", "remember_limit": 1e19}}, []string{"map.remember_limit is 10000000000000000000"}},

		// What has no effect, or contradicts.
		"a key's queue above the queue":           {section{"metadata_keys": []string{"a"}, "queue_size": 20000, "queue_size_per_key": 20001}, []string{"queue_size_per_key is 20001", "queue_size, which is 20000"}},
		"a key's queue above the automatic queue": {section{"metadata_keys": []string{"a"}, "queue_size_per_key": 300000}, []string{"queue_size_per_key is 300000", "212992 (automatic)"}},
		"a byte queue below the cap": {
			section{"sizer": "bytes", "queue_size": 1500, "send_batch_size_bytes": 1000, "send_batch_max_size_bytes": 2000},
			[]string{"queue_size is 1500", "send_batch_max_size_bytes, which is 2000"},
		},
		"a byte queue below the cap that triggers": {
			section{"sizer": "bytes", "queue_size": 1500, "send_batch_max_size_bytes": 2000}, []string{"queue_size is 1500", "send_batch_max_size_bytes, which is 2000"},
		},
		"an item queue below the cap that triggers": {
			section{"queue_size": 9, "send_batch_size": 0, "send_batch_max_size": 10, "send_batch_size_bytes": 100}, []string{"queue_size is 9", "send_batch_max_size, which is 10"},
		},
		"a queue of keys below two triggers":       {section{"metadata_keys": []string{"a"}, "queue_size": 16383}, []string{"queue_size is 16383", "twice send_batch_size, which is 8192"}},
		"a queue of partitions below two triggers": {section{"partitions": 2, "queue_size": 16383}, []string{"queue_size is 16383", "twice send_batch_size, which is 8192"}},
		"map of a queue":                           {section{"map": section{"key": "resource"}}, []string{"map is map[key:resource]", "buffer: map"}},
		"map of a queue, empty":                    {section{"buffer": "queue", "map": nil}, []string{"map is", "buffer: map"}},
		"a map without time":                       {section{"buffer": "map", "timeout": 0}, []string{"timeout is 0s", `buffer "map"`}},
		"retry without enabled":                    {section{"retry_on_failure": section{"initial_interval": "1s"}}, []string{"retry_on_failure is map[initial_interval:1s]", "enabled: true"}},
		"retry of nothing":                         {section{"retry_on_failure": nil}, []string{"retry_on_failure is", "enabled: true"}},
		"bytes without timeout":                    {section{"timeout": 0, "send_batch_size_bytes": 1000}, []string{"send_batch_size_bytes is 1000", "timeout"}},
		"stalled without keys":                     {section{"stalled_key_timeout": "1m"}, []string{"stalled_key_timeout is 1m0s", "metadata_keys or resource_keys"}},
		"nobody waits":                             {section{"wait_timeout": "1s", "block_on_overflow": false}, []string{"wait_timeout is 1s", "block_on_overflow or wait_for_result"}},
		"too large without halves":                 {section{"too_large_errors": []string{"large"}}, []string{`too_large_errors is ["large"]`, "split_on_too_large"}},
		"too large, no expression":                 {section{"split_on_too_large": true, "too_large_errors": []string{"ok", "a(b"}}, []string{`too_large_errors[1] is "a(b"`, "missing closing )"}},
		"too large, everything":                    {section{"split_on_too_large": true, "too_large_errors": []string{""}}, []string{`too_large_errors[0] is ""`, "every error"}},
		"memory bounded without memory":            {section{"buffer": "map", "map": section{"key": "record", "remember_limit": 7}}, []string{"map.remember_limit is 7", "map.remember"}},

		// Keys of the neighbours.
		"sending_queue": {section{"sending_queue": section{"queue_size": 5}}, []string{"sending_queue is map[queue_size:5]", "block_on_overflow"}},
		"batch":         {section{"batch": section{"min_size": 5}}, []string{"batch is map[min_size:5]", "send_batch_size", "timeout"}},
		"flush_timeout": {section{"flush_timeout": "1s", "min_size": 10, "max_size": 20}, []string{`flush_timeout is "1s"`, "write timeout", "min_size is 10", "write send_batch_size", "write send_batch_max_size"}},
		"retry's key":   {section{"max_elapsed_time": "1m"}, []string{`max_elapsed_time is "1m"`, "section retry_on_failure"}},
		"map's key":     {section{"buffer": "map", "log_keys": []string{"uid"}}, []string{`log_keys is`, "section map"}},

		// Of a wrong type the Collector's decoder names the key alone.
		"unknown key":        {section{"sendbatchsize": 1}, []string{"sendbatchsize"}},
		"key of a later day": {section{"storage": "file_storage"}, []string{"storage"}},
		"negative size":      {section{"send_batch_size": -1}, []string{"send_batch_size", "-1"}},
		"beyond 32 bits":     {section{"queue_size": 1 << 33}, []string{"queue_size is 8589934592"}},
		"size as text":       {section{"send_batch_size": "many"}, []string{"send_batch_size", "string"}},
		"time without unit":  {section{"timeout": "soon"}, []string{"timeout", "duration"}},
		"keys as a map":      {section{"metadata_keys": map[string]any{"a": 1}}, []string{"metadata_keys"}},
		"flag as text":       {section{"block_on_overflow": "perhaps"}, []string{"block_on_overflow", "string"}},
		"limit as a list":    {section{"metadata_cardinality_limit": []int{1}}, []string{"metadata_cardinality_limit"}},

		"several faults at once": {
			section{"timeout": "-1s", "shutdown_timeout": 0, "sizer": "x", "metadata_keys": []string{""}, "num_consumers": 99999},
			[]string{"timeout is -1s", "shutdown_timeout is 0s", `sizer is "x"`, `metadata_keys has an empty entry`, "num_consumers is 99999"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(confmap.NewFromStringMap(test.section))
			require.Error(t, err)
			for _, text := range test.errors {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

// What batch allows is allowed, and so are the edges of what is not.
func TestConfigAllowsTheEdges(t *testing.T) {
	for name, section := range map[string]map[string]any{
		"no timeout":                    {"timeout": 0},
		"no trigger":                    {"send_batch_size": 0},
		"cap without trigger":           {"send_batch_size": 0, "send_batch_max_size": 1},
		"cap equal to the trigger":      {"send_batch_size": 5, "send_batch_max_size": 5},
		"bytes alone":                   {"send_batch_size": 0, "send_batch_size_bytes": 1},
		"cap in bytes alone":            {"send_batch_size": 0, "send_batch_max_size_bytes": 1},
		"a queue in other units":        {"sizer": "bytes", "queue_size": 10, "send_batch_size": 100},
		"no limit of keys":              {"metadata_cardinality_limit": 0},
		"queue equal to the trigger":    {"queue_size": 8192},
		"a few requests, large batches": {"queue_size": 1, "sizer": "requests"},
		"most consumers":                {"num_consumers": 10000},
		"one name in both":              {"metadata_keys": []string{"a"}, "resource_keys": []string{"A"}},
		"a consumer a partition":        {"partitions": 10000, "num_consumers": 10000},
		"less consumers":                {"partitions": 3, "num_consumers": 2},
		"a key's queue, by resource":    {"queue_size_per_key": 8192, "resource_keys": []string{"a"}},
		"a key's queue of its trigger":  {"queue_size_per_key": 8192, "metadata_keys": []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(confmap.NewFromStringMap(section))
			require.NoError(t, err)
		})
	}
}

// batch starts with settings that do nothing, and so does this processor with batch's keys: it says so.
func TestBatchsKeysWithoutEffectAreWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		section  map[string]any
		warnings []string // each has to be in the text of one, in this order
	}{
		"none":                       {nil, nil},
		"all at work":                {map[string]any{"timeout": "1s", "send_batch_size": 10, "metadata_keys": []string{"a"}, "metadata_cardinality_limit": 5}, nil},
		"a size without timeout":     {map[string]any{"timeout": 0, "send_batch_size": 10}, []string{"send_batch_size is 10; it has no effect"}},
		"a timeout without size":     {map[string]any{"timeout": "1s", "send_batch_size": 0}, []string{"timeout is 1s; it has no effect"}},
		"a timeout of bytes":         {map[string]any{"timeout": "1s", "send_batch_size": 0, "send_batch_max_size_bytes": 100}, nil},
		"a timeout of a map":         {map[string]any{"timeout": "1s", "send_batch_size": 0, "buffer": "map"}, nil},
		"a limit without keys":       {map[string]any{"metadata_cardinality_limit": 10}, []string{"metadata_cardinality_limit is 10; it has no effect"}},
		"a timeout without its unit": {map[string]any{"timeout": 5}, []string{"timeout is 5ns; it is shorter than 1ms: a number without a unit is nanoseconds"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := load(confmap.NewFromStringMap(test.section))
			require.NoError(t, err)
			core, log := observer.New(zap.DebugLevel)
			settings := metadatatest.NewSettings(componenttest.NewTelemetry())
			settings.Logger = zap.New(core)
			_, err = NewFactory().CreateLogs(context.Background(), settings, cfg, consumertest.NewNop())
			require.NoError(t, err)
			logged := log.FilterLevelExact(zap.WarnLevel).All()
			require.Len(t, logged, len(test.warnings))
			for i, text := range test.warnings {
				require.Contains(t, logged[i].Message, text)
			}
		})
	}
}

// Two defaults depend on other keys.
func TestDefaultsThatDependOnOtherKeys(t *testing.T) {
	retry := map[string]any{"enabled": true, "max_interval": "1m", "max_elapsed_time": "1h"}
	byKey := []string{"tenant"}
	for name, test := range map[string]struct {
		section map[string]any
		size    int64
		stalled time.Duration
	}{
		"none":                       {nil, 8192, 30 * time.Second},
		"records":                    {map[string]any{"buffer": "map", "map": map[string]any{"key": "record"}}, 0, 30 * time.Second},
		"records, size set":          {map[string]any{"buffer": "map", "send_batch_size": 5, "map": map[string]any{"key": "record"}}, 5, 30 * time.Second},
		"resources":                  {map[string]any{"buffer": "map"}, 8192, 30 * time.Second},
		"keys and retry":             {map[string]any{"metadata_keys": byKey, "retry_on_failure": retry}, 8192, time.Minute},
		"keys and retry, set":        {map[string]any{"metadata_keys": byKey, "retry_on_failure": retry, "stalled_key_timeout": "10s"}, 8192, 10 * time.Second},
		"keys and retry, never":      {map[string]any{"metadata_keys": byKey, "retry_on_failure": retry, "stalled_key_timeout": 0}, 8192, 0},
		"retry alone":                {map[string]any{"retry_on_failure": retry}, 8192, 30 * time.Second},
		"retry of a short interval":  {map[string]any{"metadata_keys": byKey, "retry_on_failure": map[string]any{"enabled": true, "max_interval": "6s"}}, 8192, 30 * time.Second},
		"retry is there, but is off": {map[string]any{"metadata_keys": byKey, "retry_on_failure": map[string]any{"enabled": false, "max_interval": "1m"}}, 8192, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := load(confmap.NewFromStringMap(test.section))
			require.NoError(t, err)
			require.Equal(t, test.size, cfg.SendBatchSize)
			require.Equal(t, test.stalled, cfg.StalledKeyTimeout)
		})
	}
}

func TestAutomaticCapacityFollowsBatchesAndConsumers(t *testing.T) {
	key := []string{"tenant"}
	for name, test := range map[string]struct {
		set           func(*Config)
		queue, perKey int64
	}{
		"default":                     {func(*Config) {}, 65_536, 0},
		"small batches":               {func(c *Config) { c.SendBatchSize = 1 }, 65_536, 0},
		"batches of a large trigger":  {func(c *Config) { c.SendBatchSize = 100_000 }, 400_000, 0},
		"batches of a large cap":      {func(c *Config) { c.SendBatchMaxSize = 50_000 }, 200_000, 0},
		"many consumers":              {func(c *Config) { c.NumConsumers = 10 }, 13 * 8192, 0},
		"a consumer a partition":      {func(c *Config) { c.Partitions = 20 }, 23 * 8192, 0},
		"resource keys":               {func(c *Config) { c.ResourceKeys = key }, 2 * 13 * 8192, 13 * 8192 / 4},
		"keys: ten consumers":         {func(c *Config) { c.MetadataKeys = key }, 2 * 13 * 8192, 13 * 8192 / 4},
		"keys, small batches":         {func(c *Config) { c.MetadataKeys, c.SendBatchSize = key, 100 }, 2 * 65_536, 65_536 / 4},
		"keys, queue given":           {func(c *Config) { c.MetadataKeys, c.QueueSize = key, 400_000 }, 400_000, 50_000},
		"keys: two batches fit":       {func(c *Config) { c.MetadataKeys, c.QueueSize = key, 20_000 }, 20_000, 16_384},
		"keys: two caps fit":          {func(c *Config) { c.MetadataKeys, c.QueueSize, c.SendBatchMaxSize = key, 20_000, 10_000 }, 20_000, 20_000},
		"keys, room of a key given":   {func(c *Config) { c.MetadataKeys, c.QueueSizePerKey = key, 9000 }, 2 * 13 * 8192, 9000},
		"requests":                    {func(c *Config) { c.Sizer = "requests" }, 10_000, 0},
		"requests, huge batches":      {func(c *Config) { c.Sizer, c.SendBatchSize = "requests", 1_000_000 }, 10_000, 0},
		"requests with keys":          {func(c *Config) { c.Sizer, c.MetadataKeys = "requests", key }, 10_000, 1250},
		"one request with keys":       {func(c *Config) { c.Sizer, c.MetadataKeys, c.QueueSize = "requests", key, 1 }, 1, 2},
		"nothing to batch, with keys": {func(c *Config) { c.SendBatchSize, c.MetadataKeys, c.QueueSize = 0, key, 4 }, 4, 1},
		"largest sizes do not wrap": {
			func(c *Config) { c.SendBatchSize, c.MetadataKeys, c.NumConsumers = 1<<32-1, key, 10_000 },
			2 * 10_003 * (1<<32 - 1), 10_003 * (1<<32 - 1) / 4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			test.set(cfg)
			require.NoError(t, cfg.Validate())
			queue, perKey := cfg.capacity()
			require.Equal(t, test.queue, queue, "queue_size")
			require.Equal(t, test.perKey, perKey, "queue_size_per_key")
		})
	}
}
