package examples_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
	run(t, time.Minute, buildTool(t), "compile", "--target", "compose", "--holder-image", holderImage(t, project), "-o", file, "guestbook")

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

// holderImage makes the image that holds the pods, which nobody can pull here.
func holderImage(t *testing.T, tag string) (ref string) {
	t.Helper()
	dir, ref := t.TempDir(), "cuepod-holder:"+tag
	arch := strings.TrimSpace(run(t, time.Minute, "docker", "version", "--format", "{{.Server.Arch}}"))
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "cuepod-agent"), "../cmd/cuepod-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build cuepod-agent: %v\n%s", err, out)
	}
	dockerfile := "FROM scratch\nCOPY cuepod-agent /cuepod-agent\nENTRYPOINT [\"/cuepod-agent\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, time.Minute, "docker", "build", "--tag", ref, dir)
	t.Cleanup(func() {
		if _, stderr, err := try(context.WithoutCancel(t.Context()), time.Minute, "docker", "image", "rm", ref); err != nil {
			t.Errorf("clean up: %v\n%s", err, stderr)
		}
	})
	return ref
}
