// Package agenttest builds the agent for tests that run it for real.
package agenttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

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

// NoLeaks fails the test when, after all its later clean-ups, more goroutines
// run than now. Call it first; not for parallel tests.
func NoLeaks(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(10 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// Eventually tries until it works, and fails the test when it has not after a
// time that no working machine needs.
func Eventually(t testing.TB, try func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
