// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPackagesImportWhatArchitectureSays: ARCHITECTURE.md has a table of the packages, and of what each imports of ours.
func TestPackagesImportWhatArchitectureSays(t *testing.T) {
	page, err := os.ReadFile("ARCHITECTURE.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "| package | imports of ours | owns |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")

	documented := map[string][]string{}
	names := regexp.MustCompile("`([a-z/]+)`")
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		name := strings.Trim(cells[1], " `")
		if strings.HasPrefix(name, "-") {
			continue
		}
		documented[name] = []string{}
		for _, m := range names.FindAllStringSubmatch(cells[2], -1) {
			documented[name] = append(documented[name], m[1])
		}
		slices.Sort(documented[name])
	}
	imports := importsOfOurs(t)
	delete(imports, "internal/metadata") // generated
	maps.DeleteFunc(imports, func(name string, _ []string) bool { return strings.HasSuffix(name, "test") })
	require.Equal(t, imports, documented)
}

// importsOfOurs lists what the packages import of each other, tests aside.
func importsOfOurs(t *testing.T) map[string][]string {
	t.Helper()
	const module = "github.com/partitionedbuffer/partitionedbufferprocessor/"
	found := map[string]map[string]bool{}
	for _, pattern := range []string{"*.go", "internal/*/*.go", "partitioned/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			name := strings.Replace(filepath.ToSlash(filepath.Dir(file)), ".", "root", 1)
			if found[name] == nil {
				found[name] = map[string]bool{}
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, i := range f.Imports {
				if path, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module); ours {
					found[name][path] = true
				}
			}
		}
	}
	all := map[string][]string{}
	for name, imports := range found {
		all[name] = slices.AppendSeq([]string{}, maps.Keys(imports))
		slices.Sort(all[name])
	}
	return all
}
