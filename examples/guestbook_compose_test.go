package examples_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
)

// TestGuestbook_Compose runs the compiled file with the real docker compose, as
// somebody without cuepod would: the app works, and goes without trace.
func TestGuestbook_Compose(t *testing.T) {
	requireEngine(t)
	requireImages(t, guestbookImages...)
	requirePortFree(t, nodePort)
	project := fmt.Sprintf("cuepod-e2e-%d", os.Getpid())
	t.Setenv("REDIS_PASSWORD", "not-a-secret-$HOME-$$") // what compose would interpolate, if it did
	file := filepath.Join(t.TempDir(), "compose.yaml")
	holder := "cuepod-holder:" + project
	run(t, time.Minute, testtool.Cuepod(t), "compile", "--target", "compose", "--holder-image", holder, "--load-holder", "-o", file, "guestbook")
	t.Cleanup(func() {
		if _, stderr, err := try(context.WithoutCancel(t.Context()), time.Minute, "docker", "image", "rm", holder); err != nil {
			t.Errorf("clean up: %v\n%s", err, stderr)
		}
	})

	compose := composeCommand(t)
	args := func(more ...string) []string {
		return slices.Concat(compose[1:], []string{"--project-name", project, "--file", file}, more)
	}
	t.Cleanup(func() {
		out, stderr, err := try(context.WithoutCancel(t.Context()), startLimit, compose[0], args("down", "--volumes", "--timeout", "1")...)
		if err != nil {
			t.Errorf("clean up: %v\n%s%s", err, out, stderr)
		}
	})
	run(t, startLimit, compose[0], args("up", "--detach")...)
	web := guestbookAt{address: nodePort}
	web.signAndRead(t, "written under docker compose")
	wantBothReplicas(t, web)
	wantDigest(t, web)

	run(t, startLimit, compose[0], args("down", "--volumes")...)
	if objects := left(t, "com.docker.compose.project="+project); len(objects) > 0 {
		t.Errorf("down --volumes left %q", objects)
	}
}

// composeCommand is docker compose, or one that the script builds.
func composeCommand(t *testing.T) []string {
	t.Helper()
	const buildLimit = 10 * time.Minute
	return strings.Fields(run(t, buildLimit, "../scripts/compose.sh"))
}
