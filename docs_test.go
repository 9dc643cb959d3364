// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// documents are the pages that people read, by path, generated ones aside.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "partitioned/*.md", "monitoring/*.md"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			if !strings.HasPrefix(string(text), "[comment]: <> (Code generated") {
				pages[file] = string(text)
			}
		}
	}
	return pages
}

var (
	fence     = regexp.MustCompile("(?s)\n```(\\w*)\n(.*?\n)```\n")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	quoted    = regexp.MustCompile("`([a-z]+(?:_[a-z]+)+)`")
	withValue = regexp.MustCompile("`([a-z_]+)\\{([a-z.]+)=\"([a-z]+)\"\\}`")
)

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r == ' ':
			return '-'
		default:
			return -1
		}
	}, strings.ToLower(heading))
	return kept
}

func TestLinksOfDocumentsLead(t *testing.T) {
	pages := documents(t)
	for file, text := range pages {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, "\n"), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), target)
				_, err := os.Stat(path)
				require.NoError(t, err, "%s has a link to %s", file, m[1])
			}
			if fragment == "" {
				continue
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(pages[path], "\n"), -1) {
				anchors = append(anchors, anchor(h[1]))
			}
			require.Contains(t, anchors, fragment, "%s has a link to %s", file, m[1])
		}
	}
}

// Every YAML block is YAML, and the processor takes what is meant for it.
func TestConfigurationsInDocumentsAreValid(t *testing.T) {
	checked := 0
	for file, text := range documents(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			if m[1] != "yaml" {
				continue
			}
			value, err := confmap.NewRetrievedFromYAML([]byte(m[2]))
			require.NoError(t, err, "%s:\n%s", file, m[2])
			raw, err := value.AsRaw()
			require.NoError(t, err, "%s:\n%s", file, m[2])
			for _, section := range sectionsOf(raw) {
				cfg := createDefaultConfig()
				require.NoError(t, confmap.NewFromStringMap(section).Unmarshal(cfg), "%s:\n%s", file, m[2])
				require.NoError(t, cfg.(*Config).Validate(), "%s:\n%s", file, m[2])
				checked++
			}
		}
	}
	require.NotZero(t, checked)
}

// sectionsOf finds what stands below processors: partitionedbuffer: or partitionedbuffer/name:, at any depth.
func sectionsOf(raw any) (sections []map[string]any) {
	tree, _ := raw.(map[string]any)
	for key, value := range tree {
		if key != "processors" {
			sections = append(sections, sectionsOf(value)...)
			continue
		}
		processors, _ := value.(map[string]any) // else a list, of a pipeline
		for id, settings := range processors {
			if typ, _, _ := strings.Cut(id, "/"); typ == "partitionedbuffer" {
				section, _ := settings.(map[string]any)
				sections = append(sections, section)
			}
		}
	}
	return sections
}

// names are the words with an underscore that documents may put into backquotes: configuration keys and metrics of ours, and
// some of others. A name that has changed in the code is found where it still stands.
func names(t *testing.T) (known []string, reasons map[string][]string) {
	t.Helper()
	for key := range defaults(t) {
		known = append(known, key[strings.LastIndex(key, ".")+1:])
	}
	retry := confmap.New()
	require.NoError(t, retry.Marshal(createDefaultConfig()))
	for _, key := range retry.AllKeys() {
		known = append(known, strings.Split(key, "::")...)
	}

	text, err := os.ReadFile("metadata.yaml")
	require.NoError(t, err)
	value, err := confmap.NewRetrievedFromYAML(text)
	require.NoError(t, err)
	conf, err := value.AsConf()
	require.NoError(t, err)
	metrics, err := conf.Sub("telemetry::metrics")
	require.NoError(t, err)
	reasons = map[string][]string{}
	for name, metric := range metrics.ToStringMap() {
		short := strings.TrimPrefix(name, "processor_partitionedbuffer_")
		known = append(known, short, "otelcol_"+name)
		attributes, _ := metric.(map[string]any)["attributes"].([]any)
		for _, a := range attributes {
			reasons[short] = append(reasons[short], a.(string))
		}
	}
	return append(known, foreign...), reasons
}

// foreign are keys, metrics and words of others.
var foreign = strings.Fields(`
	message_key_from_metadata_key error_backoff
	severity_text severity_number event_name schema_url dropped_attributes_count
	file_storage db_storage redis_storage
	load_balancing include_metadata sending_queue memory_limiter headers_setter tail_sampling otlp_grpc
	otel_signal without_type_suffix without_units splunk_hec health_check max_connection_age max_connection_age_grace otelcol_process_memory_rss
	otelcol_exporter_queue_size otelcol_exporter_queue_capacity otelcol_exporter_enqueue_failed_spans otelcol_exporter_send_failed_spans
`)

func TestNamesInDocumentsExist(t *testing.T) {
	known, attributes := names(t)
	for file, text := range documents(t) {
		if file == "CHANGELOG.md" || strings.HasPrefix(file, "partitioned/") {
			continue // about the past; about the library, which has no such names
		}
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s: `%s` is no key, no metric, and not one of the foreign names", file, m[1])
			}
		}
		for _, m := range withValue.FindAllStringSubmatch(text, -1) {
			require.Contains(t, attributes[m[1]], m[2], "%s: %s has no such attribute", file, m[0])
			require.Contains(t, attributeValues(t, m[2]), m[3], "%s: %s: %s has no such value", file, m[0], m[2])
		}
	}
}

// Pages and workflows tell nobody to run what the Makefile does not have.
func TestMakeTargetsInDocumentsExist(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	pages := documents(t)
	workflow, err := os.ReadFile(".github/workflows/build-and-test.yml")
	require.NoError(t, err)
	pages["workflow"] = string(workflow)
	for file, text := range pages {
		for _, m := range regexp.MustCompile("(?:`|run: |\\$ )make ([a-z0-9-]+)").FindAllStringSubmatch(text, -1) {
			require.Regexp(t, "(?m)^"+m[1]+":", string(makefile), "%s: make %s", file, m[1])
		}
	}
}

var (
	goRun  = regexp.MustCompile("(?:cd ([a-z0-9]+) && )?go run \\./(cmd/[a-z]+)([^`#\n]*)")
	goTest = regexp.MustCompile("go test [^`\n]*?-(?:run|fuzz) (Test|Fuzz)?([A-Z]\\w*)")
	option = regexp.MustCompile(` -([a-z]+)`)
)

// Commands that pages tell to run exist, with their flags, and so do the tests.
func TestCommandsInDocumentsExist(t *testing.T) {
	checked := 0
	for file, text := range documents(t) {
		for _, m := range goRun.FindAllStringSubmatch(text, -1) {
			folder := m[1]
			if folder == "" {
				folder = "bench"
			}
			sources, err := filepath.Glob(filepath.Join(folder, m[2], "*.go"))
			require.NoError(t, err)
			require.NotEmpty(t, sources, "%s: %s", file, m[0])
			var code strings.Builder
			for _, source := range sources {
				part, err := os.ReadFile(source)
				require.NoError(t, err)
				code.Write(part)
			}
			for _, o := range option.FindAllStringSubmatch(m[3], -1) {
				require.Contains(t, code.String(), `"`+o[1]+`"`, "%s: %s has no flag %s", file, m[0], o[1])
			}
			checked++
		}
		tests, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*_test.go"))
		require.NoError(t, err)
		for _, m := range goTest.FindAllStringSubmatch(text, -1) {
			if m[2] == "XXX" {
				continue // none, so that only the fuzzing runs
			}
			require.True(t, slices.ContainsFunc(tests, func(source string) bool {
				code, err := os.ReadFile(source)
				return err == nil && regexp.MustCompile("func (Test|Fuzz)\\w*"+m[2]).Match(code)
			}), "%s: %s", file, m[0])
			checked++
		}
	}
	require.NotZero(t, checked)
}

// attributeValues are those that metadata.yaml gives for an attribute.
func attributeValues(t *testing.T, attribute string) (values []string) {
	t.Helper()
	text, err := os.ReadFile("metadata.yaml")
	require.NoError(t, err)
	value, err := confmap.NewRetrievedFromYAML(text)
	require.NoError(t, err)
	conf, err := value.AsConf()
	require.NoError(t, err)
	all, _ := conf.Get("attributes::" + attribute + "::enum").([]any)
	for _, v := range all {
		values = append(values, v.(string))
	}
	return values
}
