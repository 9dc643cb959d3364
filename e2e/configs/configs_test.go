// SPDX-License-Identifier: Apache-2.0

// Package configs tests that the JSON schema and the processor agree on what a configuration is: those in the documentation,
// wrong ones, and every key with values of every kind.
package configs

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"

	processor "github.com/partitionedbuffer/partitionedbufferprocessor"
)

const root = "../.."

// refusal is the error that a collector starts with, or nil.
func refusal(section map[string]any) error {
	cfg := processor.NewFactory().CreateDefaultConfig()
	if err := confmap.NewFromStringMap(section).Unmarshal(cfg); err != nil {
		return err
	}
	return confmap.Validate(cfg)
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "config.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	if err = yaml.Unmarshal(file, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestDocumentedConfigurations: those of the README, docs, examples and testdata are valid for both.
func TestDocumentedConfigurations(t *testing.T) {
	s, found := schema(t), 0
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.yaml", "examples/*/*.yaml", "testdata/config.yaml", "e2e/testdata/*/*.yaml"} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, matches...)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range documents(name, file) {
			var doc map[string]any
			if yaml.Unmarshal(text, &doc) != nil {
				continue // YAML of something else, or with an ellipsis
			}
			for id, section := range sections(doc) {
				found++
				if err := refusal(section); err != nil {
					t.Errorf("%s: %s: %v", name, id, err)
				}
				if err := s.Validate(plain(section)); err != nil {
					t.Errorf("%s: %s: %v", name, id, err)
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("%d configurations in %d files: are all found?", found, len(files))
	}
}

var fence = regexp.MustCompile("(?s)\n```yaml\n(.*?\n)```\n")

// documents are the YAML documents of a file: itself, or its blocks.
func documents(name string, file []byte) (all [][]byte) {
	if !strings.HasSuffix(name, ".md") {
		return [][]byte{file}
	}
	for _, block := range fence.FindAllSubmatch(file, -1) {
		all = append(all, block[1])
	}
	return all
}

// sections are the sections of the processor, at the top or below processors. Those of batch count, as they have to work here.
func sections(doc map[string]any) map[string]map[string]any {
	all := map[string]map[string]any{}
	if processors, ok := doc["processors"].(map[string]any); ok {
		maps.Copy(all, sections(processors))
	}
	for id, section := range doc {
		if name, _, _ := strings.Cut(id, "/"); name != "partitionedbuffer" && name != "batch" {
			continue
		}
		typed, ok := section.(map[string]any)
		if ok || section == nil {
			all[id] = typed
		}
	}
	return all
}

// TestWrongConfigurations: the schema refuses what the processor refuses, but for what testdata/wrong.yaml excepts.
func TestWrongConfigurations(t *testing.T) {
	s := schema(t)
	var wrong map[string]struct {
		Config map[string]any
		Says   []string
		Schema string
	}
	read(t, "testdata/wrong.yaml", &wrong)
	if len(wrong) < 100 {
		t.Errorf("%d wrong configurations", len(wrong))
	}
	for name, test := range wrong {
		if err := refusal(test.Config); err == nil {
			t.Errorf("%s: the processor takes it", name)
		}
		switch err := s.Validate(plain(test.Config)); {
		case err == nil && test.Schema != "accepts":
			t.Errorf("%s: the schema takes it", name)
		case err != nil && test.Schema == "accepts":
			t.Errorf("%s: the schema refuses it: %v", name, err)
		}
	}
}

// TestEveryKeyWithValuesOfEveryKind: each key in a configuration in which it has an effect, with values that are right for other
// keys, or for none. The two have to agree on each.
func TestEveryKeyWithValuesOfEveryKind(t *testing.T) {
	s := schema(t)
	values := []any{
		true, false, 0, 1, 3, 10000, 20000, 1000000, 2000000, 1 << 32, -1, 1.5, 1e30, -1e30, uint64(1 << 63),
		"", "0", "0s", "1s", "-1s", "1m30s", ".5s", "1.s", "+2s", "2", "1d", "5 s", "s", "queue", "items", "bytes", "resource", "other",
		[]any{},
		[]any{"a"},
		[]any{"a", "b"},
		[]any{""},
		[]any{1},
		[]any{[]any{"a"}},
		map[string]any{},
		map[string]any{"a": "b"},
	}
	keyed := map[string]any{"metadata_keys": []any{"tenant"}}
	record := map[string]any{"buffer": "map", "map::key": "record", "map::log_keys": []any{"uid"}, "map::remember": "1m"}
	retry := map[string]any{"retry_on_failure::enabled": true, "retry_on_failure::initial_interval": "1ms", "retry_on_failure::max_interval": "1ms", "retry_on_failure::max_elapsed_time": 0}
	for key, base := range map[string]map[string]any{
		"timeout": {}, "send_batch_size": {}, "send_batch_max_size": {"send_batch_size": 0}, "metadata_keys": {},
		"metadata_cardinality_limit": keyed, "send_batch_size_bytes": {}, "send_batch_max_size_bytes": {}, "resource_keys": {}, "attribute_keys": {}, "key_expressions": {},
		"partition_by": {"partitions": 2}, "partition_attributes": {"partitions": 2, "partition_by": "attributes"},
		"partitions": {}, "num_consumers": {}, "sizer": {}, "queue_size": {"send_batch_size": 0},
		"queue_size_per_key":  {"metadata_keys": []any{"tenant"}, "send_batch_size": 0, "queue_size": int64(1 << 50)},
		"stalled_key_timeout": keyed, "block_on_overflow": {}, "drop_oldest_on_overflow": {}, "max_age": {"wait_for_result": true}, "wait_timeout": {}, "wait_for_result": {}, "split_on_too_large": {},
		"too_large_errors": {"split_on_too_large": true}, "split_on_rejected": {}, "sort_by_time": {}, "export_timeout": {}, "shutdown_timeout": {},
		"min_interval": {}, "wait_linger": {"wait_for_result": true, "timeout": "100h"},
		"adaptive_concurrency": {"num_consumers": 10000}, "adaptive_concurrency::enabled": {"num_consumers": 10000},
		"adaptive_concurrency::initial": {"num_consumers": 10000, "adaptive_concurrency::enabled": true},

		"adaptive_concurrency::min": {"num_consumers": 10000, "adaptive_concurrency::enabled": true, "adaptive_concurrency::initial": 10000},

		"buffer": {}, "map": {"buffer": "map"}, "map::key": {"buffer": "map"}, "map::log_keys": record, "map::log_version": record,
		"map::ignore_attributes": record, "map::ignore_fields": record, "map::count_attribute": record,
		"map::deltas": record, "map::gauges": record, "map::summaries": record, "map::first_time_attribute": record,
		"map::remember": record, "map::remember_limit": record,
		"retry_on_failure": {}, "retry_on_failure::enabled": {}, "retry_on_failure::initial_interval": retry, "retry_on_failure::max_interval": retry,
		"retry_on_failure::max_elapsed_time": retry, "retry_on_failure::multiplier": retry, "retry_on_failure::randomization_factor": retry,
	} {
		for _, value := range values {
			if key == "too_large_errors" && value == "+2s" {
				continue // no regular expression, which no schema sees
			}
			if list, _ := value.([]any); key == "partition_attributes" && (value == "" || list != nil && len(list) == 0) {
				continue // nothing to spread by, which needs a look at partition_by too
			}
			conf := confmap.NewFromStringMap(base)
			if err := conf.Merge(confmap.NewFromStringMap(map[string]any{key: value})); err != nil {
				t.Fatal(err)
			}
			section := conf.ToStringMap()
			ofProcessor, ofSchema := refusal(section), s.Validate(plain(section))
			if (ofProcessor == nil) != (ofSchema == nil) {
				t.Errorf("%s: %T %v: the processor says %v, the schema %v", key, value, value, ofProcessor, ofSchema)
			}
		}
	}
}

// plain is a section as JSON has it, with the numbers that the validator knows.
func plain(section map[string]any) any {
	text, err := yaml.Marshal(section)
	if err != nil {
		panic(err)
	}
	var again any
	if err = yaml.NewDecoder(bytes.NewReader(text)).Decode(&again); err != nil {
		panic(fmt.Sprint(err, ": ", string(text)))
	}
	return again
}
