package dockerapi

import (
	"os"
	"testing"

	"github.com/cuepod/cuepod/runner/engine/enginetest"
)

func TestConformance(t *testing.T) {
	c, arch := realEngine(t)
	archive, err := enginetest.Archive(enginetest.BuildProgram(t, arch))
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Run(t, enginetest.Subject{Engine: c, Archive: archive, Sockets: true})
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
