// Package testtool gives tests from outside what they all need: the cuepod
// command, and an engine that the docker command reaches.
package testtool

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Cuepod gives the path of a cuepod to test, with the agents inside: $CUEPOD
// when it is set, as the Makefile does, else one built from this tree.
func Cuepod(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CUEPOD"); path != "" {
		return path
	}
	root, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "make", "build", "BIN="+bin)
	build.Dir = strings.TrimSpace(string(root))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	return filepath.Join(bin, "cuepod")
}

// Docker skips the test where no engine answers the docker command, or fails it
// where one is required: tests give CUEPOD_REQUIRE_ENGINE=1 for that, by whose
// name the Makefile finds them. There is nothing to do while goldens are rewritten.
func Docker(t *testing.T, required bool) {
	t.Helper()
	if os.Getenv("CUEPOD_UPDATE") != "" {
		t.Skip("there is nothing to rewrite")
	}
	out, err := exec.CommandContext(t.Context(), "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	switch {
	case err == nil:
	case required:
		t.Fatalf("no engine answers docker version: %v %s", err, bytes.TrimSpace(out))
	default:
		t.Skipf("no engine answers docker version: %v %s; `make test` starts one", err, bytes.TrimSpace(out))
	}
}

// Number is the number in an environment variable, or otherwise where that is not
// set. A test whose variable holds no number fails.
func Number(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%s is no number", variable, text)
	}
	return n
}
