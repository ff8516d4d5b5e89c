package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
)

// What the guestbook needs on the engine, and where it answers.
var guestbookImages = []string{"redis:7.0", "guestbook-frontend:dev", "guestbook-digest:dev"}

const (
	nodePort   = "127.0.0.1:30080"
	startLimit = 4 * time.Minute // of a whole app on a slow, shared machine
)

// TestGuestbook_Up is the life of an app: it comes up as a whole, answers under
// each of its names, is left alone when nothing changed, and goes without trace.
func TestGuestbook_Up(t *testing.T) {
	requireEngine(t)
	requireImages(t, guestbookImages...)
	requirePortFree(t, nodePort)
	tool := testtool.Cuepod(t)
	dir := copyOfGuestbook(t)
	cuepod := func(args ...string) string { return run(t, startLimit, tool, append(args, dir)...) }
	t.Cleanup(func() {
		out, stderr, err := try(context.WithoutCancel(t.Context()), startLimit, tool, "down", "--volumes", dir)
		if err != nil {
			t.Errorf("clean up: %v\n%s%s", err, out, stderr)
		}
	})

	cuepod("up", "-d", "--wait")
	status := readStatus(t, cuepod("ps", "-o", "json"))
	status.wantReady(t, "frontend-0", "frontend-1", "redis-leader-0", "redis-follower-0")

	byPort := guestbookAt{address: nodePort}
	byPort.signAndRead(t, "written through the node port")
	byHost := guestbookAt{address: status.router(t), host: "frontend.guestbook.localhost"}
	byHost.signAndRead(t, "written through the router")
	wantBothReplicas(t, byPort)
	wantDigest(t, byPort)

	if out, stderr, err := try(t.Context(), startLimit, tool, "plan", "--exit-code", dir); err != nil {
		t.Errorf("the plan after up is not empty: %v\n%s%s", err, out, stderr)
	}

	cuepod("down")
	// What the claim and the generated password are in stays.
	want := []string{"volume " + engineName(dir, "guestbook-data"), "volume " + engineName(dir, "vault_keys")}
	if objects := left(t, "dev.cuepod.root="+dir); !slices.Equal(objects, want) {
		t.Errorf("down left %q, want %q", objects, want)
	}
	cuepod("up", "-d", "--wait")
	poll(t, time.Minute, "the entries outlive down", func() error {
		page, err := byPort.page(t.Context())
		if err == nil && !strings.Contains(page, "written through the node port") {
			err = fmt.Errorf("the entry is gone")
		}
		return err
	})
	cuepod("down", "--volumes")
	if objects := left(t, "dev.cuepod.root="+dir); len(objects) > 0 {
		t.Errorf("down --volumes left %q", objects)
	}
}

// appStatus is what `cuepod ps -o json` prints, as far as the test needs it.
type appStatus struct {
	Pods []struct {
		Name   string
		Phase  string
		Ready  bool
		Reason string
	}
	Services []struct {
		Name string
		URLs []string
	}
}

func readStatus(t *testing.T, output string) appStatus {
	t.Helper()
	var s appStatus
	if err := json.Unmarshal([]byte(output), &s); err != nil {
		t.Fatalf("ps -o json: %v\n%s", err, output)
	}
	return s
}

func (s appStatus) wantReady(t *testing.T, pods ...string) {
	t.Helper()
	ready := map[string]bool{}
	for _, p := range s.Pods {
		ready[p.Name] = p.Ready && p.Phase == "Running"
	}
	for _, name := range pods {
		if !ready[name] {
			t.Errorf("pod %s is not ready: %+v", name, s.Pods)
		}
	}
	if len(ready) != len(pods) {
		t.Errorf("want pods %q, got %+v", pods, s.Pods)
	}
}

// router gives the address of the HTTP router from the frontend's URLs.
func (s appStatus) router(t *testing.T) string {
	t.Helper()
	for _, service := range s.Services {
		for _, url := range service.URLs {
			name, port, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"), ":")
			if ok && name == "frontend.guestbook.localhost" {
				return net.JoinHostPort("127.0.0.1", port)
			}
		}
	}
	t.Fatalf("no URL leads through the router: %+v", s.Services)
	return ""
}

// wantBothReplicas asks until both frontends have answered.
func wantBothReplicas(t *testing.T, g guestbookAt) {
	t.Helper()
	seen := map[string]bool{}
	poll(t, time.Minute, "both frontends answer", func() error {
		page, err := g.page(t.Context())
		if err != nil {
			return err
		}
		for _, pod := range []string{"frontend-0", "frontend-1"} {
			if strings.Contains(page, "<dt>answered by</dt><dd><code>"+pod) {
				seen[pod] = true
			}
		}
		if len(seen) < 2 {
			return fmt.Errorf("only %v so far", seen)
		}
		return nil
	})
}

// wantDigest waits until the sidecar's digest is on the page: it has reached
// the web server on localhost, and their shared volume works both ways.
func wantDigest(t *testing.T, g guestbookAt) {
	t.Helper()
	poll(t, time.Minute, "the sidecar's digest", func() error {
		page, err := g.page(t.Context())
		if err == nil && (!strings.Contains(page, "digest") || strings.Contains(page, "<dd>0 requests")) {
			err = fmt.Errorf("no digest of the requests on the page")
		}
		return err
	})
}

// copyOfGuestbook gives the example its own directory, and so its own identity
// on the engine.
func copyOfGuestbook(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-r", "guestbook/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v\n%s", err, out)
	}
	return dir
}

// requirePortFree fails early and plainly when something else holds the port.
func requirePortFree(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the guestbook needs %s: %v", address, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
