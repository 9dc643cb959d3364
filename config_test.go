// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
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
			MemorySize:               64 << 20,
			ShutdownTimeout:          5 * time.Second,
			Buffer:                   "queue",
			PartitionBy:              "resource",
			Map:                      NewDefaultMap(),
			AdaptiveConcurrency:      NewDefaultAdaptiveConcurrency(),
			RetryOnFailure: configretry.BackOffConfig{
				InitialInterval: 5 * time.Second, RandomizationFactor: 0.5, Multiplier: 1.5, MaxInterval: 30 * time.Second, MaxElapsedTime: 5 * time.Minute,
			},
		},
		"partitionedbuffer/storage": {
			Timeout:                  200 * time.Millisecond,
			SendBatchSize:            8192,
			MetadataCardinalityLimit: 1000,
			Partitions:               1,
			PartitionBy:              "resource",
			Sizer:                    "items",
			BlockOnOverflow:          true,
			StalledKeyTimeout:        30 * time.Second,
			MemorySize:               64 << 20,
			ShutdownTimeout:          5 * time.Second,
			Buffer:                   "queue",
			Storage:                  "file_storage/a",
			Map:                      NewDefaultMap(),
			AdaptiveConcurrency:      NewDefaultAdaptiveConcurrency(),
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
			AttributeKeys:            []string{"user.id"},
			KeyExpressions:           map[string]string{"shard": "Substring(trace_id.string, 0, 1)"},
			MetadataCardinalityLimit: 7,
			Partitions:               1,
			NumConsumers:             3,
			Sizer:                    "requests",
			QueueSize:                50,
			QueueSizePerKey:          20,
			BlockOnOverflow:          false,
			MaxAge:                   3 * time.Minute,
			MinInterval:              time.Second,
			WaitLinger:               300 * time.Millisecond,
			StalledKeyTimeout:        40 * time.Second,
			MemorySize:               64 << 20,
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
			SortByTime:      true,
			Buffer:          "queue",
			PartitionBy:     "resource",
			Map:             NewDefaultMap(),

			AdaptiveConcurrency: NewDefaultAdaptiveConcurrency(),
		},
		"partitionedbuffer/partitions": func() *Config {
			c := NewFactory().CreateDefaultConfig().(*Config)
			c.Partitions, c.PartitionBy, c.PartitionAttributes, c.NumConsumers = 4, "attributes", []string{"session.id"}, 3
			c.AdaptiveConcurrency = AdaptiveConcurrency{Enabled: true, Initial: 3, Min: 2}
			return c
		}(),
		"partitionedbuffer/map": func() *Config {
			c := NewFactory().CreateDefaultConfig().(*Config)
			c.Buffer, c.SendBatchSize, c.DropOldestOnOverflow = "map", 0, true
			c.Map = Map{
				Key: "record", LogKeys: []string{"uid", "kind"}, LogVersion: "version", Remember: time.Minute, RememberLimit: 1000,
				IgnoreAttributes: []string{"k8s.pod.uid"}, IgnoreFields: []string{"schema_url", "dropped_attributes_count"},
				Deltas: "sum", Gauges: "forward", Summaries: "forward", CountAttribute: "log_count", FirstTimeAttribute: "first_time",
			}
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
	every["metadata_keys"], every["resource_keys"], every["attribute_keys"], every["key_expressions"], every["too_large_errors"] = nil, nil, nil, nil, nil // left out when empty
	delete(every, "partition_by")                                                                                                                          // in a section of its own
	delete(every, "map")                                                                                                                                   // in a section of its own
	for key := range every {
		require.Truef(t, section.IsSet(key), "testdata/config.yaml lacks %s", key)
	}
	ofMap, err := file.Sub("partitionedbuffer/map::map")
	require.NoError(t, err)
	whole = confmap.New()
	require.NoError(t, whole.Marshal(NewDefaultMap()))
	for _, key := range append(whole.AllKeys(), "log_keys", "ignore_attributes", "ignore_fields") {
		require.Truef(t, ofMap.IsSet(key), "testdata/config.yaml lacks map.%s", key)
	}
}

// The configurations stand in a file since the test of the JSON schema reads them too.
func TestConfigErrorNamesKeyAndValue(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "wrong.yaml"))
	require.NoError(t, err)
	tests := file.ToStringMap()
	require.Greater(t, len(tests), 100)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(confmap.NewFromStringMap(test.(map[string]any)["config"].(map[string]any)))
			require.Error(t, err)
			for _, text := range test.(map[string]any)["says"].([]any) {
				require.ErrorContains(t, err, text.(string))
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
		"linger short of giving up":     {"wait_for_result": true, "timeout": "5s", "wait_linger": "999ms", "wait_timeout": "1s"},
		"pace short of giving up":       {"wait_for_result": true, "min_interval": "999ms", "wait_timeout": "1s"},
		"pace for nobody who waits":     {"min_interval": "1s", "wait_timeout": "1s"},
		"timeout short of an age":       {"timeout": "1s", "max_age": "1001ms"},
		"a timeout without effect":      {"send_batch_size": 0, "timeout": "200ms", "max_age": "10ms"},
		"nobody waits for the timeout":  {"timeout": "10s", "max_age": "5s", "wait_for_result": true},
		"pace short of an age":          {"min_interval": "1s", "max_age": "1001ms"},
		"most consumers":                {"num_consumers": 10000},
		"one name in both":              {"metadata_keys": []string{"a"}, "resource_keys": []string{"A"}},
		"one name in two":               {"metadata_keys": []string{"a"}, "attribute_keys": []string{"A"}},
		"a consumer a partition":        {"partitions": 10000, "num_consumers": 10000},
		"less consumers":                {"partitions": 3, "num_consumers": 2},
		"one name in lists and not":     {"metadata_keys": []string{"a"}, "key_expressions": map[string]any{"b": "body"}},
		"a key's queue, by resource":    {"queue_size_per_key": 8192, "resource_keys": []string{"a"}},
		"a key's queue of its trigger":  {"queue_size_per_key": 8192, "metadata_keys": []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(confmap.NewFromStringMap(section))
			require.NoError(t, err)
		})
	}
}

// TestConfigTakesDurationsOfGo: whoever builds a configuration in a program has no text.
func TestConfigTakesDurationsOfGo(t *testing.T) {
	cfg, err := load(confmap.NewFromStringMap(map[string]any{"timeout": time.Minute}))
	require.NoError(t, err)
	require.Equal(t, time.Minute, cfg.Timeout)
}

// batch starts with settings that do nothing, and so does this processor with batch's keys: it says so. More consumers than a map can use
// are no error either, as buffer: map may come later.
func TestKeysWithoutEffectThatAreWarnings(t *testing.T) {
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
		"consumers of a map":         {map[string]any{"buffer": "map", "num_consumers": 8}, []string{"num_consumers is 8; a map without keys makes at most as many calls at once as partitions, which is 1"}},
		"consumers of a keyed map":   {map[string]any{"buffer": "map", "num_consumers": 8, "resource_keys": []string{"a"}}, nil},
		"consumers of partitions":    {map[string]any{"buffer": "map", "num_consumers": 4, "partitions": 4}, nil},
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
		set  func(*Config)
		want int64
	}{
		"default":                     {func(*Config) {}, 65_536},
		"small batches":               {func(c *Config) { c.SendBatchSize = 1 }, 65_536},
		"batches of a large trigger":  {func(c *Config) { c.SendBatchSize = 100_000 }, 400_000},
		"batches of a large cap":      {func(c *Config) { c.SendBatchMaxSize = 50_000 }, 200_000},
		"many consumers":              {func(c *Config) { c.NumConsumers = 10 }, 13 * 8192},
		"a consumer a partition":      {func(c *Config) { c.Partitions = 20 }, 23 * 8192},
		"resource keys":               {func(c *Config) { c.ResourceKeys = key }, 2 * 13 * 8192},
		"attribute keys":              {func(c *Config) { c.AttributeKeys = key }, 2 * 13 * 8192},
		"expressions":                 {byExpression, 2 * 13 * 8192},
		"keys: ten consumers":         {func(c *Config) { c.MetadataKeys = key }, 2 * 13 * 8192},
		"keys, small batches":         {func(c *Config) { c.MetadataKeys, c.SendBatchSize = key, 100 }, 2 * 65_536},
		"keys, queue given":           {func(c *Config) { c.MetadataKeys, c.QueueSize = key, 400_000 }, 400_000},
		"keys: two batches fit":       {func(c *Config) { c.MetadataKeys, c.QueueSize = key, 20_000 }, 20_000},
		"keys: two caps fit":          {func(c *Config) { c.MetadataKeys, c.QueueSize, c.SendBatchMaxSize = key, 20_000, 10_000 }, 20_000},
		"keys, room of a key given":   {func(c *Config) { c.MetadataKeys, c.QueueSizePerKey = key, 9000 }, 2 * 13 * 8192},
		"requests":                    {func(c *Config) { c.Sizer = "requests" }, 10_000},
		"requests, huge batches":      {func(c *Config) { c.Sizer, c.SendBatchSize = "requests", 1_000_000 }, 10_000},
		"requests with keys":          {func(c *Config) { c.Sizer, c.MetadataKeys = "requests", key }, 10_000},
		"one request with keys":       {func(c *Config) { c.Sizer, c.MetadataKeys, c.QueueSize = "requests", key, 1 }, 1},
		"nothing to batch, with keys": {func(c *Config) { c.SendBatchSize, c.MetadataKeys, c.QueueSize = 0, key, 4 }, 4},
		"largest sizes do not wrap": {
			func(c *Config) { c.SendBatchSize, c.MetadataKeys, c.NumConsumers = 1<<32-1, key, 10_000 },
			2 * 10_003 * (1<<32 - 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			test.set(cfg)
			require.NoError(t, cfg.Validate())
			require.Equal(t, test.want, cfg.capacity())
		})
	}
}
