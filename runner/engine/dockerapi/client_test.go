package dockerapi

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/cuepod/cuepod/runner/engine/enginetest"
)

func TestConformance(t *testing.T) {
	c, arch := realEngine(t)
	archive, err := enginetest.Archive(enginetest.BuildProgram(t, arch))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, c) })
	enginetest.Run(t, enginetest.Subject{Engine: c, Archive: archive, Sockets: true, Gone: gone})
}

// gone waits for the end of processes that this machine's kernel runs. Those of
// an engine elsewhere are not seen.
func gone(t *testing.T, word string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		found := ""
		for _, path := range lines {
			if data, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(data), "/testprog\x00") && strings.Contains(string(data), word) {
				found = path
			}
		}
		if found == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s still runs", found)
		}
	}
}

// removeImage removes the suite's image, which the contract has no call for.
func removeImage(t testing.TB, c *Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also after the test's own ended
	defer cancel()
	if _, err := c.api.ImageRemove(ctx, enginetest.Ref, image.RemoveOptions{PruneChildren: true}); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// realEngine connects to the engine of the environment. Without one it skips
// the test, or fails it when CUEPOD_REQUIRE_ENGINE is 1.
func realEngine(t testing.TB) (c *Client, arch string) {
	t.Helper()
	c, err := New(Options{})
	if err == nil {
		info, infoErr := c.Info(t.Context())
		if infoErr == nil {
			t.Cleanup(func() { c.Close() })
			return c, info.Arch
		}
		err = infoErr
	}
	if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
		t.Fatalf("CUEPOD_REQUIRE_ENGINE=1: %v", err)
	}
	t.Skipf("needs a container engine: %v", err)
	return nil, ""
}
