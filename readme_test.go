// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// automatic are keys whose default, 0, the code replaces by a value that it derives from others: there README may say so
// ("automatic", and more behind it).
var automatic = []string{"num_consumers", "queue_size"}

// configTable reads the rows of the section "## Configuration": | `key` | default | ..., with or without backquotes around
// the default.
func configTable(readme string) (table map[string]string, twice []string) {
	table = map[string]string{}
	inside := false
	for line := range strings.Lines(readme) {
		if strings.HasPrefix(line, "## ") {
			inside = strings.TrimSpace(line) == "## Configuration"
		}
		cells := strings.Split(line, "|")
		if !inside || !strings.HasPrefix(line, "| `") || len(cells) < 4 {
			continue
		}
		key := strings.Trim(cells[1], " `")
		if _, ok := table[key]; ok {
			twice = append(twice, key)
		}
		table[key] = strings.Trim(cells[2], " `*_")
	}
	return table, twice
}

// differences compares a table with the configuration's keys and defaults.
func differences(table map[string]string, defaults map[string]any) (all []string) {
	for key, value := range defaults {
		written, ok := table[key]
		if !ok {
			all = append(all, key+" is missing")
			continue
		}
		switch want := fmt.Sprint(value); {
		case written == want:
		case slices.Contains(automatic, key) && want == "0" && strings.HasPrefix(written, "auto"):
		case want == "" && written == "none":
		case key == "retry_on_failure" && written == "disabled" && !value.(map[string]any)["enabled"].(bool):
		case want == "none" && (written == "none" || written == "[]"):
		default:
			if d, ok := value.(time.Duration); ok {
				if parsed, err := time.ParseDuration(written); err == nil && parsed == d {
					continue
				}
			}
			all = append(all, fmt.Sprintf("%s is %s and not %s", key, want, written))
		}
	}
	for key := range table {
		if _, ok := defaults[key]; !ok {
			all = append(all, key+" is no key")
		}
	}
	slices.Sort(all)
	return all
}

// defaults are all keys with the values of createDefaultConfig.
func defaults(t *testing.T) map[string]any {
	conf := confmap.New()
	require.NoError(t, conf.Marshal(createDefaultConfig()))
	all := conf.ToStringMap()
	for _, list := range []string{"metadata_keys", "resource_keys", "attribute_keys", "key_expressions", "partition_attributes", "too_large_errors", "map.log_keys", "map.ignore_attributes", "map.ignore_fields"} {
		all[list] = "none" // left out when empty
	}
	for _, section := range []string{"map", "adaptive_concurrency"} {
		for key, value := range all[section].(map[string]any) {
			all[section+"."+key] = value
		}
		delete(all, section)
	}
	return all
}

func TestReadmeHasEveryKeyWithItsDefault(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	table, twice := configTable(string(readme))
	require.Empty(t, twice)
	require.NotEmpty(t, table, `README.md has no rows "| `+"`key`"+` | default |" below "## Configuration"`)
	require.Empty(t, differences(table, defaults(t)))
}

func TestReadmeTableIsReadClosely(t *testing.T) {
	table, twice := configTable("# x\n| `before` | 1 | |\n## Configuration\n\ntext\n\n| key | default | meaning |\n|---|---|---|\n" +
		"| `timeout` | `200ms` | a |\n| `size` | 8192 | b |\n| `keys` | none | c |\n### Sub\n| `flag` | *true* | d |\n| `flag` | true | d |\n" +
		"## Metrics\n| `after` | 1 | |\n")
	require.Equal(t, map[string]string{"timeout": "200ms", "size": "8192", "keys": "none", "flag": "true"}, table)
	require.Equal(t, []string{"flag"}, twice)

	table = map[string]string{"timeout": "1s", "queue_size": "automatic", "typo": "1", "sizer": "requests", "metadata_keys": "none"}
	require.Equal(t, []string{"missing is missing", "sizer is items and not requests", "timeout is 200ms and not 1s", "typo is no key"},
		differences(table, map[string]any{
			"timeout": 200 * time.Millisecond, "queue_size": uint32(0), "missing": true, "sizer": "items", "metadata_keys": "none",
		}))
	require.Empty(t, differences(map[string]string{"timeout": "60s"}, map[string]any{"timeout": time.Minute}))
}
