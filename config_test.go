// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

// load is what a collector does with a component's section.
func load(section *confmap.Conf) (*Config, error) {
	cfg := createDefaultConfig().(*Config)
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
			ShutdownTimeout:          10 * time.Second,
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
			ExportTimeout:            2 * time.Second,
			ShutdownTimeout:          time.Minute,
			WaitForResult:            true,
			RetryOnFailure: configretry.BackOffConfig{
				Enabled: true, InitialInterval: time.Second, RandomizationFactor: 0.1, Multiplier: 2, MaxInterval: 10 * time.Second, MaxElapsedTime: time.Minute,
			},
			SplitOnTooLarge: true,
			Buffer:          "queue",
			Map:             NewDefaultMap(),
		},
		"partitionedbuffer/map": func() *Config {
			c := createDefaultConfig().(*Config)
			c.Buffer = "map"
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
	every["metadata_keys"], every["resource_keys"] = nil, nil // left out when empty
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
	type section map[string]any
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
		"log keys without map":   {section{"map": section{"log_keys": []string{"a"}}}, []string{"map.log_keys is [a]", `buffer "map"`}},
		"log keys of resources":  {section{"buffer": "map", "map": section{"log_keys": []string{"a"}}}, []string{"map.log_keys is [a]", `map.key "record"`}},
		"memory of resources":    {section{"buffer": "map", "map": section{"remember": "1s"}}, []string{"map.remember is 1s"}},
		"log version of no keys": {section{"buffer": "map", "map": section{"key": "record", "log_version": "v"}}, []string{"map.log_version is", "map.log_keys"}},
		"log keys twice":         {section{"buffer": "map", "map": section{"key": "record", "log_keys": []string{"a", "a"}}}, []string{"map.log_keys", `["a" "a"]`}},
		"negative memory":        {section{"buffer": "map", "map": section{"key": "record", "remember": "-1s"}}, []string{"map.remember is -1s"}},
		"memory without a bound": {section{"buffer": "map", "map": section{"key": "record", "remember_limit": 0}}, []string{"map.remember_limit is 0"}},
		"unknown key of the map": {section{"buffer": "map", "map": section{"keys": "x"}}, []string{"keys"}},

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
		"resource keys":               {func(c *Config) { c.ResourceKeys = key }, 16 * 13 * 8192, 2 * 13 * 8192},
		"keys: ten consumers":         {func(c *Config) { c.MetadataKeys = key }, 16 * 13 * 8192, 2 * 13 * 8192},
		"keys, small batches":         {func(c *Config) { c.MetadataKeys, c.SendBatchSize = key, 100 }, 16 * 65_536, 2 * 65_536},
		"keys, queue given":           {func(c *Config) { c.MetadataKeys, c.QueueSize = key, 400_000 }, 400_000, 50_000},
		"keys: two batches fit":       {func(c *Config) { c.MetadataKeys, c.QueueSize = key, 20_000 }, 20_000, 16_384},
		"keys: two caps fit":          {func(c *Config) { c.MetadataKeys, c.QueueSize, c.SendBatchMaxSize = key, 20_000, 10_000 }, 20_000, 20_000},
		"keys, room of a key given":   {func(c *Config) { c.MetadataKeys, c.QueueSizePerKey = key, 9000 }, 16 * 13 * 8192, 9000},
		"requests":                    {func(c *Config) { c.Sizer = "requests" }, 10_000, 0},
		"requests, huge batches":      {func(c *Config) { c.Sizer, c.SendBatchSize = "requests", 1_000_000 }, 10_000, 0},
		"requests with keys":          {func(c *Config) { c.Sizer, c.MetadataKeys = "requests", key }, 10_000, 1250},
		"one request with keys":       {func(c *Config) { c.Sizer, c.MetadataKeys, c.QueueSize = "requests", key, 1 }, 1, 2},
		"nothing to batch, with keys": {func(c *Config) { c.SendBatchSize, c.MetadataKeys, c.QueueSize = 0, key, 4 }, 4, 1},
		"largest sizes do not wrap": {
			func(c *Config) { c.SendBatchSize, c.MetadataKeys, c.NumConsumers = 1<<32-1, key, 10_000 },
			16 * 10_003 * (1<<32 - 1), 2 * 10_003 * (1<<32 - 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			test.set(cfg)
			require.NoError(t, cfg.Validate())
			queue, perKey := cfg.capacity()
			require.Equal(t, test.queue, queue, "queue_size")
			require.Equal(t, test.perKey, perKey, "queue_size_per_key")
		})
	}
}
