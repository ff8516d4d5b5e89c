// Package agenttest builds the agent for tests that run it for real.
package agenttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/image"
)

// Module is the import path of the agent's command.
const Module = "github.com/cuepod/cuepod/cmd/cuepod-agent"

// Binary builds a command as a stripped static Linux program, as a release
// does, and returns it. pkg is an import path, or a directory relative to the
// test's.
func Binary(t testing.TB, pkg, arch string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "binary")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, msg)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Image builds the agent and returns its image for an architecture.
func Image(t testing.TB, arch string) (ref string, archive []byte) {
	t.Helper()
	return image.Archive(Binary(t, Module, arch), arch)
}
