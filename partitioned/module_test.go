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

// emptyModule returns the folder of a module that has this main.go and nothing else, and finds the library here, and its go.mod.
func emptyModule(t *testing.T, program string) (dir, mod string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, mod = t.TempDir(), "module example.com/empty\n\ngo 1.25.0\n\nreplace "+modulePath+" => "+here+"\n"
	for name, text := range map[string]string{"go.mod": mod, "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, mod
}

// TestImportChangesNoVersion: a program that imports the library and nothing else keeps its version of Go, and needs no module
// but this one.
func TestImportChangesNoVersion(t *testing.T) {
	dir, before := emptyModule(t, "package main\n\nimport _ \""+modulePath+"\"\n\nfunc main() {}\n")
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

// TestFirstProgramOfTheREADME runs as it is printed, in a module that has nothing else, and prints what the README says.
func TestFirstProgramOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(readme), "```go\n")
	program, _, ok := strings.Cut(rest, "```")
	dir, _ := emptyModule(t, program)
	goCommand(t, dir, "mod", "tidy")
	out := strings.Split(strings.TrimSpace(goCommand(t, dir, "run", ".")), "\n")
	if says := "prints `" + strings.Join(out, "` and `") + "`"; !ok || len(out) != 2 || !strings.Contains(before, says) {
		t.Errorf("it %s, which is not what the README says", says)
	}
}
