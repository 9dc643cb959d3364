// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const modulePath = "github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"

// goCommand runs the go command in dir, without a network, and returns what it printed.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestImportChangesNoVersion: a program that imports the library and nothing else keeps its version of Go, and needs no module
// but this one.
func TestImportChangesNoVersion(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	before := "module example.com/empty\n\ngo 1.25.0\n\nreplace " + modulePath + " => " + here + "\n"
	for name, text := range map[string]string{
		"go.mod":  before,
		"main.go": "package main\n\nimport _ \"" + modulePath + "\"\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goCommand(t, dir, "mod", "tidy")
	after, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if want := before + "\nrequire " + modulePath + " v0.0.0-00010101000000-000000000000\n"; string(after) != want {
		t.Errorf("go.mod became\n%s\nwant\n%s", after, want)
	}
	deps := goCommand(t, dir, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	if got := strings.Fields(deps); len(got) != 2 {
		t.Errorf("the program is made of %q, want itself, the library and the standard library", got)
	}
}
