// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/partitionedbuffer/partitionedbufferprocessor/bench/queuebatch"
)

// The tables of docs/migrating.md have every key of those whom they translate from, with its default, and name keys of ours
// that exist, with theirs.
func TestMigratingHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	ours := keysOf(t, Ours.Factory.CreateDefaultConfig(), "metadata_keys", "resource_keys", "attribute_keys", "key_expressions", "partition_attributes")
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Batch.GetOrInsertDefault()
	const partitionKeys = "batch.partition.metadata_keys"
	for _, table := range []struct {
		section                        string
		theirs                         map[string]string
		prefix                         string // of keys outside of batch
		columns                        int
		theirDefault, here, ourDefault int // columns, from 1; 0: the table has none
	}{
		{"From `batch`", keysOf(t, Batch.Factory.CreateDefaultConfig(), "metadata_keys"), "", 3, 0, 2, 0},
		{"From an exporter's `sending_queue.batch`", keysOf(t, &queue, partitionKeys), "sending_queue.", 5, 2, 3, 4},
		{"From queuebatch", keysOf(t, queuebatch.DefaultConfig(), partitionKeys), "", 4, 2, 3, 4},
	} {
		rows := rowsOf(section(t, string(text), table.section), table.columns)
		for key, value := range table.theirs {
			name := key
			if !strings.HasPrefix(key, "batch.") {
				name = table.prefix + key
			}
			row, ok := rows[name]
			if !ok {
				t.Errorf("%s: no row for %s", table.section, name)
				continue
			}
			if table.theirDefault > 0 && !sameValue(row[table.theirDefault], value) {
				t.Errorf("%s: default of %s is %q, and not %q", table.section, name, value, row[table.theirDefault])
			}
			for i, here := range backquoted.FindAllStringSubmatch(row[table.here], -1) {
				if strings.Contains(here[1], ":") {
					continue // an example of a value
				}
				want, ok := ours[here[1]]
				if !ok {
					t.Errorf("%s: %s is said to be %s here, which is no key", table.section, name, here[1])
				}
				if table.ourDefault == 0 || automatic[here[1]] {
					continue
				}
				written := strings.Split(row[table.ourDefault], "; ") // one for each key
				if i >= len(written) || !sameValue(written[i], want) {
					t.Errorf("%s: default of %s here is %q, and not %q", table.section, here[1], want, row[table.ourDefault])
				}
			}
		}
	}
}

var backquoted = regexp.MustCompile("`([^`]+)`")

// unknown is a value that cannot be read.
const unknown = "?"

// automatic are our keys whose default, 0, stands for a value that is derived from others.
var automatic = map[string]bool{"num_consumers": true, "queue_size": true}

// keysOf is a config as its keys, those of a section with a dot, and their values; also are the lists that a config leaves out
// while they are empty.
func keysOf(t *testing.T, cfg component.Config, also ...string) map[string]string {
	t.Helper()
	conf := confmap.New()
	if err := conf.Marshal(cfg); err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for _, key := range also {
		keys[key] = "none"
	}
	var walk func(prefix string, section map[string]any)
	walk = func(prefix string, section map[string]any) {
		for name, value := range section {
			below, isSection := value.(map[string]any)
			switch key := prefix + name; {
			case !isSection:
				keys[key] = fmt.Sprint(value)
			case len(below) == 0:
				keys[key] = unknown // a type that does not marshal, as exporterhelper's sizer
			case key == "retry_on_failure" && below["enabled"] == false:
				keys[key] = "disabled"
			default:
				walk(key+".", below)
			}
		}
	}
	walk("", conf.ToStringMap())
	return keys
}

// sameValue compares a default as it is written with the one of the code.
func sameValue(written, value string) bool {
	switch value {
	case unknown:
		return true
	case "", "<nil>", "[]", "none":
		return written == "none"
	case "0s":
		return written == "0s" || written == "none"
	default:
		return written == value || strings.HasSuffix(written, "else "+value)
	}
}

func section(t *testing.T, text, title string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+title+"\n")
	if !ok {
		t.Fatalf("no section %q", title)
	}
	found, _, _ := strings.Cut(rest, "\n## ")
	return found
}

// rowsOf reads the rows of tables with so many columns, by the key in the first of them.
func rowsOf(text string, columns int) map[string][]string {
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < columns+2 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[strings.Trim(cells[1], "`")] = cells
	}
	return rows
}
