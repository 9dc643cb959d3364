// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const schemaFile = "config.schema.json"

var updateSchema = flag.Bool("update", false, "write what mdatagen cannot say into "+schemaFile)

// TestSchemaSaysWhatValidateSays: mdatagen makes the schema from metadata.yaml, which knows types and defaults. What Validate
// knows besides is put in here, from the same tables: words, bounds, durations, and that there are no other keys. That the two
// agree is tested in e2e/configs.
func TestSchemaSaysWhatValidateSays(t *testing.T) {
	file, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	var s schema
	require.NoError(t, json.Unmarshal(file, &s))
	s.close()
	for _, n := range numbers {
		at := s.at(n.key)
		at["minimum"], at["maximum"] = n.least, n.max
	}
	for _, d := range durations {
		s.at(d.key).duration(d.zero != "", ofBatch(d.key))
	}
	for _, c := range choices {
		s.at(c.key)["enum"] = c.values
	}
	for _, key := range []string{"metadata_keys", "resource_keys", "attribute_keys", "partition_attributes", "too_large_errors", "map.log_keys", "map.ignore_attributes", "map.ignore_fields"} {
		list := s.at(key)
		list["type"], list["uniqueItems"] = []string{"array", "string"}, true // the Collector splits text at its commas
		list.at("")["minLength"] = 1
	}
	s.at("key_expressions")["propertyNames"] = schema{"minLength": 1}
	s.at("key_expressions")["additionalProperties"] = schema{"type": "string", "minLength": 1}
	s.at("map.ignore_fields").at("")["enum"] = ignorableFields
	field := "(" + strings.Join(ignorableFields, "|") + ")"
	s.at("map.ignore_fields")["pattern"] = "^(" + field + "(," + field + ")*)?$" // of the text that is split
	s.at("retry_on_failure")["required"] = []string{"enabled"}
	s.at("adaptive_concurrency")["required"] = []string{"enabled"}
	s["dependentSchemas"] = schema{"map": schema{"properties": schema{"buffer": schema{"const": bufferMap}}, "required": []string{"buffer"}}}

	want, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	if *updateSchema {
		require.NoError(t, os.WriteFile(schemaFile, append(want, '\n'), 0o600))
		return
	}
	require.JSONEq(t, string(want), string(file), "run make generate")
}

// schema is a JSON schema or a part of one.
type schema map[string]any

// at returns the schema of a key of the configuration; "": of what a list holds.
func (s schema) at(key string) schema {
	if key == "" {
		return s["items"].(map[string]any)
	}
	for name := range strings.SplitSeq(key, ".") {
		s = s["properties"].(map[string]any)[name].(map[string]any)
	}
	return s
}

// close allows no other keys, in s and in the sections below.
func (s schema) close() {
	if s["type"] != "object" {
		return
	}
	properties, ok := s["properties"].(map[string]any)
	if !ok { // its keys are the user's
		return
	}
	s["additionalProperties"] = false
	for _, p := range properties {
		schema(p.(map[string]any)).close()
	}
}

// duration makes s a duration: text, or a number of nanoseconds. Text that is shorter than leastDuration passes, as a schema
// cannot add up its parts. Short ones of batch's are a warning.
func (s schema) duration(zero, short bool) {
	for _, key := range []string{"type", "pattern", "minimum"} {
		delete(s, key)
	}
	least := leastDuration.Nanoseconds()
	if short {
		least = 0
	}
	numbers := []any{schema{"type": "integer", "minimum": least, "maximum": int64(math.MaxInt64)}}
	text := schema{"type": "string", "pattern": `^\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`}
	if zero {
		text["pattern"] = strings.Replace(text["pattern"].(string), "((", "(0|(", 1)
		numbers = append(numbers, schema{"const": 0})
	} else {
		text["not"] = schema{"pattern": "^[^1-9]*$"}
	}
	s["anyOf"] = append([]any{text}, numbers...)
}
